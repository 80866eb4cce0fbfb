"""Verification values of the methods page: reliability and excessive delay."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from clearway_core.calendar import Calendar
from clearway_transforms.parameters import congestion_parameters, reliability_parameters
from clearway_transforms.reliability import periods
from clearway_transforms.reliability.measures import (
    KM_PER_MILE,
    excessive_delay_s,
    phed_threshold_kmh,
    reliability,
)

TRAVEL_TIMES_S = (100, 105, 110, 120, 130, 150, 160, 180, 200, 300)
FREE_FLOW_S = 100
PARAMETERS = replace(reliability_parameters(), min_windows=1, min_workdays=1)
WEDNESDAY = datetime(2026, 3, 11, 7, tzinfo=UTC)
KM_MM = 1_000_000


@pytest.fixture(scope="module")
def measures() -> dict[str, object]:
    """Return the row of a cell that took these times for a kilometre, of two cabs each time."""
    windows = pl.LazyFrame(
        {
            "window_start": [WEDNESDAY + timedelta(minutes=15 * n) for n in range(10)],
            "h3_cell": pl.Series([7] * 10, dtype=pl.UInt64),
            "vehicle_class": ["all"] * 10,
            "distance_mm": [KM_MM] * 10,
            "duration_ms": [1000 * s for s in TRAVEL_TIMES_S],
            "n_vehicles": [2] * 10,
        }
    )
    days = periods.days_frame(Calendar(), date(2026, 3, 11), date(2026, 3, 11))
    placed = periods.with_period(windows, days, PARAMETERS, time_zone="UTC")
    travel = placed.group_by("period", "day_group", "h3_cell", "vehicle_class").agg(
        pl.col("distance_mm", "duration_ms").sum(),
        distance_sq_dm2=pl.lit(1),
        duration_sq_ds2=pl.lit(1),
        distance_duration_dm_ds=pl.lit(1),
        top_vehicle_ms=pl.lit(1),
        n_vehicles=pl.lit(20),
        n_providers=pl.lit(1),
    )
    free = pl.LazyFrame(
        {
            "h3_cell": pl.Series([7], dtype=pl.UInt64),
            "vehicle_class": ["all"],
            "free_flow_kmh": [3600.0 / FREE_FLOW_S],
            "free_flow_method": ["own_p85"],
        }
    )
    found = reliability(
        windows=placed,
        period_travel=travel,
        free_flow=free,
        parameters=PARAMETERS,
        speed_parameters=congestion_parameters(),
    ).collect()
    assert found.height == 1
    return found.row(0, named=True)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pace_p50_s_per_km", 140.0),
        ("pace_p80_s_per_km", 184.0),  # Hazen would say 190
        ("pace_p95_s_per_km", 255.0),  # Hazen would say 300
        ("tti", 1.555),
        ("congestion_level_pct", 55.5),
        ("pti", 2.55),
        ("buffer_index", 0.63987),
        ("lottr", 1.31429),
        ("tttr", 1.82143),
        ("delay_s_per_km", 55.5),
    ],
)
def test_measures_of_ten_travel_times(measures, name, expected):
    assert measures[name] == pytest.approx(expected, abs=5e-6)


def test_mean_travel_time_is_distance_over_time(measures):
    assert 3600 / measures["space_mean_kmh"] == pytest.approx(155.5)


@pytest.mark.parametrize(("limit_mph", "threshold_mph"), [(30, 20), (45, 27)])
def test_excessive_delay_counts_below_the_larger_of_20_mph_and_60_percent(limit_mph, threshold_mph):
    mile = KM_PER_MILE
    limit = pl.DataFrame({"limit": [limit_mph * mile]})
    found = limit.select(phed_threshold_kmh(pl.col("limit"), PARAMETERS)).item()
    assert found / mile == pytest.approx(threshold_mph)


@pytest.mark.parametrize(
    ("travel_time_s", "delay_s"), [(250.0, 160.0), (80.0, 0.0), (90.0, 0.0), (2000.0, 900.0)]
)
def test_excessive_delay_of_half_a_mile_at_20_mph(travel_time_s, delay_s):
    # Half a mile at 20 mph takes 90 s.
    mile = KM_PER_MILE
    bins = pl.DataFrame({"t": [travel_time_s], "d": [0.5 * mile], "v": [20.0 * mile]})
    found = bins.select(excessive_delay_s(pl.col("t"), pl.col("d"), pl.col("v"), PARAMETERS)).item()
    assert found == pytest.approx(delay_s)
