"""What keeps tables quick to open, and deletes for good what has expired."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import date, datetime, timedelta

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError

from clearway_core.contracts.field import DataType
from clearway_core.errors import TableConflict
from clearway_core.lake import KEEPS_LOG, Table
from clearway_core.lake_conditions import sql_literal

log = logging.getLogger(__name__)

UNUSED_FOR = timedelta(hours=24)
"""Files that left a table stay this long for whoever is still reading them. A day: no query of ours
runs longer, and expiry runs daily."""

LOG_KEPT_FOR = timedelta(hours=12)
"""How much of the log `sweep` leaves in a folder, where each commit looks at the names of all that
came before: 8,640 at one every 5 s. A build that paused longer builds all days again. An object
store is asked for the newest names only and keeps Delta's usual 30 days."""

_LOG_KEPT_FOR = "delta.logRetentionDuration"

_INSTANT = 'Timestamp(Microsecond, Some("UTC"))'
"""Delta compares instants only with literals of their own type."""


def most_files(table: Table) -> int:
    """Return the number of files in the partition that has most; 0 if there is no table."""
    files = table.files()
    names = table.contract.partition_by
    per_partition = files.group_by(names).len()["len"].to_list() if names else [files.height]
    return max(per_partition, default=0)


def compact(table: Table) -> None:
    """Join small files and write a checkpoint; contents and transactions stay.

    Raises
    ------
    TableConflict
        If another process rewrote the same files meanwhile; the table is whole, as it was.
    """
    delta = table.handle()
    if delta is None:
        return
    try:
        delta.optimize.compact(post_commithook_properties=KEEPS_LOG)
        delta.create_checkpoint()
    except DeltaError as error:
        message = (
            f"{table.contract.name}: another process rewrote the same files ({error}); nothing "
            "is lost, the next compaction will do it"
        )
        raise TableConflict(message) from error


def compact_if_crowded(table: Table, *, many: int) -> bool:
    """Join small files where a partition has many; return whether that was done.

    A conflict with another process is left for the next time: the table stays as it was.
    """
    if most_files(table) < many:
        return False
    try:
        compact(table)
    except TableConflict:
        log.info("compaction_left", extra={"table": table.contract.name})
        return False
    log.info("table_compacted", extra={"table": table.contract.name})
    return True


def delete_received_before(table: Table, moment: datetime) -> int:
    """Delete the rows whose instant, by the contract's ``expires_by``, lies before a moment.

    Parameters
    ----------
    table
        One whose contract has ``expires_by``.
    moment
        UTC.

    Returns
    -------
    int
        Rows deleted. Their files are removed by `sweep`.

    Raises
    ------
    TableConflict
        If someone else changed the table meanwhile; nothing was deleted.
    """
    column = str(table.contract.expires_by)
    literal = f"arrow_cast('{moment:%Y-%m-%dT%H:%M:%S}Z', '{_INSTANT}')"
    return _delete(table, table.scan().filter(pl.col(column) < moment), f"{column} < {literal}")


def delete_days_but(table: Table, days: Sequence[date]) -> int:
    """Delete the rows of all days but these; the first partition column that is a date says which.

    Returns
    -------
    int
        Rows deleted. Their files are removed by `sweep`.

    Raises
    ------
    TableConflict
        If someone else changed the table meanwhile; nothing was deleted.
    """
    column = next(
        name
        for name in table.contract.partition_by
        if table.contract.field(name).dtype is DataType.DATE
    )
    held = table.partition_values()[column].unique()
    gone = sorted(day for day in held.to_list() if day not in set(days))
    if not gone:
        return 0
    named = ", ".join(sql_literal(day) for day in gone)
    return _delete(table, table.scan([(column, "in", gone)]), f"{column} IN ({named})")


def _delete(table: Table, rows: pl.LazyFrame, predicate: str) -> int:
    delta = table.handle()
    n_rows = int(rows.select(pl.len()).collect().item())
    if delta is None or not n_rows:
        return 0
    try:
        delta.delete(predicate, post_commithook_properties=KEEPS_LOG)
    except CommitFailedError as error:
        message = (
            f"{table.contract.name}: another process changed the table during the deletion "
            f"({error}); nothing of it was deleted. Run the command again."
        )
        raise TableConflict(message) from error
    delta.create_checkpoint()
    return n_rows


def sweep(table: Table) -> int:
    """Remove files that have been out of the table for `UNUSED_FOR`, and the log of old versions.

    Files that a killed process left behind without ever adding them go as well.

    Returns
    -------
    int
        Files removed.
    """
    delta = table.handle()
    if delta is None:
        return 0
    removed = delta.vacuum(
        retention_hours=round(UNUSED_FOR / timedelta(hours=1)),
        dry_run=False,
        enforce_retention_duration=False,
        full=True,
        post_commithook_properties=KEEPS_LOG,
    )
    _forget_old_versions(table, delta)
    return len(removed)


def _forget_old_versions(table: Table, delta: DeltaTable) -> None:
    wanted = f"interval {LOG_KEPT_FOR // timedelta(hours=1)} hours"
    if table.is_local and delta.metadata().configuration.get(_LOG_KEPT_FOR) != wanted:
        delta.alter.set_table_properties(
            {_LOG_KEPT_FOR: wanted}, post_commithook_properties=KEEPS_LOG
        )
    delta.create_checkpoint()
    delta.cleanup_metadata()
