"""Great Expectations on one frame: the only module that knows it.

Importing Great Expectations takes 4 to 14 s, so it is imported when a frame is checked. It has no
Polars engine; numpy-backed pandas is its fastest (1 M rows x 12 checks: 1.1 s). A batch is
validated by itself: a checkpoint around it takes twice as long over copies of the suite, and its
verdict would not be used, since it also fails for what is only a warning.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, cast

import pandas as pd
import polars as pl

from clearway_core.contracts.field import Contract, DataType
from clearway_quality.suites import Check, Kind, Severity, checks_of

if TYPE_CHECKING:
    import great_expectations as gx

# It tells of its own decorators at INFO: 120 kB in the log of every Airflow task that checks.
logging.getLogger("great_expectations").setLevel(logging.WARNING)

MAX_EXAMPLES = 3
"""Broken rows that a finding names: enough to find the cause, few enough to read."""

_PANDAS_TYPES: Mapping[DataType, str] = {
    DataType.STRING: "str",
    DataType.BINARY: "bytes",
    DataType.BOOL: "bool",
    DataType.INT32: "int32",
    DataType.INT64: "int64",
    DataType.UINT64: "uint64",
    DataType.FLOAT64: "float64",
    DataType.INSTANT: "datetime64[us]",
    DataType.DATE: "datetime64[ms]",
}

_MASKED_TYPES: Mapping[pl.DataType, str] = {
    pl.Int32(): "Int32",
    pl.Int64(): "Int64",
    pl.UInt64(): "UInt64",
    pl.Boolean(): "boolean",
}
"""Where such a column has holes, pandas would turn it into floating point and lose its type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found.

    Parameters
    ----------
    check
        The check.
    passed
        Whether its condition holds.
    n_unexpected
        Rows that break it; 0 for a check of the table as a whole.
    examples
        Some of those rows: their key and the values.
    cause
        Why the check could not be carried out, or what was found instead; None otherwise.
    """

    check: Check
    passed: bool
    n_unexpected: int = 0
    examples: tuple[str, ...] = ()
    cause: str | None = None

    @property
    def blocks(self) -> bool:
        """Whether this finding keeps the table from being published."""
        return not self.passed and self.check.severity is Severity.BLOCKS


def examine(frame: pl.DataFrame, contract: Contract) -> tuple[Finding, ...]:
    """Return what each check of the contract finds in a frame.

    Parameters
    ----------
    frame
        Rows as a reader of the table gets them. Not changed.
    contract
        The contract that they should meet.

    Returns
    -------
    tuple of Finding
        One per check, in the order of `checks_of`. Of an empty frame, or one with other columns
        than the contract's, only the checks of the table as a whole: the rest would mean nothing.
    """
    import great_expectations as gx  # noqa: PLC0415 -- takes seconds

    checks = checks_of(contract)
    if frame.is_empty() or tuple(frame.columns) != contract.columns:
        checks = tuple(check for check in checks if check.kind in {Kind.COLUMNS, Kind.ROWS})
    context = _quiet_context()
    suite = gx.ExpectationSuite(
        contract.identifier,
        expectations=[_expectation(check, number) for number, check in enumerate(checks)],
    )
    batch = (
        context.data_sources.add_pandas("lake")
        .add_dataframe_asset(contract.name)
        .add_batch_definition_whole_dataframe("whole")
        .get_batch(batch_parameters={"dataframe": _to_pandas(frame)})
    )
    # Asked for the keys of broken rows, it would write out every one of them: 78 s where
    # 900,000 rows are broken. Their positions are enough.
    result = batch.validate(
        suite,
        result_format={"result_format": "SUMMARY", "partial_unexpected_count": MAX_EXAMPLES},
    )
    found: dict[int, Finding] = {}
    for item in result.results:
        number = int(item.expectation_config.meta["check"])
        examples = _examples(frame, contract, checks[number], item.result or {})
        found[number] = _finding(checks[number], item, examples)
    # A check that left no result was not carried out, and that is not a pass.
    return tuple(
        found.get(number, Finding(check=check, passed=False, cause="the check gave no result"))
        for number, check in enumerate(checks)
    )


def merge(parts: Sequence[Sequence[Finding]]) -> tuple[Finding, ...]:
    """Return the findings of a table from those of its parts.

    A check holds when it holds in every part, except that a column counts as filled when it is in
    any of them.
    """
    merged: dict[str, list[Finding]] = {}
    for part in parts:
        for finding in part:
            merged.setdefault(finding.check.name, []).append(finding)
    return tuple(_merged(findings) for findings in merged.values())


def _merged(findings: Sequence[Finding]) -> Finding:
    first = findings[0]
    verdicts = [finding.passed for finding in findings]
    passed = any(verdicts) if first.check.kind is Kind.FILLED else all(verdicts)
    if passed:
        return Finding(check=first.check, passed=True)
    failed = [finding for finding in findings if not finding.passed]
    examples = [example for finding in failed for example in finding.examples]
    return replace(
        failed[0],
        n_unexpected=sum(finding.n_unexpected for finding in failed),
        examples=tuple(examples[:MAX_EXAMPLES]),
    )


def _quiet_context() -> gx.AbstractDataContext:
    """Return a context that stores nothing, draws no bars and calls nobody."""
    import great_expectations as gx  # noqa: PLC0415 -- takes seconds
    from great_expectations.data_context.types.base import (  # noqa: PLC0415
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    return gx.get_context(
        mode="ephemeral",
        project_config=DataContextConfig(
            store_backend_defaults=InMemoryStoreBackendDefaults(),
            progress_bars=ProgressBarsConfig(globally=False),
            analytics_enabled=False,
        ),
    )


def _expectation(check: Check, number: int) -> gx.expectations.Expectation:
    from great_expectations import expectations as gxe  # noqa: PLC0415 -- takes seconds

    name, arguments = _NAMES_AND_ARGUMENTS[check.kind](check)
    return getattr(gxe, name)(
        meta={"check": number},
        severity="critical" if check.severity is Severity.BLOCKS else "warning",
        **arguments,
    )


_Call = tuple[str, dict[str, object]]


def _columns(check: Check) -> _Call:
    names = cast("tuple[str, ...]", check.parameters["names"])
    return "ExpectTableColumnsToMatchOrderedList", {"column_list": list(names)}


def _rows(_check: Check) -> _Call:
    return "ExpectTableRowCountToBeBetween", {"min_value": 1}


def _type(check: Check) -> _Call:
    wanted = _PANDAS_TYPES[cast("DataType", check.parameters["dtype"])]
    return "ExpectColumnValuesToBeOfType", {"column": check.columns[0], "type_": wanted}


def _present(check: Check) -> _Call:
    return "ExpectColumnValuesToNotBeNull", {"column": check.columns[0]}


def _filled(check: Check) -> _Call:
    return "ExpectColumnProportionOfNonNullValuesToBeBetween", {
        "column": check.columns[0],
        "min_value": 0,
        "strict_min": True,
    }


def _bounds(check: Check) -> _Call:
    return "ExpectColumnValuesToBeBetween", {
        "column": check.columns[0],
        "min_value": check.parameters.get("minimum"),
        "max_value": check.parameters.get("maximum"),
    }


def _allowed(check: Check) -> _Call:
    values = cast("tuple[str, ...]", check.parameters["values"])
    return "ExpectColumnValuesToBeInSet", {"column": check.columns[0], "value_set": list(values)}


def _pattern(check: Check) -> _Call:
    # Expectations match from the start of a text; a contract's pattern fits the whole of it.
    whole = rf"\A(?:{check.parameters['pattern']})\Z"
    return "ExpectColumnValuesToMatchRegex", {"column": check.columns[0], "regex": whole}


def _unique(check: Check) -> _Call:
    if len(check.columns) == 1:
        return "ExpectColumnValuesToBeUnique", {"column": check.columns[0]}
    return "ExpectCompoundColumnsToBeUnique", {"column_list": list(check.columns)}


def _order(check: Check) -> _Call:
    left, right = check.columns
    return "ExpectColumnPairValuesAToBeGreaterThanB", {
        "column_A": right,
        "column_B": left,
        "or_equal": True,
        "ignore_row_if": "either_value_is_missing",
    }


_NAMES_AND_ARGUMENTS: Mapping[Kind, Callable[[Check], _Call]] = {
    Kind.COLUMNS: _columns,
    Kind.ROWS: _rows,
    Kind.TYPE: _type,
    Kind.PRESENT: _present,
    Kind.FILLED: _filled,
    Kind.BOUNDS: _bounds,
    Kind.ALLOWED: _allowed,
    Kind.PATTERN: _pattern,
    Kind.UNIQUE: _unique,
    Kind.ORDER: _order,
}


def _to_pandas(frame: pl.DataFrame) -> pd.DataFrame:
    """Return the frame with numpy columns that keep type and holes apart."""
    floats = [name for name, dtype in frame.schema.items() if dtype.is_float()]
    instants = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Datetime)]
    plain = frame.with_columns(
        # pandas cannot tell "not a number" from missing. Infinity it can, and no bound lets it by.
        pl.col(floats).fill_nan(float("inf")),
        pl.col(instants).dt.replace_time_zone(None),
    )
    rows = plain.to_pandas()
    for name, dtype in plain.schema.items():
        masked = _MASKED_TYPES.get(dtype)
        if masked is not None and plain[name].null_count():
            rows[name] = pd.Series(plain[name].to_list(), dtype=masked)
    return rows


def _finding(
    check: Check, item: gx.ExpectationValidationResult, examples: tuple[str, ...]
) -> Finding:
    raised: Mapping[str, object] = item.exception_info or {}
    result: Mapping[str, object] = item.result or {}
    cause = None
    if raised.get("raised_exception"):
        cause = f"the check could not be carried out: {raised.get('exception_message')}"
    elif not item.success and check.kind in {Kind.COLUMNS, Kind.ROWS, Kind.TYPE}:
        cause = f"found {result.get('observed_value')}"
    return Finding(
        check=check,
        passed=bool(item.success),
        n_unexpected=int(cast("int", result.get("unexpected_count") or 0)),
        examples=examples,
        cause=cause,
    )


def _examples(
    frame: pl.DataFrame, contract: Contract, check: Check, result: Mapping[str, object]
) -> tuple[str, ...]:
    """Return key and checked values of the first broken rows, by their positions."""
    positions = cast("Sequence[int]", result.get("partial_unexpected_index_list") or ())
    names = list(dict.fromkeys((*check.columns, *contract.key)))
    rows = (frame.select(names).row(int(place), named=True) for place in positions[:MAX_EXAMPLES])
    return tuple(
        ", ".join(f"{name} = {_value_text(name, value)}" for name, value in row.items())
        for row in rows
    )


def _value_text(name: str, value: object) -> str:
    if value is None:
        return "missing"
    if isinstance(value, float) and not math.isfinite(value):
        return "not a finite number"
    if name == "h3_cell" and isinstance(value, int):
        return f"{value:x}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M UTC")
    return str(value)
