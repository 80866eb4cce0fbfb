"""The expansion from probes to all traffic, against the simulated truth of the demo city."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import clearway_cities
from clearway_core.geo import cell_at, cells_in_geometry
from clearway_models.expansion.counts import IN_ZONE, expansion_of, read_counts
from clearway_models.expansion.passes import Legs, legs_of, passes

PACK = Path(clearway_cities.__file__).parent / "demo_city"

TRUE_ZONE_KM = 11_645.0
"""Kilometres of all simulated vehicles in the zone that morning, from SUMO's own edge output."""

Z_90 = 1.645


def distance_in_km(legs: Legs, cells: frozenset[int]) -> float:
    """Return what probes drove in a zone, by the middle of each leg."""
    middle = (legs.start + legs.end) / 2
    inside = np.array([cell_at(lon, lat, 9) in cells for lon, lat in middle.tolist()])
    step = (legs.end - legs.start)[inside] * 111_195
    metres = np.hypot(step[:, 0] * np.cos(np.radians(middle[inside, 1])), step[:, 1])
    return float(metres.sum()) / 1000


def test_expanded_kilometres_of_the_zone_cover_the_simulated_truth() -> None:
    zone = json.loads((PACK / "zones" / "centre.geojson").read_text(encoding="utf-8"))
    feature = zone["features"][0] if "features" in zone else zone
    cells = frozenset(cells_in_geometry(feature["geometry"], 9))
    start = pl.lit("2026-01-14T23:00:00Z").str.to_datetime(time_zone="UTC")
    fixes = (
        pl.read_parquet(PACK / "probes.parquet")
        .select(
            "provider",
            pl.col("vid").cast(pl.String).alias("vehicle"),
            (start + pl.duration(seconds=pl.col("t"))).alias("observed_at"),
            pl.col("lon").alias("lon_deg"),
            pl.col("lat").alias("lat_deg"),
            "occupied",
        )
        .filter(pl.col("lat_deg") < 90)
    )
    counts = read_counts(PACK / "traffic_counts.csv", 9)
    legs = legs_of(fixes)

    found = expansion_of(
        counts,
        passes(legs, sorted({count.place for count in counts})),
        hours=legs.covered_hours(),
        flow_gsd=1.5,
        cells=cells,
    )

    assert found is not None
    assert found.basis == IN_ZONE
    driven_km = distance_in_km(legs, cells)
    low, high = (driven_km * found.factor * math.exp(s * Z_90 * found.log_sd) for s in (-1, 1))
    assert low < TRUE_ZONE_KM < high
    assert driven_km * found.factor == pytest.approx(TRUE_ZONE_KM, rel=0.15)
    assert high < 2 * low
