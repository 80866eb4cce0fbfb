"""Three real days of San Francisco: a quarter of the cabs, by the city's clock."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from doubles import transforms_pings as pings

from clearway_core.city import City
from clearway_core.lake import Lake
from clearway_transforms import jobs

pytestmark = pytest.mark.real_data

DAYS = ("2008-05-21", "2008-05-22", "2008-05-24")
CITY = City(
    folder=Path("nowhere"),
    name="San Francisco",
    country="US",
    time_zone=ZoneInfo("America/Los_Angeles"),
    currency=None,
    price_year=None,
    service_area_deg=(-122.52, 37.58, -122.22, 37.84),
    synthetic=False,
)


@pytest.fixture(scope="module")
def lake(real_data, tmp_path_factory) -> Lake:
    lake = Lake(tmp_path_factory.mktemp("three_days"))
    for day in DAYS:
        fixes = pings.san_francisco(real_data, day)
        quarter = fixes["vehicle"].unique().sort().gather_every(4)
        pings.store(lake, fixes.filter(pl.col("vehicle").is_in(quarter.implode())))
    jobs.build_congestion(lake, city=CITY)
    return lake


def test_periods_hold_what_the_windows_hold_to_the_last_millimetre_and_millisecond(lake):
    sums = {
        table: lake.table(table)
        .scan()
        .filter(pl.col("vehicle_class") == "all")
        .select(pl.col("distance_mm", "duration_ms").sum())
        .collect()
        .row(0)
        for table in ("period_travel", "cell_travel")
    }
    assert sums["period_travel"] == sums["cell_travel"]
    driven = lake.table("vehicle_travel").scan().select(pl.col("distance_mm").sum()).collect()
    assert sums["period_travel"][0] == driven.item()


def test_wednesday_thursday_and_saturday_are_what_they_were(lake):
    days = lake.table("period_travel").scan().select("local_date", "day_type").unique().collect()
    found = dict(days.rows())
    assert [found[date.fromisoformat(day)] for day in DAYS] == ["workday", "workday", "saturday"]


def test_evenings_lose_more_time_than_middays_and_nights_least(lake):
    medians = dict(
        lake.table("reliability")
        .scan()
        .filter(pl.col("span") == "newest", pl.col("day_group") != "weekend")
        .group_by("period")
        .agg(pl.col("tti").median())
        .collect()
        .rows()
    )
    assert medians["evening_peak"] > medians["morning_peak"] > medians["midday"]
    assert medians["midday"] > 1.1 > medians["overnight"]


def test_a_period_has_at_least_the_vehicles_of_its_busiest_window(lake):
    local = pl.col("window_start").dt.convert_time_zone(CITY.time_zone.key)
    windows = (
        lake.table("cell_travel")
        .scan()
        .filter(local.dt.date() == date(2008, 5, 21), local.dt.hour().is_between(16, 19))
        .group_by("h3_cell")
        .agg(most=pl.col("n_vehicles").max())
    )
    periods = (
        lake.table("period_travel")
        .scan()
        .filter(pl.col("local_date") == date(2008, 5, 21), pl.col("period") == "evening_peak")
    )
    both = windows.join(periods, on="h3_cell", how="full", validate="1:1").collect()
    assert both["h3_cell_right"].null_count() == both["h3_cell"].null_count() == 0
    assert both.filter(pl.col("n_vehicles") < pl.col("most")).is_empty()
    assert both.filter(pl.col("n_vehicles") > pl.col("most")).height > 500


def test_three_days_are_not_enough_evidence_for_a_percentile(lake):
    rows = lake.table("reliability").scan().collect()
    assert set(rows["evidence"]) == {"few_days"}
    assert rows["pti"].null_count() == rows["lottr"].null_count() == rows.height
    seen = rows.filter(pl.col("n_vehicles") >= 5)
    assert seen.height > 1000
    assert seen["tti"].null_count() == 0
    assert seen["interval_low_kmh"].null_count() == 0
    recurring = lake.table("bottlenecks").scan().collect()
    assert set(recurring["evidence"]) <= {"few_days"}
    assert recurring["rank"].null_count() == recurring.height
    assert lake.table("anomalies").scan().collect().is_empty()
