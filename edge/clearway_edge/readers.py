"""Threads that read the sources, each at its own pace, into one queue."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Mapping

from clearway_core.clock import Clock
from clearway_core.errors import SourceUnavailable
from clearway_edge.condition.source_states import SourceStates
from clearway_edge.sources.source import Intake, Source

log = logging.getLogger(__name__)

_READ_TIMEOUT_S = 0.2
_RETRY_SOURCE_S = 5.0
_QUEUE_INTAKES = 256
_SHORTEST_WAIT_S = 0.05
"""A sender that waits for its answer is answered after this, with others of the same moment: one
fsync for all of them."""


class Readers:
    """One thread for each source; what they give is taken together.

    Parameters
    ----------
    sources
        By name.
    states
        Told how the sources do.
    clock
        Its monotonic time counts.
    """

    def __init__(self, sources: Mapping[str, Source], states: SourceStates, clock: Clock) -> None:
        self._sources = sources
        self._states = states
        self._clock = clock
        self._threads: list[threading.Thread] = []
        self._intakes: queue.Queue[Intake] = queue.Queue(_QUEUE_INTAKES)
        self._waits_for_answer = threading.Event()

    def start(self, stop: threading.Event) -> None:
        """Read until `stop` is set."""
        self._threads = [
            threading.Thread(target=self._read, args=(name, source, stop), name=name)
            for name, source in self._sources.items()
        ]
        for thread in self._threads:
            thread.start()

    def wait(self, stop: threading.Event, longest_s: float) -> None:
        """Wait for the next commit [s], or a moment where a sender waits for its answer."""
        ends_s = self._clock.monotonic_s() + longest_s
        while not stop.is_set():
            left_s = ends_s - self._clock.monotonic_s()
            if left_s <= 0:
                return
            if self._waits_for_answer.wait(min(left_s, _READ_TIMEOUT_S)):
                self._waits_for_answer.clear()
                stop.wait(_SHORTEST_WAIT_S)
                return

    def taken(self) -> list[Intake]:
        """Return what was read since the last call."""
        intakes = []
        while True:
            try:
                intakes.append(self._intakes.get_nowait())
            except queue.Empty:
                return intakes

    def have_ended(self) -> bool:
        """Give the threads a moment to end, and return whether all have.

        One may wait for room in the queue: until then what was read must be taken.
        """
        for thread in self._threads:
            thread.join(_READ_TIMEOUT_S)
        return not any(thread.is_alive() for thread in self._threads)

    def _read(self, name: str, source: Source, stop: threading.Event) -> None:
        try:
            while not stop.is_set():
                try:
                    intake = source.read(_READ_TIMEOUT_S)
                except SourceUnavailable as error:
                    if self._states.lost(name, str(error)):
                        log.warning("source_lost", extra={"source": name, "error": str(error)})
                    stop.wait(_RETRY_SOURCE_S)
                    continue
                except Exception as error:
                    # One broken driver must not silence the other sensors of the pole.
                    log.exception("source_failed", extra={"source": name})
                    self._states.lost(name, f"{type(error).__name__}: {error}")
                    stop.wait(_RETRY_SOURCE_S)
                    continue
                if self._states.works(
                    name, n_readings=len(intake.readings), position_deg=_position_deg(intake)
                ):
                    log.info("source_back", extra={"source": name})
                if intake.readings or intake.dropped or intake.settle is not None:
                    self._intakes.put(intake)
                    if intake.settle is not None:
                        self._waits_for_answer.set()
                else:
                    # A recording at its end returns at once; a line has waited already.
                    stop.wait(_READ_TIMEOUT_S / 10)
        finally:
            source.close()


def _position_deg(intake: Intake) -> tuple[float, float] | None:
    """Return (lon, lat) of the last reading, or None without one [°]."""
    last = intake.readings[-1].values if intake.readings else {}
    lon_deg, lat_deg = last.get("lon_deg"), last.get("lat_deg")
    if isinstance(lon_deg, float) and isinstance(lat_deg, float):
        return lon_deg, lat_deg
    return None
