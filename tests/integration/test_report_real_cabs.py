"""Verdicts on real cabs: halves of one fleet are no two months, and a planted change is found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from doubles import cab_months

from clearway_transforms.comparison import panel
from clearway_transforms.comparison.panel import Question
from clearway_transforms.comparison.verdict import Verdict
from clearway_transforms.parameters import comparison_parameters

PARAMETERS = comparison_parameters()
INTERVALS_ALONE = replace(PARAMETERS, min_days=2)
"""Three days are too few for any verdict; so that this is about the intervals, two are enough."""
CITY = Question(
    by=(), place=("h3_cell", "period"), band=PARAMETERS.band_city, min_places=10, min_vehicles=10
)
CELL = replace(CITY, by=("h3_cell",), band=PARAMETERS.band_place, min_places=1)
PERIOD = replace(CITY, by=("period",))
SPLITS = 10
CHANGES = [str(Verdict.WORSE), str(Verdict.BETTER)]


@pytest.fixture(scope="module")
def cabs(real_data: Path) -> pl.DataFrame:
    return cab_months.vehicle_rows(real_data, one_in=3)


def verdicts(
    before: pl.LazyFrame, after: pl.LazyFrame, question: Question, parameters=INTERVALS_ALONE
) -> list[str]:
    found = panel.month_change(before, after, question, parameters).collect()
    enough = found.filter(~pl.col("reasons").list.contains("few_vehicles"))
    return enough["verdict"].to_list()


@pytest.mark.real_data
def test_halves_of_one_fleet_are_called_changed_at_most_once_in_ten(cabs):
    found: dict[Question, list[str]] = {CITY: [], PERIOD: [], CELL: []}
    for seed in range(SPLITS):
        first, second = cab_months.halves(cabs, seed, share=0.5)
        before, after = cab_months.month(first), cab_months.month(second)
        for question, given in found.items():
            given.extend(verdicts(before, after, question))
    for question, given in found.items():
        assert len(given) >= SPLITS
        false = sum(verdict in CHANGES for verdict in given)
        assert false <= 0.10 * len(given), question.by


@pytest.mark.real_data
def test_a_fifth_more_time_is_found_worse_and_half_the_fleet_turns_no_verdict_round(cabs):
    whole = cab_months.month(cabs), cab_months.month(cabs, slower=1.2)
    assert verdicts(*whole, CITY) == [Verdict.WORSE]
    for seed in range(SPLITS // 2):
        first, second = cab_months.halves(cabs, seed, share=0.5)
        half = cab_months.month(first), cab_months.month(second, slower=1.2)
        for question in (CITY, PERIOD, CELL):
            assert Verdict.BETTER not in verdicts(*half, question)


@pytest.mark.real_data
def test_three_days_cannot_tell_a_month(cabs):
    first, second = cab_months.halves(cabs, 0, share=0.5)
    given = verdicts(
        cab_months.month(first), cab_months.month(second, slower=1.2), CITY, PARAMETERS
    )
    assert given == [Verdict.CANNOT_TELL]
