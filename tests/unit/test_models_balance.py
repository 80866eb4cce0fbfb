"""Demand and speed in balance, against a root that is searched for independently."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq

from clearway_models.charge.balance import (
    Traffic,
    congestion_cost_per_km,
    efficient_response,
    respond,
)

ROAD_SPACE = np.array([1.0, 2.5])

TWO_CLASSES = Traffic(
    pace_h_per_km=np.array([[0.05]]),
    free_pace_h_per_km=np.array([[0.02]]),
    bpr_exponent=np.array([[3.0]]),
    shares=np.array([[0.8, 0.2]]),
    passenger_car_units=ROAD_SPACE[None, :],
    value_of_time_per_h=np.array([[12.0, 30.0]]),
    operating_cost_per_km=np.array([[0.2, 0.7]]),
    elasticity=np.array([[-0.7, -0.2]]),
    trip_length_km=np.array([[8.0]]),
    zone_length_km=np.array([[3.0]]),
    price_in_force_per_km=np.array([[0.0, 0.0]]),
)
"""One draw of cars and trucks at 20 km/h where 50 would be free."""


def ratio_at(traffic: Traffic, price: np.ndarray, pace: float) -> np.ndarray:
    """Return demand over demand before, worked out per trip: kilometres inside and outside."""
    t = traffic
    trip, zone = float(t.trip_length_km[0, 0]), float(t.zone_length_km[0, 0])
    now = float(t.pace_h_per_km[0, 0])
    per_km = t.operating_cost_per_km[0] + t.value_of_time_per_h[0] * now
    outside = (trip - zone) * per_km
    inside_before = zone * (per_km + t.price_in_force_per_km[0])
    inside_after = zone * (t.operating_cost_per_km[0] + t.value_of_time_per_h[0] * pace + price)
    cost, new_cost = outside + inside_before, outside + inside_after
    return np.asarray((new_cost / cost) ** t.elasticity[0])


def pace_at(traffic: Traffic, flow: float) -> float:
    free = float(traffic.free_pace_h_per_km[0, 0])
    delay = float(traffic.pace_h_per_km[0, 0]) - free
    return free + delay * flow ** float(traffic.bpr_exponent[0, 0])


def flow_of(traffic: Traffic, ratio: np.ndarray) -> float:
    weights = traffic.shares[0] * traffic.passenger_car_units[0]
    return float(np.sum(weights * ratio) / np.sum(weights))


def searched(traffic: Traffic, price: np.ndarray) -> float:
    """Return the flow at which the demand at its pace is that flow."""
    return float(
        brentq(
            lambda flow: flow_of(traffic, ratio_at(traffic, price, pace_at(traffic, flow))) - flow,
            0.1,
            2.0,
        )
    )


@pytest.mark.parametrize("in_force", [(0.0, 0.0), (0.3, 0.6)])
@pytest.mark.parametrize("price", [(0.0, 0.0), (0.5, 0.2), (2.0, 4.0)])
def test_demand_and_pace_are_those_of_the_searched_balance(
    price: tuple[float, float], in_force: tuple[float, float]
) -> None:
    traffic = replace(TWO_CLASSES, price_in_force_per_km=np.array([in_force]))
    prices = np.array([price])

    response = respond(traffic, prices)

    flow = searched(traffic, prices[0])
    pace = pace_at(traffic, flow)
    assert response.converged
    assert response.pace_h_per_km[0, 0] == pytest.approx(pace, rel=5e-4)
    expected = ratio_at(traffic, prices[0], pace)
    assert response.demand_ratio[0] == pytest.approx(expected, rel=5e-4)
    now = congestion_cost_per_km(traffic, response.pace_h_per_km)
    np.testing.assert_array_equal(response.congestion_cost_per_km, now)


def test_no_change_of_price_changes_nothing() -> None:
    traffic = replace(TWO_CLASSES, price_in_force_per_km=np.array([[0.4, 1.0]]))

    response = respond(traffic, np.array([[0.4, 1.0]]))

    assert response.demand_ratio.tolist() == [[1.0, 1.0]]
    assert response.pace_h_per_km.tolist() == [[0.05]]


def test_kilometre_costs_the_others_their_delay_by_the_space_it_takes() -> None:
    cost = congestion_cost_per_km(TWO_CLASSES, np.array([[0.05]]))

    # 3 x (0.05 - 0.02) h at the mean value of time of 15.6 per h, over 1.3 car units per vehicle.
    per_unit = 3 * 0.03 * (0.8 * 12 + 0.2 * 30) / (0.8 * 1 + 0.2 * 2.5)
    assert cost[0] == pytest.approx(per_unit * ROAD_SPACE)


def test_traffic_faster_than_free_neither_pays_nor_speeds_up() -> None:
    fast = replace(TWO_CLASSES, free_pace_h_per_km=np.array([[0.06]]))

    response = respond(fast, np.array([[1.0, 1.0]]))

    assert response.pace_h_per_km.tolist() == [[0.05]]
    assert response.congestion_cost_per_km.tolist() == [[0.0, 0.0]]
    assert np.all(response.demand_ratio < 1)


def test_efficient_price_is_the_cost_at_the_traffic_that_remains_under_it() -> None:
    def environment(pace: np.ndarray) -> np.ndarray:
        return np.array([[0.02, 0.3]]) * pace / 0.05

    response = efficient_response(TWO_CLASSES, environment)

    price = response.congestion_cost_per_km + environment(response.pace_h_per_km)
    under_it = respond(TWO_CLASSES, price)
    assert response.converged
    assert response.pace_h_per_km[0, 0] < 0.05
    assert under_it.pace_h_per_km[0, 0] == pytest.approx(response.pace_h_per_km[0, 0], rel=1e-3)
    assert under_it.demand_ratio[0] == pytest.approx(response.demand_ratio[0], rel=1e-3)


def test_each_draw_finds_its_own_balance() -> None:
    draws = replace(
        TWO_CLASSES,
        pace_h_per_km=np.array([[0.05], [0.03], [0.04]]),
        shares=np.array([[0.8, 0.2], [0.5, 0.5], [0.9, 0.1]]),
        elasticity=np.array([[-0.7, -0.2], [0.0, 0.0], [-0.3, -0.1]]),  # the second is at rest
    )
    price = np.array([[0.5, 0.2]])

    together = respond(draws, price)

    for row in range(3):
        one = slice(row, row + 1)
        alone = respond(
            replace(
                draws,
                pace_h_per_km=draws.pace_h_per_km[one],
                shares=draws.shares[one],
                elasticity=draws.elasticity[one],
            ),
            price,
        )
        assert together.pace_h_per_km[row] == pytest.approx(alone.pace_h_per_km[0], rel=5e-4)
        assert together.demand_ratio[row] == pytest.approx(alone.demand_ratio[0], rel=5e-4)
        cost = alone.congestion_cost_per_km[0]
        assert together.congestion_cost_per_km[row] == pytest.approx(cost, rel=5e-3)


def test_search_ends_as_soon_as_traffic_is_at_rest() -> None:
    rounds: list[float] = []

    def environment(pace: np.ndarray) -> np.ndarray:
        rounds.append(float(pace[0, 0]))
        return np.zeros((1, 2))

    assert efficient_response(TWO_CLASSES, environment).converged
    assert len(rounds) < 20


def test_traffic_that_swings_for_ever_is_told_from_a_balance() -> None:
    nervous = replace(TWO_CLASSES, elasticity=np.array([[-30.0, -30.0]]))

    assert not respond(nervous, np.array([[0.5, 0.5]])).converged
