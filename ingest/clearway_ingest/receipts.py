"""Telling gateways what the lake holds, as well as it goes: ingest never waits for it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from clearway_core.clock import Clock, SystemClock
from clearway_core.stream.log import Log
from clearway_core.stream.receipts import RECEIPTS_TOPIC, Receipt, message_of

log_ = logging.getLogger(__name__)

SILENT_AFTER_FAILURE_S = 300.0
"""An append that fails can take twice the log's timeout, a minute; once in five it delays ingest by
a fifth at most, while a broker that refuses only this topic would otherwise halt it."""


class Receipts:
    """Appends receipts to the log; what cannot be told is counted and forgotten.

    Parameters
    ----------
    log
        Where gateways read them.
    clock
        Tells when a log that took none is tried again.
    """

    def __init__(self, log: Log, *, clock: Clock | None = None) -> None:
        self._log = log
        self._clock = clock or SystemClock()
        self._silent_until_s = float("-inf")
        self.n_sent = 0
        self.n_not_sent = 0

    def send(self, receipts: Sequence[Receipt]) -> None:
        """Tell what a commit holds; never raises."""
        if not receipts:
            return
        if self._clock.monotonic_s() < self._silent_until_s:
            self.n_not_sent += len(receipts)
            return
        try:
            self._log.append(RECEIPTS_TOPIC, [message_of(receipt) for receipt in receipts])
        except Exception as error:  # noqa: BLE001 -- readings are in the lake; this is a courtesy
            if not self.n_not_sent:
                log_.warning("receipts_not_sent", extra={"error": str(error)})
            self.n_not_sent += len(receipts)
            self._silent_until_s = self._clock.monotonic_s() + SILENT_AFTER_FAILURE_S
        else:
            self.n_sent += len(receipts)
