"""What ingest does, as plain functions that the command line, the DAGs and the tests call alike."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType

from clearway_core.clock import Clock, SystemClock
from clearway_core.errors import MessagesLost, SourceUnavailable
from clearway_core.lake import Lake
from clearway_core.progress import Progress, silent
from clearway_core.stream.log import Log, StoredMessage, TopicPartition
from clearway_ingest.consumer import Consumer, Lost
from clearway_ingest.flush import Flush
from clearway_ingest.intake import Intake
from clearway_ingest.offsets import committed_offsets, committed_ranges
from clearway_ingest.ranges import Received
from clearway_ingest.receipts import Receipts
from clearway_ingest.share import WHOLE, Share
from clearway_ingest.sink import Sink
from clearway_ingest.upkeep import CHECK_EVERY_COMMITS, compact_tables

log_ = logging.getLogger(__name__)

READ_TIMEOUT_S = 1.0
_LOOK_FOR_PARTITIONS_EVERY_S = 10.0
_SHORTEST_WAIT_S = 1.0
_LONGEST_WAIT_S = 30.0
"""A log that comes back is found within half a minute."""

_STOP_ASKED_EVERY_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """When what was read is written, and what to do about messages that expired unread.

    Parameters
    ----------
    rows
        At this many records; 200,000 GPS fixes take about 150 MB while they are turned.
    payload_bytes
        At this size of messages, decoded or not. [B]
    latency_s
        After this time, however few they are. [s]
    lost
        Whether to stop when messages expired in the log before they were read, or to go on.
    """

    rows: int = 200_000
    payload_bytes: int = 32 * 1024 * 1024
    latency_s: float = 5.0
    lost: Lost = Lost.STOP


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestAccount:
    """What became of everything that a run has read.

    ``read`` equals stored + quarantined + duplicates, exactly; messages that are not records are
    counted apart, as dead letters.

    Parameters
    ----------
    messages
        Messages read.
    read
        Records in them.
    stored
        Records by table.
    quarantined
        Records by the first rule that they broke.
    dead_letters
        Messages by the cause why they are not records.
    duplicates
        Records that had arrived before.
    lost
        Messages that expired in the log before they were read (only with leave to go on).
    receipts_not_sent
        Receipts for gateways that the log did not take; no reading is touched by it.
    """

    messages: int = 0
    read: int = 0
    stored: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    quarantined: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    dead_letters: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    duplicates: int = 0
    lost: int = 0
    receipts_not_sent: int = 0

    def is_closed(self) -> bool:
        """Return whether every record read is accounted for."""
        found = sum(self.stored.values()) + sum(self.quarantined.values()) + self.duplicates
        return self.read == found


def never() -> bool:
    """Return that nobody wants to stop."""
    return False


def ingest(  # noqa: PLR0913 -- the first five are what every stage's jobs take
    lake: Lake,
    log: Log,
    *,
    share: Share = WHOLE,
    until_idle: bool = True,
    progress: Progress = silent,
    settings: Settings | None = None,
    stop: Callable[[], bool] = never,
    clock: Clock | None = None,
) -> IngestAccount:
    """Read the log and write the lake; a repeat after any crash neither loses nor doubles a record.

    Parameters
    ----------
    lake
        Where to write.
    log
        Where to read.
    share
        Which part of the partitions.
    until_idle
        End at the end offsets found at the start; otherwise go on until `stop` says so.
    progress
        Told about messages.
    settings
        When to write, and what to do about messages that expired unread.
    stop
        Asked between messages; what was read is written before the end.
    clock
        Times the commits, and tells when one is due.

    Returns
    -------
    IngestAccount
        What became of everything.

    Raises
    ------
    MessagesLost
        If the log no longer holds what was never read.
    SourceUnavailable
        If the log cannot be reached; without `until_idle` only at the start.
    OffsetRegression
        If another process ingests the same partitions.
    TableConflict
        If the lake was written by a newer version.
    """
    settings, clock = settings or Settings(), clock or SystemClock()
    log_id = log.identity()
    committed = committed_offsets(lake, log_id)
    sink = Sink(lake, log_id, committed, clock=clock)
    run = _Run(
        Consumer(log, share, committed=committed, lost=settings.lost, clock=clock),
        Intake(Received(committed_ranges(lake)), log_id),
        sink,
        receipts=Receipts(log, clock=clock),
        settings=settings,
        clock=clock,
    )
    run.go(until_idle=until_idle, stop=stop, progress=progress)
    compact_tables(sink)
    return run.account()


class _Run:
    """The loop: read, take, write when it is time."""

    def __init__(
        self,
        consumer: Consumer,
        intake: Intake,
        sink: Sink,
        *,
        receipts: Receipts,
        settings: Settings,
        clock: Clock,
    ) -> None:
        self._consumer = consumer
        self._intake = intake
        self._sink = sink
        self._flush = Flush(sink, clock=clock)
        self._receipts = receipts
        self._settings = settings
        self._clock = clock
        self._n_commits = 0
        self._messages = 0
        self._read = 0
        self._duplicates = 0
        self._stored: Counter[str] = Counter()
        self._quarantined: Counter[str] = Counter()
        self._dead: Counter[str] = Counter()
        self._waiting_since_s: float | None = None

    def go(self, *, until_idle: bool, stop: Callable[[], bool], progress: Progress) -> None:
        """Read and write until the end found at the start, or until told to stop."""
        ends = self._consumer.assign()
        total = self._remaining(ends) if until_idle else None
        log_.info("ingest_started", extra={"partitions": len(ends), "messages": total})
        tell = partial(progress, total=total, note="messages read")
        if until_idle:
            while self._remaining(ends) > 0 and not stop():
                self._step(ends, tell)
        else:
            self._go_on(stop, tell)
        self._write()
        log_.info("ingest_stopped", extra={"messages": self._messages, "records": self._read})

    def _go_on(self, stop: Callable[[], bool], tell: Callable[[int], None]) -> None:
        """Read on and on; a log that cannot be reached is waited for, since gateways wait too."""
        looked_at_s = self._clock.monotonic_s()
        wait_s = _SHORTEST_WAIT_S
        while not stop():
            try:
                self._step(None, tell)
                if self._clock.monotonic_s() - looked_at_s > _LOOK_FOR_PARTITIONS_EVERY_S:
                    self._consumer.assign()
                    looked_at_s = self._clock.monotonic_s()
                wait_s = _SHORTEST_WAIT_S
            except MessagesLost:
                raise
            except SourceUnavailable as error:
                self._write()
                log_.warning("log_not_reached", extra={"error": str(error), "wait_s": wait_s})
                _pause(wait_s, stop, self._clock)
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def _step(
        self, until: Mapping[TopicPartition, int] | None, tell: Callable[[int], None]
    ) -> None:
        for message in self._consumer.read(until, timeout_s=self._patience_s()):
            self._take(message)
        tell(self._messages)
        if self._is_due():
            self._write()

    def account(self) -> IngestAccount:
        """Return what became of everything so far."""
        return IngestAccount(
            messages=self._messages,
            read=self._read,
            stored=dict(sorted(self._stored.items())),
            quarantined=dict(sorted(self._quarantined.items())),
            dead_letters=dict(sorted(self._dead.items())),
            duplicates=self._duplicates,
            lost=self._consumer.n_lost,
            receipts_not_sent=self._receipts.n_not_sent,
        )

    def _take(self, message: StoredMessage) -> None:
        self._intake.add(message)
        self._messages += 1
        if self._waiting_since_s is None:
            self._waiting_since_s = self._clock.monotonic_s()
        if (
            self._intake.n_rows >= self._settings.rows
            or self._intake.n_bytes >= self._settings.payload_bytes
        ):
            self._write()

    def _write(self) -> None:
        if not self._intake.ends:
            return
        self._read += self._intake.read.total()
        outcome = self._flush.write(self._intake)
        self._stored += outcome.stored
        self._quarantined += outcome.quarantined
        self._dead += outcome.dead_letters
        self._duplicates += outcome.duplicates
        self._intake.clear()
        self._receipts.send(outcome.receipts)
        self._waiting_since_s = None
        self._n_commits += 1
        if self._n_commits % CHECK_EVERY_COMMITS == 0:
            compact_tables(self._sink)

    def _is_due(self) -> bool:
        since_s = self._waiting_since_s
        return (
            since_s is not None and self._clock.monotonic_s() - since_s >= self._settings.latency_s
        )

    def _patience_s(self) -> float:
        if self._waiting_since_s is None:
            return READ_TIMEOUT_S
        left_s = self._waiting_since_s + self._settings.latency_s - self._clock.monotonic_s()
        return max(0.0, min(READ_TIMEOUT_S, left_s))

    def _remaining(self, ends: Mapping[TopicPartition, int]) -> int:
        at = self._consumer.positions
        return sum(max(0, end - at[where]) for where, end in ends.items())


def _pause(duration_s: float, stop: Callable[[], bool], clock: Clock) -> None:
    give_up_at_s = clock.monotonic_s() + duration_s
    while clock.monotonic_s() < give_up_at_s and not stop():
        clock.sleep(min(_STOP_ASKED_EVERY_S, duration_s))
