"""Prices and effects of each period, from what was observed in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from clearway_models.charge.effect import Effect, Interval
from clearway_models.charge.evidence import PeriodEvidence, ZoneEvidence
from clearway_models.charge.parameters import REFERENCE_CLASS, ChargeParameters
from clearway_models.charge.periods import Period
from clearway_models.charge.prediction import ChargeModel, PeriodTraffic
from clearway_models.charge.prices import Price, bounded_prices, capped_costs, price_bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodResult:
    """Prices and effects of one period.

    Parameters
    ----------
    evidence
        What was observed.
    reference_pace_h_per_km
        Pace that delay is counted from; null without evidence. [h/km]
    delay_imposed
        Time that one kilometre costs all others today, with interval; null without evidence. [s/km]
    prices
        By class; empty where nothing may be priced.
    congestion, environment
        Cost that one kilometre causes under the price, by class, with interval. [currency/km]
    effect
        Draws of what the prices do; null where there are none.
    """

    period: Period
    evidence: PeriodEvidence
    reference_pace_h_per_km: float | None = None
    delay_imposed: Interval | None = None
    prices: Mapping[str, Price] = field(default_factory=dict)
    congestion: Mapping[str, Interval] = field(default_factory=dict)
    environment: Mapping[str, Interval] = field(default_factory=dict)
    effect: Effect | None = None

    @property
    def priced(self) -> bool:
        """Whether any class pays."""
        return any(price.minor_per_km > 0 for price in self.prices.values())


def price_periods(
    model: ChargeModel,
    evidence: ZoneEvidence,
    *,
    stated: bool,
    in_force: Mapping[str, Mapping[str, int]] | None,
) -> list[PeriodResult]:
    """Return prices and effects of every period of the evidence.

    Parameters
    ----------
    model
        For the zone, the fleet and the valuation.
    evidence
        What was observed.
    stated
        Whether the city has a valuation; without it only the delay is said.
    in_force
        Prices that are paid already, by period and class; None at introduction. [minor units/km]
    """
    lift = quiet_lift(evidence, model.parameters)
    return [
        _result(
            model,
            observed,
            lift=lift,
            stated=stated,
            paid=None if in_force is None else in_force.get(observed.period, {}),
        )
        for observed in evidence.periods
    ]


def quiet_lift(evidence: ZoneEvidence, parameters: ChargeParameters) -> float:
    """Return by how much the free-flow pace is lifted so that quiet hours show no delay [1].

    At least 1; 1 where no quiet period may carry a number.

    The free-flow speed is a high percentile: of thin windows it is the luck of a few fast ones,
    and even empty streets stay behind it. What one more car delays is measured against the pace of
    quiet hours instead, where that is slower: rather too little is charged for than too much.
    """
    quiet = {period.name for period in parameters.periods if period.quiet}
    observed = [item.paces for item in evidence.periods if item.period in quiet]
    return max([1.0, *(paces[0] / paces[1] for paces in observed if paces is not None)])


def _result(
    model: ChargeModel,
    observed: PeriodEvidence,
    *,
    lift: float,
    stated: bool,
    paid: Mapping[str, int] | None,
) -> PeriodResult:
    period = next(p for p in model.parameters.periods if p.name == observed.period)
    if observed.paces is None:
        return PeriodResult(period=period, evidence=observed)
    pace, free_pace = observed.paces
    minor = model.valuation.minor_per_unit
    traffic = PeriodTraffic(
        pace_h_per_km=pace,
        free_pace_h_per_km=free_pace * lift,
        pace_cv=observed.pace_cv,
        in_force_per_km=None if paid is None else {k: v / minor for k, v in paid.items()},
    )
    delay = model.delay_imposed(traffic)
    result = PeriodResult(
        period=period,
        evidence=observed,
        reference_pace_h_per_km=traffic.free_pace_h_per_km,
        delay_imposed=delay,
    )
    if not stated:
        return result
    prices = _prices(model, traffic, certain=delay.low > 0, paid=paid)
    congestion, environment = model.cost_intervals(traffic)
    per_km = {name: price.minor_per_km / minor for name, price in prices.items()}
    effect = model.effect(traffic, per_km) if any(per_km.values()) else None
    return replace(
        result, prices=prices, congestion=congestion, environment=environment, effect=effect
    )


def _prices(
    model: ChargeModel,
    traffic: PeriodTraffic,
    *,
    certain: bool,
    paid: Mapping[str, int] | None,
) -> dict[str, Price]:
    """Return the prices of a period; delay is charged for only where it is certain at 90 %."""
    congestion, environment = model.efficient_costs(traffic)
    valuation, classes = model.valuation, model.parameters.classes
    minor, cap_minor = valuation.minor_per_unit, valuation.cap_minor_per_km
    delay_minor = {name: value * minor * certain for name, value in congestion.items()}
    road_space = {name: classes[name].passenger_car_units.value for name in congestion}
    cost = capped_costs(
        delay_minor,
        {name: value * minor for name, value in environment.items()},
        cap_minor=cap_minor,
        road_space=road_space,
    )
    prices = bounded_prices(
        {name: 0.0 if classes[name].exempt else value for name, value in cost.items()},
        price_bounds(model.parameters, valuation.record()),
        reference=REFERENCE_CLASS,
        previous=paid,
    )
    for name, price in prices.items():
        capped = not classes[name].exempt and delay_minor[name] > cap_minor * road_space[name]
        if capped and "cap" not in price.bounded_by:
            prices[name] = Price(price.minor_per_km, ("cap", *price.bounded_by))
    return prices
