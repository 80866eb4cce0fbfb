"""A log in one SQLite file: for one machine, the quick start and tests.

Not a broker: no network, no replication, no retention. Where a broker can be had, use Kafka.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from clearway_core.clock import Clock, SystemClock, from_ms, to_ms
from clearway_core.errors import ClearwayError, DeliveryFailed, SourceUnavailable
from clearway_core.stream.log import (
    DEFAULT_PARTITIONS,
    Message,
    StoredMessage,
    TopicPartition,
    behind_the_end,
    check_sizes,
)

_READ_ROWS = 200
_READ_BYTES = 16 * 1024 * 1024
"""With both bounds a read of 200 messages of 1 MB each does not hold 200 MB."""

_POLL_S = 0.05
_BUSY_TIMEOUT_S = 10.0
_RETRY_AFTER_S = 2.0

_SCHEMA = """
create table if not exists identity (
  only integer primary key check (only = 1), id text not null
) strict;
create table if not exists topic (name text primary key, partitions integer not null) strict;
create table if not exists message (
  topic text not null, partition integer not null, offset integer not null,
  key blob not null, value blob not null, headers text not null, appended_at_ms integer not null,
  primary key (topic, partition, offset)
) strict, without rowid;
"""


class EmbeddedLog:
    """Keep a partitioned log in a SQLite file (WAL, fsynced on every append).

    Several processes of one machine, and several threads of one process, may read and append at
    once.

    Parameters
    ----------
    file
        The file; it and its folder are created.
    clock
        Where ``appended_at`` comes from.
    busy_timeout_s
        How long to wait for another process's append. [s]

    Raises
    ------
    SourceUnavailable
        If the file cannot be opened, or is no embedded log.
    """

    def __init__(
        self, file: Path, clock: Clock | None = None, *, busy_timeout_s: float = _BUSY_TIMEOUT_S
    ) -> None:
        self._clock = clock or SystemClock()
        self._file = file
        self._lock = threading.RLock()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                file, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise SourceUnavailable(self._cannot_open(error)) from error
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._db.close()
            raise SourceUnavailable(self._cannot_open(error)) from error

    def identity(self) -> str:
        """Return the random name that the file got when it was made."""
        with self._use(SourceUnavailable, "cannot be read"):
            return str(self._db.execute("select id from identity").fetchone()[0])

    def ensure_topic(self, topic: str, partitions: int = DEFAULT_PARTITIONS) -> None:
        """Create the topic if it is not there; an existing one stays as it is."""
        with self._use(DeliveryFailed, f"did not create topic {topic}"):
            self._db.execute("insert or ignore into topic values (?, ?)", (topic, partitions))

    def append(self, topic: str, messages: Sequence[Message]) -> None:
        """Store all messages durably, or none; the topic is created if it is not there."""
        check_sizes(messages)
        if not messages:
            return
        with self._use(DeliveryFailed, f"did not take {len(messages)} messages for {topic}"):
            self._db.execute("begin immediate")
            try:
                self._insert(topic, messages)
                self._db.execute("commit")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # a failed commit may have ended it
                    self._db.execute("rollback")
                raise

    def first_offsets(self, topic: str) -> Mapping[TopicPartition, int]:
        """Return the oldest offset that each partition still holds: nothing ever expires here."""
        return dict.fromkeys(self.end_offsets(topic), 0)

    def end_offsets(self, topic: str) -> Mapping[TopicPartition, int]:
        """Return the offset after the last message of each partition; empty without the topic."""
        with self._use(SourceUnavailable, "cannot be read"):
            return {
                TopicPartition(topic, number): self._end(topic, number)
                for number in range(self._partitions(topic))
            }

    def read(
        self, positions: Mapping[TopicPartition, int], *, timeout_s: float = 1.0
    ) -> Sequence[StoredMessage]:
        """Return some next messages at or after the positions, in order within a partition."""
        give_up_at_s = time.monotonic() + timeout_s
        while True:
            with self._use(SourceUnavailable, "cannot be read"):
                found = self._some(positions)
            left_s = give_up_at_s - time.monotonic()
            if found or left_s <= 0:
                return found
            time.sleep(min(_POLL_S, left_s))

    def close(self) -> None:
        """Close the file; safe to call twice."""
        with self._lock:
            self._db.close()

    def _prepare(self) -> None:
        self._db.execute("pragma synchronous=full")
        give_up_at_s = time.monotonic() + _BUSY_TIMEOUT_S
        while True:
            try:
                # Several processes may make the file together; SQLite does not wait for this one.
                self._db.execute("pragma journal_mode=wal")
                break
            except sqlite3.OperationalError:
                if time.monotonic() >= give_up_at_s:
                    raise
                time.sleep(_POLL_S)
        self._db.execute("begin immediate")
        for statement in _SCHEMA.split(";"):
            self._db.execute(statement)
        self._db.execute(
            "insert or ignore into identity values (1, ?)", (f"embedded-{secrets.token_hex(8)}",)
        )
        self._db.execute("commit")

    @contextlib.contextmanager
    def _use(self, failure: type[ClearwayError], what: str) -> Iterator[None]:
        """Let one thread at the file, and say what it was about when that fails."""
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                message = f"the embedded log {self._file} {what}: {error}. Is the disk full?"
                if failure is DeliveryFailed:
                    raise DeliveryFailed(message, retry_after_s=_RETRY_AFTER_S) from error
                raise failure(message) from error

    def _cannot_open(self, error: Exception) -> str:
        return f"the embedded log {self._file} cannot be opened: {error}. Check the data folder."

    def _insert(self, topic: str, messages: Sequence[Message]) -> None:
        self._db.execute("insert or ignore into topic values (?, ?)", (topic, DEFAULT_PARTITIONS))
        count = self._partitions(topic)
        ends = {number: self._end(topic, number) for number in range(count)}
        now_ms = to_ms(self._clock.now())
        for message in messages:
            number = zlib.crc32(message.key) % count
            headers = json.dumps(dict(message.headers))
            self._db.execute(
                "insert into message values (?, ?, ?, ?, ?, ?, ?)",
                (topic, number, ends[number], message.key, message.value, headers, now_ms),
            )
            ends[number] += 1

    def _partitions(self, topic: str) -> int:
        row = self._db.execute("select partitions from topic where name = ?", (topic,)).fetchone()
        return 0 if row is None else int(row[0])

    def _end(self, topic: str, partition: int) -> int:
        row = self._db.execute(
            "select coalesce(max(offset) + 1, 0) from message where topic = ? and partition = ?",
            (topic, partition),
        ).fetchone()
        return int(row[0])

    def _some(self, positions: Mapping[TopicPartition, int]) -> list[StoredMessage]:
        found: list[StoredMessage] = []
        for where, offset in sorted(positions.items()):
            part = self._next(where, offset, _READ_BYTES // len(positions))
            if not part and offset > self._end(where.topic, where.partition):
                end = self._end(where.topic, where.partition)
                raise SourceUnavailable(behind_the_end(where, offset, end))
            found += part
        return found

    def _next(self, where: TopicPartition, offset: int, most_bytes: int) -> list[StoredMessage]:
        rows = self._db.execute(
            "select offset, key, value, headers, appended_at_ms from message"
            " where topic = ? and partition = ? and offset >= ? order by offset limit ?",
            (where.topic, where.partition, offset, _READ_ROWS),
        )
        found: list[StoredMessage] = []
        for position, key, value, headers, appended_at_ms in rows:
            found.append(
                StoredMessage(
                    topic=where.topic,
                    partition=where.partition,
                    offset=position,
                    key=key,
                    value=value,
                    headers=json.loads(headers),
                    appended_at=from_ms(appended_at_ms),
                )
            )
            most_bytes -= len(value)
            if most_bytes <= 0:
                break
        rows.close()
        return found
