"""Rows that tell of single vehicles are deleted for good when their time is over; sums stay."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from clearway_core.clock import Clock, SystemClock
from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.errors import UsageError
from clearway_core.lake import Lake, Table
from clearway_core.lake_upkeep import delete_days_but, delete_received_before, sweep
from clearway_ingest.sink import TABLES

log = logging.getLogger(__name__)

KEEP_DAYS = 30
"""Raw traces are needed to count vehicles anew when late readings come, and for nothing after
[d]."""

LEAST_DAYS = 2
"""A day can be built as long as the day before it is there [d]."""

EXPIRING = tuple(name for name, contract in LAKE_CONTRACTS.items() if contract.expires)
"""Tables whose rows expire."""

SWEPT = tuple(dict.fromkeys((*EXPIRING, *TABLES, "ingest_commits", "books")))
"""Those, and the tables that get a small file every 5 s, which is joined and lies there once more.
Nobody reads their old versions. A vacuum makes a version of its own, so that tables which pass the
quality gate version by version are left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionAccount:
    """What has been deleted.

    Parameters
    ----------
    before
        What was received earlier is gone. UTC.
    rows
        Rows deleted by table.
    files
        Files removed by table: those of rows deleted or joined at least a day ago, and what killed
        processes left behind.
    """

    before: datetime
    rows: Mapping[str, int]
    files: Mapping[str, int]


def expire(
    lake: Lake, *, keep_days: int = KEEP_DAYS, clock: Clock | None = None
) -> RetentionAccount:
    """Delete rows of single vehicles so many days after they were received, and their files.

    Parameters
    ----------
    lake
        The lake.
    keep_days
        Whole days that such rows live, at least 2. [d]
    clock
        Left out, that of the machine.

    Raises
    ------
    UsageError
        If fewer days are asked for than a build needs.
    TableConflict
        If another process changed a table meanwhile: run it again.

    Notes
    -----
    What each vehicle drove on a day goes when no raw fix of the day is left. Age counts from
    reception, so that recordings of old days live as long as others.

    Deleted rows can be read from older versions of a table until their files are removed, which
    the first run a day later does.
    """
    if keep_days < LEAST_DAYS:
        message = f"a build needs raw rows of {LEAST_DAYS} days, got {keep_days}: keep more"
        raise UsageError(message)
    now = (clock or SystemClock()).now()
    before = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=keep_days)
    rows, files = {}, {}
    for name in sorted(EXPIRING, key=lambda name: LAKE_CONTRACTS[name].expires_with or ""):
        table = lake.table(name)
        rows[name] = _deleted(lake, table, before)
    for name in SWEPT:
        files[name] = sweep(lake.table(name))
        log.info("swept", extra={"table": name, "files": files[name], "rows": rows.get(name, 0)})
    return RetentionAccount(before=before, rows=rows, files=files)


def _deleted(lake: Lake, table: Table, before: datetime) -> int:
    source = table.contract.expires_with
    if source is None:
        return delete_received_before(table, before)
    raw = lake.table(source).partition_values()
    return delete_days_but(table, raw["observed_date"].unique().to_list())
