"""A log in one SQLite file: for one machine, the quick start and tests.

Not a broker: no network, no replication, no retention. Where a broker can be had, use Kafka.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from clearway_core.clock import Clock, SystemClock, from_ms, to_ms
from clearway_core.errors import DeliveryFailed, MessageTooLarge, SourceUnavailable
from clearway_core.stream.log import DEFAULT_PARTITIONS, Message, StoredMessage, TopicPartition

MAX_MESSAGE_BYTES = 1_000_000
"""The same order as Kafka's default, so that what passes here passes there."""

_READ_ROWS = 200
_POLL_S = 0.05
_BUSY_TIMEOUT_S = 10.0

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

    Several processes of one machine may read and append at once.

    Parameters
    ----------
    file
        The file; it and its folder are created.
    clock
        Where ``appended_at`` comes from.
    """

    def __init__(self, file: Path, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._file = file
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                file, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            self._db.execute("pragma journal_mode=wal")
            self._db.execute("pragma synchronous=full")
            self._db.executescript(_SCHEMA)
            self._db.execute(
                "insert or ignore into identity values (1, ?)",
                (f"embedded-{secrets.token_hex(8)}",),
            )
        except (OSError, sqlite3.Error) as error:
            message = f"the embedded log {file} cannot be opened: {error}. Check the data folder."
            raise SourceUnavailable(message) from error

    def identity(self) -> str:
        """Return the random name that the file got when it was made."""
        return str(self._db.execute("select id from identity").fetchone()[0])

    def ensure_topic(self, topic: str, partitions: int = DEFAULT_PARTITIONS) -> None:
        """Create the topic if it is not there; an existing one stays as it is."""
        self._db.execute("insert or ignore into topic values (?, ?)", (topic, partitions))

    def append(self, topic: str, messages: Sequence[Message]) -> None:
        """Store all messages durably, or none."""
        for message in messages:
            if len(message.value) > MAX_MESSAGE_BYTES:
                text = (
                    f"a message of {len(message.value)} bytes is over the limit of "
                    f"{MAX_MESSAGE_BYTES}: split the batch"
                )
                raise MessageTooLarge(text)
        self.ensure_topic(topic)
        try:
            self._db.execute("begin immediate")
            try:
                self._insert(topic, messages)
            except BaseException:
                self._db.execute("rollback")
                raise
            self._db.execute("commit")
        except sqlite3.Error as error:
            text = f"the embedded log {self._file} did not take a batch: {error}. Is the disk full?"
            raise DeliveryFailed(text) from error

    def first_offsets(self, topic: str) -> Mapping[TopicPartition, int]:
        """Return the oldest offset that each partition still holds: nothing ever expires here."""
        return dict.fromkeys(self.end_offsets(topic), 0)

    def end_offsets(self, topic: str) -> Mapping[TopicPartition, int]:
        """Return the offset after the last message of each partition; empty without the topic."""
        row = self._db.execute("select partitions from topic where name = ?", (topic,)).fetchone()
        count = 0 if row is None else int(row[0])
        return {TopicPartition(topic, number): self._end(topic, number) for number in range(count)}

    def read(
        self, positions: Mapping[TopicPartition, int], *, timeout_s: float = 1.0
    ) -> Sequence[StoredMessage]:
        """Return some next messages at or after the positions, in order within a partition."""
        give_up_at_s = time.monotonic() + timeout_s
        while True:
            found = [
                stored
                for where, offset in sorted(positions.items())
                for stored in self._next(where, offset)
            ]
            if found or time.monotonic() >= give_up_at_s:
                return found
            time.sleep(_POLL_S)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _insert(self, topic: str, messages: Sequence[Message]) -> None:
        row = self._db.execute("select partitions from topic where name = ?", (topic,)).fetchone()
        count = int(row[0])
        ends: dict[int, int] = {}
        now_ms = to_ms(self._clock.now())
        for message in messages:
            number = zlib.crc32(message.key) % count
            offset = ends.get(number, self._end(topic, number))
            ends[number] = offset + 1
            headers = json.dumps(dict(message.headers))
            self._db.execute(
                "insert into message values (?, ?, ?, ?, ?, ?, ?)",
                (topic, number, offset, message.key, message.value, headers, now_ms),
            )

    def _end(self, topic: str, partition: int) -> int:
        row = self._db.execute(
            "select coalesce(max(offset) + 1, 0) from message where topic = ? and partition = ?",
            (topic, partition),
        ).fetchone()
        return int(row[0])

    def _next(self, where: TopicPartition, offset: int) -> list[StoredMessage]:
        rows = self._db.execute(
            "select offset, key, value, headers, appended_at_ms from message"
            " where topic = ? and partition = ? and offset >= ? order by offset limit ?",
            (where.topic, where.partition, offset, _READ_ROWS),
        )
        return [
            StoredMessage(
                topic=where.topic,
                partition=where.partition,
                offset=position,
                key=key,
                value=value,
                headers=json.loads(headers),
                appended_at=from_ms(appended_at_ms),
            )
            for position, key, value, headers, appended_at_ms in rows
        ]
