"""What holds a proposal, what limits its claims, and where each limit lies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from clearway_models.charge.evidence import PeriodEvidence, ZoneEvidence
from clearway_models.charge.parameters import read_charge_parameters
from clearway_models.charge.verdict import (
    Circumstances,
    Consequence,
    Missing,
    judge,
    verdict_of,
)

PARAMETERS = read_charge_parameters()
HOLD, LIMIT = Consequence.HOLD, Consequence.LIMITS_CLAIMS

PEAK = PeriodEvidence(
    period="am_peak",
    n_cells=10,
    n_good_cells=6,
    n_days=4,
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
ENOUGH = ZoneEvidence(
    n_cells=20,
    n_driven_cells=10,
    n_days=14,
    first_window="2026-01-12T00:00:00+00:00",
    last_window="2026-01-25T23:00:00+00:00",
    free_flow_days=14.0,
    free_flow_methods={"night_p85": 10},
    periods=(PEAK, replace(PEAK, period="night")),
)
GOOD = Circumstances(
    has_city=True,
    has_currency=True,
    totals_missing="",
    has_fleet=True,
    has_population=False,
    currency="EUR",
    checked=True,
    priced_periods=["am_peak"],
    uncertain_periods=[],
    unverified=0,
    converged=True,
)
"""Evidence at every limit, and nothing else missing than who lives where."""


def lacks(
    circumstances: Circumstances = GOOD, evidence: ZoneEvidence = ENOUGH
) -> dict[str, Missing]:
    found = judge(evidence, circumstances, PARAMETERS)
    assert all(item.found and item.required and item.consequence and item.remedy for item in found)
    return {item.what: item for item in found if item.what != "population_and_income"}


def changed(**peak: Any) -> ZoneEvidence:
    return replace(ENOUGH, periods=(replace(PEAK, **peak), *ENOUGH.periods[1:]))


def test_evidence_at_every_limit_is_enough() -> None:
    found = judge(ENOUGH, GOOD, PARAMETERS)

    assert [(item.what, item.effect) for item in found] == [("population_and_income", LIMIT)]
    assert verdict_of(found) == "propose"
    assert verdict_of(()) == "propose"


@pytest.mark.parametrize(
    ("evidence", "what", "found", "required"),
    [
        (replace(ENOUGH, n_days=13), "days", "13 days", "14 days"),
        (
            replace(ENOUGH, n_cells=21),
            "coverage",
            "48% of the zone's 21 cells were driven",
            "50%",
        ),
        (replace(ENOUGH, free_flow_days=13.9), "free_flow_look_back", "13.9 days", "14 days"),
        (changed(n_days=3), "days:am_peak", "3 days", "4 days"),
        (
            changed(n_good_cells=5),
            "cells_with_good_quality",
            "50% of 10 driven cells x priced periods",
            "60%",
        ),
    ],
)
def test_just_below_a_limit_is_held(
    evidence: ZoneEvidence, what: str, found: str, required: str
) -> None:
    missing = lacks(evidence=evidence)

    assert list(missing) == [what]
    assert (missing[what].effect, missing[what].found) == (HOLD, found)
    assert missing[what].required == required
    assert verdict_of(tuple(missing.values())) == "hold"


def test_periods_without_a_price_may_be_thin() -> None:
    thin = replace(PEAK, period="night", n_days=1, n_good_cells=0)

    assert lacks(evidence=replace(ENOUGH, periods=(PEAK, thin))) == {}


def test_good_cells_are_shared_out_over_all_priced_periods() -> None:
    both = replace(GOOD, priced_periods=["am_peak", "night"])

    quality = lacks(
        both, replace(ENOUGH, periods=(PEAK, replace(ENOUGH.periods[1], n_good_cells=5)))
    )

    assert lacks(both) == {}  # 12 of 20 pairs
    assert quality["cells_with_good_quality"].found == "55% of 20 driven cells x priced periods"


@pytest.mark.parametrize(
    ("circumstances", "what", "effect"),
    [
        (replace(GOOD, priced_periods=[]), "reason_to_charge", HOLD),
        (replace(GOOD, converged=False), "balance", HOLD),
        (replace(GOOD, checked=False), "quality_check", HOLD),
        (replace(GOOD, has_city=False, has_currency=False), "city_pack", HOLD),
        (replace(GOOD, has_currency=False), "currency", HOLD),
        (replace(GOOD, uncertain_periods=["night", "midday"]), "certain_delay", LIMIT),
        (replace(GOOD, totals_missing="not available: no counts"), "counts", LIMIT),
        (replace(GOOD, has_fleet=False), "fleet_survey", LIMIT),
        (replace(GOOD, has_population=True), "who_pays", LIMIT),
        (replace(GOOD, unverified=1), "verified_parameters", LIMIT),
    ],
)
def test_each_circumstance_has_its_own_lack(
    circumstances: Circumstances, what: str, effect: Consequence
) -> None:
    assert {name: item.effect for name, item in lacks(circumstances).items()} == {what: effect}


def test_words_name_what_was_found() -> None:
    counts = lacks(replace(GOOD, totals_missing="not available: no counts"))["counts"]
    delay = lacks(replace(GOOD, uncertain_periods=["night", "midday"]))["certain_delay"]
    known = lacks(replace(GOOD, has_currency=False))["currency"]
    unknown = lacks(replace(GOOD, has_currency=False, currency=None))["currency"]
    numbers = lacks(replace(GOOD, unverified=3))["verified_parameters"]

    assert counts.found == "no counts"
    assert delay.found == "the 90 % interval of the delay reaches 0: night, midday"
    assert (known.found, unknown.found) == ("currency EUR: no values filed", "none")
    assert numbers.found == "3 parameters unverified"
    assert counts.record() == {
        "what": "counts",
        "effect": "limits_claims",
        "found": "no counts",
        "required": counts.required,
        "consequence": counts.consequence,
        "remedy": counts.remedy,
    }


def test_period_that_nobody_drove_is_named_and_a_withheld_one_says_why() -> None:
    unseen = replace(PEAK, period="night", n_cells=0)
    withheld = replace(unseen, withheld="fewer than 10 distinct vehicles")

    hours = lacks(evidence=replace(ENOUGH, periods=(PEAK, unseen)))
    vehicles = lacks(evidence=replace(ENOUGH, periods=(PEAK, withheld)))

    assert {name: item.effect for name, item in hours.items()} == {"hours": LIMIT}
    assert hours["hours"].found == "no observed window: night"
    assert list(vehicles) == ["vehicles:night"]
    assert vehicles["vehicles:night"].effect is LIMIT
    assert vehicles["vehicles:night"].found == "fewer than 10 distinct vehicles"
    assert vehicles["vehicles:night"].required == (
        "10 distinct vehicles, none with more than 50% of the time"
    )


def test_zone_without_traffic_is_held_for_that_and_not_for_its_prices() -> None:
    empty = replace(
        ENOUGH,
        n_driven_cells=0,
        n_days=0,
        free_flow_days=0.0,
        periods=(replace(PEAK, n_cells=0, n_good_cells=0, n_days=0),),
    )

    missing = lacks(replace(GOOD, priced_periods=[]), empty)

    assert list(missing) == ["traffic", "days", "coverage", "free_flow_look_back"]
    assert missing["coverage"].found == "0% of the zone's 20 cells were driven"


def test_without_a_currency_no_price_is_missed() -> None:
    missing = lacks(replace(GOOD, has_currency=False, priced_periods=[]))

    assert list(missing) == ["currency"]


def test_what_holds_comes_first() -> None:
    found = judge(ENOUGH, replace(GOOD, has_currency=False, has_fleet=False), PARAMETERS)

    assert [item.what for item in found] == ["currency", "fleet_survey", "population_and_income"]
