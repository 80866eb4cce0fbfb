"""What a column is: name, type, unit, bounds and meaning."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class DataType(StrEnum):
    """The types that every part of the chain can carry without loss."""

    STRING = "string"
    BINARY = "binary"
    BOOL = "bool"
    INT32 = "int32"
    INT64 = "int64"
    UINT64 = "uint64"
    """An H3 cell. Delta Lake stores it as int64; `clearway_core.lake` turns it back."""
    FLOAT64 = "float64"
    INSTANT = "instant"
    """A moment in UTC: int64 milliseconds since 1970 on the wire, microseconds in the lake."""
    DATE = "date"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One column of a record or table.

    Parameters
    ----------
    name
        Field word with its unit, such as ``speed_kmh``.
    dtype
        Type on the wire and in the lake.
    description
        One sentence for the data dictionary.
    unit
        Unit symbol, or ``"1"`` for a count, ratio, flag or name.
    nullable
        Whether the value may be missing. A key is never nullable.
    minimum, maximum
        Inclusive physical bounds; a value outside is quarantined. [unit]
    allowed
        The only values a string may take.
    pattern
        Regular expression that the whole string matches.
    """

    name: str
    dtype: DataType
    description: str
    unit: str = "1"
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()
    pattern: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A condition over several columns that a published row must meet.

    ``left <= right`` wherever both are known. More would need a language; this covers what
    intervals, shares and counts need.
    """

    name: str
    left: str
    right: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """A record on the wire or a table in the lake.

    Parameters
    ----------
    name, version
        ``gps_ping`` and ``1`` make the identifier ``gps_ping/1``.
    key
        Columns that are unique together; empty for an append-only journal.
    partition_by
        Lake only: columns that lay out the folders.
    published
        Whether rows of this table leave the house; the quality gate stands before those.
    expires_by
        Lake only: instant by whose age rows that may tell of single vehicles are deleted; None
        where they are not.
    expires_with
        Lake only: raw table whose days these rows are made of; they go when it no longer holds a
        day. Then the first partition column that is a date is that day.
    """

    name: str
    version: int
    description: str
    fields: tuple[Field, ...]
    key: tuple[str, ...] = ()
    partition_by: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    published: bool = False
    expires_by: str | None = None
    expires_with: str | None = None

    def __post_init__(self) -> None:
        names = [field.name for field in self.fields]
        compared = [side for rule in self.rules for side in (rule.left, rule.right)]
        unknown = [
            column
            for column in (*self.key, *self.partition_by, *compared, self.expires_by or names[0])
            if column not in names
        ]
        if len(set(names)) != len(names) or unknown:
            message = f"{self.identifier}: doubled or unknown columns {unknown or names}"
            raise ValueError(message)

    @property
    def expires(self) -> bool:
        """Whether rows may tell of single vehicles, and go when their time is over."""
        return self.expires_by is not None or self.expires_with is not None

    @property
    def identifier(self) -> str:
        """Name and version, as written into headers and table properties."""
        return f"{self.name}/{self.version}"

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names in their order."""
        return tuple(field.name for field in self.fields)

    def field(self, name: str) -> Field:
        """Return the field of that name.

        Raises
        ------
        KeyError
            If the contract has no such field.
        """
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)


def broken_rule(field: Field, value: object) -> str | None:
    """Return the name of the first rule that a wire value breaks, or None if it is fine.

    Parameters
    ----------
    field
        What the value should be.
    value
        A value as decoded from JSON; None is a missing value.

    Returns
    -------
    str or None
        ``"<field>_missing"``, ``_type``, ``_range``, ``_allowed`` or ``_pattern``.
    """
    if value is None:
        return None if field.nullable else f"{field.name}_missing"
    if not _has_type(field.dtype, value):
        return f"{field.name}_type"
    if isinstance(value, str):
        broken = _broken_text(field, value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        broken = None if _is_within(field, value) else "range"
    else:
        broken = None
    return None if broken is None else f"{field.name}_{broken}"


def broken_rules(contract: Contract, record: Mapping[str, object]) -> list[str]:
    """Return every field rule that a wire record breaks, unknown fields included."""
    broken = [
        rule
        for field in contract.fields
        if (rule := broken_rule(field, record.get(field.name))) is not None
    ]
    known = set(contract.columns)
    return broken + [f"{name}_unknown" for name in record if name not in known]


_PYTHON_TYPES: Mapping[DataType, tuple[type, ...]] = {
    DataType.STRING: (str,),
    DataType.BINARY: (bytes,),
    DataType.BOOL: (bool,),
    DataType.INT32: (int,),
    DataType.INT64: (int,),
    DataType.UINT64: (int,),
    DataType.FLOAT64: (int, float),
    DataType.INSTANT: (int,),
    DataType.DATE: (str,),
}


BOUNDS: Mapping[DataType, tuple[float, float]] = {
    DataType.INT32: (-(2**31), 2**31 - 1),
    DataType.INT64: (-(2**63), 2**63 - 1),
    DataType.UINT64: (0, 2**64 - 1),
    DataType.INSTANT: (-(2**63), 2**63 - 1),
    DataType.FLOAT64: (-sys.float_info.max, sys.float_info.max),
}
"""The least and the largest number of each type."""


def _broken_text(field: Field, value: str) -> str | None:
    if field.allowed and value not in field.allowed:
        return "allowed"
    if field.pattern is not None and re.fullmatch(field.pattern, value) is None:
        return "pattern"
    return "range" if field.dtype is DataType.DATE and not _is_date(value) else None


def _is_within(field: Field, value: float) -> bool:
    """Return whether the value is within the bounds of its field and of its type."""
    low, high = BOUNDS[field.dtype]
    low_ok = low <= value and (field.minimum is None or value >= field.minimum)
    high_ok = value <= high and (field.maximum is None or value <= field.maximum)
    return low_ok and high_ok


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _has_type(dtype: DataType, value: object) -> bool:
    if isinstance(value, bool):
        return dtype is DataType.BOOL
    return isinstance(value, _PYTHON_TYPES[dtype])
