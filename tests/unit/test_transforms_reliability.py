"""What reliability says with much evidence, with little, and across the periods of a cell."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest
from doubles import transforms_windows as double

from clearway_core.calendar import Calendar, Term
from clearway_transforms.parameters import congestion_parameters, reliability_parameters
from clearway_transforms.reliability.measures import reliability

PARAMETERS = reliability_parameters()


def measured(
    rows: pl.DataFrame, *, calendar: Calendar | None = None, free: pl.LazyFrame | None = None
) -> pl.DataFrame:
    placed = double.placed(rows, calendar=calendar)
    return (
        reliability(
            placed,
            double.sums(placed),
            double.free_flow() if free is None else free,
            parameters=PARAMETERS,
            speed_parameters=congestion_parameters(),
        )
        .sort("period", "day_group")
        .collect()
    )


def row(rows: pl.DataFrame, period: str) -> dict[str, object]:
    return rows.filter(pl.col("period") == period).row(0, named=True)


def steady(_day: date, _minute: int) -> float:
    return 40.0


def unreliable_evenings(day: date, minute: int) -> float:
    """Return 40 km/h, in every third evening of workdays 20."""
    evening = 16 * 60 <= minute < 20 * 60 and day.weekday() < 5
    return 20.0 if evening and day.toordinal() % 3 == 0 else 40.0


def test_four_weeks_give_every_period_of_workdays_weekends_and_nights():
    rows = measured(double.windows(steady))
    assert rows.select("period", "day_group", "n_days", "evidence").rows() == [
        ("daytime", "weekend", 8, "enough"),
        ("evening_peak", "workday", 20, "enough"),
        ("midday", "workday", 20, "enough"),
        ("morning_peak", "workday", 20, "enough"),
        ("overnight", "all", 28, "enough"),
    ]


def test_steady_traffic_is_reliable():
    rows = measured(double.windows(steady))
    assert rows["reliable"].to_list() == [True] * 5
    assert rows["lottr"].to_list() == pytest.approx([1.0] * 5)
    assert rows["buffer_index"].to_list() == pytest.approx([0.0] * 5, abs=1e-6)
    assert rows["tti"].to_list() == pytest.approx([1.25] * 5)
    assert rows["pti"].to_list() == pytest.approx([1.25] * 5)
    assert rows["worst_tttr"].to_list() == pytest.approx([1.0] * 5)


def test_one_unreliable_period_makes_the_cell_unreliable():
    rows = measured(double.windows(unreliable_evenings))
    assert row(rows, "evening_peak")["lottr"] == pytest.approx(2.0)
    assert row(rows, "midday")["lottr"] == pytest.approx(1.0)
    assert rows["reliable"].to_list() == [False] * 5
    assert rows["worst_tttr"].to_list() == pytest.approx([2.0] * 5)


def test_mean_of_slow_and_fast_days_is_distance_over_time():
    rows = double.windows(lambda day, _: 20.0 if day.day % 2 else 60.0, days=28)
    evening = row(measured(rows), "evening_peak")
    assert evening["space_mean_kmh"] == pytest.approx(30.0)  # 40 would be the mean of speeds
    assert evening["tti"] == pytest.approx(50 / 30)


def test_a_few_days_give_a_mean_with_interval_and_no_percentile():
    rows = measured(double.windows(steady, days=3))
    assert set(rows["evidence"]) == {"few_days"}
    evening = row(rows, "evening_peak")
    assert evening["tti"] == pytest.approx(1.25)
    assert evening["interval_low_kmh"] < evening["space_mean_kmh"] < evening["interval_high_kmh"]
    for name in ("pti", "buffer_index", "lottr", "tttr", "pace_p95_s_per_km", "reliable"):
        assert evening[name] is None


def test_days_enough_but_few_windows_are_said():
    rows = measured(double.windows(steady, minutes=range(600, 616, 15)))
    assert set(rows.filter(pl.col("period") == "daytime")["evidence"]) == {"few_windows"}
    alone = double.windows(steady).with_columns(n_vehicles=pl.lit(1))
    assert set(measured(alone)["evidence"]) == {"few_days"}
    assert set(measured(alone)["n_windows"]) == {0}


def test_without_free_flow_there_is_no_index_but_the_spread_is_known():
    empty = double.free_flow().filter(pl.col("free_flow_kmh") < 0)
    evening = row(measured(double.windows(unreliable_evenings), free=empty), "evening_peak")
    assert evening["evidence"] == "no_free_flow"
    assert evening["tti"] is None
    assert evening["pti"] is None
    assert evening["lottr"] == pytest.approx(2.0)


def test_a_cell_in_which_nobody_was_seen_has_no_row():
    rows = double.windows(steady).with_columns(n_vehicles=pl.lit(0))
    assert measured(rows).is_empty()


def test_a_holiday_is_neither_workday_nor_weekend():
    holiday = double.MONDAY + timedelta(days=2)
    calendar = Calendar(named={holiday: ("holiday", "Founders")})
    rows = measured(double.windows(steady), calendar=calendar)
    assert row(rows, "evening_peak")["n_days"] == 19
    days_off = rows.filter(pl.col("period") == "daytime").select("day_group", "n_days", "evidence")
    assert days_off.rows() == [("holiday", 1, "few_days"), ("weekend", 8, "enough")]


def test_days_of_a_school_break_are_counted_beside_the_figure():
    calendar = Calendar(
        terms=[
            Term(start_date=date(2026, 1, 5), end_date=date(2026, 3, 6), name="winter"),
            Term(start_date=date(2026, 3, 16), end_date=date(2026, 6, 26), name="spring"),
        ]
    )
    rows = measured(double.windows(steady), calendar=calendar)
    assert row(rows, "evening_peak")["n_tagged_days"] == 5
    assert row(rows, "daytime")["n_tagged_days"] == 0


def test_vehicles_are_those_of_the_largest_day_and_one_may_not_hide_behind_the_days():
    rows = measured(double.windows(steady))
    assert set(rows["n_vehicles"]) == {4}
    assert rows["top_vehicle_share"].to_list() == pytest.approx([0.25] * 5)
