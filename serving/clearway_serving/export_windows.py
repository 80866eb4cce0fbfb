"""Which window of time an export holds, and how that is told."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import polars as pl

from clearway_core.contracts.field import Contract
from clearway_core.errors import UsageError

_WINDOW_STARTS = ("window_start", "hour_start")
"""Columns with the start of a row's window."""


def start_column(contract: Contract) -> str | None:
    """Return the column with the start of a row's window; None where rows have none."""
    return next((name for name in _WINDOW_STARTS if name in contract.columns), None)


def window_written(rows: pl.DataFrame, contract: Contract) -> datetime | None:
    """Return the start of the one window that the rows are of; None without rows or windows."""
    column = start_column(contract)
    if column is None or rows.is_empty():
        return None
    starts: list[datetime] = rows[column].head(1).to_list()
    return starts[0]


def newest_only(start: datetime, zone: ZoneInfo) -> str:
    """Return the note on a file that holds the newest window because no other was asked for."""
    local = start.astimezone(zone)
    return (
        f"only the newest window, from {local:%Y-%m-%d %H:%M} ({zone.key}), since a map shows one; "
        f"--at chooses another, such as --at {local:%Y-%m-%dT%H:%M}, and --format parquet or csv "
        "takes them all"
    )


def iso(instant: datetime) -> str:
    """Return an instant as ISO 8601 text in UTC."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


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
