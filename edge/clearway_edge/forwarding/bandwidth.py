"""How fast a gateway may send: a budget in bytes a second, with something kept for urgent messages.

A token bucket: what is not used is saved up to `BURST_S`, so that the average holds and a message
still leaves in one piece.
"""

from __future__ import annotations

from clearway_core.clock import Clock

BURST_S = 10.0
"""Of how many seconds the budget may be spent at once: at 64 kbit/s a message of 80,000 bytes, more
than 5,000 fixes take. [s]"""

URGENT_SHARE = 0.2
"""Part of the burst that fixes may not use: health, books and air never wait behind them."""


class Bandwidth:
    """The budget of one gateway.

    Parameters
    ----------
    max_bytes_s
        On average; None: no limit. [B/s]
    clock
        Its monotonic time counts.
    """

    def __init__(self, max_bytes_s: float | None, clock: Clock) -> None:
        self._max_bytes_s = max_bytes_s
        self._clock = clock
        self._burst_bytes = (max_bytes_s or 0.0) * BURST_S
        self._saved_bytes = self._burst_bytes
        self._at_s = clock.monotonic_s()

    @property
    def largest_bytes(self) -> int | None:
        """How large a message may be that leaves what is kept for urgent ones; None: any [B]."""
        if self._max_bytes_s is None:
            return None
        return int(self._burst_bytes * (1 - URGENT_SHARE))

    def wait_s(self, n_bytes: int, *, urgent: bool) -> float:
        """Return after how long a message may be sent [s].

        One that is larger than the whole burst may go once the burst is saved; it is paid for
        afterwards.
        """
        if self._max_bytes_s is None:
            return 0.0
        self._save()
        kept_bytes = 0.0 if urgent else self._burst_bytes * URGENT_SHARE
        needed_bytes = min(n_bytes + kept_bytes, self._burst_bytes)
        lacking_bytes = needed_bytes - self._saved_bytes
        # A rounding error of less than a byte is no reason to wait.
        return 0.0 if lacking_bytes < 1 else lacking_bytes / self._max_bytes_s

    def spend(self, n_bytes: int) -> None:
        """Note that a message is sent, whether it arrives or not."""
        if self._max_bytes_s is not None:
            self._save()
            self._saved_bytes -= n_bytes

    def _save(self) -> None:
        now_s = self._clock.monotonic_s()
        gained_bytes = (now_s - self._at_s) * (self._max_bytes_s or 0.0)
        self._saved_bytes = min(self._burst_bytes, self._saved_bytes + max(0.0, gained_bytes))
        self._at_s = now_s
