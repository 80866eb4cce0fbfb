"""Demand and speed in balance under a price, and the price at which each pays what it costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clearway_models.charge.demand import constant_elasticity_ratio, marginal_external_delay

Numbers = NDArray[np.float64]

_MAX_ITERATIONS = 50
_TOLERANCE = 1e-4
_DAMPING = 0.5
"""Half steps: with an exponent of 4 full steps overshoot and swing between two states."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """The traffic of one period, as one draw or as arrays of draws.

    Every array has the shape (draws, classes) or (draws, 1); one draw is a shape of (1, …).

    Parameters
    ----------
    pace_h_per_km, free_pace_h_per_km
        Time per kilometre now and without congestion. [h/km]
    bpr_exponent
        Exponent of the volume-delay function. [1]
    shares
        Shares of vehicle-kilometres by class. [1]
    passenger_car_units
        Road space by class. [1]
    value_of_time_per_h, operating_cost_per_km
        By class. [currency/h], [currency/km]
    elasticity
        By class. [1]
    trip_length_km, zone_length_km
        Length of the whole trip and of its part inside the zone, which is no longer. [km]
    price_in_force_per_km
        What is paid already, by class; 0 at introduction. [currency/km]
    """

    pace_h_per_km: Numbers
    free_pace_h_per_km: Numbers
    bpr_exponent: Numbers
    shares: Numbers
    passenger_car_units: Numbers
    value_of_time_per_h: Numbers
    operating_cost_per_km: Numbers
    elasticity: Numbers
    trip_length_km: Numbers
    zone_length_km: Numbers
    price_in_force_per_km: Numbers


@dataclass(frozen=True, slots=True)
class Response:
    """What a price does.

    Parameters
    ----------
    demand_ratio
        Vehicle-kilometres in the zone after over before, by class. [1]
    pace_h_per_km
        Time per kilometre after. [h/km]
    congestion_cost_per_km
        What one more kilometre costs the others then, by class. [currency/km]
    converged
        Whether the iteration of demand and speed came to rest.
    """

    demand_ratio: Numbers
    pace_h_per_km: Numbers
    congestion_cost_per_km: Numbers
    converged: bool


def congestion_cost_per_km(traffic: Traffic, pace_h_per_km: Numbers) -> Numbers:
    r"""Return what one more kilometre costs all others at a pace, by class [currency/km].

    Parameters
    ----------
    traffic
        Its shares, values of time, road space and free pace count.
    pace_h_per_km
        Pace at which the kilometre is driven. [h/km]

    Notes
    -----
    .. math:: MEC_k = b (p - p_0) \frac{\sum_j s_j v_j}{\sum_j s_j u_j} u_k

    with pace p and free pace p0, shares s, values of time v and road space u: the delay that it
    causes, times the mean value of time of those who are delayed, times the road space that it
    takes. 0 where traffic is not slower than free.

    References
    ----------
    As `clearway_models.charge.demand.marginal_external_delay`.
    """
    delay = marginal_external_delay(
        pace_h_per_km, traffic.free_pace_h_per_km, exponent=traffic.bpr_exponent
    )
    delayed = np.sum(traffic.shares * traffic.value_of_time_per_h, axis=1, keepdims=True)
    road_space = np.sum(traffic.shares * traffic.passenger_car_units, axis=1, keepdims=True)
    cost: Numbers = delay * delayed / road_space * traffic.passenger_car_units
    return cost


def respond(traffic: Traffic, price_per_km: Numbers) -> Response:
    """Return how traffic answers prices, speed and demand in balance.

    Parameters
    ----------
    traffic
        Traffic before.
    price_per_km
        By class, shape (1 or draws, classes). [currency/km]

    Notes
    -----
    Demand follows from the cost of the whole trip, pace from demand by the BPR function, in half
    steps until no draw's traffic moves by more than 1e-4; after 50 rounds `Response.converged` is
    False.
    """
    return _balance(traffic, lambda _: price_per_km)


def efficient_response(traffic: Traffic, environment_at: Callable[[Numbers], Numbers]) -> Response:
    """Return the balance in which every class pays just what its kilometre costs the others.

    Parameters
    ----------
    traffic
        Traffic before.
    environment_at
        Damage by emissions at a pace, by class. [h/km] to [currency/km]

    Notes
    -----
    The price is the marginal external cost at the traffic that remains under the price, not at
    today's: charging today's cost would overshoot, since the delay falls as traffic falls.

    References
    ----------
    K. Small, E. Verhoef, "The Economics of Urban Transportation", 2007, section 4.1,
    doi:10.4324/9780203642306. There for one class; here all classes share one pace.
    """

    def answer(pace_h_per_km: Numbers) -> Numbers:
        return congestion_cost_per_km(traffic, pace_h_per_km) + environment_at(pace_h_per_km)

    return _balance(traffic, answer)


def _balance(traffic: Traffic, price_at: Callable[[Numbers], Numbers]) -> Response:
    delay = np.maximum(traffic.pace_h_per_km - traffic.free_pace_h_per_km, 0.0)
    zone = traffic.zone_length_km
    before = traffic.trip_length_km * (
        traffic.operating_cost_per_km + traffic.value_of_time_per_h * traffic.pace_h_per_km
    )
    before = before + zone * traffic.price_in_force_per_km
    weights = traffic.shares * traffic.passenger_car_units
    flow = np.ones_like(traffic.pace_h_per_km)
    ratio = np.ones_like(before)
    pace = traffic.pace_h_per_km
    change = 1.0
    for _ in range(_MAX_ITERATIONS):
        saved = traffic.pace_h_per_km - pace
        extra = price_at(pace) - traffic.price_in_force_per_km
        after = before + zone * (extra - traffic.value_of_time_per_h * saved)
        ratio = constant_elasticity_ratio(before, after, traffic.elasticity)
        wanted = np.sum(weights * ratio, axis=1, keepdims=True) / np.sum(
            weights, axis=1, keepdims=True
        )
        step = _DAMPING * (wanted - flow)
        flow = flow + step
        pace = traffic.pace_h_per_km - delay * (1 - flow**traffic.bpr_exponent)
        change = float(np.max(np.abs(step)))
        if change < _TOLERANCE:
            break
    return Response(ratio, pace, congestion_cost_per_km(traffic, pace), change < _TOLERANCE)
