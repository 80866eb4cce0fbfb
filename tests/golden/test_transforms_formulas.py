"""Verification values of the methods page, section by section."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import polars as pl
import pytest
from scipy.stats import t as student

from clearway_core.distance import distance_m
from clearway_transforms.air import air_quality
from clearway_transforms.air.calibration import calibrations
from clearway_transforms.blending.evidence import shrink
from clearway_transforms.congestion import indices, speed
from clearway_transforms.geometry import sphere
from clearway_transforms.parameters import air_parameters, congestion_parameters


def one(expression: pl.Expr, **values: object) -> object:
    return pl.DataFrame(values).select(expression).item()


def test_space_mean_is_distance_over_time_and_not_the_mean_of_speeds():
    passes = pl.DataFrame({"d": [400_000, 350_000, 200_000], "t": [48_000, 70_000, 90_000]})
    mean = passes.select(speed.space_mean_kmh(pl.col("d").sum(), pl.col("t").sum())).item()
    assert mean == pytest.approx(16.4423, abs=5e-5)  # 18.667 would be the arithmetic mean


def test_equal_lengths_give_the_harmonic_mean():
    passes = pl.DataFrame({"d": [1_000_000] * 3, "t": [60_000, 120_000, 180_000]})
    mean = passes.select(speed.space_mean_kmh(pl.col("d").sum(), pl.col("t").sum())).item()
    assert mean == pytest.approx(30.0)  # of 60, 30 and 20 km/h


def test_no_time_has_no_speed():
    assert one(speed.space_mean_kmh(pl.col("d"), pl.col("t")), d=0, t=0) is None


def test_travel_time_index_of_the_mean_travel_time():
    times_s = [100, 105, 110, 120, 130, 150, 160, 180, 200, 300]
    mean_kmh, free_kmh = 3600 / (sum(times_s) / 10), 3600 / 100
    tti = one(indices.travel_time_index(pl.col("v"), pl.col("f")), v=mean_kmh, f=free_kmh)
    assert tti == pytest.approx(1.555)


@pytest.mark.parametrize(("quantile", "expected"), [(0.5, 140), (0.8, 184), (0.95, 255)])
def test_percentiles_are_of_type_7(quantile, expected):
    times_s = pl.Series([100, 105, 110, 120, 130, 150, 160, 180, 200, 300])
    # As in free_flow; Hazen would give 190 and 300 for the last two.
    assert times_s.quantile(quantile, interpolation="linear") == pytest.approx(expected)


def test_delay_of_18_against_45_kmh():
    lost = one(indices.delay_s_per_km(pl.col("v"), pl.col("f")), v=18.0, f=45.0)
    assert lost == pytest.approx(120.0)
    assert lost * 0.5 * 1200 / 3600 == pytest.approx(20.0)  # vehicle hours an hour on 0.5 km


def test_haversine_of_the_methods_page():
    assert distance_m(103.80, 1.30, 103.82, 1.31) == pytest.approx(2485.8817, abs=1e-4)
    columns = sphere.distance_between_m(*(pl.col(name) for name in ("a", "b", "c", "d")))
    assert one(columns, a=103.80, b=1.30, c=103.82, d=1.31) == pytest.approx(2485.8817, abs=1e-4)


def test_ratio_estimator_equals_the_formula_written_out_over_vehicles():
    distance, time = [40.0, 35.0, 20.0], [48.0, 70.0, 90.0]
    pace = sum(time) / sum(distance)
    residuals = sum((t - pace * d) ** 2 for t, d in zip(time, distance, strict=True))
    expected = (3 / 2 * residuals / sum(distance) ** 2) ** 0.5 / pace
    cv = one(
        speed.pace_cv(
            n_vehicles=pl.col("n"),
            distance_sq=pl.col("dd"),
            duration_sq=pl.col("tt"),
            product=pl.col("dt"),
            distance=pl.col("d"),
            duration=pl.col("t"),
        ),
        n=3,
        dd=sum(d * d for d in distance),
        tt=sum(t * t for t in time),
        dt=sum(d * t for d, t in zip(distance, time, strict=True)),
        d=sum(distance),
        t=sum(time),
    )
    assert cv == pytest.approx(expected)


def test_equal_vehicles_get_the_interval_of_vehicles_that_differ_as_usual():
    parameters = congestion_parameters()
    row = {
        "n_vehicles": 4,
        "distance_mm": 4_000_000,
        "duration_ms": 400_000,
        "distance_sq_dm2": 4 * 10_000**2,
        "duration_sq_ds2": 4 * 1000**2,
        "distance_duration_dm_ds": 4 * 10_000 * 1000,
    }
    result = speed.cell_speed(pl.LazyFrame([row]), parameters).collect().row(0, named=True)
    # Three degrees of freedom without any variation, four of the usual 0.28 (Smyth 2004).
    variance = (3 * 0 + 4 * 0.28**2 / 4) / (3 + 4) + 0.02**2
    factor = math.exp(student.ppf(0.95, 3 + 4) * math.sqrt(variance))
    assert result["space_mean_kmh"] == pytest.approx(36.0)
    assert result["interval_low_kmh"] == pytest.approx(36.0 / factor)
    assert result["interval_high_kmh"] == pytest.approx(36.0 * factor)
    assert result["quality"] == "C"  # four vehicles are not the five of class B


def test_a_mean_is_shrunk_by_the_weight_of_its_evidence():
    """METHODS 1.5: n = 3, y = ln 3, m = ln 2, sigma = .35, tau = .2."""
    weight, mean, sd = shrink(
        np.array([math.log(3)]),
        np.array([math.log(2)]),
        own_variance=np.array([0.35**2 / 3]),
        prior_variance=np.array([0.2**2]),
    )
    z = NormalDist().inv_cdf(0.95)
    assert weight[0] == pytest.approx(0.494845, abs=5e-7)
    assert math.exp(mean[0]) == pytest.approx(2.44438, abs=5e-6)
    assert sd[0] == pytest.approx(0.142148, abs=1e-6)
    assert math.exp(mean[0] - z * sd[0]) == pytest.approx(1.9347, abs=1e-4)
    assert math.exp(mean[0] + z * sd[0]) == pytest.approx(3.0883, abs=1e-4)  # there with z = 1.645


@pytest.mark.parametrize(
    ("a", "b", "disagree"),
    [(10.0, 14.0, False), (10.0, 30.0, True), (2.0, 6.0, False), (100.0, 120.0, False)],
)
def test_channels_of_the_barkjohn_rule(a, b, disagree):
    rule = air_quality.channels_disagree(pl.col("a"), pl.col("b"), air_parameters())
    assert one(rule, a=a, b=b) is disagree


@pytest.mark.parametrize(
    ("raw", "humidity", "expected"),
    [(10, 50, 6.680), (35, 40, 20.642), (100, 60, 52.978), (5, 90, 0.612), (300, 30, 160.364)],
)
def test_barkjohn_2021(raw, humidity, expected):
    calibration = calibrations()["barkjohn_2021_us"]
    rule = calibration.apply(pl.col("raw"), pl.col("h"), temperature_c=pl.lit(None))
    value = one(rule, raw=float(raw), h=float(humidity))
    assert value == pytest.approx(expected, abs=5e-4)
