"""How far ingest has read the log: whether what a gateway delivered must be in the lake by now."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from clearway_core.contracts.wire import TOPICS
from clearway_core.errors import SourceUnavailable
from clearway_core.stream.log import Log, TopicPartition

log_ = logging.getLogger(__name__)

BROKERS_APART = timedelta(seconds=60)
"""Each broker stamps its own partitions: clocks of brokers that differ by more are broken."""

_TIMEOUT_S = 5.0


class ReadingPoint:
    """Whether ingest has read everything that was in the log at a moment.

    Parameters
    ----------
    log
        The log; None if it cannot be asked, and nothing is certain then.
    committed
        Where ingest continues in each partition, as it was after the gateways' words were read.
    """

    def __init__(self, log: Log | None, committed: Mapping[TopicPartition, int]) -> None:
        self._log = log
        self._committed = committed
        self._points: dict[str, tuple[bool, datetime | None]] = {}

    @property
    def is_known(self) -> bool:
        """Whether the log could be asked, so far."""
        return self._log is not None

    def is_past(self, contract: str, moment: datetime) -> bool:
        """Return whether all that the log took of a contract up to a moment has been read.

        A gateway's word was appended after the records that it calls delivered. Where ingest has
        come to the end of a partition after that word was read, they are in the lake or lost;
        elsewhere the next message's time must be later than the word's.
        """
        topic = TOPICS.get(contract)
        if topic is None:
            return True
        if topic not in self._points:
            self._points[topic] = self._point(topic)
        known, next_at = self._points[topic]
        return known and (next_at is None or next_at > moment + BROKERS_APART)

    def _point(self, topic: str) -> tuple[bool, datetime | None]:
        """Return whether it is known, and the oldest time among the next unread messages."""
        if self._log is None:
            return False, None
        try:
            ends, firsts = self._log.end_offsets(topic), self._log.first_offsets(topic)
            times = []
            for where, end in ends.items():
                at = max(self._committed.get(where, 0), firsts.get(where, 0))
                if at >= end:
                    continue
                messages = self._log.read({where: at}, timeout_s=_TIMEOUT_S)
                if not messages:
                    return False, None
                times.append(messages[0].appended_at)
        except SourceUnavailable as error:
            log_.warning("log_not_reached", extra={"error": str(error)})
            self._log = None
            return False, None
        return True, min(times, default=None)
