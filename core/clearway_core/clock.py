"""Time comes in through here, so that tests can turn it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where a component takes its time from."""

    def now(self) -> datetime:
        """Return the wall clock time, aware UTC."""
        ...

    def monotonic_s(self) -> float:
        """Return seconds that never go back while the process runs [s]."""
        ...

    def sleep(self, duration_s: float) -> None:
        """Wait [s]."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """Return the wall clock time, aware UTC."""
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        """Return the monotonic clock [s]."""
        return time.monotonic()

    def sleep(self, duration_s: float) -> None:
        """Wait [s]."""
        time.sleep(duration_s)


TOGETHER_MS = 20
"""Two looks at the monotonic clock around one at the wall clock are this close, or a process was
stopped in between and the pair would be wrong by as much. [ms]"""

_ATTEMPTS = 10


def wall_and_monotonic_ms(clock: Clock) -> tuple[int, int]:
    """Return the wall clock [ms since 1970] and the monotonic clock [ms] of one moment.

    Their difference stays the same until somebody sets the wall clock. On a machine that is so
    busy that no ten attempts succeed, the closest pair is returned.
    """
    pairs = []
    for _ in range(_ATTEMPTS):
        before_ms = round(clock.monotonic_s() * 1000)
        wall_ms = to_ms(clock.now())
        apart_ms = round(clock.monotonic_s() * 1000) - before_ms
        pairs.append((apart_ms, wall_ms, before_ms + apart_ms // 2))
        if apart_ms <= TOGETHER_MS:
            break
    _, wall_ms, monotonic_ms = min(pairs)
    return wall_ms, monotonic_ms


def to_ms(instant: datetime) -> int:
    """Return milliseconds since 1970 of an aware instant, as the wire carries them [ms]."""
    if instant.tzinfo is None:
        message = f"an instant needs a time zone, got {instant!r}: use datetime(..., tzinfo=UTC)"
        raise ValueError(message)
    whole_s = int(instant.replace(microsecond=0).timestamp())
    return whole_s * 1000 + instant.microsecond // 1000


def from_ms(instant_ms: int) -> datetime:
    """Return the aware UTC instant of milliseconds since 1970."""
    seconds, milliseconds = divmod(instant_ms, 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=milliseconds * 1000)
