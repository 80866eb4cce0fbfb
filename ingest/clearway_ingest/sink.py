"""Writing to the lake: every table with its own offsets, so that it skips what it has.

A crash between two commits leaves some tables ahead of ``ingest_commits``. The messages in between
are read again, and each table skips those that its own commit already covers.
"""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Mapping

import polars as pl

from clearway_core.clock import Clock, SystemClock
from clearway_core.errors import TableConflict
from clearway_core.lake import Lake, Table
from clearway_core.stream.log import TopicPartition
from clearway_ingest.offsets import app_id

log = logging.getLogger(__name__)

TABLES = (
    "received_ranges",
    "gps_pings",
    "air_readings",
    "quarantine",
    "dead_letters",
    "gateway_health",
    "gateway_books",
)
"""In the order of writing; ``ingest_commits`` follows last."""

_ATTEMPTS = 12
"""Other shares commit to the same tables: with 12 tries of doubling waits up to 1 s, a process
gives up after some 7 s of never being first. Each commit takes some 10-50 ms."""

_LONGEST_WAIT_S = 1.0


class Sink:
    """The tables that ingest writes, and what each has committed of each partition.

    Parameters
    ----------
    lake
        Where they are.
    log_id
        Identity of the log that the offsets belong to.
    committed
        Where each partition continues: what ``ingest_commits`` must still hold when it is written.
    clock
        What waits between two attempts.
    """

    def __init__(
        self,
        lake: Lake,
        log_id: str,
        committed: Mapping[TopicPartition, int],
        *,
        clock: Clock | None = None,
    ) -> None:
        self._tables = {name: lake.table(name) for name in (*TABLES, "ingest_commits")}
        self._log_id = log_id
        self._clock = clock or SystemClock()
        self._held: dict[tuple[str, TopicPartition], int | None] = {
            ("ingest_commits", where): offset for where, offset in committed.items()
        }
        self._jitter = random.Random()  # noqa: S311 -- spreads retries, protects nothing

    def table(self, name: str) -> Table:
        """Return the handle that this sink writes through."""
        return self._tables[name]

    def held(self, name: str, where: TopicPartition) -> int:
        """Return the next offset that a table lacks of a partition; 0 if it has nothing of it."""
        key = (name, where)
        if key not in self._held:
            version = self._tables[name].transaction_version(app_id(self._log_id, where))
            self._held[key] = version
        return self._held[key] or 0

    def write(self, name: str, rows: pl.DataFrame, ends: Mapping[TopicPartition, int]) -> None:
        """Add the rows that the table does not have yet.

        Parameters
        ----------
        name
            Table.
        rows
            Rows with the place of their message in the log.
        ends
            Offset after the last message of each partition that the rows were made from.

        Raises
        ------
        OffsetRegression
            If another process has committed the same partitions.
        TableConflict
            If other processes were always first, or the table is of a newer version.
        """
        behind = {where: end for where, end in ends.items() if end > self.held(name, where)}
        missing = [
            (pl.col("topic") == where.topic)
            & (pl.col("log_partition") == where.partition)
            & (pl.col("log_offset") >= self.held(name, where))
            for where in behind
        ]
        if not missing:
            return
        rows = rows.filter(pl.any_horizontal(missing))
        if not rows.is_empty():
            self._commit(name, rows, behind)

    def finish(self, rows: pl.DataFrame, ends: Mapping[TopicPartition, int]) -> None:
        """Write ``ingest_commits``: from here on the messages will not be read again.

        Raises
        ------
        OffsetRegression
            If another process has committed the same partitions.
        TableConflict
            If other processes were always first.
        """
        for where in ends:
            self._held.setdefault(("ingest_commits", where), None)
        self._settle()
        self._commit("ingest_commits", rows, ends)

    def _settle(self) -> None:
        """Have the rows on the disk before the offsets, or a power cut could keep only these.

        Delta Lake leaves that to the system, which writes files in any order. An object store has
        what it has confirmed.
        """
        if self._tables["ingest_commits"].is_local:
            os.sync()

    def _commit(self, name: str, rows: pl.DataFrame, ends: Mapping[TopicPartition, int]) -> None:
        ids = {where: app_id(self._log_id, where) for where in ends}
        transactions = {ids[where]: end for where, end in ends.items()}
        believed = {ids[where]: self._held[name, where] for where in ends}
        for attempt in range(_ATTEMPTS):
            try:
                self._tables[name].append(rows, transactions=transactions, committed=believed)
                break
            except TableConflict:
                # Nothing was written. If it was another share, the next attempt finds our own
                # offsets unchanged; if it was a twin, `committed` no longer holds and it stops.
                if attempt == _ATTEMPTS - 1:
                    raise
                log.info("commit_retried", extra={"table": name, "attempt": attempt + 1})
                self._clock.sleep(
                    min(_LONGEST_WAIT_S, 0.01 * 2**attempt) * self._jitter.uniform(0.5, 1.5)
                )
        self._held.update({(name, where): end for where, end in ends.items()})
        log.debug("batch_committed", extra={"table": name, "rows": len(rows)})
