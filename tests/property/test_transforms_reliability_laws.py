"""Laws of the measures: order, monotony, bounds, and the percentile of numpy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from doubles import transforms_windows as double
from hypothesis import given, settings
from hypothesis import strategies as st

from clearway_transforms import estimators
from clearway_transforms.parameters import congestion_parameters, reliability_parameters
from clearway_transforms.reliability.measures import reliability

PARAMETERS = reliability_parameters()
SPEEDS = st.lists(st.floats(2.0, 120.0), min_size=1, max_size=40)
WEIGHTS = st.lists(st.integers(1, 10**7), min_size=1, max_size=40)
QUANTILES = {"p50": 0.5, "p80": 0.8, "p95": 0.95}


def mornings(speeds: list[float], *, km: list[float] | None = None) -> pl.DataFrame:
    """Return one window a day at 7:00, of 28 days again and again, per speed."""
    lengths = km or [2.0] * len(speeds)
    start = datetime(2026, 3, 2, 6, tzinfo=UTC)
    return double.frame(
        [
            double.window(start + timedelta(days=n % 5, minutes=15 * (n // 5)), speed, km=length)
            for n, (speed, length) in enumerate(zip(speeds, lengths, strict=True))
        ]
    )


def measured(rows: pl.DataFrame, free_kmh: float = 50.0) -> pl.DataFrame:
    placed = double.placed(rows)
    return (
        reliability(
            placed,
            double.sums(placed),
            double.free_flow(free_kmh),
            parameters=PARAMETERS,
            speed_parameters=congestion_parameters(),
        )
        .sort("period")
        .collect()
    )


def enough(speeds: list[float]) -> list[float]:
    """Return speeds of four weeks of mornings, so that percentiles are given."""
    return (speeds * 40)[:75]


def four_weeks(speeds: list[float]) -> pl.DataFrame:
    start = datetime(2026, 3, 2, 6, tzinfo=UTC)
    workdays = [day for day in range(28) if day % 7 < 5]
    chosen = enough(speeds)
    return double.frame(
        [
            double.window(start + timedelta(days=workdays[n % 20], minutes=15 * (n // 20)), speed)
            for n, speed in enumerate(chosen)
        ]
    )


@settings(max_examples=40, deadline=None)
@given(values=SPEEDS, quantile=st.floats(0.0, 0.99))
def test_with_equal_weights_the_quantile_is_that_of_numpy(values, quantile):
    rows = pl.LazyFrame({"key": [1] * len(values), "value": values, "weight": [7] * len(values)})
    found = estimators.weighted_quantiles(
        rows, ["key"], value="value", weight="weight", quantiles={"q": quantile}
    ).collect()["q"]
    assert found.item() == pytest.approx(np.quantile(values, quantile, method="linear"))


@settings(max_examples=40, deadline=None)
@given(values=SPEEDS, weights=WEIGHTS, seed=st.integers(0, 10))
def test_quantiles_of_many_groups_are_those_of_each_and_know_no_order(values, weights, seed):
    n = min(len(values), len(weights))
    rows = pl.DataFrame(
        {"key": [k % 3 for k in range(n)], "value": values[:n], "weight": weights[:n]}
    )

    def found(frame: pl.DataFrame) -> pl.DataFrame:
        return (
            estimators.weighted_quantiles(
                frame.lazy(), ["key"], value="value", weight="weight", quantiles=QUANTILES
            )
            .sort("key")
            .collect()
        )

    many = found(rows)
    assert many.equals(found(rows.sample(fraction=1.0, shuffle=True, seed=seed)))
    each = rows.group_by("key").agg(
        **{
            name: estimators.weighted_quantile("value", "weight", quantile)
            for name, quantile in QUANTILES.items()
        }
    )
    for name in QUANTILES:
        assert many[name].to_list() == pytest.approx(each.sort("key")[name].to_list())


@settings(max_examples=25, deadline=None)
@given(speeds=SPEEDS)
def test_ratios_of_percentiles_are_at_least_one_and_in_order(speeds):
    (row,) = measured(four_weeks(speeds)).to_dicts()
    assert row["evidence"] == "enough"
    assert 1.0 <= row["lottr"] <= row["tttr"] * (1 + 1e-12)
    assert row["pace_p50_s_per_km"] <= row["pace_p80_s_per_km"] <= row["pace_p95_s_per_km"]
    assert row["tti"] >= 1.0
    mean_over_free_flow = row["free_flow_kmh"] / row["space_mean_kmh"]
    assert row["pti"] == pytest.approx((1 + row["buffer_index"]) * mean_over_free_flow)


@settings(max_examples=25, deadline=None)
@given(speeds=SPEEDS, factor=st.floats(0.3, 0.99))
def test_slower_traffic_is_worse_by_every_index_and_equally_reliable(speeds, factor):
    (before,) = measured(four_weeks(speeds)).to_dicts()
    (after,) = measured(four_weeks([kmh * factor for kmh in speeds])).to_dicts()
    for name in ("tti", "congestion_index", "delay_s_per_km", "congestion_level_pct"):
        assert after[name] >= before[name]
    assert after["pti"] > before["pti"]
    for name in ("lottr", "tttr"):
        assert after[name] == pytest.approx(before[name], rel=1e-4)
    assert after["buffer_index"] == pytest.approx(before["buffer_index"], abs=1e-4)


@settings(max_examples=15, deadline=None)
@given(speeds=st.lists(st.floats(2.0, 120.0), min_size=10, max_size=40), seed=st.integers(0, 99))
def test_order_of_windows_changes_no_bit(speeds, seed):
    rows = mornings(speeds)
    shuffled = rows.sample(fraction=1.0, shuffle=True, seed=seed)
    assert measured(rows).equals(measured(shuffled))


@settings(max_examples=25, deadline=None)
@given(
    speeds=st.lists(st.floats(2.0, 120.0), min_size=2, max_size=20),
    lengths=st.lists(st.floats(0.5, 9.0), min_size=20, max_size=20),
)
def test_the_mean_over_windows_is_distance_over_time_whatever_their_lengths(speeds, lengths):
    km = lengths[: len(speeds)]
    (row,) = measured(mornings(speeds, km=km)).to_dicts()
    hours = sum(length / kmh for length, kmh in zip(km, speeds, strict=True))
    assert row["space_mean_kmh"] == pytest.approx(sum(km) / hours, rel=1e-5)
