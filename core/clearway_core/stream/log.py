"""The log as every stage sees it: append durably, read from an offset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

CONTRACT_HEADER = "clearway-contract"
CONTENT_TYPE_HEADER = "content-type"

DEFAULT_PARTITIONS = 3
"""Partitions of a new topic; also the largest number of ingest processes that share it."""


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
        """Create the topic if it is not there; an existing one stays as it is."""
        ...

    def append(self, topic: str, messages: Sequence[Message]) -> None:
        """Store all messages durably.

        Raises
        ------
        DeliveryFailed
            If the log cannot be reached or did not confirm; try again later.
        MessageTooLarge
            If a message is over the log's limit; it will never be taken.
        """
        ...

    def first_offsets(self, topic: str) -> Mapping[TopicPartition, int]:
        """Return the oldest offset that each partition still holds."""
        ...

    def end_offsets(self, topic: str) -> Mapping[TopicPartition, int]:
        """Return the offset after the last message of each partition; empty without the topic."""
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
        """
        ...

    def close(self) -> None:
        """Give everything back; the log stays where it is."""
        ...
