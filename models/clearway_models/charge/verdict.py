"""Whether the evidence is enough for a price, what is missing, and what follows from that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from clearway_models.charge.evidence import ZoneEvidence
from clearway_models.charge.parameters import ChargeParameters
from clearway_models.charge.wording import days_text, plural
from clearway_models.parameters import Parameter


class Consequence(StrEnum):
    """What a lack does to a proposal."""

    HOLD = "hold"
    """It must not be published."""
    LIMITS_CLAIMS = "limits_claims"
    """It may be, but something is not said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """One thing that is missing.

    Parameters
    ----------
    what
        Short name.
    effect
        Whether it holds the proposal or limits what is claimed.
    found, required
        As text with units.
    consequence, remedy
        What cannot be said or done, and what would change that.
    """

    what: str
    effect: Consequence
    found: str
    required: str
    consequence: str
    remedy: str

    def record(self) -> dict[str, object]:
        """Return the lack as JSON-ready values."""
        return {
            "what": self.what,
            "effect": self.effect.value,
            "found": self.found,
            "required": self.required,
            "consequence": self.consequence,
            "remedy": self.remedy,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What else decides a verdict.

    Parameters
    ----------
    has_city, has_currency, has_fleet, has_population
        What the city pack gives.
    totals_missing
        Why there are no totals; empty if there are.
    currency
        Its currency, if any.
    checked
        Whether the congestion table passed its quality gate.
    priced_periods
        Periods with a price above 0 for any class.
    uncertain_periods
        Periods whose delay may be nil, at 90 %; their congestion is not charged for.
    unverified
        Parameters that nobody has confirmed.
    converged
        Whether demand and speed found a balance in every priced period.
    """

    has_city: bool
    has_currency: bool
    totals_missing: str
    has_fleet: bool
    has_population: bool
    currency: str | None
    checked: bool
    priced_periods: Sequence[str]
    uncertain_periods: Sequence[str]
    unverified: int
    converged: bool


def judge(
    evidence: ZoneEvidence, circumstances: Circumstances, parameters: ChargeParameters
) -> tuple[Missing, ...]:
    """Return everything that is missing, what holds the proposal first.

    A lack holds a proposal when the price itself would rest on sand: a day or two of data, cells
    that were hardly observed, no reference speed, no currency, an unchecked table. A lack that only
    keeps us from saying more (totals, revenue, who pays) limits the claims.
    """
    found = [
        *_enough_data(evidence, parameters.evidence),
        *_enough_days_of_each(evidence, circumstances, parameters.evidence),
        *_enough_quality(evidence, circumstances, parameters.evidence),
        *_sound_calculation(circumstances),
        *_less_said(evidence, circumstances, parameters.release),
        *_price_can_be_stated(circumstances),
        *_totals_and_emissions(circumstances),
        *_who_pays(circumstances),
        *_sure_numbers(circumstances),
    ]
    return tuple(sorted(found, key=lambda item: item.effect is not Consequence.HOLD))


def verdict_of(missing: Sequence[Missing]) -> str:
    """Return ``propose``, or ``hold`` if anything missing holds the proposal."""
    return "hold" if any(item.effect is Consequence.HOLD for item in missing) else "propose"


def _enough_data(evidence: ZoneEvidence, limits: Mapping[str, Parameter]) -> Iterator[Missing]:
    if evidence.n_driven_cells == 0:
        yield _hold(
            "traffic",
            "no observed window in the zone",
            "observed windows",
            consequence="nothing can be said about this zone",
            remedy="check the zone's position, or replay and build data that covers it",
        )
    if evidence.n_days < limits["min_days"].value:
        yield _hold(
            "days",
            days_text(evidence.n_days),
            days_text(limits["min_days"].value),
            consequence="an odd day or week (rain, roadworks, a festival) would set the price",
            remedy="collect more days; they need not be consecutive",
        )
    driven = evidence.n_driven_cells / evidence.n_cells
    if driven < limits["min_driven_share"].value:
        yield _hold(
            "coverage",
            f"{driven:.0%} of the zone's {evidence.n_cells} cells were driven",
            f"{limits['min_driven_share'].value:.0%}",
            consequence="the price would be that of the part which the probes happen to serve",
            remedy="draw the zone around what was observed, or add probes elsewhere",
        )
    if evidence.free_flow_days < limits["min_free_flow_days"].value:
        yield _hold(
            "free_flow_look_back",
            days_text(evidence.free_flow_days),
            days_text(limits["min_free_flow_days"].value),
            consequence="delay is measured against a reference that may itself be congested",
            remedy="collect nights and weekends for two weeks, then build congestion again",
        )


def _enough_days_of_each(
    evidence: ZoneEvidence, circumstances: Circumstances, limits: Mapping[str, Parameter]
) -> Iterator[Missing]:
    need = limits["min_days_per_period"].value
    for period in evidence.periods:
        if period.period in circumstances.priced_periods and period.n_days < need:
            yield _hold(
                f"days:{period.period}",
                days_text(period.n_days),
                days_text(need),
                consequence="the price of this period would rest on too few of its own days",
                remedy="collect more such days",
            )


def _enough_quality(
    evidence: ZoneEvidence, circumstances: Circumstances, limits: Mapping[str, Parameter]
) -> Iterator[Missing]:
    priced = [p for p in evidence.periods if p.period in circumstances.priced_periods]
    limit = limits["min_good_share"].value
    if circumstances.has_currency and not priced and evidence.n_driven_cells:
        yield _hold(
            "reason_to_charge",
            "every price rounds to 0",
            "a marginal external cost of at least half a rounding unit",
            consequence="there is no charge to decide on",
            remedy="none needed: traffic here costs others little",
        )
    if not priced:
        return
    pairs = evidence.n_driven_cells * len(priced)
    share = sum(p.n_good_cells for p in priced) / pairs
    if share < limit:
        yield _hold(
            "cells_with_good_quality",
            f"{share:.0%} of {pairs} driven cells x priced periods",
            f"{limit:.0%}",
            consequence="values of quality C may not decide a price",
            remedy="more vehicles, more days, or a coarser resolution",
        )


def _sound_calculation(circumstances: Circumstances) -> Iterator[Missing]:
    if not circumstances.converged:
        yield _hold(
            "balance",
            "demand and speed found no balance",
            "a balance within 50 rounds",
            consequence="no effect can be predicted",
            remedy="report this zone: the model does not fit it",
        )
    if not circumstances.checked:
        yield _hold(
            "quality_check",
            "no version of the congestion table has passed its quality gate",
            "a passed check",
            consequence="nothing that was not checked is published",
            remedy="run `clearway quality check congestion`, then propose again",
        )


def _less_said(
    evidence: ZoneEvidence, circumstances: Circumstances, release: Mapping[str, Parameter]
) -> Iterator[Missing]:
    """Yield what keeps a period from being priced in full, without holding the rest."""
    unseen = [p.period for p in evidence.periods if p.n_cells == 0 and not p.withheld]
    if unseen and evidence.n_driven_cells:
        yield _limit(
            "hours",
            "no observed window: " + ", ".join(unseen),
            "observed windows at these hours",
            consequence="these periods are not priced",
            remedy="collect data at these hours, if they are to be charged",
        )
    if circumstances.uncertain_periods:
        yield _limit(
            "certain_delay",
            "the 90 % interval of the delay reaches 0: "
            + ", ".join(circumstances.uncertain_periods),
            "an interval above 0",
            consequence="no congestion is charged for in these periods, only emissions",
            remedy="more vehicles and days, if there is congestion at these hours",
        )
    least, most = release["min_vehicles"].value, release["max_vehicle_share"].value
    for period in evidence.periods:
        if period.withheld:
            yield _limit(
                f"vehicles:{period.period}",
                period.withheld,
                f"{least:.0f} distinct vehicles, none with more than {most:.0%} of the time",
                consequence="this period is withheld to protect the few who drove, and is not "
                "priced",
                remedy="more vehicles, or a larger zone",
            )


def _price_can_be_stated(circumstances: Circumstances) -> Iterator[Missing]:
    if not circumstances.has_city:
        yield _hold(
            "city_pack",
            "none",
            "a city pack",
            consequence="hours are UTC, not local, and no price can be stated",
            remedy="run `clearway city init`, then propose with --city",
        )
    elif not circumstances.has_currency:
        currency = circumstances.currency
        yield _hold(
            "currency",
            f"currency {currency}: no values filed" if currency else "none",
            "a currency and price year with filed values, or the city's own prices.toml",
            consequence="prices are not stated",
            remedy="give currency and price_year in city.toml, or add prices.toml",
        )


def _totals_and_emissions(circumstances: Circumstances) -> Iterator[Missing]:
    if circumstances.totals_missing:
        yield _limit(
            "counts",
            circumstances.totals_missing.removeprefix("not available: "),
            "traffic_counts.csv, and raw GPS of the counted hours",
            consequence="totals and revenue are not available: a sample of vehicles is not a count",
            remedy="count traffic at a few points of the zone while probes drive there",
        )
    if not circumstances.has_fleet:
        yield _limit(
            "fleet_survey",
            "the default mix",
            "fleet.csv",
            consequence="emissions use a default fleet with wide intervals",
            remedy="take the mix from registration or number-plate data",
        )


def _who_pays(circumstances: Circumstances) -> Iterator[Missing]:
    nothing = "nothing is said about who pays and who gains"
    if not circumstances.has_population:
        yield _limit(
            "population_and_income",
            "none",
            "population.csv",
            consequence=nothing,
            remedy="add population and income by area",
        )
    else:
        yield _limit(
            "who_pays",
            "population by area, no trips by home area",
            "who drives here from where",
            consequence=nothing,
            remedy="a travel survey or number plates by home area",
        )


def _sure_numbers(circumstances: Circumstances) -> Iterator[Missing]:
    if circumstances.unverified:
        yield _limit(
            "verified_parameters",
            f"{plural(circumstances.unverified, 'parameter')} unverified",
            "all confirmed",
            consequence="prices carry values from general knowledge; see the list of parameters",
            remedy="have the marked values confirmed before a public release",
        )


def _hold(what: str, found: str, required: str, *, consequence: str, remedy: str) -> Missing:
    return Missing(
        what=what,
        effect=Consequence.HOLD,
        found=found,
        required=required,
        consequence=consequence,
        remedy=remedy,
    )


def _limit(what: str, found: str, required: str, *, consequence: str, remedy: str) -> Missing:
    held = _hold(what, found, required, consequence=consequence, remedy=remedy)
    return replace(held, effect=Consequence.LIMITS_CLAIMS)
