"""Laws that prices, responses and emissions keep whatever the numbers."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearway_models.charge.demand import constant_elasticity_ratio, marginal_external_delay
from clearway_models.charge.effect import interval_of, two_digits
from clearway_models.charge.parameters import read_charge_parameters
from clearway_models.charge.prediction import ChargeModel, PeriodTraffic
from clearway_models.charge.prices import (
    PriceBounds,
    bounded_prices,
    broken_bounds,
    capped_costs,
)
from clearway_models.charge.valuation import Valuation, european_reference
from clearway_models.emissions.curves import (
    POLLUTANTS,
    SPEED_GRID_KMH,
    emission_curves,
    mean_over_speeds,
    speeds_around,
    spread_class_emission,
)
from clearway_models.emissions.factors import FactorSet, Fleet, read_factor_set, read_fleet

CLASSES = ("car", "motorcycle", "truck")
costs = st.fixed_dictionaries({name: st.floats(0, 500) for name in CLASSES})
units = st.sampled_from([1, 5, 10, 50])


@cache
def factors() -> FactorSet:
    return read_factor_set()


@cache
def fleet() -> Fleet:
    return read_fleet(factors().classes)


@cache
def model(*, nox: float = 1.0, fine: float = 1.0, seed: int = 1) -> ChargeModel:
    parameters = read_charge_parameters()
    few = {**parameters.simulation}
    few["draws"] = replace(few["draws"], value=200.0)
    few["seed"] = replace(few["seed"], value=float(seed))
    parameters = replace(parameters, simulation=few)
    filed: Valuation = european_reference(parameters)
    damage = {"nox": filed.damage_per_kg["nox"] * nox, "pm2_5": filed.damage_per_kg["pm2_5"] * fine}
    return ChargeModel(
        parameters,
        replace(filed, damage_per_kg=damage),
        factor_set=factors(),
        fleet=fleet(),
        zone_crossing_km=3.0,
    )


def traffic(pace_s: float = 180.0, free_s: float = 90.0) -> PeriodTraffic:
    return PeriodTraffic(
        pace_h_per_km=pace_s / 3600,
        free_pace_h_per_km=free_s / 3600,
        pace_cv=0.06,
    )


def bounds(unit: int) -> PriceBounds:
    return PriceBounds(
        rounding_minor=unit,
        cap_minor=20 * unit,
        max_step_minor=6 * unit,
        ratio_low={"car": 1.0, "motorcycle": 0.25, "truck": 1.0},
        ratio_high={"car": 1.0, "motorcycle": 1.0, "truck": 4.0},
    )


@given(cost=costs, unit=units)
def test_price_is_a_multiple_of_the_unit_and_within_the_cap(
    cost: dict[str, float], unit: int
) -> None:
    prices = bounded_prices(cost, bounds(unit), reference="car")
    plain = {name: price.minor_per_km for name, price in prices.items()}

    assert broken_bounds(plain, bounds(unit), previous=None) == []


@given(
    cost=costs,
    unit=units,
    before=st.fixed_dictionaries({name: st.integers(0, 1000) for name in CLASSES}),
)
def test_price_in_force_moves_by_at_most_one_step(
    cost: dict[str, float], unit: int, before: dict[str, int]
) -> None:
    """Also where the price in force is no multiple of the unit: a city may round otherwise now."""
    prices = bounded_prices(cost, bounds(unit), reference="car", previous=before)

    for name, price in prices.items():
        assert abs(price.minor_per_km - before[name]) <= bounds(unit).max_step_minor
        assert price.minor_per_km % unit == 0


@given(cost=costs, unit=units, extra=st.floats(0, 100))
def test_price_never_falls_as_damage_rises(cost: dict[str, float], unit: int, extra: float) -> None:
    space = {"car": 1.0, "motorcycle": 0.5, "truck": 2.5}
    less, more = (
        bounded_prices(
            capped_costs(
                cost,
                dict.fromkeys(CLASSES, damage),
                cap_minor=bounds(unit).cap_minor,
                road_space=space,
            ),
            bounds(unit),
            reference="car",
        )
        for damage in (0.0, extra)
    )

    assert all(more[name].minor_per_km >= less[name].minor_per_km for name in CLASSES)


@pytest.mark.parametrize("factor", [1.5, 4.0, 20.0])
@pytest.mark.parametrize("pace_s", [91.0, 109.0, 180.0, 400.0])
def test_mean_cost_rises_with_the_damage_of_nox(factor: float, pace_s: float) -> None:
    shares = model().central_shares()
    low = model().efficient_costs(traffic(pace_s))
    high = model(nox=factor).efficient_costs(traffic(pace_s))

    # Of a single class the sum may fall a little: where trucks leave, motorcycles delay fewer.
    mean = [sum(shares[n] * (c[n] + e[n]) for n in shares) for c, e in (low, high)]
    assert mean[1] > mean[0]
    assert all(high[1][name] >= low[1][name] for name in shares)


@given(
    elasticity=st.floats(-3.0, 0.0),
    cost=st.floats(0.1, 100.0),
    small=st.floats(0.0, 50.0),
    extra=st.floats(0.0, 50.0),
)
def test_demand_falls_as_cost_rises(
    elasticity: float, cost: float, small: float, extra: float
) -> None:
    first = constant_elasticity_ratio(cost, cost + small, elasticity)
    second = constant_elasticity_ratio(cost, cost + small + extra, elasticity)

    assert second <= first <= 1


@settings(max_examples=15, deadline=None)
@given(price=st.floats(0.0, 1.0), extra=st.floats(0.05, 1.0))
def test_traffic_falls_as_the_price_rises(price: float, extra: float) -> None:
    shared = model()
    low = shared.effect(traffic(), dict.fromkeys(shared.classes, price))
    high = shared.effect(traffic(), dict.fromkeys(shared.classes, price + extra))

    assert low is not None
    assert high is not None
    # The same random numbers on both sides: the law holds draw by draw.
    assert np.all(high.vehicle_km_ratio <= low.vehicle_km_ratio + 1e-3)
    assert np.all(high.nox_after_gkm <= low.nox_after_gkm + 1e-3)


@given(pace=st.floats(0.01, 1.0), free=st.floats(0.01, 1.0), exponent=st.floats(1.0, 8.0))
def test_nobody_is_paid_for_driving(pace: float, free: float, exponent: float) -> None:
    assert marginal_external_delay(pace, free, exponent=exponent) >= 0


@given(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=50))
def test_published_interval_holds_its_median(values: list[float]) -> None:
    interval = interval_of(np.array(values), "%")

    assert interval.low <= interval.median <= interval.high


@given(st.floats(-1e12, 1e12))
def test_two_digits_keeps_the_order_of_magnitude(value: float) -> None:
    assert two_digits(value) == pytest.approx(value, rel=0.05, abs=1e-9)


@pytest.mark.parametrize("pollutant", POLLUTANTS)
def test_no_class_emits_less_than_nothing_at_any_speed(pollutant: str) -> None:
    for name in factors().classes:
        parts = spread_class_emission(factors(), name, pollutant, speed_kmh=SPEED_GRID_KMH)
        assert np.all(parts.exhaust >= 0), name
        assert np.all(parts.wear >= 0), name


@given(speed=st.floats(2.0, 120.0), sigma=st.floats(0.0, 0.6))
def test_three_speeds_keep_the_mean_pace(speed: float, sigma: float) -> None:
    nodes = speeds_around(np.array([speed]), sigma)

    # Exact for polynomials up to the fifth order; the exponential is off by sigma^6 / 240 or less.
    assert mean_over_speeds(1 / nodes)[0] * speed == pytest.approx(1, abs=sigma**6 / 100 + 1e-9)


def test_grid_misses_no_curve_by_more_than_half_a_percent() -> None:
    curves = emission_curves(factors(), fleet(), draws=50, seed=1)
    between = np.random.default_rng(3).uniform(1.0, 150.0, 2000)
    for (name, pollutant), curve in curves.items():
        if name == "fleet" or not np.any(curve.central_gkm > 0):
            continue
        parts = spread_class_emission(factors(), name, pollutant, speed_kmh=between)
        exact = parts.exhaust + parts.wear
        np.testing.assert_allclose(curve.at(between), exact, rtol=0.005)


def test_same_seed_gives_the_same_result_and_another_does_not() -> None:
    prices = {"car": 0.5, "car_older_diesel": 0.6}
    results = [model(seed=seed).effect(traffic(), prices) for seed in (1, 1, 2)]

    first, again, other = (r.vehicle_km_ratio for r in results if r is not None)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_class_of_the_fleet_file_without_vehicles_changes_nothing() -> None:
    some = {"car_petrol_euro_4": 0.7, "lcv_diesel_euro_5": 0.3}
    models = [
        ChargeModel(
            read_charge_parameters(),
            european_reference(read_charge_parameters()),
            factor_set=factors(),
            fleet=Fleet(shares=shares, source="x", surveyed=True),
            zone_crossing_km=3.0,
        )
        for shares in (some, {"motorcycle_euro_3": 0.0, **some})
    ]

    first, second = (m.cost_intervals(traffic()) for m in models)
    assert first == second
    effects = [m.effect(traffic(), {"car": 0.5, "light_goods": 0.8}) for m in models]
    assert effects[0] is not None
    assert effects[1] is not None
    np.testing.assert_array_equal(effects[0].vehicle_km_ratio, effects[1].vehicle_km_ratio)
