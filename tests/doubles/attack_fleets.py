"""Made-up days of a ride fleet, as vehicle travel: the same city, other traffic, other trips.

Trips run between popular and less popular cells of resolution 9; speeds vary by hour, by day, by
cell and day, by driver and by chance, so that one vehicle's share of a value is small beside what
changes anyway - but not so much that nothing could be learnt from it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

import h3
import numpy as np
import polars as pl

from clearway_core.geo import cell_at, disk
from clearway_transforms.travel.allocation import SUMS
from clearway_transforms.travel.legs import OUTLINE_COUNTS

CENTRE = cell_at(100.523, 13.752, 9)
CELLS = disk(CENTRE, 7)
"""169 cells, 18 km²."""
DAY = datetime(2026, 3, 10, tzinfo=UTC)
STEP_M = 350.0
"""From the middle of a cell to that of the next."""
FIX_S = 15.0
DEMAND = np.array(
    [1, 1, 1, 1, 1, 2, 5, 9, 10, 8, 6, 6, 7, 7, 6, 7, 9, 10, 10, 8, 6, 4, 3, 2], float
)


LONGEST = 16
"""Cells on the longest way through the city, and one more."""


@cache
def paths() -> np.ndarray:
    """Return the cells from each cell to each other, as indices of `CELLS`, filled up with -1."""
    index = {h3.int_to_str(cell): number for number, cell in enumerate(CELLS)}
    found = np.full((len(CELLS), len(CELLS), LONGEST), -1, dtype=np.int64)
    for origin, start in index.items():
        for destination, end in index.items():
            cells = [index[cell] for cell in h3.grid_path_cells(origin, destination)]
            found[start, end, : len(cells)] = cells
    return found


@cache
def popularity() -> np.ndarray:
    """Return how often a trip begins or ends in each cell: less with each ring from the middle."""
    rings = np.array(
        [h3.grid_distance(h3.int_to_str(CENTRE), h3.int_to_str(cell)) for cell in CELLS]
    )
    weight = np.exp(-rings / 2.0) * np.random.default_rng(7).lognormal(0, 0.8, len(CELLS))
    return weight / weight.sum()


def itineraries(rng: np.random.Generator, n_vehicles: int) -> pl.DataFrame:
    """Return the trips of a day: vehicle (number), origin, destination and start [s]."""
    vehicle = np.repeat(np.arange(n_vehicles), 1 + rng.poisson(7, n_vehicles))
    ends = rng.choice(len(CELLS), size=(len(vehicle), 2), p=popularity())
    hours = rng.choice(24, size=len(vehicle), p=DEMAND / DEMAND.sum())
    return pl.DataFrame(
        {
            "vehicle": vehicle,
            "origin": ends[:, 0],
            "destination": ends[:, 1],
            "start_s": hours * 3600 + rng.uniform(0, 3600, len(vehicle)),
        }
    )


class Traffic:
    """One day's speeds: by cell and hour, by the day, by cell and hour of the day."""

    def __init__(self, rng: np.random.Generator) -> None:
        base = np.random.default_rng(8)
        usual = 32 * base.lognormal(0, 0.2, (len(CELLS), 1)) * (1 - 0.035 * DEMAND[None, :])
        self.kmh = usual * rng.lognormal(0, 0.06) * rng.lognormal(0, 0.12, (len(CELLS), 24))


def drive(
    rng: np.random.Generator, traffic: Traffic, trips: pl.DataFrame, prefix: str
) -> pl.DataFrame:
    """Return vehicle travel of class 'all', one row per cell, window and vehicle."""
    vehicle = trips["vehicle"].to_numpy()
    way = paths()[trips["origin"].to_numpy(), trips["destination"].to_numpy()]
    on_way = way >= 0
    driver = rng.lognormal(0, 0.12, vehicle.max(initial=0) + 1)[vehicle]
    chance = rng.lognormal(0, 0.25, way.shape)
    start_s = trips["start_s"].to_numpy()
    hour = np.minimum(start_s // 3600, 23).astype(int)
    took_s = STEP_M * 3.6 / (traffic.kmh[way, hour[:, None]] * driver[:, None] * chance)
    took_s = np.where(on_way, took_s, 0.0)
    at_s = start_s[:, None] + np.cumsum(took_s, axis=1) - took_s
    frame = pl.DataFrame(
        {
            "vehicle": np.broadcast_to(vehicle[:, None], way.shape)[on_way],
            "place": way[on_way],
            "quarter": np.minimum(at_s // 900, 95).astype(np.int64)[on_way],
            "duration_ms": (took_s * 1000).astype(np.int64)[on_way],
            "n_pings": (took_s / FIX_S + rng.random(way.shape)).astype(np.int64)[on_way],
        }
    )
    zero = pl.lit(0, dtype=pl.Int64)
    known = {"distance_mm", "duration_ms", "n_pings", "n_legs"}
    summed = frame.group_by("vehicle", "place", "quarter").agg(
        pl.col("duration_ms", "n_pings").sum(), n_legs=pl.len().cast(pl.Int64)
    )
    return summed.with_columns(
        vehicle=pl.lit(prefix) + pl.col("vehicle").cast(pl.String),
        distance_mm=pl.col("n_legs") * int(STEP_M * 1000),
        h3_cell=pl.Series("h3_cell", CELLS, pl.UInt64).gather(summed["place"]),
        window_start=pl.lit(DAY) + pl.duration(minutes=15 * pl.col("quarter")),
        provider=pl.lit("one"),
        pseudonym_epoch=pl.lit("2026-03-10"),
        vehicle_class=pl.lit("all"),
        **{name: zero for name in SUMS if name not in known},
        **{name: pl.col("n_pings") for name in OUTLINE_COUNTS.values()},
    ).drop("place", "quarter")
