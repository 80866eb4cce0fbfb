"""Sends what waits in the outbox to the log, at least once, in as few messages as it can."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from random import Random

from clearway_core.clock import Clock, SystemClock, to_ms
from clearway_core.errors import ClearwayError, DeliveryFailed, OutboxFull
from clearway_core.stream.log import Log
from clearway_edge.clock.clock_state import ClockState
from clearway_edge.forwarding.append_size import MESSAGES_AT_ONCE, AppendSize
from clearway_edge.forwarding.bandwidth import Bandwidth
from clearway_edge.forwarding.delivery import Delivery, Stopping
from clearway_edge.forwarding.forwarder_state import ForwarderState
from clearway_edge.forwarding.merging import Planned, planned
from clearway_edge.outbox.outbox import LOWEST_PRIORITY, OWN_REPORTS, Outbox, Waiting
from clearway_edge.settings.settings import ForwardSettings

log = logging.getLogger(__name__)

FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 60.0
"""A broker that comes back is found within a minute, and is not hammered by a thousand gateways
at once: each waits a random part of its time."""

_BATCHES_A_LOOK = 5000
"""A receiver's batches hold one fix each: so many of them make one full message."""

_REPORT_LATENCY_S = 1.0
"""Health and books wait for each other, not for readings. [s]"""

_BEHIND_S = 15.0
"""What waits for so much longer than it should is a backlog. [s]"""

_TURN_S = 5.0
"""After which what is urgent gets its turn again, where a look has found much to send. [s]"""

_LOOK_EVERY_S = 0.2
_LOOK_AT_LEAST_EVERY_S = 5.0
"""A commit wakes the forwarder, up to twenty a second; it looks less often while it gathers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What one attempt did.

    Parameters
    ----------
    n_batches
        Batches that left the outbox.
    retry_after_s
        When to try again; None if nothing stood in the way. [s]
    due_in_s
        When the next message has gathered for long enough; None: nothing waits. [s]
    """

    n_batches: int
    retry_after_s: float | None = None
    due_in_s: float | None = None


