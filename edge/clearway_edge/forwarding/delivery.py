"""Gets messages into the log: within the budget, in halves where they are too large, in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from clearway_core.clock import Clock
from clearway_core.contracts.wire import TOPICS
from clearway_core.errors import DeliveryFailed, MessageTooLarge
from clearway_core.stream.batch import CONTENT_TYPE
from clearway_core.stream.log import (
    CLOCK_HEADER,
    CONTENT_TYPE_HEADER,
    CONTRACT_HEADER,
    MAX_MESSAGE_BYTES,
    Log,
    Message,
)
from clearway_edge.clock.clock_state import UNKNOWN, ClockState
from clearway_edge.forwarding.append_size import AppendSize
from clearway_edge.forwarding.bandwidth import Bandwidth
from clearway_edge.forwarding.merging import Planned, in_halves, merged
from clearway_edge.outbox.outbox import (
    LOWEST_PRIORITY,
    MESSAGE_TOO_LARGE,
    Outbox,
    Waiting,
    priority_of,
)

_BUDGET_POLL_S = 0.2
_HEADER_BYTES = 1000
"""Room for key and headers of a message, which take 200. [B]"""

_BELOW_REFUSED = 0.8
"""Part of a size that the log refused below which a message is tried without being made smaller:
sizes vary from message to message."""


class Stopping(Exception):  # noqa: N818 -- no error
    """The gateway stops while a message waits for its bandwidth; the message stays."""


class Delivery:
    """Appends what is planned to the log and tells the outbox.

    Parameters
    ----------
    outbox
        Told what has arrived, and what never can.
    open_log
        Opens the log.
    key
        Of every message.
    bandwidth, clock
        The budget, and what waits for it.
    size
        Told how long each append took.
    clock_state
        Turns the monotonic times of an unsynchronised clock into instants.
    send_urgent
        Called while a message waits for the budget; sends what goes before it.
    """

    def __init__(  # noqa: PLR0913 -- everything that sending depends on
        self,
        outbox: Outbox,
        open_log: Callable[[], Log],
        *,
        key: bytes,
        bandwidth: Bandwidth,
        size: AppendSize,
        clock: Clock,
        clock_state: ClockState | None,
        send_urgent: Callable[[], None],
    ) -> None:
        self._outbox = outbox
        self._open_log = open_log
        self._key = key
        self._bandwidth = bandwidth
        self._size = size
        self._clock = clock
        self._clock_state = clock_state
        self._send_urgent = send_urgent
        self._log: Log | None = None
        self._refused_bytes: int | None = None
        self.stop = threading.Event()
        self.reached = False
        self.n_batches = 0
        self.n_bytes = 0

    def send(self, part: Sequence[Planned]) -> int:
        """Append messages of one topic in their order; return how many batches they held."""
        ready: list[tuple[Planned, bytes]] = []
        for message in part:
            payload = merged(message.batches)
            if payload is not None and not self._is_too_large(payload):
                ready.append((message, payload))
                continue
            self._send_ready(ready)
            ready = []
            self._send_smaller(message)
        self._send_ready(ready)
        return sum(len(message.batches) for message in part)

    def _send_ready(self, ready: Sequence[tuple[Planned, bytes]]) -> None:
        if not ready:
            return
        try:
            self._append([(message.batches[0], payload) for message, payload in ready])
        except MessageTooLarge:
            for message, _ in ready:
                self._send_alone(message)
            return
        self._accept([batch for message, _ in ready for batch in message.batches])

    def _send_alone(self, message: Planned) -> None:
        payload = merged(message.batches)
        if payload is None or self._is_too_large(payload):
            self._send_smaller(message)
            return
        try:
            self._append([(message.batches[0], payload)])
        except MessageTooLarge:
            self._was_refused(payload)
            self._send_smaller(message)
            return
        self._accept(message.batches)

    def _send_smaller(self, message: Planned) -> None:
        """Send a message that is too large as two, batch from batch, then record from record."""
        if len(message.batches) > 1:
            for half in message.halves():
                self._send_alone(half)
            return
        [waiting] = message.batches
        pieces = in_halves(waiting.payload) or [waiting.payload]
        n_dropped = 0
        while pieces:
            piece = pieces.pop(0)
            halves = in_halves(piece)
            if halves and self._is_too_large(piece):
                pieces = halves + pieces
                continue
            try:
                self._append([(waiting, piece)])
            except MessageTooLarge:
                self._was_refused(piece)
                n_dropped += 0 if halves else 1
                pieces = halves + pieces
        self._outbox.settle(waiting.id, n_dropped=n_dropped, reason=MESSAGE_TOO_LARGE)
        self.n_batches += 1

    def _was_refused(self, payload: bytes) -> None:
        self._refused_bytes = min(len(payload), self._refused_bytes or len(payload))

    def _is_too_large(self, payload: bytes) -> bool:
        """Return whether a payload is to be made smaller before anything is tried."""
        if len(payload) > MAX_MESSAGE_BYTES - _HEADER_BYTES:
            return True
        budget = self._bandwidth.largest_bytes
        if budget is not None and len(payload) > budget:
            return True
        refused = self._refused_bytes
        return refused is not None and len(payload) >= refused * _BELOW_REFUSED

    def _accept(self, batches: Sequence[Waiting]) -> None:
        self._outbox.accept([batch.id for batch in batches])
        self.n_batches += len(batches)

    def _append(self, payloads: Sequence[tuple[Waiting, bytes]]) -> None:
        """Append payloads of one topic, when the budget allows it."""
        contract = payloads[0][0].stream.contract
        messages = [self._message(batch, payload) for batch, payload in payloads]
        n_bytes = sum(_size(message) for message in messages)
        self._wait_for_budget(n_bytes, contract)
        self._bandwidth.spend(n_bytes)
        if self._log is None:
            self._log = self._open_log()
        started_s = self._clock.monotonic_s()
        try:
            self._log.append(TOPICS[contract], messages)
        except MessageTooLarge:
            raise
        except DeliveryFailed:
            self._size.failed(self._clock.monotonic_s() - started_s)
            raise
        self._size.stored(self._clock.monotonic_s() - started_s)
        self.n_bytes += sum(len(payload) for _, payload in payloads)
        self.reached = True

    def _wait_for_budget(self, n_bytes: int, contract: str) -> None:
        """Wait until so much may be sent; what is urgent goes ahead meanwhile."""
        urgent = priority_of(contract) < LOWEST_PRIORITY
        while wait_s := self._bandwidth.wait_s(n_bytes, urgent=urgent):
            if self.stop.is_set():
                raise Stopping
            self._clock.sleep(min(wait_s, _BUDGET_POLL_S))
            if not urgent:
                self._send_urgent()

    def _message(self, batch: Waiting, payload: bytes) -> Message:
        headers = {
            CONTRACT_HEADER: batch.stream.contract,
            CONTENT_TYPE_HEADER: CONTENT_TYPE,
        }
        if batch.clock is not None:
            base = None if self._clock_state is None else self._clock_state.base_ms(batch.clock)
            headers[CLOCK_HEADER] = UNKNOWN if base is None else str(base)
        return Message(key=self._key, value=payload, headers=headers)

    def close(self) -> None:
        """Give the log back; the next one may take larger messages."""
        self.reached = False
        self._refused_bytes = None
        if self._log is not None:
            self._log.close()
            self._log = None


def _size(message: Message) -> int:
    """Return what a message takes with key and headers [B]."""
    headers = sum(len(name) + len(text) for name, text in message.headers.items())
    return len(message.key) + len(message.value) + headers
