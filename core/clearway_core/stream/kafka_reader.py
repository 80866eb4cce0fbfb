"""Reading assigned partitions of Kafka; part of `clearway_core.stream.kafka`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from kafka import KafkaConsumer
from kafka import TopicPartition as KafkaPartition
from kafka import errors as kafka_errors
from kafka.consumer.fetcher import ConsumerRecord
from kafka.net.compat import KafkaNetClient

from clearway_core.clock import from_ms
from clearway_core.errors import SourceUnavailable
from clearway_core.stream.log import StoredMessage, TopicPartition, behind_the_end

_UNREACHABLE_AFTER_S = 30.0
"""A reader sits out a broker's restart, but must not wait for a dead one for ever."""

_ALIVE_CHECK_S = 5.0

_FETCH_BYTES = 16 * 1024 * 1024
"""Bound of what one read holds in memory; kafka-python's default of 50 MiB is half a Pi's share."""

_READ_MESSAGES = 200

_Client = TypeVar("_Client")


def connected(
    client: Callable[..., _Client], connection: Mapping[str, object], **settings: object
) -> _Client:
    """Return a connected client, and leave no thread behind when there is no broker.

    kafka-python starts a thread before its first contact and forgets it when that fails: a gateway
    without network would collect one thread per attempt.
    """
    started: list[KafkaNetClient] = []

    def start(**given: object) -> KafkaNetClient:
        started.append(KafkaNetClient(**given))
        return started[-1]

    try:
        return client(**connection, **settings, kafka_client=start)
    except BaseException:
        for network in started:
            network.close()
        raise


class KafkaReader:
    """A consumer with assigned partitions that seeks only where it is asked to jump."""

    def __init__(self, connection: Mapping[str, object], timeout_s: float) -> None:
        self._timeout_ms = round(timeout_s * 1000)
        self._consumer = connected(
            KafkaConsumer,
            connection,
            group_id=None,
            enable_auto_commit=False,
            allow_auto_create_topics=False,
            auto_offset_reset="none",
            fetch_max_bytes=_FETCH_BYTES,
            max_poll_records=_READ_MESSAGES,
        )
        self._next: dict[TopicPartition, int] = {}
        self._alive_at_s = self._checked_at_s = time.monotonic()

    def read(
        self, positions: Mapping[TopicPartition, int], timeout_s: float
    ) -> list[StoredMessage]:
        """Return some next messages; see `clearway_core.stream.log.Log.read`."""
        if not positions:
            time.sleep(timeout_s)
            return []
        self._seek(positions)
        try:
            polled = self._consumer.poll(timeout_ms=round(timeout_s * 1000))
        except kafka_errors.OffsetOutOfRangeError:
            self._seek_past_expired(positions)
            return []
        messages = [_stored(record) for records in polled.values() for record in records]
        for message in messages:
            self._next[TopicPartition(message.topic, message.partition)] = message.offset + 1
        if messages:
            self._alive_at_s = self._checked_at_s = time.monotonic()
        else:
            self._check_alive(list(positions))
        return messages

    def first_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the oldest offset that each of the partitions still holds."""
        return self._offsets(self._consumer.beginning_offsets, partitions)

    def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the offset after the last message of each of the partitions."""
        return self._offsets(self._consumer.end_offsets, partitions)

    def close(self) -> None:
        """Close the connections."""
        self._consumer.close()

    def _offsets(
        self,
        ask: Callable[..., Mapping[KafkaPartition, int]],
        partitions: Sequence[TopicPartition],
    ) -> dict[TopicPartition, int]:
        if not partitions:
            return {}
        found = ask([KafkaPartition(*where) for where in partitions], timeout_ms=self._timeout_ms)
        return {TopicPartition(*where): int(offset) for where, offset in sorted(found.items())}

    def _seek(self, positions: Mapping[TopicPartition, int]) -> None:
        if set(positions) != set(self._next):
            self._consumer.assign([KafkaPartition(*where) for where in positions])
            self._next = {}
        for where, offset in positions.items():
            if self._next.get(where) != offset:
                self._consumer.seek(KafkaPartition(*where), offset)
                self._next[where] = offset

    def _seek_past_expired(self, positions: Mapping[TopicPartition, int]) -> None:
        """Move on to the oldest offset where retention has deleted what was asked for."""
        firsts, ends = self.first_offsets(list(positions)), self.end_offsets(list(positions))
        for where, offset in positions.items():
            if offset > ends[where]:
                raise SourceUnavailable(behind_the_end(where, offset, ends[where]))
            if offset < firsts[where]:
                self._consumer.seek(KafkaPartition(*where), firsts[where])

    def _check_alive(self, partitions: Sequence[TopicPartition]) -> None:
        now_s = time.monotonic()
        if now_s - self._checked_at_s < _ALIVE_CHECK_S:
            return
        self._checked_at_s = now_s
        try:
            self.end_offsets(partitions[:1])
            self._alive_at_s = time.monotonic()
        except kafka_errors.KafkaError:
            if now_s - self._alive_at_s >= _UNREACHABLE_AFTER_S:
                raise


def _stored(record: ConsumerRecord) -> StoredMessage:
    return StoredMessage(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key or b"",
        value=record.value or b"",
        # Third parties may write headers that are no text; they must not stop the reader.
        headers={
            name: "" if content is None else content.decode(errors="backslashreplace")
            for name, content in record.headers
        },
        appended_at=from_ms(record.timestamp),
    )
