"""Two particle sensors side by side, read as one with two channels."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from clearway_core.clock import Clock
from clearway_core.errors import SourceUnavailable
from clearway_edge.sources.source import Intake, Reading, Source

log = logging.getLogger(__name__)

TOGETHER_S = 1.25
"""Readings of both are one record if they come within this. [s] A Plantower sensor speaks at least
every 2.3 s, so half of it is the farthest that two steady ones are apart."""

RETRY_S = 5.0


@dataclass(slots=True)
class _Half:
    """One sensor of the pair, and its readings that wait for the other's."""

    source: Source
    waiting: deque[tuple[float, Reading]] = field(default_factory=deque)
    error: str | None = None
    retry_at_s: float = 0.0


class SensorPair:
    """Joins readings of two sensors into records with both channels.

    A reading without a partner travels alone: the lake, which compares channels, shall see that one
    is missing. While one sensor is away the other is read on.

    Parameters
    ----------
    first, second
        Sensors whose readings have no measured field in common.
    clock
        Tells how far apart readings came.
    """

    def __init__(self, first: Source, second: Source, *, clock: Clock) -> None:
        self._halves = (_Half(first), _Half(second))
        self._clock = clock

    def read(self, timeout_s: float) -> Intake:
        """Return the records that were complete within `timeout_s`."""
        intake = Intake()
        for half in self._halves:
            self._read_half(half, timeout_s / len(self._halves), intake)
        self._join(intake)
        errors = [half.error for half in self._halves if half.error is not None]
        if len(errors) == len(self._halves) and not intake.readings:
            raise SourceUnavailable(" ".join(errors))
        return intake

    def close(self) -> None:
        """Give both lines back."""
        for half in self._halves:
            half.source.close()

    def _read_half(self, half: _Half, timeout_s: float, intake: Intake) -> None:
        now_s = self._clock.monotonic_s()
        if now_s < half.retry_at_s:
            return
        try:
            given = half.source.read(timeout_s)
        except SourceUnavailable as error:
            if half.error is None:
                log.warning("sensor_of_pair_lost", extra={"error": str(error)})
            half.error, half.retry_at_s = str(error), now_s + RETRY_S
            return
        half.error = None
        intake.dropped.update(given.dropped)
        arrived_s = self._clock.monotonic_s()
        half.waiting.extend((arrived_s, reading) for reading in given.readings)

    def _join(self, intake: Intake) -> None:
        first, second = (half.waiting for half in self._halves)
        while first and second:
            (a_s, a), (b_s, b) = first[0], second[0]
            if abs(a_s - b_s) <= TOGETHER_S:
                first.popleft()
                second.popleft()
                intake.readings.append(_joined(a, b))
            else:
                intake.readings.append((first if a_s < b_s else second).popleft()[1])
        for half, other in (self._halves, self._halves[::-1]):
            until_s = self._clock.monotonic_s() - TOGETHER_S
            while half.waiting and (half.waiting[0][0] < until_s or other.error is not None):
                intake.readings.append(half.waiting.popleft()[1])


def _joined(a: Reading, b: Reading) -> Reading:
    flags = " ".join(str(each.values["flags"]) for each in (a, b) if each.values["flags"])
    values: Mapping[str, object] = {
        **b.values,
        **a.values,
        "flags": " ".join(dict.fromkeys(flags.split())) or None,
    }
    return Reading(contract=a.contract, values=values)
