"""Whether the gateway's clock can be believed, and how time is found again when it could not.

A Pi has no clock battery: after a power cut without network it wakes up at any date. Readings that
took their time from it carry monotonic time as well; once the clock is synchronised, wall time
minus monotonic time is the base that turns each of them into an instant.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Final, Literal

from clearway_core.clock import Clock, wall_and_monotonic_ms
from clearway_edge.clock.clock_bases import ClockBases

log = logging.getLogger(__name__)

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

UNKNOWN: Final = "unknown"
"""Base of a start whose clock was never synchronised before it ended."""

STEP_MS = 2000
"""A wall clock that moved by more than this against the monotonic one was set by somebody; time
services turn smaller errors slowly. [ms]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockLook:
    """What one look at the clocks has shown.

    Parameters
    ----------
    synchronised
        Whether the wall clock follows a reference.
    base_ms
        Wall time minus monotonic time. [ms]
    since_ms
        Monotonic time since which it has been synchronised without a break. [ms]
    step_ms
        Between which two monotonic times a synchronised clock was set last, or None. [ms]
    """

    synchronised: bool
    base_ms: int
    since_ms: int
    step_ms: tuple[int, int] | None

    def dates(self, observed_at_ms: int, monotonic_ms: int) -> bool:
        """Return whether the wall clock could be believed when it gave a reading its time.

        A reading of before the synchronisation may be committed after it: then its pair of times
        does not fit the clock of now.

        Parameters
        ----------
        observed_at_ms, monotonic_ms
            Wall clock [ms since 1970] and monotonic clock [ms] at the reading.
        """
        if not self.synchronised:
            return False
        fits = abs(observed_at_ms - monotonic_ms - self.base_ms) <= STEP_MS
        return fits or monotonic_ms > self.since_ms

    def in_step(self, monotonic_ms: int) -> bool:
        """Return whether the synchronised clock was set around a reading [ms]."""
        return self.step_ms is not None and self.step_ms[0] <= monotonic_ms <= self.step_ms[1]


class ClockState:
    """What is known about the gateway's clock; safe to ask from several threads.

    Parameters
    ----------
    clock
        The clock.
    synchronised_file
        A file whose existence says that the clock is synchronised; goes before `ask`.
    ask
        Tells whether the clock is synchronised, None where that cannot be known; left out, it is.
    offset
        Tells by how much the clock is ahead of its reference [s], None where that is not known.
    bases
        What earlier starts of the machine have left.
    """

    def __init__(
        self,
        clock: Clock,
        synchronised_file: Path | None = None,
        *,
        ask: Callable[[], bool | None] | None = None,
        offset: Callable[[], float | None] | None = None,
        bases: ClockBases | None = None,
    ) -> None:
        self._clock = clock
        self._ask = ask or (lambda: True)
        if synchronised_file is not None:
            self._ask = synchronised_file.exists
        self._offset = offset
        self._bases = bases or ClockBases()
        self._lock = threading.Lock()
        self._last: tuple[ClockLook, int] | None = None
        self.start = _machine_start()

    @property
    def synchronised(self) -> bool:
        """Whether the wall clock follows a reference now, as far as anybody can tell."""
        return self._ask() is not False

    @property
    def offset_s(self) -> float | None:
        """Wall clock minus its reference now, or None where nobody knows [s]."""
        return None if self._offset is None else self._offset()

    @property
    def tag(self) -> str | None:
        """Name of this start of the machine while its clock is not synchronised, else None.

        Monotonic times compare within one tag only.
        """
        return None if self.synchronised else self.start

    def look(self) -> ClockLook:
        """Look at the clocks; called at each commit, so that a step is noticed within a second."""
        with self._lock:
            # Asked first: a clock that is set right after the answer is seen by the next look.
            synchronised = self.synchronised
            wall_ms, now_ms = wall_and_monotonic_ms(self._clock)
            look = self._compare(wall_ms - now_ms, now_ms, synchronised=synchronised)
            if synchronised:
                self._bases.set(self.start, look.base_ms)
            self._last = look, now_ms
            return look

    def base_ms(self, tag: str) -> int | Literal["unknown"] | None:
        """Return what to add to the monotonic times of a tag [ms].

        None while that may still become known, `UNKNOWN` if it never will: the clock of that start
        of the machine was not synchronised before the machine went down.
        """
        if tag != self.start:
            found = self._bases.get(tag)
            return UNKNOWN if found is None else found
        self.look()
        return self._bases.get(tag)

    def _compare(self, base_ms: int, now_ms: int, *, synchronised: bool) -> ClockLook:
        if self._last is None:
            # Nothing was read before the first look.
            if not synchronised:
                log.warning("clock_unsynchronised", extra={"start": self.start})
            return ClockLook(synchronised=synchronised, base_ms=base_ms, since_ms=-1, step_ms=None)
        last, last_ms = self._last
        since_ms, step_ms = last.since_ms, last.step_ms
        moved_ms = base_ms - last.base_ms
        stepped = abs(moved_ms) > STEP_MS
        if stepped and synchronised and last.synchronised:
            step_ms = (last_ms, now_ms)
            log.warning("clock_stepped", extra={"by_s": moved_ms / 1000})
        if synchronised and not last.synchronised:
            since_ms = now_ms
            log.info("clock_synchronised", extra={"was_off_by_s": -moved_ms / 1000})
        elif last.synchronised and not synchronised:
            log.warning("clock_unsynchronised", extra={"start": self.start})
        return ClockLook(
            synchronised=synchronised, base_ms=base_ms, since_ms=since_ms, step_ms=step_ms
        )


def _machine_start() -> str:
    """Return what names this start of the machine, or this process where nothing does."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return f"process-{token_hex(8)}"
