"""Conditions on rows and partitions say the same to Delta and to Polars."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from clearway_core.contracts.columns import day, text, whole
from clearway_core.errors import ContractViolation
from clearway_core.lake_conditions import condition, partition_text, sql_literal

FIRST, SECOND, THIRD = (date(2010, 1, number) for number in (1, 2, 3))
DAY = day("day", "A day.")
NAME = text("name", "A text that may look like a day.")
BUCKET = whole("bucket", "A small number.")
ROWS = pl.DataFrame(
    {
        "day": [FIRST, SECOND, THIRD],
        "name": ["2010-01-01", "2010-01-02", "2010-01-03"],
        "bucket": [0, 1, 2],
    }
)


@pytest.mark.parametrize(
    ("value", "literal"),
    [(0, "0"), (-3, "-3"), ("O Porto", "'O Porto'"), ("", "''"), (FIRST, "'2010-01-01'")],
)
def test_a_plain_value_is_written_as_delta_reads_it(value, literal):
    assert sql_literal(value) == literal


@pytest.mark.parametrize("value", [True, False, 1.5, None, b"x", "x' OR 'y"])
def test_what_could_be_more_than_a_value_is_refused(value):
    with pytest.raises(ContractViolation, match=r"partition value must .*, got "):
        sql_literal(value)


@pytest.mark.parametrize(
    ("value", "named"),
    [(3, "3"), (FIRST, "2010-01-01"), ([FIRST, "x"], ["2010-01-01", "x"]), ((1, 2), ["1", "2"])],
)
def test_delta_names_partitions_by_text(value, named):
    assert partition_text(value) == named


@pytest.mark.parametrize(
    ("operator", "kept"),
    [
        ("=", [1]),
        ("!=", [0, 2]),
        ("<", [0]),
        ("<=", [0, 1]),
        (">", [2]),
        (">=", [1, 2]),
    ],
)
@pytest.mark.parametrize(
    ("field", "value"),
    [(BUCKET, 1), (DAY, SECOND), (DAY, "2010-01-02"), (NAME, "2010-01-02")],
    ids=["number", "day", "day_as_text", "text"],
)
def test_each_relation_keeps_the_rows_that_stand_in_it(field, value, operator, kept):
    found = ROWS.filter(condition(field, operator, value))
    assert found["bucket"].to_list() == kept


@pytest.mark.parametrize(
    ("field", "values"),
    [
        (BUCKET, [0, 2, 9]),
        (DAY, (FIRST, "2010-01-03")),
        (NAME, ["2010-01-01", "2010-01-03"]),
    ],
    ids=["numbers", "days", "texts"],
)
def test_one_of_several_values_is_enough(field, values):
    assert ROWS.filter(condition(field, "in", values))["bucket"].to_list() == [0, 2]
    assert ROWS.filter(condition(field, "in", [])).is_empty()
