"""Emission curves of classes and fleets, and how wide their errors are."""

from __future__ import annotations

import numpy as np
import pytest

from clearway_models.emissions.curves import (
    POLLUTANTS,
    SPEED_GRID_KMH,
    Z_90,
    EmissionCurve,
    clamped,
    class_emission,
    draw_errors,
    emission_curves,
    hot_emission_factor,
    speeds_around,
    spread_class_emission,
    suspended_wear_gkm,
    wear_emission,
    without_error,
)
from clearway_models.emissions.factors import Fleet, read_factor_set, read_fleet

FACTORS = read_factor_set()
MIX = Fleet(
    shares={"car_petrol_euro_4": 0.6, "car_diesel_euro_5": 0.3, "car_electric": 0.1},
    source="x",
    surveyed=True,
)
ASSUMED = Fleet(shares=MIX.shares, source="x", surveyed=False)
SPEEDS = np.array([12.0, 40.0, 90.0])


def test_speed_beyond_a_curve_is_clamped_and_counted() -> None:
    curve = FACTORS.hot["car_petrol_euro_4", "nox"]
    at = np.array([curve.max_speed_kmh, curve.max_speed_kmh + 1])

    assert clamped(curve, at).tolist() == [False, True]
    fast, faster = hot_emission_factor(curve, at)
    assert fast == faster


@pytest.mark.parametrize(
    ("name", "per_mj"), [("car_petrol_euro_4", 72.4), ("car_diesel_euro_5", 74.2)]
)
def test_carbon_dioxide_is_the_energy_times_that_of_its_fuel(name: str, per_mj: float) -> None:
    energy = hot_emission_factor(FACTORS.hot[name, "energy"], SPEEDS)

    parts = class_emission(FACTORS, name, "co2", speed_kmh=SPEEDS)

    np.testing.assert_allclose(parts.exhaust, energy * per_mj)
    np.testing.assert_array_equal(parts.wear, 0.0)


def test_battery_car_wears_more_tyre_and_less_brake_and_has_no_tailpipe() -> None:
    electric, petrol = (FACTORS.classes[n] for n in ("car_electric", "car_petrol_euro_4"))
    factor = {
        source: suspended_wear_gkm(FACTORS, electric, source)
        / suspended_wear_gkm(FACTORS, petrol, source)
        for source in ("tyre", "brake", "road")
    }

    assert factor == pytest.approx({"tyre": 1.15, "brake": 0.4, "road": 1.0})
    for pollutant in POLLUTANTS:
        parts = class_emission(FACTORS, "car_electric", pollutant, speed_kmh=SPEEDS)
        assert parts.exhaust.tolist() == [0.0, 0.0, 0.0]
        assert (parts.wear > 0).all() == (pollutant == "pm2_5")


def test_truck_wears_by_axles_and_load() -> None:
    truck = FACTORS.classes["truck_rigid_14_20t_euro_3"]
    p = FACTORS.parameters
    form = {name: value.value for name, value in p.heavy_form.items()}
    tyre = form["tyre_intercept"] + form["tyre_load_slope"] * truck.load_fraction
    brake = form["brake_factor"] * (1 + form["brake_load_slope"] * truck.load_fraction)

    expected = {"tyre": truck.axles / 2 * tyre, "brake": brake, "road": 1.0}

    for source, factor in expected.items():
        grams = suspended_wear_gkm(FACTORS, truck, source)
        assert grams == pytest.approx(factor * p.wear["heavy"][source].value), source


def test_wear_does_not_jump_where_line_and_constants_meet() -> None:
    car = FACTORS.classes["car_petrol_euro_4"]
    for limit in (40.0, 90.0, 95.0):
        ends = wear_emission(FACTORS, car, np.array([limit - 1e-9, limit, limit + 1e-9]))
        assert np.ptp(ends) < 0.003 * ends[1]
    slow, slower = wear_emission(FACTORS, car, np.array([39.0, 5.0]))
    fast, faster = wear_emission(FACTORS, car, np.array([96.0, 150.0]))
    assert (slow, fast) == (slower, faster)


