"""Speed of a row, its interval and class, and the estimators beneath, at their edges."""

from __future__ import annotations

import math

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from scipy.stats import t as student

from clearway_transforms.congestion.indices import (
    congestion_index,
    delay_s_per_km,
    travel_time_index,
)
from clearway_transforms.congestion.speed import cell_speed, space_mean_kmh
from clearway_transforms.estimators import (
    student_t,
    weighted_quantile,
    weighted_quantiles,
    wilson_interval,
)
from clearway_transforms.parameters import congestion_parameters

PARAMETERS = congestion_parameters()


def row(n: int, *, cv: float = 0.0, kmh: float = 36.0) -> dict[str, object]:
    """Return the speed of n vehicles that drove a kilometre each, with this spread of the mean."""
    distance_dm, duration_ds = 10_000.0, 36_000 / kmh
    spread = cv * cv * (n - 1)
    sums = {
        "n_vehicles": n,
        "distance_mm": round(100 * max(n, 1) * distance_dm),
        "duration_ms": round(100 * max(n, 1) * duration_ds),
        "distance_sq_dm2": n * distance_dm**2,
        "duration_sq_ds2": n * duration_ds**2 * (1 + spread),
        "distance_duration_dm_ds": n * distance_dm * duration_ds,
    }
    return cell_speed(pl.LazyFrame([sums]), PARAMETERS).collect().row(0, named=True)


@pytest.mark.parametrize(
    ("n", "total_cv", "quality"),
    [
        (15, 0.0999, "A"),
        (14, 0.0999, "B"),
        (15, 0.1001, "B"),
        (5, 0.1999, "B"),
        (4, 0.1999, "C"),
        (5, 0.2001, "C"),
        (2, 0.0501, "C"),
    ],
)
def test_classes_end_at_15_vehicles_and_10_percent_and_at_5_and_20(n, total_cv, quality):
    found = row(n, cv=math.sqrt(total_cv**2 - 0.05**2))
    assert found["cv"] == pytest.approx(total_cv)
    assert found["quality"] == quality


def test_one_vehicle_has_a_speed_and_neither_interval_nor_class():
    found = row(1)
    assert found["space_mean_kmh"] == pytest.approx(36.0)
    assert (found["interval_low_kmh"], found["interval_high_kmh"]) == (None, None)
    assert (found["quality"], found["source_class"]) == ("X", "observed")


def test_a_row_in_which_nobody_was_seen_is_modelled():
    assert row(0)["source_class"] == "modelled"
    assert row(0)["quality"] == "X"


def test_no_speed_and_no_interval_is_above_what_a_car_drives():
    found = row(8, cv=0.1, kmh=2 * PARAMETERS.max_speed_kmh)
    assert found["space_mean_kmh"] == PARAMETERS.max_speed_kmh
    assert found["interval_high_kmh"] == PARAMETERS.max_speed_kmh
    assert found["interval_low_kmh"] < PARAMETERS.max_speed_kmh


def test_vehicles_that_differ_more_make_a_wider_interval():
    low, high = (row(8, cv=cv)["interval_low_kmh"] for cv in (0.05, 0.2))
    assert high < low < 36.0


@pytest.mark.parametrize(
    ("distance_dm", "duration_ds"),
    [
        ((40_000.0, 35_000.0, 20_000.0), (4800.0, 7000.0, 9000.0)),
        ((40_000.0, 1_000.0, 1_000.0), (4800.0, 150.0, 90.0)),
    ],
)
def test_the_interval_of_unequal_vehicles_is_that_of_the_method_page(distance_dm, duration_ds):
    total, pace = sum(distance_dm), sum(duration_ds) / sum(distance_dm)
    pairs = list(zip(distance_dm, duration_ds, strict=True))
    cv = math.sqrt(3 / 2 * sum((t - pace * d) ** 2 for d, t in pairs)) / total / pace
    sums = {
        "n_vehicles": 3,
        "distance_mm": round(100 * total),
        "duration_ms": round(100 * sum(duration_ds)),
        "distance_sq_dm2": sum(d * d for d in distance_dm),
        "duration_sq_ds2": sum(t * t for t in duration_ds),
        "distance_duration_dm_ds": sum(d * t for d, t in pairs),
    }
    found = cell_speed(pl.LazyFrame([sums]), PARAMETERS).collect().row(0, named=True)
    usual = 0.28**2 * sum(d * d for d in distance_dm) / total**2
    variance = (2 * cv**2 + 4 * usual) / (2 + 4) + 0.02**2
    factor = math.exp(student.ppf(0.95, 2 + 4) * math.sqrt(variance))
    assert found["interval_low_kmh"] == pytest.approx(found["space_mean_kmh"] / factor)
    assert found["interval_high_kmh"] == pytest.approx(found["space_mean_kmh"] * factor)


