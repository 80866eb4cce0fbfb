"""From marginal external cost to prices that a council can run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clearway_models.demand import constant_elasticity_ratio, marginal_external_delay

Numbers = NDArray[np.float64]

_MAX_ITERATIONS = 50
_TOLERANCE = 1e-4
_NOTHING = 1e-9
"""What is left of a 0 after adding floating-point numbers; below any published digit."""

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
        Length of the whole trip and of its part inside the zone. [km]
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
    """Return what one more kilometre costs all others at a pace, by class [currency/km].

    The delay that it causes, times the mean value of time of those who are delayed, times the road
    space that it takes.
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
    """

    def answer(_: Numbers) -> Numbers:
        return price_per_km

    return _balance(traffic, answer)


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
    """

    def answer(pace_h_per_km: Numbers) -> Numbers:
        return congestion_cost_per_km(traffic, pace_h_per_km) + environment_at(pace_h_per_km)

    return _balance(traffic, answer)


def _balance(traffic: Traffic, price_at: Callable[[Numbers], Numbers]) -> Response:
    delay = np.maximum(traffic.pace_h_per_km - traffic.free_pace_h_per_km, 0.0)
    zone = np.minimum(traffic.zone_length_km, traffic.trip_length_km)
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
        ratio = constant_elasticity_ratio(
            before, np.maximum(after, before * 1e-3), traffic.elasticity
        )
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


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBounds:
    """Bounds that hold for every price, in minor units per kilometre.

    Parameters
    ----------
    rounding_minor
        Every price is a multiple of it.
    cap_minor
        No car pays more; another class up to this times its highest ratio.
    max_step_minor
        Most that a price in force may move.
    ratio_low, ratio_high
        By class, bounds of its price over the price of a car. [1]
    """

    rounding_minor: int
    cap_minor: int
    max_step_minor: int
    ratio_low: Mapping[str, float]
    ratio_high: Mapping[str, float]

    def cap_of(self, name: str) -> int:
        """Return the highest price of a class, a multiple of the rounding unit."""
        return (
            int(self.cap_minor * self.ratio_high[name] / self.rounding_minor) * self.rounding_minor
        )


def capped_costs(
    congestion_minor: Mapping[str, float],
    environment_minor: Mapping[str, float],
    *,
    cap_minor: int,
    road_space: Mapping[str, float],
) -> dict[str, float]:
    """Return what each class should pay before rounding, congestion capped by road space.

    A cap on the whole price would level a truck with a car wherever it binds. So the congestion
    part is capped at the cap times the road space relative to a car, and the environment part is
    added: what a class pays then never falls as its damage rises.

    Parameters
    ----------
    congestion_minor, environment_minor
        Costs by class. [minor units/km]
    cap_minor
        Cap of a car. [minor units/km]
    road_space
        Passenger car units by class. [1]
    """
    return {
        name: min(cost, cap_minor * road_space[name]) + environment_minor[name]
        for name, cost in congestion_minor.items()
    }


@dataclass(frozen=True, slots=True)
class Price:
    """A price and which bounds shaped it.

    Parameters
    ----------
    minor_per_km
        Price. [minor units/km]
    bounded_by
        ``cap``, ``step``, ``class_ratio`` where they moved it by more than the rounding.
    """

    minor_per_km: int
    bounded_by: tuple[str, ...]


def bounded_prices(
    cost_minor_per_km: Mapping[str, float],
    bounds: PriceBounds,
    *,
    reference: str,
    previous: Mapping[str, int] | None = None,
) -> dict[str, Price]:
    """Return the price of each class: its cost, rounded and kept within all bounds.

    Parameters
    ----------
    cost_minor_per_km
        Marginal external cost by class; at least 0. [minor units/km]
    bounds
        Bounds of the tariff.
    reference
        Class that the ratios refer to. Where it pays nothing, the ratios refer to one rounding
        unit, so that a truck's price does not jump as the car's leaves 0.
    previous
        Prices in force; a class that is missing there pays 0 so far. None at introduction, where
        the step does not bind.
    """
    base = _bounded(cost_minor_per_km[reference], bounds, reference, previous)
    anchor = max(base.minor_per_km, bounds.rounding_minor)
    prices: dict[str, Price] = {}
    for name, cost in cost_minor_per_km.items():
        if name == reference:
            prices[name] = base
            continue
        low, high = bounds.ratio_low[name] * base.minor_per_km, bounds.ratio_high[name] * anchor
        within = min(max(cost, low), high)
        moved = abs(within - cost) > bounds.rounding_minor / 2
        price = _bounded(within, bounds, name, previous)
        ratio = ("class_ratio",) if moved else ()
        prices[name] = Price(price.minor_per_km, (*ratio, *price.bounded_by))
    return prices


def _bounded(
    cost: float, bounds: PriceBounds, name: str, previous: Mapping[str, int] | None
) -> Price:
    unit = bounds.rounding_minor
    price = math.floor(cost / unit + 0.5) * unit
    by: list[str] = []
    if cost > bounds.cap_of(name) - unit / 2:
        price = min(price, bounds.cap_of(name))
        by.append("cap")
    if previous is not None:
        start, step = previous.get(name, 0), bounds.max_step_minor // unit * unit
        stepped = min(max(price, start - step), start + step)
        if stepped != price:
            price = stepped // unit * unit
            by.append("step")
    return Price(price, tuple(by))


def broken_bounds(
    prices: Mapping[str, int], bounds: PriceBounds, *, previous: Mapping[str, int] | None
) -> list[str]:
    """Return every bound that prices break, as sentences; empty if none.

    Parameters
    ----------
    prices
        By class. [minor units/km]
    bounds
        Bounds of the tariff.
    previous
        Prices in force, or None at introduction.
    """
    broken = []
    for name, price in prices.items():
        if price < 0:
            broken.append(f"{name}: {price} is below 0")
        if price % bounds.rounding_minor:
            broken.append(f"{name}: {price} is not a multiple of {bounds.rounding_minor}")
        if price > bounds.cap_of(name):
            broken.append(f"{name}: {price} is above the cap of {bounds.cap_of(name)}")
        if previous is not None:
            step = abs(price - previous.get(name, 0))
            if step > bounds.max_step_minor:
                broken.append(
                    f"{name}: a step of {step} from the price in force is above "
                    f"{bounds.max_step_minor}"
                )
    return broken


def two_digits(value: float) -> float:
    """Return the value rounded to 2 significant digits, as every prediction is published."""
    if abs(value) < _NOTHING:
        return 0.0
    return float(f"{value:.1e}")
