"""Conditions on rows and partitions of the lake, as Delta and as Polars want them."""

from __future__ import annotations

from datetime import date

import polars as pl

from clearway_core.contracts.field import DataType, Field
from clearway_core.errors import ContractViolation


def sql_literal(value: object) -> str:
    """Return a plain value as the text of a Delta predicate.

    Raises
    ------
    ContractViolation
        If the value is not a whole number, a date, or a text without quotes.
    """
    if isinstance(value, bool) or not isinstance(value, int | str | date):
        message = f"a partition value must be a whole number, text or date, got {value!r}"
        raise ContractViolation(message)
    if isinstance(value, int):
        return str(value)
    text = str(value)
    if "'" in text:
        message = f"a partition value must not hold a quote, got {value!r}"
        raise ContractViolation(message)
    return f"'{text}'"


def partition_text(value: object) -> str | list[str]:
    """Return a value, or each of several, as Delta names partitions."""
    if isinstance(value, list | tuple):
        return [str(item) for item in value]
    return str(value)


def condition(field: Field, operator: str, value: object) -> pl.Expr:
    """Return the condition that a column stands in a relation to a value.

    Parameters
    ----------
    field
        The column.
    operator
        ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=`` or ``in``.
    value
        One value, or several for ``in``; a date may be text.
    """
    column = pl.col(field.name)
    if operator == "in" and isinstance(value, list | tuple):
        return column.is_in([_typed(field, item) for item in value])
    wanted = _typed(field, value)
    conditions = {
        "=": column.eq(wanted),
        "!=": column.ne(wanted),
        "<": column.lt(wanted),
        "<=": column.le(wanted),
        ">": column.gt(wanted),
        ">=": column.ge(wanted),
    }
    return conditions[operator]


def _typed(field: Field, value: object) -> object:
    """Return a date for the text of a date, which Polars would not compare with one."""
    if field.dtype is DataType.DATE and isinstance(value, str):
        return date.fromisoformat(value)
    return value