def test_two_vehicles_that_only_stood_have_speed_0_and_no_class():
    halt = {"distance_mm": 0, "duration_ms": 900_000, "n_vehicles": 2}
    squares = {"distance_sq_dm2": 0, "duration_sq_ds2": 2 * 4500**2, "distance_duration_dm_ds": 0}
    stood = cell_speed(pl.LazyFrame([halt | squares]), PARAMETERS).collect().row(0, named=True)
    assert (stood["space_mean_kmh"], stood["cv"], stood["quality"]) == (0.0, None, "X")


@pytest.mark.parametrize(
    ("observed", "free", "tti", "index", "delay"),
    [
        (20.0, 40.0, 2.0, 0.5, 90.0),
        (40.0, 40.0, 1.0, 0.0, 0.0),
        (50.0, 40.0, 1.0, 0.0, 0.0),
        (0.25, 0.5, 2.0, 0.5, 7200.0),
        (0.0, 40.0, None, 1.0, None),
        (20.0, 0.0, None, None, None),
        (None, 40.0, None, None, None),
        (20.0, None, None, None, None),
    ],
)
def test_indices_of_a_jam_a_free_road_and_nothing_known(observed, free, tti, index, delay):
    frame = pl.DataFrame({"v": [observed], "f": [free]}, schema={"v": pl.Float64, "f": pl.Float64})
    pair = (pl.col("v"), pl.col("f"))
    found = frame.select(
        a=travel_time_index(*pair), b=congestion_index(*pair), c=delay_s_per_km(*pair)
    )
    assert found.row(0) == (tti, index, delay)


def test_a_halt_has_speed_0_and_no_time_has_none():
    found = pl.select(
        halt=space_mean_kmh(pl.lit(0), pl.lit(900_000)),
        shortest=space_mean_kmh(pl.lit(10), pl.lit(1)),
        none=space_mean_kmh(pl.lit(0), pl.lit(0)),
    )
    assert found.row(0) == (0.0, 36.0, None)


@pytest.mark.parametrize(("degrees", "as_if"), [(-3, 1), (0, 1), (1, 1), (7, 7), (10_000, 200)])
def test_student_t_of_few_is_that_of_one_degree_and_of_many_that_of_200(degrees, as_if):
    found = pl.select(student_t(pl.lit(degrees), 0.9)).item()
    assert found == pytest.approx(student.ppf(0.95, as_if))


@pytest.mark.parametrize(
    ("share", "low", "high"), [(0.0, 0.0, 0.27753), (0.5, 0.23659, 0.76341), (1.0, 0.72247, 1.0)]
)
def test_ends_of_wilsons_interval_of_ten(share, low, high):
    ends = wilson_interval(pl.lit(share), pl.lit(10), 1.959964)
    assert pl.select(low=ends[0], high=ends[1]).row(0) == pytest.approx((low, high), abs=1e-5)


def test_a_quantile_counts_rows_by_their_weight():
    rows = pl.DataFrame({"v": [30.0, 10.0, 20.0], "w": [1, 1, 3]})
    found = [rows.select(weighted_quantile("v", "w", q)).item() for q in (0.0, 0.25, 0.5, 1.0)]
    # Places of the rows: 0, 1/4 and 1; between them it is linear.
    assert found == pytest.approx([10.0, 20.0, 20.0 + 10 / 3, 30.0])


def test_quantiles_of_many_groups_are_those_of_each_group():
    rows = pl.DataFrame(
        {
            "of": ["a", "a", "b", "a", "c", "c"],
            "v": [30.0, 10.0, 7.0, 20.0, 5.0, 5.0],
            "w": [1, 1, 9, 3, 2, 4],
        }
    )
    wanted = {"low": 0.1, "middle": 0.5, "high": 0.85}
    found = weighted_quantiles(rows.lazy(), ["of"], value="v", weight="w", quantiles=wanted)
    one_by_one = rows.group_by("of").agg(
        **{name: weighted_quantile("v", "w", quantile) for name, quantile in wanted.items()}
    )
    assert_frame_equal(found.sort("of").collect(), one_by_one.sort("of"))
    first = found.filter(pl.col("of") == "a").drop("of").collect().row(0)
    assert first == pytest.approx((14.0, 20.0 + 10 / 3, 28.0))
