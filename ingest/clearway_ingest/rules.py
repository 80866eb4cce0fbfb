"""The rules of a contract on whole columns; the same verdicts as `broken_rules` on each record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from types import NoneType

import polars as pl

from clearway_core.contracts.field import BOUNDS, Contract, DataType, Field

_TYPES: Mapping[DataType, tuple[frozenset[type], pl.DataType]] = {
    DataType.STRING: (frozenset({str, NoneType}), pl.String()),
    DataType.DATE: (frozenset({str, NoneType}), pl.String()),
    DataType.BOOL: (frozenset({bool, NoneType}), pl.Boolean()),
    DataType.INT32: (frozenset({int, NoneType}), pl.Int64()),
    DataType.INT64: (frozenset({int, NoneType}), pl.Int64()),
    DataType.INSTANT: (frozenset({int, NoneType}), pl.Int64()),
    DataType.FLOAT64: (frozenset({int, float, NoneType}), pl.Float64()),
}
"""Python types as JSON gives them, and the Polars type that holds them while they are judged."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Columns in the types of the lake's wire fields, and what is wrong with which rows.

    Parameters
    ----------
    columns
        One series per field; null where the value cannot be held. Instants are int64 ms and dates
        are text until the broken rows are gone.
    broken
        Rule name and a mask of the rows that break it, in the order of the contract's fields.
        Rules that no row breaks are left out.
    """

    columns: Mapping[str, pl.Series]
    broken: Sequence[tuple[str, pl.Series]]

    def any_broken(self) -> pl.Series | None:
        """Return a mask of the rows that break some rule, or None if there are none."""
        masks = [mask for _, mask in self.broken]
        return reduce(or_, masks) if masks else None


def judge(contract: Contract, columns: Mapping[str, Sequence[object]]) -> Judged:
    """Return the typed columns of some records and the rules that they break.

    Parameters
    ----------
    contract
        What the records should be.
    columns
        Values as decoded from JSON, for each field of the contract.
    """
    typed: dict[str, pl.Series] = {}
    broken: list[tuple[str, pl.Series]] = []
    for field in contract.fields:
        typed[field.name], masks = _judge_field(field, columns[field.name])
        broken += [(f"{field.name}_{rule}", mask) for rule, mask in masks if mask.any()]
    return Judged(typed, broken)


def _judge_field(
    field: Field, values: Sequence[object]
) -> tuple[pl.Series, list[tuple[str, pl.Series]]]:
    masks: list[tuple[str, pl.Series]] = []
    plain, dtype = _TYPES[field.dtype]
    if not field.nullable:
        masks.append(("missing", pl.Series([v is None for v in values], dtype=pl.Boolean)))
    if not set(map(type, values)) <= plain:
        wrong = [type(value) not in plain for value in values]
        masks.append(("type", pl.Series(wrong, dtype=pl.Boolean)))
        values = [v if type(v) in plain else None for v in values]
    series = _series(field.name, values, dtype)
    if series is None:  # whole numbers that no column can hold
        low, high = BOUNDS[DataType.INT64]
        unfit = [isinstance(v, int) and not low <= v <= high for v in values]
        masks.append(("range", pl.Series(unfit, dtype=pl.Boolean)))
        values = [None if out else v for v, out in zip(values, unfit, strict=True)]
        series = pl.Series(field.name, values, dtype=dtype)
    judge_value = _judge_text if dtype == pl.String() else _judge_number
    return series, masks + judge_value(field, series)


def _series(name: str, values: Sequence[object], dtype: pl.DataType) -> pl.Series | None:
    if dtype != pl.Int64():
        return pl.Series(name, values, dtype=dtype, strict=False)
    try:
        return pl.Series(name, values, dtype=dtype, strict=True)
    except (TypeError, OverflowError):
        return None


def _judge_text(field: Field, series: pl.Series) -> list[tuple[str, pl.Series]]:
    masks: list[tuple[str, pl.Series]] = []
    fine = pl.Series([True]).new_from_index(0, len(series))
    if field.allowed:
        fine = series.is_in(list(field.allowed)).fill_null(value=True)
        masks.append(("allowed", ~fine))
    if field.pattern is not None:
        matches = series.str.contains(f"^(?:{field.pattern})$").fill_null(value=True)
        masks.append(("pattern", ~matches & fine))
        fine &= matches
    if field.dtype is DataType.DATE:
        day = series.str.to_date("%Y-%m-%d", strict=False)
        real = (day.dt.year() >= 1).fill_null(value=False) | series.is_null()
        masks.append(("range", ~real & fine))
    return masks


def _judge_number(field: Field, series: pl.Series) -> list[tuple[str, pl.Series]]:
    if field.dtype is DataType.BOOL:
        return []
    low, high = BOUNDS[field.dtype]
    low = low if field.minimum is None else max(low, field.minimum)
    high = high if field.maximum is None else min(high, field.maximum)
    # Polars takes NaN for the largest number, so that it is outside as well.
    within = series.is_between(low, high).fill_null(value=True)
    return [("range", ~within)]
