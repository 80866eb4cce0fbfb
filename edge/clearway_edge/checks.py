"""Checks on values: they add a flag and never change what was measured.

Corrections belong into the lake, where they can be done again; what breaks its contract travels
on and ends in ingest's quarantine, counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from clearway_core.contracts.field import Contract, DataType, Field, broken_rule

_NUMBERS = frozenset({DataType.FLOAT64, DataType.INSTANT, DataType.INT64, DataType.INT32})


@dataclass(frozen=True, slots=True)
class Flags:
    """Flags of a chunk's rows, by row; most rows have none."""

    by_row: dict[int, list[str]] = field(default_factory=dict)

    def add(self, row: int, flag: str) -> None:
        """Set a flag on a row."""
        self.by_row.setdefault(row, []).append(flag)

    def column(self, n_rows: int) -> list[str | None]:
        """Return the ``flags`` column: names separated by a space, None without any."""
        values: list[str | None] = [None] * n_rows
        for row, names in self.by_row.items():
            values[row] = " ".join(dict.fromkeys(names))
        return values


def check_ranges(contract: Contract, columns: Mapping[str, Sequence[object]], flags: Flags) -> None:
    """Flag every number outside of its contract's physical bounds as ``<field>_range``.

    Parameters
    ----------
    contract
        Whose bounds count.
    columns
        Wire values; None is a missing value.
    flags
        Takes what is found.
    """
    for fact in contract.fields:
        values = columns.get(fact.name)
        if values is None or fact.dtype not in _NUMBERS or _all_within(fact, values):
            continue
        for row, value in enumerate(values):
            rule = broken_rule(fact, value)
            if rule is not None and rule.endswith("_range"):
                flags.add(row, rule)


def _all_within(fact: Field, values: Sequence[object]) -> bool:
    # Most columns are fine, and min and max over a list cost next to nothing.
    numbers = cast("list[float]", [value for value in values if value is not None])
    if not numbers:
        return True
    low_ok = fact.minimum is None or min(numbers) >= fact.minimum
    return low_ok and (fact.maximum is None or max(numbers) <= fact.maximum)
