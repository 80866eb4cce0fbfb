"""Reading the partitions of one share, from where the lake's last commit ends."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from enum import Enum

from clearway_core.clock import Clock, SystemClock
from clearway_core.contracts.wire import TOPICS
from clearway_core.errors import MessagesLost, SourceUnavailable
from clearway_core.stream.log import Log, StoredMessage, TopicPartition
from clearway_ingest.share import Share

log_ = logging.getLogger(__name__)

STALLED_AFTER_S = 60.0
"""A broker that holds messages but gives none for this long is broken: say so, do not wait on."""


class Lost(Enum):
    """What to do when the log no longer holds messages that were never read."""

    STOP = "stop"
    SKIP = "skip"


class Consumer:
    """The next messages of every partition in a share.

    Parameters
    ----------
    log
        Where to read.
    share
        Which partitions.
    committed
        Where each partition continues; one that is not named starts at its oldest message.
    lost
        What to do when messages between the two are gone.
    clock
        Tells how long the log has given nothing.
    """

    def __init__(
        self,
        log: Log,
        share: Share,
        *,
        committed: Mapping[TopicPartition, int],
        lost: Lost = Lost.STOP,
        clock: Clock | None = None,
    ) -> None:
        self._log = log
        self._share = share
        self._committed = committed
        self._lost = lost
        self._positions: dict[TopicPartition, int] = {}
        self._clock = clock or SystemClock()
        self._last_message_s = self._clock.monotonic_s()
        self.n_lost = 0

    @property
    def positions(self) -> Mapping[TopicPartition, int]:
        """Next offset of each assigned partition."""
        return self._positions

    def assign(self) -> Mapping[TopicPartition, int]:
        """Take over partitions that have appeared, and return every one's end offset now.

        Raises
        ------
        MessagesLost
            If messages that were never read are gone, or the log is shorter than what was read.
        SourceUnavailable
            If the log cannot be reached.
        """
        ends: dict[TopicPartition, int] = {}
        for topic in TOPICS.values():
            found = {w: end for w, end in self._log.end_offsets(topic).items() if w in self._share}
            ends.update(found)
            for where, end in found.items():
                self._refuse_shorter(where, end)
            if all(where in self._positions for where in found):
                continue
            firsts = self._log.first_offsets(topic)
            for where in found:
                if where not in self._positions:
                    self._start(where, firsts.get(where, 0))
        return ends

    def read(
        self, until: Mapping[TopicPartition, int] | None = None, *, timeout_s: float = 1.0
    ) -> Sequence[StoredMessage]:
        """Return some next messages, in order within a partition.

        Parameters
        ----------
        until
            Where to end; messages from there on are left for another time. None: nowhere.
        timeout_s
            How long to wait for the first message. [s]

        Raises
        ------
        MessagesLost
            If messages expired before they were read.
        SourceUnavailable
            If the log cannot be reached, or has stopped giving messages that it says it has.
        """
        wanted = self._positions
        if until is not None:
            wanted = {w: at for w, at in wanted.items() if at < until.get(w, 0)}
            if not wanted:
                return ()
        messages = self._log.read(wanted, timeout_s=timeout_s)
        # Positions move at the very end: if anything fails on the way, the messages come again.
        at, n_lost = dict(wanted), 0
        taken = []
        for message in messages:
            where = TopicPartition(message.topic, message.partition)
            if message.offset > at[where]:
                n_lost += self._lost_before(where, at[where], message.offset)
            if until is None or message.offset < until[where]:
                taken.append(message)
            at[where] = message.offset + 1
        self._watch(wanted, some=bool(messages), bounded=until is not None)
        self._positions.update(at)
        self.n_lost += n_lost
        return taken

    def _refuse_shorter(self, where: TopicPartition, end: int) -> None:
        position = self._positions.get(where, self._committed.get(where, 0))
        if position > end:
            message = (
                f"{where.topic} partition {where.partition} ends at offset {end}, but the lake "
                f"has read up to {position}: the topic was deleted and made again. Its new "
                "messages would be taken for old ones; use a new topic or a new lake."
            )
            raise MessagesLost(message)

    def _start(self, where: TopicPartition, first: int) -> None:
        position = self._committed.get(where, first)
        if position < first:
            self.n_lost += self._lost_before(where, position, first)
            position = first
        self._positions[where] = position
        log_.debug("partition_assigned", extra={"partition": str(where), "position": position})

    def _lost_before(self, where: TopicPartition, position: int, found: int) -> int:
        """Return how many messages are gone; offsets that were never used (markers) are none."""
        first = self._log.first_offsets(where.topic).get(where, 0)
        if first <= position:
            return 0
        count = min(first, found) - position
        message = (
            f"{where.topic} partition {where.partition}: expected offset {position}, the log's "
            f"oldest is {first}: {count} messages expired before they were read and are lost. "
            "Keep messages longer in the log; to go on without them, add --skip-lost."
        )
        if self._lost is Lost.STOP:
            raise MessagesLost(message)
        log_.error("messages_lost", extra={"partition": str(where), "messages": count})
        return count

    def _watch(self, wanted: Mapping[TopicPartition, int], *, some: bool, bounded: bool) -> None:
        now_s = self._clock.monotonic_s()
        if some or not bounded:
            self._last_message_s = now_s
        elif now_s - self._last_message_s > STALLED_AFTER_S:
            message = (
                f"the log should hold more messages of {len(wanted)} partitions, but gave none "
                f"for {STALLED_AFTER_S:g} s. Is the broker well? Run the command again."
            )
            raise SourceUnavailable(message)
