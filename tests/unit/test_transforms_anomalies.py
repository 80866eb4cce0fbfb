"""What is far slower than usual at that time of week is found, and what is usual is not."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from doubles import transforms_windows as double

from clearway_transforms.parameters import congestion_parameters, reliability_parameters
from clearway_transforms.reliability.anomalies import anomalies

PARAMETERS = reliability_parameters()
LAST = double.MONDAY + timedelta(days=23)  # a Wednesday
NINE = 9 * 60
OTHER = double.CELL ^ (1 << 18)


def found(rows: pl.DataFrame, day: date = LAST, cells: tuple[int, ...] = (double.CELL,)):
    placed = double.placed(rows)
    return anomalies(
        placed.filter(pl.col("local_date") == day),
        placed.filter(pl.col("local_date") < day),
        double.free_flow(cells=cells),
        parameters=PARAMETERS,
        speed_parameters=congestion_parameters(),
    ).collect()


def noisy(base: float = 40.0, *, seed: int = 1, spread: float = 0.08):
    """Return speeds around a base, the same for each day and minute whenever asked. [km/h]"""

    def speed(day: date, minute: int) -> float:
        random = np.random.default_rng([seed, day.toordinal(), minute])
        return base * math.exp(random.normal(0, spread))

    return speed


def test_a_crash_is_found_with_what_is_usual_there():
    usual = noisy()
    rows = double.windows(
        lambda day, minute: 8.0 if (day, minute) == (LAST, NINE) else usual(day, minute), days=24
    )
    row = found(rows)
    assert row["window_start"].to_list() == [datetime(2026, 3, 25, 9, tzinfo=UTC)]
    assert row["usual_kmh"].item() == pytest.approx(40, rel=0.05)
    assert row["space_mean_kmh"].item() == pytest.approx(8, rel=1e-6)
    assert row["robust_z"].item() > 10
    assert row["n_usual_days"].item() == 17  # workdays of the weeks before
    assert row["n_usual_windows"].item() == 51  # with 15 minutes either way
    assert row["extra_h"].item() == pytest.approx((2 / 8 - 2 / 40), rel=0.1)


def test_a_rush_hour_as_on_every_day_is_no_anomaly():
    usual = noisy()
    rows = double.windows(
        lambda day, minute: usual(day, minute) / (4 if minute == NINE else 1),
        days=24,
        minutes=range(NINE, NINE + 15, 15),
    )
    assert found(rows).is_empty()


def test_usual_days_give_hardly_any_anomaly():
    # Normal spread, but all of it below the limit of congestion, so that nothing else filters.
    flagged = sum(
        found(double.windows(noisy(20.0, seed=seed, spread=0.15), days=24)).height
        for seed in range(3)
    )
    assert flagged <= 3  # of 288 windows


def test_faster_than_usual_is_no_anomaly():
    rows = double.windows(lambda day, _: 30.0 if day == LAST else 10.0, days=24)
    assert found(rows).is_empty()


def test_too_few_comparable_days_give_no_number():
    rows = double.windows(lambda day, _: 8.0 if day == LAST else 40.0, days=24)
    few = rows.filter(pl.col("window_start").dt.date() > LAST - timedelta(days=5))
    assert found(few).is_empty()  # two workdays before it
    assert found(rows).height == 96


def test_a_sunday_is_not_compared_with_workdays():
    sunday = double.MONDAY + timedelta(days=20)
    rows = double.windows(lambda day, _: 8.0 if day == sunday else 40.0, days=21)
    daytime = found(rows, sunday).filter(pl.col("period") == "daytime")
    assert set(daytime["n_usual_days"]) == {5}  # the other days of weekends
    assert set(found(rows, sunday)["day_group"]) == {"weekend", "all"}


def test_anomalies_are_ranked_by_the_time_that_was_lost():
    def rows(slow: float, cell: int) -> pl.DataFrame:
        return double.windows(
            lambda day, minute: slow if (day, minute) == (LAST, NINE) else 40.0, days=24, cell=cell
        )

    both = found(pl.concat([rows(12.0, double.CELL), rows(6.0, OTHER)]), cells=(double.CELL, OTHER))
    assert both["rank"].to_list() == [1, 2]
    assert both["h3_cell"].to_list() == [OTHER, double.CELL]


def test_order_of_rows_changes_no_bit():
    usual = noisy()
    rows = double.windows(
        lambda day, minute: usual(day, minute) / (5 if day == LAST else 1), days=24
    )
    assert found(rows).height > 10
    for seed in range(3):
        assert found(rows.sample(fraction=1.0, shuffle=True, seed=seed)).equals(found(rows))
