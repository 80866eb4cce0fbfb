"""Recurring congestion is a bottleneck, congestion of one day is not."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest
from doubles import transforms_windows as double

from clearway_transforms.parameters import congestion_parameters, reliability_parameters
from clearway_transforms.reliability.bottlenecks import bottlenecks

PARAMETERS = reliability_parameters()
EIGHT, NINE = 8 * 60, 9 * 60
OTHER = double.CELL ^ (1 << 18)


def found(rows: pl.DataFrame, cells: tuple[int, ...] = (double.CELL,)) -> pl.DataFrame:
    return bottlenecks(
        double.placed(rows),
        double.free_flow(cells=cells),
        parameters=PARAMETERS,
        speed_parameters=congestion_parameters(),
    ).collect()


def rush_hour(day: date, minute: int) -> float:
    """Return 15 km/h on workdays from 8 to 9, else 45, where 50 is free flow."""
    return 15.0 if day.weekday() < 5 and EIGHT <= minute < NINE else 45.0


def test_a_rush_hour_of_every_workday_is_one_bottleneck_with_its_usual_time():
    row = found(double.windows(rush_hour)).row(0, named=True)
    assert found(double.windows(rush_hour)).height == 1
    assert (row["day_group"], row["period"], row["rank"]) == ("workday", "morning_peak", 1)
    assert (row["start_minute"], row["duration_minutes"]) == (EIGHT, 60)
    assert (row["n_days"], row["n_windows"], row["evidence"]) == (20, 80, "enough")
    assert row["congested_share"] == 1.0
    assert 0.85 < row["congested_share_low"] < row["congested_share_high"] <= 1.0
    # Each quarter of an hour, 2 km take 480 s instead of 144 s.
    assert row["extra_h_per_day"] == pytest.approx(4 * 336 / 3600, abs=1e-6)
    assert row["tti"] == pytest.approx(50 / 15, rel=1e-6)


def test_congestion_of_one_day_is_no_bottleneck():
    crash = double.MONDAY + timedelta(days=9)
    rows = double.windows(lambda day, minute: 8.0 if day == crash and minute == NINE else 45.0)
    assert found(rows).is_empty()


def test_two_rush_hours_of_a_cell_are_two_bottlenecks_and_the_worse_is_first():
    def speed(day: date, minute: int) -> float:
        evening = 17 * 60 <= minute < 19 * 60
        return 10.0 if evening and day.weekday() < 5 else rush_hour(day, minute)

    rows = found(double.windows(speed))
    assert rows["rank"].to_list() == [1, 2]
    assert rows["start_minute"].to_list() == [17 * 60, EIGHT]
    assert rows["extra_h_per_day"].is_sorted(descending=True)


def test_cells_are_ranked_together_and_ties_by_cell():
    rows = pl.concat([double.windows(rush_hour), double.windows(rush_hour, cell=OTHER)])
    ranked = found(rows, (double.CELL, OTHER))
    assert ranked["rank"].to_list() == [1, 2]
    assert ranked["h3_cell"].to_list() == sorted([double.CELL, OTHER])


def test_with_fewer_days_there_is_neither_rank_nor_number():
    rows = found(double.windows(rush_hour, days=3))
    assert rows.select("evidence", "n_days").unique().rows() == [("few_days", 3)]
    numbers = ("rank", "congested_share", "extra_h_per_day", "tti", "space_mean_kmh")
    assert rows.select(numbers).null_count().row(0) == (rows.height,) * len(numbers)


def test_what_was_seen_once_is_not_even_a_candidate():
    assert found(double.windows(rush_hour, days=1)).is_empty()


def test_half_of_the_days_is_enough_and_less_is_not():
    def every(step: int) -> pl.DataFrame:
        return double.windows(
            lambda day, minute: 15.0 if minute == EIGHT and day.day % step == 0 else 45.0,
            first=date(2026, 6, 1),
            days=26,
        )

    assert found(every(2))["evidence"].to_list().count("enough") >= 1
    assert found(every(3)).filter(pl.col("evidence") == "enough").is_empty()


def test_one_vehicle_shows_no_congestion():
    rows = double.windows(rush_hour).with_columns(n_vehicles=pl.lit(1))
    assert found(rows).is_empty()


def test_order_of_rows_changes_no_bit():
    rows = pl.concat([double.windows(rush_hour), double.windows(rush_hour, cell=OTHER)])
    for seed in range(3):
        shuffled = rows.sample(fraction=1.0, shuffle=True, seed=seed)
        assert found(shuffled, (double.CELL, OTHER)).equals(found(rows, (double.CELL, OTHER)))
