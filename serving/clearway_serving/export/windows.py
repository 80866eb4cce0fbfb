"""Which window of time an export holds, and how that is told."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import polars as pl

from clearway_core.contracts.field import Contract
from clearway_core.errors import InsufficientData, UsageError
from clearway_serving.export.request import ExportRequest

_WINDOW_STARTS = ("window_start", "hour_start")
"""Columns with the start of a row's window."""


def start_column(contract: Contract) -> str | None:
    """Return the column with the start of a row's window; None where rows have none."""
    return next((name for name in _WINDOW_STARTS if name in contract.columns), None)


def window_written(
    rows: pl.DataFrame, contract: Contract, request: ExportRequest, zone: ZoneInfo, notes: list[str]
) -> datetime | None:
    """Return the start of the one window that the rows are of; None where there are several.

    A map shows one window; which one nobody asked for is noted.
    """
    column = start_column(contract)
    if column is None or rows.is_empty():
        return None
    if request.at is None and request.file_format != "geojson":
        return None
    start: datetime = rows[column].to_list()[0]
    if request.at is None:
        local = start.astimezone(zone)
        notes.append(
            f"only the newest window, from {local:%Y-%m-%d %H:%M} ({zone.key}), since a map shows "
            f"one; --at chooses another, such as --at {local:%Y-%m-%dT%H:%M}, and --format parquet "
            "or csv takes them all"
        )
    return start


def nothing_at(at: str, starts: pl.Series, zone: ZoneInfo) -> InsufficientData:
    """Return the error for an instant of which the table holds nothing."""
    held: list[datetime] = starts.unique().sort().to_list()
    ends = [f"{start.astimezone(zone):%Y-%m-%d %H:%M}" for start in (*held[:1], *held[-1:])]
    span = " to ".join(ends) or "no time at all"
    return InsufficientData(
        f"no window holds --at {at}: the table has windows from {span} ({zone.key})"
    )


def instant(text: str, zone: ZoneInfo) -> datetime:
    """Return the instant that ``--at`` names, in UTC; without an offset it is the city's time.

    Raises
    ------
    UsageError
        If the text is no ISO 8601 instant.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        message = f"--at is ISO 8601 such as 2026-01-15T08:00 or 2026-01-15T01:00Z, got {text!r}"
        raise UsageError(message) from None
    return (found if found.tzinfo is not None else found.replace(tzinfo=zone)).astimezone(UTC)
