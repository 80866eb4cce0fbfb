"""From evidence to prices and effects of each period, with the whole model behind it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from clearway_models.charge.balance import Traffic, efficient_response
from clearway_models.charge.draws import PRICED_POLLUTANTS, central_values, drawn_values
from clearway_models.charge.evidence import PeriodEvidence, ZoneEvidence
from clearway_models.charge.parameters import ChargeParameters, read_charge_parameters
from clearway_models.charge.prediction import ChargeModel, PeriodTraffic
from clearway_models.charge.prices import Price
from clearway_models.charge.pricing import PeriodResult, price_periods, quiet_lift
from clearway_models.charge.valuation import european_reference
from clearway_models.emissions.curves import draw_errors, spread_class_emission
from clearway_models.emissions.factors import Fleet, read_factor_set

FACTORS = read_factor_set()
FLEET = Fleet(
    shares={
        "car_petrol_euro_4": 0.5,
        "car_petrol_euro_6": 0.2,
        "lcv_diesel_euro_5": 0.2,
        "bus_15_18t_euro_5": 0.1,
    },
    source="x",
    surveyed=True,
)
PEAK = PeriodEvidence(
    period="am_peak",
    n_cells=7,
    n_good_cells=7,
    n_days=12,
    n_vehicles=40,
    n_providers=2,
    vehicles_recounted=True,
    quality_counts={"A": 100, "B": 50, "C": 5},
    basis="A+B",
    pace_h_per_km=0.05,
    free_pace_h_per_km=0.025,
    pace_cv=0.06,
    distance_km_per_day=500.0,
)
TRAFFIC = PeriodTraffic(pace_h_per_km=0.05, free_pace_h_per_km=0.025, pace_cv=0.06)


@cache
def parameters() -> ChargeParameters:
    held = read_charge_parameters()
    few = {**held.simulation, "draws": replace(held.simulation["draws"], value=300.0)}
    return replace(held, simulation=few)


@cache
def model(crossing_km: float = 3.0) -> ChargeModel:
    return ChargeModel(
        parameters(),
        european_reference(parameters()),
        factor_set=FACTORS,
        fleet=FLEET,
        zone_crossing_km=crossing_km,
    )


def zone(*periods: PeriodEvidence) -> ZoneEvidence:
    return ZoneEvidence(
        n_cells=7,
        n_driven_cells=7,
        n_days=14,
        first_window="",
        last_window="",
        free_flow_days=28.0,
        free_flow_methods={},
        periods=periods,
    )


def priced(
    evidence: PeriodEvidence = PEAK,
    *,
    stated: bool = True,
    in_force: dict[str, dict[str, int]] | None = None,
) -> PeriodResult:
    (result,) = price_periods(model(), zone(evidence), stated=stated, in_force=in_force)
    return result


def quiet(pace: float, free: float, **changes: Any) -> PeriodEvidence:
    return replace(PEAK, period="night", pace_h_per_km=pace, free_pace_h_per_km=free, **changes)


def test_delay_is_counted_from_the_slowest_quiet_hours() -> None:
    slow_night = quiet(0.03, 0.02)

    assert quiet_lift(zone(PEAK, slow_night), parameters()) == pytest.approx(1.5)
    assert quiet_lift(zone(PEAK, quiet(0.02, 0.03)), parameters()) == 1.0
    assert quiet_lift(zone(PEAK), parameters()) == 1.0
    assert quiet_lift(zone(quiet(0.03, 0.02, withheld="few")), parameters()) == 1.0
    first, night = price_periods(model(), zone(PEAK, slow_night), stated=True, in_force=None)
    assert first.reference_pace_h_per_km == pytest.approx(0.025 * 1.5)
    assert night.reference_pace_h_per_km == pytest.approx(0.03)


@pytest.mark.parametrize(
    "evidence",
    [
        replace(PEAK, withheld="few"),
        replace(PEAK, pace_h_per_km=None),
        replace(PEAK, free_pace_h_per_km=None),
    ],
)
def test_period_without_paces_has_no_numbers(evidence: PeriodEvidence) -> None:
    result = priced(evidence)

    assert result == PeriodResult(period=result.period, evidence=evidence)
    assert (result.period.name, result.priced) == ("am_peak", False)


def test_without_valuation_only_the_delay_is_said() -> None:
    result = priced(stated=False)

    assert result.delay_imposed is not None
    assert result.delay_imposed.median == pytest.approx(4 * 90, rel=0.1)
    assert (result.prices, result.congestion, result.effect) == ({}, {}, None)


def test_jam_is_charged_up_to_the_cap_by_road_space_and_buses_are_free() -> None:
    result = priced()

    assert result.priced
    assert result.prices["car"].minor_per_km == 100
    assert result.prices["bus"].minor_per_km == 0
    assert "cap" in result.prices["car"].bounded_by
    assert "cap" in result.prices["light_goods"].bounded_by
    assert result.prices["light_goods"].minor_per_km == 125  # 1.2 of the cap, and damage
    assert result.effect is not None
    assert np.median(result.effect.vehicle_km_ratio) < 0.95


def test_delay_that_may_be_nil_is_not_charged_for() -> None:
    unsure = priced(replace(PEAK, pace_h_per_km=0.0262, pace_cv=0.3))

    assert unsure.delay_imposed is not None
    assert unsure.delay_imposed.low == 0
    assert unsure.delay_imposed.median > 15
    charged = {name: price.minor_per_km for name, price in unsure.prices.items()}
    # Emissions alone: less than half a unit for a car, one unit for a van.
    assert charged == {"car": 0, "light_goods": 5, "bus": 0}
    assert unsure.prices["car"].bounded_by == unsure.prices["light_goods"].bounded_by == ()
    assert set(unsure.congestion) == {"car", "light_goods", "bus"}


def test_prices_in_force_bound_the_step_and_are_paid_already() -> None:
    before = {"am_peak": {"car": 40, "light_goods": 40}}

    raised = priced(in_force=before)

    step = european_reference(parameters()).max_step_minor_per_km
    assert raised.prices["car"].minor_per_km == 40 + step
    assert "step" in raised.prices["car"].bounded_by
    other_period = priced(in_force={"night": {"car": 40}})
    assert other_period.prices["car"].minor_per_km == step
    assert raised.effect is not None
    assert other_period.effect is not None
    # 0.4 of the elasticity where a price is raised, and a smaller step of cost.
    assert np.median(raised.effect.vehicle_km_ratio) > np.median(
        other_period.effect.vehicle_km_ratio
    )


def test_price_that_stays_as_it_is_changes_no_traffic() -> None:
    first = priced()
    paid = {name: price.minor_per_km for name, price in first.prices.items()}

    again = priced(in_force={"am_peak": paid})

    assert {name: price.minor_per_km for name, price in again.prices.items()} == paid
    assert again.effect is not None
    assert again.effect.vehicle_km_ratio == pytest.approx(np.ones(300))


def test_cap_by_road_space_is_named_only_where_it_binds() -> None:
    mild = priced(replace(PEAK, pace_h_per_km=0.038))

    central, _ = model().efficient_costs(replace(TRAFFIC, pace_h_per_km=0.038))
    assert 0.85 < central["light_goods"] < 1.15  # above the cap over 1.2, below 1.2 times the cap
    assert "cap" not in mild.prices["light_goods"].bounded_by


def test_period_is_priced_where_any_class_pays_anything() -> None:
    free = replace(priced(), prices={"car": Price(0, ())})

    assert not free.priced
    assert replace(free, prices={"car": Price(0, ()), "bus": Price(1, ())}).priced


def test_spread_of_the_pace_is_that_of_the_evidence() -> None:
    effect = model().effect(TRAFFIC, {})

    assert effect is not None
    spread = np.log(effect.pace_before / 0.05)
    assert spread.std() == pytest.approx(0.06, rel=0.12)
    assert spread.mean() == pytest.approx(0, abs=0.01)


def test_emission_of_the_zone_is_that_of_its_mix_and_falls_with_its_kilometres() -> None:
    def gkm(key: str) -> float:
        parts = spread_class_emission(FACTORS, key, "nox", speed_kmh=np.array([20.0]))
        return float(parts.exhaust[0])

    cars = ChargeModel(
        parameters(),
        european_reference(parameters()),
        factor_set=FACTORS,
        fleet=Fleet(shares={"car_petrol_euro_4": 1.0}, source="x", surveyed=True),
        zone_crossing_km=3.0,
    )

    whole, effect = model().effect(TRAFFIC, {}), cars.effect(TRAFFIC, {"car": 1.0})

    assert whole is not None
    assert effect is not None
    mixed = sum(share * gkm(key) for key, share in FLEET.shares.items())
    assert np.median(whole.nox_before_gkm) == pytest.approx(mixed, rel=0.1)
    assert np.all(effect.nox_after_gkm / effect.nox_before_gkm <= effect.vehicle_km_ratio)


def test_central_costs_are_those_of_a_balance_of_filed_values() -> None:
    congestion, environment = model().efficient_costs(TRAFFIC)

    p, names = parameters(), ("car", "light_goods", "bus")
    assert model().classes == names
    shares = np.array([[0.7, 0.2, 0.1]])
    filed = p.classes
    assert model().central_shares() == pytest.approx(dict(zip(names, shares[0], strict=True)))

    def damage(pace: np.ndarray) -> np.ndarray:
        speed = np.array([1 / pace[0, 0]])

        def grams(key: str, pollutant: str) -> float:
            parts = spread_class_emission(FACTORS, key, pollutant, speed_kmh=speed)
            return float((parts.exhaust + parts.wear)[0])

        per_kg = {"nox": 21.3, "pm2_5": 123.0}
        cost = {
            key: sum(grams(key, name) / 1000 * per_kg[name] for name in PRICED_POLLUTANTS)
            for key in FLEET.shares
        }
        car = (0.5 * cost["car_petrol_euro_4"] + 0.2 * cost["car_petrol_euro_6"]) / 0.7
        return np.array([[car, cost["lcv_diesel_euro_5"], cost["bus_15_18t_euro_5"]]])

    def row(name: str) -> np.ndarray:
        return np.array([[getattr(filed[key], name).value for key in names]])

    trip = p.response["trip_length"].value
    traffic = Traffic(
        pace_h_per_km=np.array([[0.05]]),
        free_pace_h_per_km=np.array([[0.025]]),
        bpr_exponent=np.array([[4.0]]),
        shares=shares,
        passenger_car_units=row("passenger_car_units"),
        value_of_time_per_h=row("value_of_time"),
        operating_cost_per_km=row("operating_cost"),
        elasticity=row("elasticity"),
        trip_length_km=np.array([[trip]]),
        zone_length_km=np.array([[3.0]]),
        price_in_force_per_km=np.zeros((1, 3)),
    )
    expected = efficient_response(traffic, damage)
    assert list(congestion.values()) == pytest.approx(
        expected.congestion_cost_per_km[0].tolist(), rel=1e-3
    )
    assert list(environment.values()) == pytest.approx(
        damage(expected.pace_h_per_km)[0].tolist(), rel=5e-3
    )


def test_intervals_lie_around_the_central_costs() -> None:
    central = model().efficient_costs(TRAFFIC)
    drawn = model().cost_intervals(TRAFFIC)

    for costs, intervals in zip(central, drawn, strict=True):
        for name, interval in intervals.items():
            assert interval.low < costs[name] < interval.high
            assert interval.unit == "EUR/km"


def test_way_inside_the_zone_is_no_longer_than_the_trip() -> None:
    long, longer = (model(km).effect(TRAFFIC, {"car": 1.0}) for km in (100.0, 1000.0))

    assert long is not None
    assert longer is not None
    np.testing.assert_array_equal(long.vehicle_km_ratio, longer.vehicle_km_ratio)
    short = model(0.5).effect(TRAFFIC, {"car": 1.0})
    assert short is not None
    assert np.all(short.vehicle_km_ratio > long.vehicle_km_ratio)


def test_effect_of_no_price_is_none_and_a_price_is_paid_by_those_who_stay() -> None:
    nothing = model().effect(TRAFFIC, {})
    some = model().effect(TRAFFIC, {"car": 0.5, "light_goods": 0.5, "bus": 0.5})

    assert nothing is not None
    assert some is not None
    assert nothing.vehicle_km_ratio == pytest.approx(np.ones(300))
    assert nothing.nox_after_gkm == pytest.approx(nothing.nox_before_gkm)
    assert nothing.pace_after == pytest.approx(nothing.pace_before)
    assert nothing.paid_per_km == pytest.approx(np.zeros(300))
    assert some.paid_per_km == pytest.approx(0.5 * some.vehicle_km_ratio)
    assert np.all(some.nox_after_gkm < some.nox_before_gkm)


def test_delay_that_a_kilometre_imposes_is_four_times_its_own() -> None:
    imposed = model().delay_imposed(TRAFFIC)

    assert imposed.median == pytest.approx(4 * (180 - 90), rel=0.06)
    assert imposed.low < imposed.median < imposed.high
    assert imposed.unit == "s/km"


def test_random_values_are_as_wide_as_the_parameters_say() -> None:
    wide = replace(
        read_charge_parameters(),
        simulation={
            **parameters().simulation,
            "draws": replace(parameters().simulation["draws"], value=20_000.0),
        },
    )
    valuation = replace(european_reference(wide), transfer_gsd=1.4)
    errors = draw_errors(FACTORS, FLEET, draws=2, seed=1)
    names = ("car", "light_goods")

    drawn = drawn_values(wide, valuation, names, errors)
    central = central_values(wide, valuation, names, errors)

    p = wide
    assert drawn.bpr_exponent.mean() == pytest.approx(4.0, rel=0.01)
    assert drawn.bpr_exponent.std() == pytest.approx(p.congestion["bpr_exponent"].sd, rel=0.02)
    assert drawn.bpr_exponent.min() >= 1
    trip = np.log(drawn.trip_length_km)
    assert trip.mean() == pytest.approx(np.log(p.response["trip_length"].value), rel=0.01)
    assert trip.std() == pytest.approx(np.log(p.response["trip_length"].gsd), rel=0.02)
    assert drawn.change_factor.mean() == pytest.approx(0.4, rel=0.01)
    assert drawn.change_factor.std() == pytest.approx(p.response["change_factor"].sd, rel=0.02)
    assert (drawn.pace_z.mean(), drawn.pace_z.std()) == pytest.approx((0, 1), abs=0.02)
    free = np.log(drawn.free_flow_factor)
    assert (free.mean(), free.std()) == pytest.approx(
        (0, p.congestion["free_flow_cv"].value), abs=0.002
    )
    for column, name in enumerate(names):
        item = p.classes[name]
        time = np.log(drawn.value_of_time[:, column] / item.value_of_time.value)
        cost = np.log(drawn.operating_cost[:, column] / item.operating_cost.value)
        transfer = np.log(1.4)
        assert time.std() == pytest.approx(np.hypot(np.log(item.value_of_time.gsd), transfer), 0.02)
        assert cost.std() == pytest.approx(
            np.hypot(np.log(item.operating_cost.gsd), transfer), 0.02
        )
        # Both are dear where money is: they share the transfer.
        shared = transfer**2 / (time.std() * cost.std())
        assert np.corrcoef(time, cost)[0, 1] == pytest.approx(shared, abs=0.02)
        assert drawn.elasticity[:, column].mean() == pytest.approx(item.elasticity.value, rel=0.01)
        assert drawn.elasticity[:, column].std() == pytest.approx(item.elasticity.sd, rel=0.02)
        assert drawn.elasticity[:, column].max() <= 0
    for name in PRICED_POLLUTANTS:
        damage = np.log(drawn.damage_per_kg[name])
        assert damage.mean() == pytest.approx(np.log(valuation.damage_per_kg[name]), abs=0.02)
        assert damage.std() == pytest.approx(
            np.hypot(np.log(p.damage_cost[name].gsd), np.log(1.4)), 0.02
        )
    assert central.value_of_time.tolist() == [[15.0, 25.0]]
    assert (central.pace_z.item(), central.free_flow_factor.item()) == (0.0, 1.0)
    assert central.change_factor.item() == 0.4
    assert central.elasticity.tolist() == [[-0.7, -0.2]]
    assert {name: value.item() for name, value in central.damage_per_kg.items()} == {
        "nox": 21.3,
        "pm2_5": 123.0,
    }


def test_exponents_and_shares_stay_where_they_mean_something() -> None:
    held = parameters()
    odd = replace(
        held,
        congestion={
            **held.congestion,
            "bpr_exponent": replace(held.congestion["bpr_exponent"], value=1.2),
        },
        response={
            **held.response,
            "change_factor": replace(held.response["change_factor"], value=0.5, sd=1.0),
        },
    )
    errors = draw_errors(FACTORS, FLEET, draws=2, seed=1)

    drawn = drawn_values(odd, european_reference(odd), ("car",), errors)

    assert drawn.bpr_exponent.min() == 1.0
    assert (drawn.change_factor.min(), drawn.change_factor.max()) == (0.0, 1.0)


def test_money_that_is_worth_more_is_worth_more_for_time_and_for_damage() -> None:
    valuation = replace(european_reference(parameters()), transfer_gsd=3.0)
    errors = draw_errors(FACTORS, FLEET, draws=2, seed=1)

    drawn = drawn_values(parameters(), valuation, ("car",), errors)

    time = np.log(drawn.value_of_time[:, 0])
    for damage in drawn.damage_per_kg.values():
        assert np.corrcoef(time, np.log(damage[:, 0]))[0, 1] > 0.7
