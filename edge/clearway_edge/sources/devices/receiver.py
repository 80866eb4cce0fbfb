"""A GPS receiver on a line, whatever it speaks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from clearway_core.contracts.wire import GPS_PING
from clearway_core.errors import SourceUnavailable
from clearway_edge.sources.source import Intake, Line
from clearway_edge.sources.vehicle import VehicleSettings, fix_of

NO_FIX = "no_fix"

FLAG_ESTIMATED = "position_estimated"
"""The receiver says that it computed, simulated or was told the position."""


class Receiver(ABC):
    """Fixes of one receiver.

    What a receiver tells of one instant comes in parts: a fix waits until the next instant begins,
    the line is quiet, or lost.

    Parameters
    ----------
    line
        Where the bytes come from.
    vehicle
        Whose receiver it is.
    """

    def __init__(self, line: Line, vehicle: VehicleSettings) -> None:
        self._line = line
        self._vehicle = vehicle

    def read(self, timeout_s: float) -> Intake:
        """Return the fixes that came within `timeout_s`."""
        intake = Intake()
        try:
            data = self._line.receive(timeout_s)
        except SourceUnavailable:
            self._forget()
            self._finish(intake)
            if not intake.readings:
                raise
            return intake
        if not data:
            self._finish(intake)
        self._take(data, intake)
        return intake

    def close(self) -> None:
        """Give the line back."""
        self._line.close()

    @abstractmethod
    def _take(self, data: bytes, intake: Intake) -> None:
        """Read bytes, or learn from their absence that the line is quiet."""

    @abstractmethod
    def _finish(self, intake: Intake) -> None:
        """Give the fix that waits, if there is one."""

    @abstractmethod
    def _forget(self) -> None:
        """Give up the beginning of a message: the rest will never come."""

    def _give(self, values: Mapping[str, object], flags: Sequence[str], intake: Intake) -> None:
        intake.readings.append(fix_of(self._vehicle, values, flags))

    def _drop(self, reason: str, intake: Intake) -> None:
        intake.dropped[GPS_PING.identifier, reason] += 1
