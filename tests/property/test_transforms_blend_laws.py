"""What blending keeps to, whatever the cells and windows say."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from h3.api import basic_int as h3
from hypothesis import given, settings
from hypothesis import strategies as st

from clearway_core.contracts.derived_tables import PRIOR_SOURCES
from clearway_transforms.blending import blend
from clearway_transforms.blending.evidence import between_variance, shrink
from clearway_transforms.congestion import speed
from clearway_transforms.parameters import blend_parameters, congestion_parameters

DAY = date(2026, 3, 10)
CENTRE = h3.latlng_to_cell(13.75, 100.5, 9)
KEY = ["vehicle_class", "h3_cell", "window_start"]

logs = st.floats(-5, 0)
variances = st.floats(1e-4, 10)


def cell_travel(
    seed: int,
    *,
    day: date = DAY,
    windows: int = 8,
    rings: int = 2,
    vehicles: int = 6,
    kmh: float = 25.0,
) -> pl.DataFrame:
    """Return sums of cells around a centre; vehicles drive about a kilometre each."""
    rng = np.random.default_rng(seed)
    usual_of = np.random.default_rng(seed + 1)
    rows = []
    start = datetime.combine(day, datetime.min.time(), UTC) + timedelta(hours=1)
    for cell in sorted(h3.grid_disk(CENTRE, rings)):
        usual = kmh * float(np.exp(usual_of.normal(0, 0.2)))
        for window in range(windows):
            n = int(rng.integers(1, vehicles + 1))
            distance = rng.integers(5_000, 15_000, n)  # dm
            speeds = usual * np.exp(rng.normal(0, 0.3, n))
            duration = np.maximum((distance / 10 / (speeds / 3.6) * 10).astype(np.int64), 1)  # ds
            rows.append(
                {
                    "h3_cell": cell,
                    "window_start": start + timedelta(minutes=15 * window),
                    "vehicle_class": "all",
                    "n_vehicles": n,
                    "distance_mm": int(distance.sum()) * 100,
                    "duration_ms": int(duration.sum()) * 100,
                    "distance_sq_dm2": int((distance**2).sum()),
                    "duration_sq_ds2": int((duration**2).sum()),
                    "distance_duration_dm_ds": int((distance * duration).sum()),
                }
            )
    return pl.DataFrame(
        rows,
        schema_overrides={"h3_cell": pl.UInt64, "window_start": pl.Datetime("us", "UTC")},
    )


def blended(rows: pl.DataFrame, day: date = DAY) -> pl.DataFrame:
    return blend.blend(
        rows,
        blend_parameters(),
        congestion_parameters(),
        day=day,
        resolution=9,
        window_minutes=15,
    ).sort(KEY)


def with_own(rows: pl.DataFrame, day: date = DAY) -> pl.DataFrame:
    own = speed.space_mean_kmh(pl.col("distance_mm"), pl.col("duration_ms"))
    return blended(rows, day).join(rows.with_columns(own=own), on=KEY, validate="1:1")


@given(own=logs, prior=logs, own_variance=variances, prior_variance=variances)
def test_the_mean_lies_between_own_and_prior_and_is_surer_than_either(
    own, prior, own_variance, prior_variance
):
    weight, mean, sd = shrink(
        np.array([own]),
        np.array([prior]),
        own_variance=np.array([own_variance]),
        prior_variance=np.array([prior_variance]),
    )
    assert 0 < weight[0] < 1
    assert min(own, prior) - 1e-9 <= mean[0] <= max(own, prior) + 1e-9
    assert sd[0] ** 2 <= min(own_variance, prior_variance) * (1 + 1e-9)


@given(n=st.integers(1, 50), more=st.integers(1, 50), sigma=variances, tau=variances)
def test_more_vehicles_never_weigh_less(n, more, sigma, tau):
    zero = np.zeros(2)
    of = np.array([sigma / n, sigma / (n + more)])
    weight, _, _ = shrink(zero, zero, own_variance=of, prior_variance=np.full(2, tau))
    assert weight[1] >= weight[0]


def test_own_evidence_is_all_that_is_left_as_vehicles_grow():
    weight, mean, _ = shrink(
        np.array([-3.0]),
        np.array([-1.0]),
        own_variance=np.array([0.1 / 10**9]),
        prior_variance=np.array([0.05**2]),
    )
    assert weight[0] == pytest.approx(1, abs=1e-6)
    assert mean[0] == pytest.approx(-3.0, abs=1e-6)


@given(
    values=st.lists(logs, min_size=1, max_size=20),
    variance=variances,
    groups=st.integers(1, 4),
)
def test_a_variance_between_is_never_negative_or_missing(values, variance, groups):
    group = np.arange(len(values)) % groups
    found = between_variance(np.array(values), np.full(len(values), variance), group)
    assert np.isfinite(found)
    assert found >= 0


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10**6), order=st.integers(0, 10**6))
def test_no_order_of_rows_changes_a_bit(seed, order):
    rows = cell_travel(seed)
    shuffled = rows.sample(fraction=1.0, shuffle=True, seed=order)
    assert blended(rows).equals(blended(shuffled))


@settings(deadline=None, max_examples=15)
@given(
    seed=st.integers(0, 10**6),
    windows=st.integers(1, 12),
    kmh=st.floats(0.5, 150),
    vehicles=st.integers(1, 8),
)
def test_every_row_with_a_vehicle_gets_a_speed_within_its_interval(seed, windows, kmh, vehicles):
    rows = cell_travel(seed, windows=windows, kmh=kmh, vehicles=vehicles)
    found = blended(rows)
    assert found.height == rows.height
    assert not found["blended_kmh"].is_nan().any()
    assert found["blended_kmh"].null_count() == 0
    held = found.drop_nulls("blended_low_kmh")
    assert (held["blended_low_kmh"] <= held["blended_kmh"]).all()
    assert (held["blended_kmh"] <= held["blended_high_kmh"]).all()
    assert found["shrink_weight"].is_between(0, 1).all()
    assert set(found["prior_source"].drop_nulls()) <= set(PRIOR_SOURCES)


def test_with_little_evidence_nothing_is_borrowed():
    rows = cell_travel(1, windows=3, rings=1)
    found = with_own(rows)
    assert rows.height < blend_parameters().min_rows
    assert (found["shrink_weight"] == 1).all()
    assert found["prior_source"].null_count() == found.height
    assert np.allclose(found["blended_kmh"], found["own"])


def test_a_cell_window_in_which_nobody_was_seen_stays_unknown():
    rows = cell_travel(2)
    nobody = rows.with_columns(
        n_vehicles=pl.when(pl.int_range(pl.len()) == 5).then(0).otherwise("n_vehicles")
    )
    assert blended(nobody).height == rows.height - 1


def test_blending_brings_cells_closer_to_the_truth_that_made_them():
    rows = cell_travel(3, windows=12, vehicles=3)
    true = rows.group_by("h3_cell").agg(
        true=speed.space_mean_kmh(pl.col("distance_mm").sum(), pl.col("duration_ms").sum())
    )
    found = with_own(rows).join(true, on="h3_cell", validate="m:1")
    own = (found["own"] / found["true"]).log().abs().mean()
    assert (found["blended_kmh"] / found["true"]).log().abs().mean() < 0.7 * own


def test_an_incident_is_not_shrunk_away():
    rows = cell_travel(4, windows=12, vehicles=8)
    jammed = (pl.col("h3_cell") == CENTRE) & (pl.col("window_start").dt.hour() == 2)
    slow = {
        "duration_ms": pl.col("duration_ms") * 8,
        "duration_sq_ds2": pl.col("duration_sq_ds2") * 64,
        "distance_duration_dm_ds": pl.col("distance_duration_dm_ds") * 8,
    }
    rows = rows.with_columns(
        pl.when(jammed & (pl.col("n_vehicles") >= 4)).then(value).otherwise(name).alias(name)
        for name, value in slow.items()
    )
    found = with_own(rows).filter((pl.col("own") < 6) & (pl.col("n_vehicles") >= 4))
    assert found.height > 0
    assert (found["blended_kmh"] < 9).all()


def test_the_same_hour_of_earlier_weeks_is_history():
    today = cell_travel(5, windows=1, rings=4, vehicles=2)
    weeks = [
        cell_travel(5, day=DAY - timedelta(weeks=number), windows=1, rings=4, vehicles=8)
        for number in (1, 2, 3, 4)
    ]
    found = blended(pl.concat([today, *weeks]))
    assert found.height == today.height
    assert (found["prior_source"] == "history").mean() > 0.8