def test_line_between_the_constants_holds_at_its_own_ends() -> None:
    car, p = FACTORS.classes["car_petrol_euro_4"], FACTORS.parameters
    tyre = p.wear_speed["tyre"]
    grams = suspended_wear_gkm(FACTORS, car, "tyre") * p.pm2_5_fraction["tyre"].value

    for limit, constant in ((tyre.lower_limit, tyre.low), (tyre.upper_limit, tyre.high)):
        beside = limit.value + (1e-9 if constant is tyre.high else -1e-9)
        at, outside = wear_emission(FACTORS, car, np.array([limit.value, beside]))
        line = tyre.slope.value * limit.value + tyre.intercept.value
        assert at - outside == pytest.approx(grams * (line - constant.value), rel=1e-4)


def test_speeds_around_a_mean_run_from_fast_to_slow_and_keep_its_pace() -> None:
    nodes = speeds_around(np.array([[30.0, 60.0]]), 0.35)

    assert nodes.shape == (3, 1, 2)
    assert np.all(np.diff(nodes, axis=0) < 0)
    middle = 30.0 * np.exp(0.35**2 / 2)  # the median of pace lies below its mean
    assert nodes[1, 0, 0] == pytest.approx(middle)
    assert nodes[0, 0, 0] / nodes[2, 0, 0] == pytest.approx(np.exp(2 * np.sqrt(3) * 0.35))
    np.testing.assert_array_equal(speeds_around(SPEEDS, 0.0)[0], speeds_around(SPEEDS, 0.0)[2])


def test_spread_of_speeds_weighs_the_nodes_of_gauss_and_hermite() -> None:
    nodes = speeds_around(SPEEDS, FACTORS.parameters.sigma_log_pace.value)
    apart = [
        class_emission(FACTORS, "car_diesel_euro_5", "pm2_5", speed_kmh=node) for node in nodes
    ]

    parts = spread_class_emission(FACTORS, "car_diesel_euro_5", "pm2_5", speed_kmh=SPEEDS)

    for name in ("exhaust", "wear"):
        slow, middle, fast = (getattr(part, name) for part in apart)
        np.testing.assert_allclose(getattr(parts, name), (slow + 4 * middle + fast) / 6)


def test_errors_are_as_wide_as_the_parameters_say() -> None:
    errors = draw_errors(FACTORS, MIX, draws=20_000, seed=3)
    again = draw_errors(FACTORS, MIX, draws=20_000, seed=3)

    for pollutant, quantity in (("nox", "nox"), ("pm2_5", "pm_exhaust"), ("co2", "energy")):
        log = np.log(errors.exhaust[pollutant])
        assert log.shape == (20_000, 3)
        assert log.mean() == pytest.approx(0, abs=0.01)
        assert log.std() == pytest.approx(
            np.log(FACTORS.parameters.uncertainty[quantity].value), 0.02
        )
    wear = np.log(errors.wear)
    assert wear.std() == pytest.approx(np.log(FACTORS.parameters.uncertainty["wear"].value), 0.02)
    assert errors.classes == tuple(MIX.shares)
    np.testing.assert_allclose(errors.shares.sum(axis=1), 1)
    np.testing.assert_array_equal(errors.shares, again.shares)


@pytest.mark.parametrize(("fleet", "kind"), [(MIX, "surveyed"), (ASSUMED, "default")])
def test_surveyed_fleet_is_surer_than_an_assumed_one(fleet: Fleet, kind: str) -> None:
    concentration = FACTORS.parameters.uncertainty[f"{kind}_fleet_concentration"].value

    shares = draw_errors(FACTORS, fleet, draws=20_000, seed=3).shares

    # Dirichlet: mean p, variance p (1 - p) / (concentration + 1).
    p = np.array(list(fleet.shares.values()))
    np.testing.assert_allclose(shares.mean(axis=0), p, atol=0.005)
    np.testing.assert_allclose(shares.var(axis=0), p * (1 - p) / (concentration + 1), rtol=0.05)


