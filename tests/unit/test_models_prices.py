"""From costs to the prices of a tariff: rounding, caps, ratios, steps, and what shaped a price."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clearway_core.errors import UsageError
from clearway_models.charge.parameters import read_charge_parameters
from clearway_models.charge.prices import (
    Price,
    PriceBounds,
    bounded_prices,
    broken_bounds,
    capped_costs,
    price_bounds,
)
from clearway_models.charge.valuation import european_reference

BOUNDS = PriceBounds(
    rounding_minor=5,
    cap_minor=100,
    max_step_minor=30,
    ratio_low={"car": 1.0, "moped": 0.25, "truck": 1.0},
    ratio_high={"car": 1.0, "moped": 0.63, "truck": 4.0},
)


def priced(previous: dict[str, int] | None = None, **costs: float) -> dict[str, Price]:
    return bounded_prices(costs, BOUNDS, reference="car", previous=previous)


@pytest.mark.parametrize(
    ("cost", "price"), [(0.0, 0), (2.4, 0), (2.5, 5), (12.4, 10), (12.5, 15), (97.4, 95)]
)
def test_cost_is_rounded_to_the_unit_and_halves_go_up(cost: float, price: int) -> None:
    assert priced(car=cost)["car"] == Price(price, ())


@pytest.mark.parametrize(
    ("cost", "price"),
    [
        (97.5, Price(100, ())),  # rounds to the cap by itself
        (97.6, Price(100, ("cap",))),
        (102.4, Price(100, ("cap",))),
        (500.0, Price(100, ("cap",))),
    ],
)
def test_cap_is_named_where_the_cost_comes_within_half_a_unit_of_it(
    cost: float, price: Price
) -> None:
    assert priced(car=cost)["car"] == price


def test_cap_of_a_class_is_that_of_a_car_times_its_ratio_down_to_the_unit() -> None:
    assert (BOUNDS.cap_of("truck"), BOUNDS.cap_of("moped")) == (400, 60)  # 63 is no multiple
    assert priced(car=100.0, truck=1000.0)["truck"].minor_per_km == 400
    assert priced(car=100.0, moped=63.0)["moped"] == Price(60, ("cap",))


def test_ratio_to_the_car_moves_a_price_and_says_so() -> None:
    low = priced(car=60.0, moped=3.0, truck=20.0)
    assert low["moped"] == Price(15, ("class_ratio",))
    assert low["truck"] == Price(60, ("class_ratio",))
    assert priced(car=10.0, truck=90.0)["truck"] == Price(40, ("class_ratio",))
    assert priced(car=60.0, truck=240.0)["truck"] == Price(240, ())


def test_ratio_that_moves_a_price_by_half_a_unit_is_not_worth_a_word() -> None:
    assert priced(car=10.0, truck=42.5)["truck"] == Price(40, ())
    assert priced(car=10.0, truck=42.6)["truck"] == Price(40, ("class_ratio",))


def test_where_the_car_pays_nothing_others_pay_up_to_their_ratio_of_one_unit() -> None:
    prices = priced(car=1.0, truck=90.0, moped=90.0)

    assert prices["car"] == Price(0, ())
    assert prices["truck"] == Price(20, ("class_ratio",))
    assert prices["moped"] == Price(5, ("class_ratio",))


@pytest.mark.parametrize(
    ("before", "cost", "price"),
    [
        ({"car": 50}, 96.0, Price(80, ("step",))),
        ({"car": 50}, 0.0, Price(20, ("step",))),
        ({"car": 50}, 80.0, Price(80, ())),
        ({"car": 50}, 20.0, Price(20, ())),
        ({"car": 50}, 500.0, Price(80, ("cap", "step"))),
        ({}, 60.0, Price(30, ("step",))),
        ({"car": 52}, 96.0, Price(80, ("step",))),  # neither 82
        ({"car": 52}, 0.0, Price(25, ("step",))),  # nor 22 is a multiple
        ({"car": 51}, 500.0, Price(80, ("cap", "step"))),
    ],
)
def test_price_in_force_moves_by_at_most_a_step(
    before: dict[str, int], cost: float, price: Price
) -> None:
    assert priced(before, car=cost)["car"] == price


@pytest.mark.parametrize(("cost", "price"), [(96.0, 80), (0.0, 20)])
def test_step_that_is_no_multiple_of_the_unit_is_cut_to_one(cost: float, price: int) -> None:
    bounds = replace(BOUNDS, max_step_minor=33)
    before = {"car": 50}

    prices = bounded_prices({"car": cost}, bounds, reference="car", previous=before)

    assert prices["car"].minor_per_km == price
    assert broken_bounds({"car": price}, bounds, previous=before) == []


def test_class_that_is_new_in_the_tariff_starts_from_nothing() -> None:
    fine = replace(BOUNDS, rounding_minor=1)

    prices = bounded_prices({"car": 96.0}, fine, reference="car", previous={})

    assert prices["car"] == Price(30, ("step",))


def test_ratio_and_step_are_both_named() -> None:
    prices = priced({"car": 60, "truck": 150}, car=60.0, truck=20.0)

    assert prices["truck"] == Price(120, ("class_ratio", "step"))


def test_congestion_is_capped_by_road_space_and_damage_added_to_it() -> None:
    costs = capped_costs(
        {"car": 120.0, "truck": 240.0, "moped": 20.0},
        {"car": 3.0, "truck": 30.0, "moped": 1.0},
        cap_minor=100,
        road_space={"car": 1.0, "truck": 2.5, "moped": 0.5},
    )

    assert costs == {"car": 103.0, "truck": 270.0, "moped": 21.0}


@pytest.mark.parametrize(
    ("prices", "previous", "broken"),
    [
        ({"car": 100, "truck": 400}, None, []),
        ({"car": 0}, None, []),
        ({"car": -5}, None, ["car: -5 is below 0"]),
        ({"car": 7}, None, ["car: 7 is not a multiple of 5"]),
        ({"car": 105}, None, ["car: 105 is above the cap of 100"]),
        ({"truck": 405}, None, ["truck: 405 is above the cap of 400"]),
        ({"car": 80}, {"car": 50}, []),
        ({"car": 20}, {"car": 50}, []),
        (
            {"car": 85},
            {"car": 50},
            ["car: a step of 35 from the price in force is above 30"],
        ),
        ({"car": 15}, {"car": 50}, ["car: a step of 35 from the price in force is above 30"]),
        ({"car": 35}, {}, ["car: a step of 35 from the price in force is above 30"]),
    ],
)
def test_every_broken_bound_is_a_sentence(
    prices: dict[str, int], previous: dict[str, int] | None, broken: list[str]
) -> None:
    assert broken_bounds(prices, BOUNDS, previous=previous) == broken


def test_bounds_are_those_of_the_valuation_and_the_class_table() -> None:
    parameters = read_charge_parameters()
    record = european_reference(parameters).record()

    bounds = price_bounds(parameters, record)

    assert (bounds.rounding_minor, bounds.cap_minor, bounds.max_step_minor) == (
        record["rounding_minor"],
        record["cap_minor_per_km"],
        record["max_step_minor_per_km"],
    )
    assert (bounds.ratio_low["motorcycle"], bounds.ratio_high["motorcycle"]) == (0.25, 1.0)
    with pytest.raises(UsageError, match=r"valuation.cap_minor_per_km: expected a whole number"):
        price_bounds(parameters, {**record, "cap_minor_per_km": "100"})
