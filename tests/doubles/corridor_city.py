"""A straight street of two directions, and vehicles on it and beside it, as paired fixes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import polars as pl

from clearway_core.corridor_lines import Corridor
from clearway_core.units import EARTH_RADIUS_M
from clearway_transforms.corridors.corridor_segments import CorridorIndex
from clearway_transforms.parameters import congestion_parameters, corridor_parameters
from clearway_transforms.travel import trips

WEST, SOUTH = 100.5, 13.7
START = datetime(2026, 3, 10, 1, 0, tzinfo=UTC)
LENGTH_M = 2_000.0

Fix = tuple[float, float, float]
"""Seconds after the start, metres east and north of the line's beginning."""


def lon_lat(east_m: float, north_m: float) -> tuple[float, float]:
    per_degree = EARTH_RADIUS_M * math.pi / 180
    return (
        WEST + east_m / (per_degree * math.cos(math.radians(SOUTH))),
        SOUTH + north_m / per_degree,
    )


def street(*points_m: tuple[float, float]) -> tuple[Corridor, Corridor]:
    """Return both directions of a line; left out, 2 km due east."""
    line = tuple(lon_lat(*point) for point in points_m or ((0.0, 0.0), (LENGTH_M, 0.0)))
    return (
        Corridor(name="High Street", direction="out", line=line),
        Corridor(name="High Street", direction="in", line=line[::-1]),
    )


def index(*corridors: Corridor) -> CorridorIndex:
    return CorridorIndex(corridors or street(), corridor_parameters())


def drive(
    start_m: float, end_m: float, *, kmh: float, every_s: float = 10.0, start_s: float = 0.0
) -> list[Fix]:
    """Return fixes along the street at an even speed."""
    way = abs(end_m - start_m)
    n = max(1, math.ceil(way / (kmh / 3.6) / every_s))
    return [
        (
            start_s + number * every_s,
            start_m + math.copysign(number * every_s * kmh / 3.6, end_m - start_m),
            0.0,
        )
        for number in range(n + 1)
    ]


def paired(*tracks: Sequence[Fix], vehicle_class: str = "car") -> pl.DataFrame:
    """Return the fixes of one vehicle per track, with the leg that ends at each."""
    rows = []
    for vehicle, track in enumerate(tracks):
        for second, east, north in track:
            lon, lat = lon_lat(east, north)
            rows.append((vehicle, f"cab-{vehicle}", round(second * 1000), lon, lat))
    fixes = pl.DataFrame(
        rows,
        schema={
            "vehicle_code": pl.Int64,
            "vehicle": pl.String,
            "offset_ms": pl.Int64,
            "lon_deg": pl.Float64,
            "lat_deg": pl.Float64,
        },
        orient="row",
    )
    start_ms = round(START.timestamp() * 1000)
    with_columns = fixes.with_columns(
        observed_ms=start_ms + pl.col("offset_ms"),
        observed_at=pl.lit(START) + pl.duration(milliseconds="offset_ms"),
        provider=pl.lit("p"),
        pseudonym_epoch=pl.lit("2026-03-10"),
        vehicle_class=pl.lit(vehicle_class),
        speed_kmh=pl.lit(None, dtype=pl.Float64),
        occupied=pl.lit(None, dtype=pl.Boolean),
    )
    return trips.pair_fixes(with_columns.lazy(), congestion_parameters()).collect()