def test_class_without_vehicles_is_not_drawn() -> None:
    fleet = Fleet(shares={**MIX.shares, "motorcycle_euro_3": 0.0}, source="x", surveyed=True)

    assert draw_errors(FACTORS, fleet, draws=2, seed=1).classes == tuple(MIX.shares)


def test_without_error_every_factor_is_the_filed_one() -> None:
    shares = np.array([[0.6, 0.3, 0.1]])

    sure = without_error(draw_errors(FACTORS, MIX, draws=5, seed=1), shares)

    assert all(sure.exhaust[name].tolist() == [[1.0, 1.0, 1.0]] for name in POLLUTANTS)
    assert (sure.wear.tolist(), sure.shares.tolist()) == ([1.0], shares.tolist())
    assert sure.classes == tuple(MIX.shares)


@pytest.mark.parametrize("pollutant", POLLUTANTS)
def test_curve_of_the_fleet_is_the_mix_of_its_classes(pollutant: str) -> None:
    curves = emission_curves(FACTORS, MIX, draws=400, seed=5)

    mixed = sum(share * curves[name, pollutant].central_gkm for name, share in MIX.shares.items())

    np.testing.assert_allclose(curves["fleet", pollutant].central_gkm, mixed)
    parts = spread_class_emission(FACTORS, "car_diesel_euro_5", pollutant, speed_kmh=SPEED_GRID_KMH)
    diesel = curves["car_diesel_euro_5", pollutant]
    np.testing.assert_allclose(diesel.central_gkm, parts.exhaust + parts.wear)


def test_class_of_gas_is_as_wide_as_its_factor_and_a_fleet_by_its_draws() -> None:
    curves = emission_curves(FACTORS, MIX, draws=4000, seed=5)
    errors = draw_errors(FACTORS, MIX, draws=4000, seed=5)
    wide = np.log(FACTORS.parameters.uncertainty["nox"].value)

    np.testing.assert_allclose(curves["car_diesel_euro_5", "nox"].log_sd, wide, rtol=0.05)
    assert curves["car_electric", "nox"].log_sd.tolist() == [0.0] * len(SPEED_GRID_KMH)
    column, at = 1, 200
    for name, number in (("car_diesel_euro_5", column), ("fleet", None)):
        total = np.zeros(4000)
        for i, key in enumerate(MIX.shares):
            parts = spread_class_emission(FACTORS, key, "pm2_5", speed_kmh=SPEED_GRID_KMH[[at]])
            drawn = errors.exhaust["pm2_5"][:, i] * parts.exhaust + errors.wear * parts.wear
            if number is None:
                total += errors.shares[:, i] * drawn
            elif number == i:
                total += drawn
        assert curves[name, "pm2_5"].log_sd[at] == pytest.approx(np.log(total).std())


def test_interval_joins_the_error_of_the_factor_and_that_of_the_speed() -> None:
    curve = EmissionCurve(np.array([10.0, 50.0]), np.array([0.04, 0.02]), np.array([0.1, 0.3]))
    speed, low, high = np.array([30.0]), np.array([20.0]), np.array([50.0])

    sure = curve.interval(speed, speed, speed)
    wide = curve.interval(speed, low, high)

    assert curve.at(speed) == pytest.approx(0.03)
    assert sure[0] == pytest.approx(0.03 * np.exp(-Z_90 * 0.2))
    assert sure[1] == pytest.approx(0.03 * np.exp(Z_90 * 0.2))
    sd = np.hypot(0.2, np.log(3.5 / 2.0) / (2 * Z_90))
    assert wide[0] == pytest.approx(0.03 * np.exp(-Z_90 * sd))
    assert wide[1] == pytest.approx(0.03 * np.exp(Z_90 * sd))


def test_nothing_emitted_has_an_interval_of_nothing() -> None:
    zero = EmissionCurve(np.array([10.0, 50.0]), np.zeros(2), np.zeros(2))

    low, high = zero.interval(np.array([30.0]), np.array([20.0]), np.array([50.0]))

    assert (low.tolist(), high.tolist()) == ([0.0], [0.0])


def test_default_fleet_is_no_survey() -> None:
    assert not read_fleet(FACTORS.classes).surveyed
