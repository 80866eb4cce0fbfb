"""From marginal external cost to prices that a council can run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from clearway_core.errors import UsageError
from clearway_models.charge.parameters import ChargeParameters


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


def price_bounds(parameters: ChargeParameters, valuation: Mapping[str, object]) -> PriceBounds:
    """Return the bounds of a tariff.

    Parameters
    ----------
    parameters
        Class ratios.
    valuation
        A valuation's record, as a proposal carries it: bounds in minor units.
    """

    def whole(key: str) -> int:
        value = valuation[key]
        if not isinstance(value, int):
            message = f"valuation.{key}: expected a whole number of minor units, got {value!r}"
            raise UsageError(message)
        return value

    classes = parameters.classes
    return PriceBounds(
        rounding_minor=whole("rounding_minor"),
        cap_minor=whole("cap_minor_per_km"),
        max_step_minor=whole("max_step_minor_per_km"),
        ratio_low={name: item.ratio_to_car_low.value for name, item in classes.items()},
        ratio_high={name: item.ratio_to_car_high.value for name, item in classes.items()},
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
    added: what a class pays then never falls as its damage rises. Costs are at least 0.

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

    Halves of the rounding unit are rounded up. Where bounds contradict each other, the step from
    the price in force is kept last.

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
        start, step = previous.get(name, 0), bounds.max_step_minor
        stepped = min(max(price, start - step), start + step)
        if stepped != price:  # rounded towards the price in force: further would be no step
            price = (math.floor if stepped > start else math.ceil)(stepped / unit) * unit
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
