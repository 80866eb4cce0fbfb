"""The log as every stage sees it: append durably, read from an offset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

from clearway_core.errors import MessageTooLarge

CONTRACT_HEADER = "clearway-contract"
CONTENT_TYPE_HEADER = "content-type"
CLOCK_HEADER = "clearway-clock"
"""On batches that were read before the gateway's clock was synchronised: milliseconds to add to
``monotonic_ms`` for the time since 1970, or ``unknown`` where that can never be told."""

DEFAULT_PARTITIONS = 3
"""Partitions of a new topic; also the largest number of ingest processes that share it."""

MAX_MESSAGE_BYTES = 1_000_000
"""Of key, value and headers together; just under Kafka's default of 1,048,588 with its overhead."""


class TopicPartition(NamedTuple):
    """One ordered part of a topic."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is appended: the key alone decides the partition."""

    key: bytes
    value: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMessage:
    """What is read: a message with its place in the log."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: Mapping[str, str]
    appended_at: datetime


class Log(Protocol):
    """A partitioned append-only log.

    Messages with the same key keep their order. `append` returns when all messages are
    durable; when it raises `DeliveryFailed`, any part of them may have been stored, so that
    readers must tolerate repeats.
    """

    def identity(self) -> str:
        """Return a name that no other log has; an offset means something only together with it."""
        ...

    def ensure_topic(self, topic: str, partitions: int = DEFAULT_PARTITIONS) -> None:
        """Create the topic if it is not there; an existing one stays as it is.

        Raises
        ------
        DeliveryFailed
            If the log cannot be reached.
        """
        ...

    def append(self, topic: str, messages: Sequence[Message]) -> None:
        """Store all messages durably.

        Raises
        ------
        DeliveryFailed
            If the log cannot be reached or did not confirm; try again later.
        MessageTooLarge
            If a message is over the log's limit; it will never be taken. Where the message is over
            `MAX_MESSAGE_BYTES`, nothing was stored.
        """
        ...

    def first_offsets(self, topic: str) -> Mapping[TopicPartition, int]:
        """Return the oldest offset that each partition still holds; empty without the topic.

        Raises
        ------
        SourceUnavailable
            If the log cannot be reached.
        """
        ...

    def end_offsets(self, topic: str) -> Mapping[TopicPartition, int]:
        """Return the offset after the last message of each partition; empty without the topic.

        Raises
        ------
        SourceUnavailable
            If the log cannot be reached.
        """
        ...

    def read(
        self, positions: Mapping[TopicPartition, int], *, timeout_s: float = 1.0
    ) -> Sequence[StoredMessage]:
        """Return some next messages at or after the positions, in order within a partition.

        Parameters
        ----------
        positions
            Next offset wanted from each partition. Partitions that are not named are not read.
        timeout_s
            How long to wait for the first message. [s] An empty answer means none came.

        Raises
        ------
        SourceUnavailable
            If the log cannot be reached for longer than a restart takes, or if a position lies
            behind the end of its partition: the topic is not the one that was read before.
        """
        ...

    def close(self) -> None:
        """Give everything back; the log stays where it is."""
        ...


def check_sizes(messages: Sequence[Message]) -> None:
    """Refuse messages that no log would take, before any of them is stored.

    Raises
    ------
    MessageTooLarge
        If key, value and headers of one are over `MAX_MESSAGE_BYTES`.
    """
    for message in messages:
        headers = sum(
            len(name.encode()) + len(text.encode()) for name, text in message.headers.items()
        )
        size = len(message.key) + len(message.value) + headers
        if size > MAX_MESSAGE_BYTES:
            text = (
                f"a message may have {MAX_MESSAGE_BYTES} bytes with its key and headers, "
                f"got {size}: split the batch"
            )
            raise MessageTooLarge(text)


def behind_the_end(where: TopicPartition, position: int, end: int) -> str:
    """Return what to tell a reader whose position the log has never reached."""
    return (
        f"partition {where.partition} of {where.topic} ends at {end}, but reading was to go on at "
        f"{position}: the topic was deleted and made anew, or the address is of another log. "
        "Choose the log that this lake was filled from, or start a new data folder."
    )
