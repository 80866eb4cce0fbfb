"""The checks that a contract asks of its table: plain data, from which gate and report are made.

Nothing here is written by hand for one table. Whoever changes a bound in the contract changes the
check, the expectation and the sentence in the report with it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from clearway_core.contracts.field import Contract, DataType, Field


class Kind(StrEnum):
    """What a check looks at."""

    COLUMNS = "columns"
    ROWS = "rows"
    TYPE = "type"
    PRESENT = "present"
    FILLED = "filled"
    BOUNDS = "bounds"
    ALLOWED = "allowed"
    PATTERN = "pattern"
    UNIQUE = "unique"
    ORDER = "order"


class Severity(StrEnum):
    """Whether a failed check keeps the table from being published."""

    BLOCKS = "blocks"
    WARNS = "warns"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One condition that a table must meet.

    Parameters
    ----------
    kind
        What it looks at.
    columns
        The columns that it reads; empty for the table as a whole.
    sentence
        The condition in words for the report.
    severity
        Whether a failure blocks publication.
    parameters
        Bounds, allowed values or pattern, by the names that `clearway_quality.gate` expects.
    """

    kind: Kind
    columns: tuple[str, ...]
    sentence: str
    severity: Severity = Severity.BLOCKS
    parameters: Mapping[str, object] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Short name for machines, such as ``bounds:space_mean_kmh``."""
        return ":".join((self.kind.value, *self.columns))


_TYPE_WORDS: Mapping[DataType, str] = {
    DataType.STRING: "text",
    DataType.BINARY: "bytes",
    DataType.BOOL: "true or false",
    DataType.INT32: "whole numbers",
    DataType.INT64: "whole numbers",
    DataType.UINT64: "H3 cells",
    DataType.FLOAT64: "numbers",
    DataType.INSTANT: "instants",
    DataType.DATE: "days",
}


def checks_of(contract: Contract) -> tuple[Check, ...]:
    """Return every check that a contract asks for: table, columns, rules, key.

    Parameters
    ----------
    contract
        The table's contract.

    Returns
    -------
    tuple of Check
        Always the same for the same contract, in the order in which the report lists them.
    """
    return (
        Check(
            kind=Kind.COLUMNS,
            columns=(),
            sentence=f"The table has the {len(contract.columns)} columns of "
            f"{contract.identifier}, in that order.",
            parameters={"names": contract.columns},
        ),
        Check(kind=Kind.ROWS, columns=(), sentence="The table has at least one row."),
        *(check for column in contract.fields for check in _of_field(column)),
        *_of_rules(contract),
        *_of_key(contract),
    )


def _of_field(column: Field) -> Iterator[Check]:
    name = column.name
    yield Check(
        kind=Kind.TYPE,
        columns=(name,),
        sentence=f"Column {name} holds {_TYPE_WORDS[column.dtype]}.",
        parameters={"dtype": column.dtype},
    )
    if column.nullable:
        yield Check(
            kind=Kind.FILLED,
            columns=(name,),
            sentence=f"Column {name} has a value in at least one row.",
            severity=Severity.WARNS,
        )
    else:
        yield Check(kind=Kind.PRESENT, columns=(name,), sentence=f"Column {name} is never missing.")
    yield from _of_bounds(column)
    if column.allowed:
        yield Check(
            kind=Kind.ALLOWED,
            columns=(name,),
            sentence=f"Column {name} is one of {', '.join(column.allowed)}.",
            parameters={"values": column.allowed},
        )
    if column.pattern is not None:
        yield Check(
            kind=Kind.PATTERN,
            columns=(name,),
            sentence=f"Column {name} has the form {column.pattern}.",
            parameters={"pattern": column.pattern},
        )


def _of_bounds(column: Field) -> Iterator[Check]:
    bounded = column.minimum is not None or column.maximum is not None
    if not bounded and column.dtype is not DataType.FLOAT64:
        return
    parameters: dict[str, object] = {}
    if column.minimum is not None:
        parameters["minimum"] = column.minimum
    if column.maximum is not None:
        parameters["maximum"] = column.maximum
    if column.dtype is DataType.FLOAT64:
        # A number is finite whether or not the contract bounds it: infinity and "not a number"
        # come from a division by zero and must not reach a map or a price.
        parameters.setdefault("minimum", -sys.float_info.max)
        parameters.setdefault("maximum", sys.float_info.max)
    yield Check(
        kind=Kind.BOUNDS,
        columns=(column.name,),
        sentence=_bounds_sentence(column),
        parameters=parameters,
    )


def _bounds_sentence(column: Field) -> str:
    unit = "" if column.unit in {"1", "see unit", "UTC"} else f" {column.unit}"
    low, high = column.minimum, column.maximum
    if low is not None and high is not None:
        return f"Column {column.name} lies between {low:g} and {high:g}{unit}."
    if low is not None:
        return f"Column {column.name} is at least {low:g}{unit}."
    if high is not None:
        return f"Column {column.name} is at most {high:g}{unit}."
    return f"Column {column.name} is a finite number."


def _of_rules(contract: Contract) -> Iterator[Check]:
    for rule in contract.rules:
        yield Check(
            kind=Kind.ORDER,
            columns=(rule.left, rule.right),
            sentence=f"{rule.description} ({rule.left} is at most {rule.right}.)",
        )


def _of_key(contract: Contract) -> Iterator[Check]:
    if contract.key:
        yield Check(
            kind=Kind.UNIQUE,
            columns=contract.key,
            sentence=f"No two rows have the same {', '.join(contract.key)}.",
        )
