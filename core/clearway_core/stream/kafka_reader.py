"""Reading assigned partitions of Kafka; part of `clearway_core.stream.kafka`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from kafka import KafkaConsumer
from kafka import TopicPartition as KafkaPartition
from kafka import errors as kafka_errors
from kafka.consumer.fetcher import ConsumerRecord

from clearway_core.clock import from_ms
from clearway_core.errors import SourceUnavailable
from clearway_core.stream.kafka_connection import connected
from clearway_core.stream.log import StoredMessage, TopicPartition, behind_the_end

_UNREACHABLE_AFTER_S = 30.0
"""A reader sits out a broker's restart, but must not wait for a dead one for ever."""

_ALIVE_CHECK_S = 5.0

_FETCH_BYTES = 16 * 1024 * 1024
"""Bound of what one read holds in memory; kafka-python's default of 50 MiB is half a Pi's share."""

_READ_MESSAGES = 200


def reading_consumer(bootstrap: Sequence[str], connection: Mapping[str, object]) -> KafkaConsumer:
    """Return a consumer without group, which commits nothing and creates nothing."""
    return connected(
        KafkaConsumer,
        bootstrap,
        connection,
        group_id=None,
        enable_auto_commit=False,
        allow_auto_create_topics=False,
        auto_offset_reset="none",
        fetch_max_bytes=_FETCH_BYTES,
        max_poll_records=_READ_MESSAGES,
    )


class KafkaReader:
    """Reads assigned partitions; seeks only where it is asked to jump.

    Parameters
    ----------
    consumer
        From `reading_consumer`.
    timeout_s
        How long one question to the broker may take. [s]
    is_alive
        Asks the broker itself whether it is there.
    """

    def __init__(
        self, consumer: KafkaConsumer, timeout_s: float, is_alive: Callable[[], bool]
    ) -> None:
        self._consumer = consumer
        self._timeout_ms = round(timeout_s * 1000)
        self._is_alive = is_alive
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
            self._check_alive()
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

    def _check_alive(self) -> None:
        """Ask the broker itself now and then: kafka-python answers "nothing new" for a dead one."""
        now_s = time.monotonic()
        if now_s - self._checked_at_s < _ALIVE_CHECK_S:
            return
        if self._is_alive():
            self._alive_at_s = time.monotonic()
        elif now_s - self._alive_at_s >= _UNREACHABLE_AFTER_S:
            message = f"no answer for {_UNREACHABLE_AFTER_S:g} s"
            raise kafka_errors.KafkaConnectionError(message)
        self._checked_at_s = time.monotonic()


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
