"""What the forwarder is doing, in words for people: one line in the log for each change."""

from __future__ import annotations

import logging
from collections import deque
from datetime import UTC
from pathlib import Path

from clearway_core.clock import Clock
from clearway_core.errors import ClearwayError, LogRefused, SettingsError
from clearway_edge.certificate import validity_of

log = logging.getLogger(__name__)

CONNECTING, DRAINING, UP_TO_DATE, REFUSED = "connecting", "draining", "up to date", "refused"

_RATE_OVER_S = 120.0
_RATE_AT_LEAST_S = 5.0
"""Over which time the speed of draining is taken; a shorter look back would guess. [s]"""

_MINUTE_S, _HOUR_S = 60.0, 3600.0
_KILOBYTE, _MEGABYTE = 1e3, 1e6


class ForwarderState:
    """The state of one forwarder; set by its thread, asked by everybody.

    Parameters
    ----------
    clock
        Tells how fast it drains.
    certificate_file
        The gateway's own certificate, if it has one: a broker does not say that it has expired.
    """

    def __init__(self, clock: Clock, certificate_file: Path | None = None) -> None:
        self._clock = clock
        self._certificate_file = certificate_file
        self._left: deque[tuple[float, int]] = deque()
        self._said = ""
        self.words = CONNECTING

    def failed(self, error: ClearwayError) -> None:
        """Note that the log cannot be reached, or turns the gateway away."""
        self._left.clear()
        if isinstance(error, LogRefused):
            self._say(f"{REFUSED}: {self._certificate_fault() or error.cause}", str(error))
        elif isinstance(error, SettingsError):
            self._say(f"{REFUSED}: {error.faults[0]}", str(error))
        else:
            self._say(f"{CONNECTING}: {error}", str(error))

    def draining(self, left_bytes: int, *, waits_for_clock: bool = False) -> None:
        """Note that more waits than a moment's readings [B]."""
        now_s = self._clock.monotonic_s()
        self._left.append((now_s, left_bytes))
        while now_s - self._left[0][0] > _RATE_OVER_S:
            self._left.popleft()
        if waits_for_clock:
            words = f"{_size(left_bytes)} wait until the clock is synchronised"
        else:
            words = f"{_size(left_bytes)} left{self._estimate()}"
        self._say(f"{DRAINING}: {words}")

    def up_to_date(self) -> None:
        """Note that nothing waits but what is gathered for the next message."""
        self._left.clear()
        self._say(UP_TO_DATE)

    def _estimate(self) -> str:
        (first_s, first_bytes), (last_s, last_bytes) = self._left[0], self._left[-1]
        if last_s - first_s < _RATE_AT_LEAST_S:
            return ""
        gone_bytes = first_bytes - last_bytes
        if gone_bytes <= 0:
            return ", not getting less"
        left_s = last_bytes * (last_s - first_s) / gone_bytes
        if left_s < _MINUTE_S:
            return ", less than a minute"
        if left_s < _HOUR_S:
            return f", about {left_s / _MINUTE_S:.0f} min"
        return f", about {left_s / _HOUR_S:.1f} h"

    def _certificate_fault(self) -> str:
        """Return what is wrong with the gateway's own certificate, as far as it can tell."""
        if self._certificate_file is None:
            return ""
        try:
            expires_at = validity_of(self._certificate_file).expires_at.astimezone(UTC)
        except (OSError, ValueError) as error:
            return f"certificate cannot be read: {error}"
        if expires_at > self._clock.now():
            return ""
        return (
            f"certificate expired on {expires_at:%Y-%m-%d %H:%M} UTC: "
            f"put a new one to {self._certificate_file}"
        )

    def _say(self, words: str, detail: str = "") -> None:
        self.words = words
        kind = words.partition(":")[0]
        # How much is left changes all the time, why something is refused does not.
        said = words if kind == REFUSED else kind
        if said == self._said:
            return
        self._said = said
        if kind in {REFUSED, CONNECTING}:
            log.warning("forwarder_state", extra={"state": words, "error": detail})
        else:
            log.info("forwarder_state", extra={"state": words})


def _size(n_bytes: int) -> str:
    if n_bytes < _MEGABYTE:
        return f"{n_bytes / _KILOBYTE:.0f} kB"
    return f"{n_bytes / _MEGABYTE:.1f} MB"
