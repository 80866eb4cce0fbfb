"""How each source of a gateway is doing: working, lost, and since when."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from clearway_core.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """One source.

    Parameters
    ----------
    kind
        Kind of source.
    error
        Why it gives nothing; empty while it works.
    n_readings
        Readings since the agent started.
    last_reading_age_s
        Since its last reading, or None if it gave none. [s]
    position_deg
        (lon, lat) of its last reading, kept in memory only; None without one. [°]
    """

    kind: str
    error: str
    n_readings: int
    last_reading_age_s: float | None
    position_deg: tuple[float, float] | None = None

    @property
    def word(self) -> str:
        """One of working, silent (connected, nothing came yet) and lost."""
        if self.error:
            return "lost"
        return "silent" if self.last_reading_age_s is None else "working"


class SourceStates:
    """The states of all sources; told by the threads that read, asked by everybody.

    Parameters
    ----------
    kinds
        Kind of each source, by name.
    clock
        Tells how old a reading is.
    """

    def __init__(self, kinds: Mapping[str, str], clock: Clock) -> None:
        self._kinds = dict(kinds)
        self._clock = clock
        self._lock = threading.Lock()
        self._errors: dict[str, str] = {}
        self._last_s: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._positions_deg: dict[str, tuple[float, float]] = {}

    def lost(self, name: str, error: str) -> bool:
        """Note that a source cannot be read; return whether that is new."""
        with self._lock:
            new = name not in self._errors
            self._errors[name] = error
            return new

    def works(
        self, name: str, *, n_readings: int, position_deg: tuple[float, float] | None = None
    ) -> bool:
        """Note that a source could be read; return whether it had been lost."""
        with self._lock:
            if position_deg is not None:
                self._positions_deg[name] = position_deg
            if n_readings:
                self._last_s[name] = self._clock.monotonic_s()
                self._counts[name] = self._counts.get(name, 0) + n_readings
            return self._errors.pop(name, None) is not None

    def all(self) -> dict[str, SourceState]:
        """Return the state of each source, by name."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            return {
                name: SourceState(
                    kind=kind,
                    error=self._errors.get(name, ""),
                    n_readings=self._counts.get(name, 0),
                    last_reading_age_s=(
                        now_s - self._last_s[name] if name in self._last_s else None
                    ),
                    position_deg=self._positions_deg.get(name),
                )
                for name, kind in self._kinds.items()
            }