class Forwarder:
    """Moves batches from an outbox to a log.

    Parameters
    ----------
    outbox
        What waits.
    open_log
        Opens the log; called in the forwarder's own thread, since a broker that is down blocks
        for seconds and then raises. Certificates and password are read anew each time.
    gateway
        Key of every message, so that a gateway's batches keep their order.
    settings
        How long readings gather for a message, how large it gets, and how much may be sent.
    clock, clock_state
        Time; and what turns the monotonic times of an unsynchronised clock into instants.
    certificate_file
        The gateway's own certificate, to tell when it has expired.
    prepare
        Called before each look: it may release batches that are held.
    random
        Spreads the retries of many gateways.
    """

    def __init__(  # noqa: PLR0913 -- everything that sending depends on
        self,
        outbox: Outbox,
        open_log: Callable[[], Log],
        *,
        gateway: str,
        settings: ForwardSettings | None = None,
        clock: Clock | None = None,
        clock_state: ClockState | None = None,
        certificate_file: Path | None = None,
        prepare: Callable[[], None] | None = None,
        random: Random | None = None,
    ) -> None:
        self._outbox = outbox
        self._settings = settings or ForwardSettings(latency_s=0.0)
        self._clock = clock or SystemClock()
        self._clock_state = clock_state
        self._prepare = prepare
        self._random = random or Random()  # noqa: S311 -- jitter is no secret
        self._bandwidth = Bandwidth(self._settings.max_bytes_s, self._clock)
        self._size = AppendSize(self._settings.max_records)
        self._delivery = Delivery(
            outbox,
            open_log,
            key=gateway.encode(),
            bandwidth=self._bandwidth,
            size=self._size,
            clock=self._clock,
            clock_state=clock_state,
            send_urgent=self._send_urgent,
        )
        self._state = ForwarderState(self._clock, certificate_file)
        self._backoff_s = FIRST_BACKOFF_S
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self.idle = threading.Event()
        self.last_error = ""

    @property
    def n_sent(self) -> int:
        """Batches that left the outbox."""
        return self._delivery.n_batches

    @property
    def sent_bytes(self) -> int:
        """Payload that the log has taken [B]."""
        return self._delivery.n_bytes

    @property
    def state(self) -> str:
        """``connecting``, ``draining``, ``up to date`` or ``refused``, most with more after a :."""
        return self._state.words

    def send_once(self) -> Sent:
        """Send what is due; on failure it stays.

        Returns
        -------
        Sent
            What happened; this never raises for a log that cannot be reached.
        """
        n_sent = 0
        try:
            self._release()
            skip_clock = self._clock_without_base()
            waiting = self._outbox.waiting(_BATCHES_A_LOOK, skip_clock=skip_clock)
            messages = self._planned(waiting)
            waits_s = [self._wait_s(message) for message in messages]
            due = [m for m, wait_s in zip(messages, waits_s, strict=True) if wait_s <= 0]
            turn_ends_s = self._clock.monotonic_s() + _TURN_S
            for part in self._portions(due):
                n_sent += self._delivery.send(part)
                if self._clock.monotonic_s() > turn_ends_s:
                    break
        except Stopping:
            return Sent(n_batches=n_sent)
        except DeliveryFailed as error:
            return self._failed(error, error.retry_after_s, n_sent)
        except ClearwayError as error:
            return self._failed(error, FIRST_BACKOFF_S, n_sent)
        if n_sent:
            self._backoff_s = FIRST_BACKOFF_S
            self.last_error = ""
        self._tell(messages, skipped=skip_clock is not None)
        return Sent(n_batches=n_sent, due_in_s=min((w for w in waits_s if w > 0), default=None))

    def run(self, stop: threading.Event) -> None:
        """Send until `stop` is set; what waits then stays in the outbox."""
        self._stop = self._delivery.stop = stop
        try:
            while not stop.is_set():
                try:
                    sent = self.send_once()
                except Exception:
                    log.exception("forwarder_failed")
                    sent = Sent(n_batches=0, retry_after_s=LONGEST_BACKOFF_S)
                if sent.retry_after_s is not None:
                    stop.wait(sent.retry_after_s)
                elif sent.n_batches == 0:
                    self._gather(sent.due_in_s)
        finally:
            self.close()

    def wake(self) -> None:
        """Say that something new waits."""
        self.idle.clear()
        self._wake.set()

    def hurry(self) -> None:
        """Let nothing gather any more: the gateway stops; `idle` is set when all is sent."""
        self._hurry.set()
        self.wake()

    def close(self) -> None:
        """Give the log back."""
        self._delivery.close()

    def _gather(self, due_in_s: float | None) -> None:
        """Wait for the next message to be due, or for a commit, but not for each of many."""
        longest_s = _LOOK_AT_LEAST_EVERY_S if due_in_s is None else due_in_s
        if due_in_s is not None and not self._hurry.is_set():
            self._stop.wait(min(_LOOK_EVERY_S, due_in_s))
            longest_s = max(0.0, longest_s - _LOOK_EVERY_S)
        self._wake.wait(min(longest_s, _LOOK_AT_LEAST_EVERY_S))
        self._wake.clear()

    def _clock_without_base(self) -> str | None:
        """Return this start of the machine while nobody knows when it was, else None."""
        state = self._clock_state
        return None if state is None or state.base_ms(state.start) is not None else state.start

    def _wait_s(self, message: Planned) -> float:
        """Return how long a message still gathers batches [s]."""
        if message.is_full or self._hurry.is_set():
            return 0.0
        age_s = self._age_s(message)
        # A clock that was set back must not make it wait for years.
        return self._latency_s(message) - age_s if age_s >= 0 else 0.0

    def _latency_s(self, message: Planned) -> float:
        latency_s = self._settings.latency_s
        return min(latency_s, _REPORT_LATENCY_S) if message.contract in OWN_REPORTS else latency_s

    def _age_s(self, message: Planned) -> float:
        return (to_ms(self._clock.now()) - message.batches[0].created_at_ms) / 1000

    def _portions(self, due: Sequence[Planned]) -> Iterator[list[Planned]]:
        """Yield messages that are appended together: of one topic, as many as the log takes well.

        Under a budget they go one by one.
        """
        at_once = 1 if self._bandwidth.largest_bytes is not None else MESSAGES_AT_ONCE
        for _, group in groupby(due, key=lambda message: message.contract):
            part: list[Planned] = []
            for message in group:
                n_records = message.n_records + sum(each.n_records for each in part)
                if part and (len(part) == at_once or n_records > self._size.n_records):
                    yield part
                    part = []
                part.append(message)
            yield part

    def _planned(self, waiting: Sequence[Waiting]) -> list[Planned]:
        return planned(waiting, min(self._settings.max_records, self._size.n_records))

    def _release(self) -> None:
        """Let go what was held, if its time has come; what cannot go now goes later."""
        if self._prepare is None:
            return
        try:
            self._prepare()
        except OutboxFull as error:
            # Sending makes room: it must go on.
            log.warning("release_postponed", extra={"error": str(error)})

    def _send_urgent(self) -> None:
        waiting = self._outbox.waiting(MESSAGES_AT_ONCE, skip_clock=self._clock_without_base())
        for message in self._planned(waiting):
            if message.priority < LOWEST_PRIORITY and self._wait_s(message) <= 0:
                self._delivery.send([message])

    def _tell(self, messages: Sequence[Planned], *, skipped: bool) -> None:
        """Say how it goes after a look that found these messages, most of which are gone now."""
        if not messages:
            self.idle.set()
        if not self._delivery.reached:
            return
        if any(self._age_s(message) > self._latency_s(message) + _BEHIND_S for message in messages):
            self._state.draining(self._outbox.waiting_bytes)
        elif skipped and not messages and self._outbox.waiting_bytes:
            self._state.draining(self._outbox.waiting_bytes, waits_for_clock=True)
        else:
            self._state.up_to_date()

    def _failed(self, error: ClearwayError, retry_after_s: float, n_sent: int) -> Sent:
        self._state.failed(error)
        self.last_error = str(error)
        # A connection that failed once is not trusted: the next attempt opens a new one.
        self.close()
        wait_s = max(retry_after_s, self._backoff_s * (0.5 + self._random.random() / 2))
        self._backoff_s = min(self._backoff_s * 2, LONGEST_BACKOFF_S)
        return Sent(n_batches=n_sent, retry_after_s=min(wait_s, LONGEST_BACKOFF_S))
