"""From a day of vehicle travel to the sums of the cells and windows that may be public together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import polars_h3

from clearway_transforms.congestion import cells
from clearway_transforms.release.complementary import Codes, Fleet, Ladder, first_step, public_sets
from clearway_transforms.release.gate import LADDER, ReleaseRule
from clearway_transforms.travel.allocation import SUMS
from clearway_transforms.travel.legs import OUTLINE_COUNTS

DAY_MINUTES = 1440

_VEHICLE = ("provider", "vehicle", "pseudonym_epoch")
_OUTLINES = ("n_pings", *OUTLINE_COUNTS.values())


def of_all_classes(vehicle_travel: pl.LazyFrame, apart: Sequence[str] = ()) -> pl.LazyFrame:
    """Return vehicle travel with one row per cell, window and vehicle, of class 'all'.

    Parameters
    ----------
    vehicle_travel
        Rows of a whole local day.
    apart
        Classes that 'all' leaves out where there is any other, as in
        `clearway_transforms.congestion.cells.with_all_classes`.
    """
    outlines = [pl.col(name).fill_null(pl.col("n_pings")) for name in OUTLINE_COUNTS.values()]
    other = ~pl.col("vehicle_class").is_in(list(apart))
    return (
        vehicle_travel.filter(other | ~other.any())
        .with_columns(outlines)
        .group_by("h3_cell", "window_start", *_VEHICLE)
        .agg(pl.col(name).sum() for name in (*SUMS, *OUTLINE_COUNTS.values()))
        .with_columns(vehicle_class=pl.lit(cells.ALL_CLASSES))
    )


def public_travel(
    vehicle_travel: pl.DataFrame, rule: ReleaseRule, *, time_zone: str
) -> dict[tuple[int, int], pl.DataFrame]:
    """Return, for each product of the ladder, the sums of its public cells and windows.

    Parameters
    ----------
    vehicle_travel
        Whole local days, of resolution 9 by 15 minutes, from `of_all_classes`.
    rule
        What every public row, and every rest that a subtraction leaves, needs.
    time_zone
        IANA name; hours and days begin by its clock.

    Returns
    -------
    dict
        Columns of ``cell_travel`` but for resolution, window_minutes and window_date, by
        resolution and window length.
    """
    steps = [_set_codes(vehicle_travel, *product, time_zone=time_zone) for product in LADDER]
    shown = _decided(vehicle_travel, steps, rule)
    return {
        product: _sums(vehicle_travel.filter(flags[codes]), *product, time_zone=time_zone)
        for product, codes, flags in zip(LADDER, steps, shown, strict=True)
    }


def _set_codes(
    vehicle_travel: pl.DataFrame, resolution: int, window_minutes: int, *, time_zone: str
) -> Codes:
    """Return a number from 0 for each row's cell and window."""
    length = f"{window_minutes}m" if window_minutes < DAY_MINUTES else "1d"
    local = pl.col("window_start").dt.convert_time_zone(time_zone).dt.truncate(length)
    cell = polars_h3.cell_to_parent(pl.col("h3_cell"), resolution).cast(pl.UInt64)
    codes = vehicle_travel.select(
        cell=cell.rank("dense").cast(pl.Int64), window=local.rank("dense").cast(pl.Int64)
    )
    pair = codes["cell"] * (codes["window"].max() or 0) + codes["window"]
    return pair.rank("dense").cast(pl.Int64).to_numpy() - 1


def _decided(
    vehicle_travel: pl.DataFrame, codes: list[Codes], rule: ReleaseRule
) -> tuple[np.ndarray, ...]:
    """Return which sets of each step are public."""
    n_sets = tuple(int(step.max(initial=-1)) + 1 for step in codes)
    up = []
    for below, above, number in zip(codes[:-1], codes[1:], n_sets[:-1], strict=True):
        holder = np.zeros(number, dtype=np.int64)
        holder[below] = above
        up.append(holder)
    outline = tuple(
        _OUTLINES.index(OUTLINE_COUNTS[resolution]) if resolution != LADDER[0][0] else 0
        for resolution, _ in LADDER
    )
    # Sorted, so that vehicles are numbered epoch by epoch.
    names = vehicle_travel.select(_VEHICLE).unique().sort("pseudonym_epoch", "provider", "vehicle")
    fleet = names.with_row_index("code").with_columns(
        pl.col("pseudonym_epoch", "provider").rank("dense").cast(pl.Int64) - 1
    )
    vehicle = vehicle_travel.select(_VEHICLE).join(
        names.with_row_index("code"), on=_VEHICLE, validate="m:1", maintain_order="left"
    )["code"]
    drives = first_step(
        codes[0],
        vehicle.cast(pl.Int64).to_numpy(),
        vehicle_travel["duration_ms"].to_numpy(),
        vehicle_travel.select(_OUTLINES).to_numpy(),
    )
    return public_sets(
        drives,
        Ladder(n_sets=n_sets, up=tuple(up), outline=outline),
        fleet=Fleet(
            provider=fleet["provider"].to_numpy(), epoch=fleet["pseudonym_epoch"].to_numpy()
        ),
        rule=rule,
    )


def _sums(
    vehicle_travel: pl.DataFrame, resolution: int, window_minutes: int, *, time_zone: str
) -> pl.DataFrame:
    """Return the sums of every cell and window of these rows."""
    rolled = cells.roll_up(
        vehicle_travel.lazy(),
        resolution=resolution,
        window_minutes=window_minutes,
        time_zone=time_zone,
    )
    return cells.cell_travel(rolled).collect()
