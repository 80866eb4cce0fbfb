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
    """One fix."""

    vehicle: str
    observed_at: int
    lon_deg: float
    lat_deg: float
    speed_kmh: float
    heading_deg: float
    occupied: bool


def readings(data: Path, *, numbered: bool = False) -> Iterator[Reading]:
    """Yield the probes of the simulated city in the order of time, over and over.

    Positions have 6 decimals (0.1 m), speeds and headings 1, as a receiver's sentence has.

    Parameters
    ----------
    data
        Holds ``scenario/sumo_15k``.
    numbered
        Give each reading a millisecond of its own, by which it is known again; else the simulated
        time: each vehicle every 5 s, at a moment of the second that is its own.
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
            elapsed_ms=(pl.col("t").cast(pl.Int64) - pl.col("t").min().cast(pl.Int64)) * 1000
            + (pl.col("vid").cast(pl.String).hash(2) % 1000).cast(pl.Int64),
        )
        .head(400_000)
    )
    lap_ms = int(str(probes["elapsed_ms"].max())) + 5000
    n_rows = len(probes)
    for number, row in zip(count(), cycle(probes.iter_rows()), strict=False):
        vehicle, lon, lat, speed, heading, occupied, elapsed_ms = row
        moment_ms = number if numbered else number // n_rows * lap_ms + elapsed_ms
        yield Reading(
            vehicle=vehicle,
            observed_at=START_MS + moment_ms,
            lon_deg=lon,
            lat_deg=lat,
            speed_kmh=speed,
            heading_deg=heading,
            occupied=occupied,
        )


def line(reading: Reading) -> bytes:
    """Return a reading as one line of JSON."""
    return json.dumps(reading, separators=(",", ":")).encode() + b"\n"
