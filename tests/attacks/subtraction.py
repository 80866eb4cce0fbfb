"""Somebody takes every public row, and subtracts from it all public rows inside it."""

from __future__ import annotations

import polars as pl
import polars_h3

from clearway_transforms.release import gate


def rests(
    travel: pl.DataFrame, public: dict[tuple[int, int], pl.DataFrame]
) -> list[tuple[int, int, int]]:
    """Return, for each public row less the public rows inside it: vehicles, time left, time due.

    The attacker gets exact sums, more than is ever published; time due is recounted from the truth.
    """
    found = []
    left = travel.with_columns(open=pl.lit(value=True))
    for resolution, minutes in gate.LADDER:
        where = {
            "cell": polars_h3.cell_to_parent(pl.col("h3_cell"), resolution).cast(pl.UInt64),
            "window": pl.col("window_start").dt.truncate(f"{minutes}m"),
        }
        rows = public[resolution, minutes].select(
            cell="h3_cell", window="window_start", whole_ms="duration_ms"
        )
        placed = left.with_columns(**where).join(rows, on=["cell", "window"], how="inner")
        per_row = placed.group_by("cell", "window").agg(
            n=pl.col("vehicle").filter(pl.col("open") & (pl.col("duration_ms") > 0)).n_unique(),
            due_ms=pl.col("duration_ms").filter("open").sum(),
            inside_ms=pl.col("duration_ms").filter(~pl.col("open")).sum(),
            whole_ms=pl.col("whole_ms").first(),
        )
        found += per_row.select("n", pl.col("whole_ms") - pl.col("inside_ms"), "due_ms").rows()
        shown = rows.select("cell", "window").with_columns(hit=pl.lit(value=True))
        left = (
            left.with_columns(**where)
            .join(shown, on=["cell", "window"], how="left", validate="m:1")
            .with_columns(open=pl.col("open") & pl.col("hit").is_null())
            .drop("cell", "window", "hit")
        )
    return found
