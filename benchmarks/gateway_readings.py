"""Readings for the gateway's benchmark: a simulated fleet, as a receiver would give them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count, cycle
from pathlib import Path
from typing import TypedDict

import polars as pl

START_MS = round(datetime(2026, 1, 15, tzinfo=UTC).timestamp() * 1000)


class Reading(TypedDict):
    """One fix; each has an instant of its own, by which it is known again."""

    vehicle: str
    observed_at: int
    lon_deg: float
    lat_deg: float
    speed_kmh: float
    heading_deg: float
    occupied: bool


def readings(data: Path) -> Iterator[Reading]:
    """Yield the probes of the simulated city in the order of time, over and over.

    Positions have 6 decimals (0.1 m), speeds and headings 1, as a receiver's sentence has. Every
    reading is a millisecond later than the one before: 1,000 a second.
    """
    probes = (
        pl.read_parquet(data / "scenario" / "sumo_15k" / "probes.parquet")
        .sort("t", "vid")
        .select(
            vehicle=pl.concat_str(pl.lit("taxi-"), pl.col("vid").cast(pl.String)),
            lon_deg=pl.col("lon").cast(pl.Float64).round(6),
            lat_deg=pl.col("lat").cast(pl.Float64).round(6),
            speed_kmh=(pl.col("speed_mps").cast(pl.Float64) * 3.6).round(1),
            heading_deg=pl.col("heading").cast(pl.Float64).round(1),
            occupied=pl.col("vid").cast(pl.String).hash(1) % 2 == 0,
        )
        .head(200_000)
    )
    rows = cycle(probes.iter_rows())
    for number, row in zip(count(), rows, strict=False):
        vehicle, lon, lat, speed, heading, occupied = row
        yield Reading(
            vehicle=vehicle,
            observed_at=START_MS + number,
            lon_deg=lon,
            lat_deg=lat,
            speed_kmh=speed,
            heading_deg=heading,
            occupied=occupied,
        )


def line(reading: Reading) -> bytes:
    """Return a reading as one line of JSON."""
    return json.dumps(reading, separators=(",", ":")).encode() + b"\n"
