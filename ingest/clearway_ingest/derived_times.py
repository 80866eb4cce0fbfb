"""When readings were taken whose gateway had no clock to believe at the time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import polars as pl

from clearway_core.contracts.field import Contract, broken_rule

MONOTONIC = "monotonic_ms"
RAW = "raw_observed_at"
FLAG = "clock_derived"
RULE = "observed_at_unsynchronised"
"""Broken by a reading that has monotonic time and no base for it: nobody knows when it was."""

UNKNOWN = "unknown"

_BASE = re.compile(r"-?\d{1,16}", re.ASCII)

Columns = Mapping[str, Sequence[object]]


def base_of(header: str) -> int | None:
    """Return the base that a message's clock header gives, None for ``unknown`` [ms].

    Raises
    ------
    ValueError
        If it is neither a whole number of milliseconds nor ``unknown``.
    """
    text = header.strip()
    if text == UNKNOWN:
        return None
    if _BASE.fullmatch(text) is None:
        message = f"expected milliseconds or {UNKNOWN}, got {text[:40]!r}"
        raise ValueError(message)
    return int(text)


def derived(contract: Contract, columns: Columns, base_ms: int | None) -> Columns:
    """Return the columns with the instants that monotonic times and their base give.

    Only readings with ``monotonic_ms`` are touched: ``observed_at`` is their monotonic time plus
    the base, what came stays in ``raw_observed_at``, and the flag `FLAG` is added. A reading whose
    times break the contract is left for the rules to judge. The same message always gives the same
    rows.

    Parameters
    ----------
    contract
        What the records are.
    columns
        Values as they came.
    base_ms
        Wall time minus monotonic time in the gateway's start [ms]; None: not known.
    """
    monotonic = columns.get(MONOTONIC)
    wall = columns.get("observed_at")
    if base_ms is None or monotonic is None or wall is None:
        return columns
    wall_field, monotonic_field = contract.field("observed_at"), contract.field(MONOTONIC)
    observed = list(wall)
    raw: list[object] = [None] * len(observed)
    flags = list(columns.get("flags") or [None] * len(observed))
    for row, (told, since) in enumerate(zip(wall, monotonic, strict=True)):
        if not isinstance(told, int) or not isinstance(since, int):
            continue
        if broken_rule(wall_field, told) or broken_rule(monotonic_field, since):
            continue
        observed[row] = since + base_ms
        raw[row] = told
        before = flags[row]
        if before is None or isinstance(before, str):
            flags[row] = f"{before} {FLAG}" if before else FLAG
    return {**columns, "observed_at": observed, "flags": flags, RAW: raw}


def undated(monotonic: pl.Series, raw: pl.Series) -> tuple[str, pl.Series] | None:
    """Return the rule and the rows that break it, or None if none does.

    Parameters
    ----------
    monotonic
        ``monotonic_ms`` of the rows.
    raw
        ``raw_observed_at`` of the rows: there where an instant could be derived.
    """
    broken = monotonic.is_not_null() & raw.is_null()
    return (RULE, broken) if broken.any() else None
