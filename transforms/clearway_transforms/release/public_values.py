"""How exactly a public row says what it rests on.

Counts of fixes and legs add up over cells and windows, and an exact count of vehicles moves by one
with each of them, so a person who knows one vehicle's way could tell from many of them whether it
was there. Public counts are rounded down to steps that one vehicle seldom crosses. Blended speeds
draw on neighbours that may not be public, so they are missing.
"""

from __future__ import annotations

import polars as pl

COUNTS = ("n_vehicles", "n_pings", "n_legs")

BLENDED = ("blended_kmh", "blended_low_kmh", "blended_high_kmh", "shrink_weight", "prior_source")

_STEPS = tuple(step * 10**power for power in range(12) for step in (1, 2, 5))


def rounded_down(count: pl.Expr) -> pl.Expr:
    """Return a count rounded down to 1, 2 or 5 times a power of ten; 0 stays 0."""
    largest = pl.lit(0, dtype=pl.Int64)
    for step in _STEPS:
        largest = pl.when(count >= step).then(pl.lit(step, dtype=pl.Int64)).otherwise(largest)
    return pl.when(count.is_not_null()).then(largest)


def coarse(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return public rows with counts rounded down and without blended speeds."""
    columns = rows.collect_schema()
    return rows.with_columns(
        *(rounded_down(pl.col(name)).alias(name) for name in COUNTS if name in columns),
        *(pl.lit(None, dtype=columns[name]).alias(name) for name in BLENDED if name in columns),
    )
