"""Sends what waits in the outbox to the log, at least once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from clearway_core.contracts.wire import TOPICS, WIRE_CONTRACTS
from clearway_core.errors import ClearwayError, DeliveryFailed, MessageTooLarge
from clearway_core.stream.batch import CONTENT_TYPE, Batch, decode, encode
from clearway_core.stream.log import CONTENT_TYPE_HEADER, CONTRACT_HEADER, Log, Message
from clearway_edge.outbox import MESSAGE_TOO_LARGE, Outbox, Waiting

log = logging.getLogger(__name__)

BATCHES_AT_ONCE = 16
"""Batches of one append: enough that fsync or a broker's round trip is paid once for many."""

FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 60.0
"""A broker that comes back is found within a minute, and is not hammered by a thousand gateways
at once: each waits a random part of its time."""

_IDLE_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What one attempt did.

    Parameters
    ----------
    n_batches
        Batches that left the outbox.
    retry_after_s
        When to try again; None if nothing stood in the way. [s]
    error
        What stood in the way.
    """

    n_batches: int
    retry_after_s: float | None = None
    error: str = ""


class Forwarder:
    """Moves batches from an outbox to a log.

    Parameters
    ----------
    outbox
        What waits.
    open_log
        Opens the log; called in the forwarder's own thread, since a broker that is down blocks
        for half a minute and then raises.
    gateway
        Key of every message, so that a gateway's batches keep their order.
    random
        Spreads the retries of many gateways.
    """

    def __init__(
        self,
        outbox: Outbox,
        open_log: Callable[[], Log],
        *,
        gateway: str,
        random: Random | None = None,
    ) -> None:
        self._outbox = outbox
        self._open_log = open_log
        self._key = gateway.encode()
        self._random = random or Random()  # noqa: S311 -- jitter is no secret
        self._log: Log | None = None
        self._backoff_s = FIRST_BACKOFF_S
        self._wake = threading.Event()
        self.last_error = ""
        self.n_sent = 0

    def send_once(self) -> Sent:
        """Send the oldest batches; on failure they stay.

        Returns
        -------
        Sent
            What happened; this never raises for a log that cannot be reached.
        """
        waiting = self._outbox.waiting(BATCHES_AT_ONCE)
        if not waiting:
            return Sent(n_batches=0)
        first = waiting[0].stream.contract
        group = [batch for batch in waiting if batch.stream.contract == first]
        try:
            self._append(first, group)
        except DeliveryFailed as error:
            return self._failed(str(error), error.retry_after_s)
        except ClearwayError as error:
            return self._failed(str(error), FIRST_BACKOFF_S)
        self._backoff_s = FIRST_BACKOFF_S
        if self.last_error:
            log.info("log_reached_again")
        self.last_error = ""
        self.n_sent += len(group)
        return Sent(n_batches=len(group))

    def run(self, stop: threading.Event) -> None:
        """Send until `stop` is set; what waits then stays in the outbox."""
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
                    self._wake.wait(_IDLE_S)
                    self._wake.clear()
        finally:
            self.close()

    def wake(self) -> None:
        """Say that something new waits."""
        self._wake.set()

    def close(self) -> None:
        """Give the log back."""
        if self._log is not None:
            self._log.close()
            self._log = None

    def _append(self, contract: str, group: Sequence[Waiting]) -> None:
        if self._log is None:
            self._log = self._open_log()
        ids = [batch.id for batch in group]
        messages = [self._message(batch) for batch in group]
        try:
            self._log.append(TOPICS[contract], messages)
        except MessageTooLarge:
            for batch in group:
                self._append_split(self._log, batch)
        else:
            self._outbox.accept(ids)

    def _append_split(self, to: Log, waiting: Waiting) -> None:
        """Send one batch alone, in halves as often as the log needs."""
        topic = TOPICS[waiting.stream.contract]
        pieces = [waiting.payload]
        refused = 0
        while pieces:
            payload = pieces.pop(0)
            try:
                to.append(topic, [self._message(replace(waiting, payload=payload))])
            except MessageTooLarge:
                halves = _halves(payload)
                if not halves:
                    refused += 1
                pieces = halves + pieces
        self._outbox.settle(waiting.id, n_dropped=refused, reason=MESSAGE_TOO_LARGE)

    def _message(self, waiting: Waiting) -> Message:
        headers = {
            CONTRACT_HEADER: waiting.stream.contract,
            CONTENT_TYPE_HEADER: CONTENT_TYPE,
        }
        return Message(key=self._key, value=waiting.payload, headers=headers)

    def _failed(self, error: str, retry_after_s: float) -> Sent:
        if error != self.last_error:
            log.warning("log_not_reached", extra={"error": error})
        self.last_error = error
        # A connection that failed once is not trusted: the next attempt opens a new one.
        self.close()
        wait_s = max(retry_after_s, self._backoff_s * (0.5 + self._random.random() / 2))
        self._backoff_s = min(self._backoff_s * 2, LONGEST_BACKOFF_S)
        return Sent(n_batches=0, retry_after_s=min(wait_s, LONGEST_BACKOFF_S), error=error)


def _halves(payload: bytes) -> list[bytes]:
    """Return a batch as two smaller ones, or nothing if it holds one record only."""
    batch = decode(payload)
    if len(batch) <= 1:
        return []
    middle = len(batch) // 2
    contract = WIRE_CONTRACTS[batch.contract]
    return [
        encode(
            Batch(
                contract=batch.contract,
                gateway=batch.gateway,
                boot=batch.boot,
                seq=batch.seq[part],
                columns={name: values[part] for name, values in batch.columns.items()},
            ),
            contract,
        )
        for part in (slice(None, middle), slice(middle, None))
    ]
