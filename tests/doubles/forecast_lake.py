"""A lake with days of made-up congestion that has a daily rhythm and jams that grow and pass."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl

from clearway_core.geo import cell_at, disk
from clearway_core.lake import Lake

CELLS = disk(cell_at(100.523, 13.752, 9), 3)
"""37 cells around the middle of a made-up city."""

FIRST_DAY = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday."""


def rows(
    n_days: int, *, seed: int = 7, slow_from: int | None = None, noise: float = 0.08
) -> pl.DataFrame:
    """Return rows of `congestion` and `cell_travel` in one frame.

    Parameters
    ----------
    n_days
        Days of 96 windows.
    seed
        Of the chances.
    slow_from
        Day from which everything takes twice as long.
    noise
        Standard deviation of what is different in each cell and window; jams have their own.
    """
    random = np.random.default_rng(seed)
    n = 96 * n_days
    hour = np.arange(n) / 4 % 24
    rush = np.exp(-(((hour - 8) / 1.5) ** 2)) + np.exp(-(((hour - 17.5) / 2) ** 2))
    base = np.log(40) - rng_spread(random)[None, :]
    jam = np.zeros((n, len(CELLS)))
    shock = random.normal(0, 0.06, (n, 1)) + random.normal(0, 0.05, (n, len(CELLS)))
    for window in range(1, n):  # what is slow stays slow for about an hour
        jam[window] = 0.8 * jam[window - 1] + shock[window]
    log_speed = base - 0.5 * rush[:, None] - jam + random.normal(0, noise, jam.shape)
    if slow_from is not None:
        log_speed[96 * slow_from :] -= np.log(2)
    speed = np.clip(np.exp(log_speed), 2, 90)
    vehicles = random.integers(4, 30, speed.shape)
    start = pl.lit(FIRST_DAY, pl.Datetime("us", "UTC")) + pl.duration(minutes=pl.col("minutes"))
    return (
        pl.DataFrame(
            {
                "h3_cell": np.tile(np.array(CELLS, dtype=np.uint64), n),
                "minutes": 15 * np.repeat(np.arange(n), len(CELLS)),
                "space_mean_kmh": speed.ravel(),
                "n_vehicles": vehicles.ravel(),
            },
        )
        .with_columns(window_start=start)
        .with_columns(
            pl.col("window_start").dt.date().alias("window_date"),
            pl.when(pl.col("n_vehicles") >= 15)
            .then(pl.lit("A"))
            .otherwise(pl.lit("B"))
            .alias("quality"),
            n_providers=pl.lit(2, pl.Int64),
            resolution=pl.lit(9, pl.Int32),
            window_minutes=pl.lit(15, pl.Int32),
            vehicle_class=pl.lit("all"),
        )
    )


def rng_spread(random: np.random.Generator) -> np.ndarray:
    """Return how much slower each cell is by nature."""
    return np.abs(random.normal(0, 0.2, len(CELLS)))


def fill(lake: Lake, made: pl.DataFrame) -> Lake:
    """Write rows as the tables that forecasts are made from, in the place of all others."""
    same = ("resolution", "window_minutes", "window_date", "h3_cell", "window_start")
    speed, zero = pl.col("space_mean_kmh"), pl.lit(0, pl.Int64)
    counted = (*same, "vehicle_class", "n_vehicles", "n_providers")
    congestion = made.select(
        *counted,
        speed,
        (speed * 0.9).alias("interval_low_kmh"),
        (speed * 1.1).alias("interval_high_kmh"),
        (10 * pl.col("n_vehicles")).alias("n_pings"),
        (9 * pl.col("n_vehicles")).alias("n_legs"),
        "quality",
        source_class=pl.lit("observed"),
        free_flow_kmh=pl.lit(50.0),
        free_flow_method=pl.lit("cell_p85"),
    )
    time_ms = pl.col("n_vehicles") * 60_000
    sums = ("dwell_ms", "gap_60s_ms", "gap_120s_ms", "gap_long_ms", "reported_ms")
    squares = ("distance_sq_dm2", "duration_sq_ds2", "distance_duration_dm_ds")
    travel = made.select(
        *counted,
        (time_ms * speed / 3.6).cast(pl.Int64).alias("distance_mm"),
        time_ms.alias("duration_ms"),
        time_ms.alias("gap_15s_ms"),
        (10 * pl.col("n_vehicles")).alias("n_pings"),
        (9 * pl.col("n_vehicles")).alias("n_legs"),
        (time_ms // 5).alias("top_vehicle_ms"),
        *(zero.alias(name) for name in (*sums, *squares)),
    )
    for name, frame in (("congestion", congestion), ("cell_travel", travel)):
        held = [*lake.table(name).contract.columns]
        lake.table(name).replace(frame.select(c for c in held if c in frame.columns), {})
    return lake
