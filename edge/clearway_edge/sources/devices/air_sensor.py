"""An air sensor at a fixed place: what its decoder finds in the bytes becomes readings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from clearway_core.clock import Clock
from clearway_core.contracts.wire import AIR_READING
from clearway_core.errors import SourceUnavailable
from clearway_edge.sources.devices.lines import Device
from clearway_edge.sources.place import PlaceSettings
from clearway_edge.sources.source import Intake, Reading

BAD_CHECKSUM = "bad_checksum"
FLAG_WARM_UP = "warming_up"
FLAG_ERROR = "sensor_error"

DEFAULT_EVERY_S = 10.0
"""How often a sensor that must be asked is asked. [s] Ten times a minute is far more than an hourly
mean needs, and a tenth of what the sensors could give."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one frame of a sensor says.

    Parameters
    ----------
    values
        Wire values by field.
    flags
        What the sensor itself says about them.
    """

    values: Mapping[str, float]
    flags: tuple[str, ...] = ()


class Trouble(Enum):
    """A frame that holds no values."""

    DAMAGED = "damaged"
    """Its checksum is wrong: one reading is lost."""
    NOT_MEASURING = "not measuring"
    """The sensor has forgotten that it shall measure, as after a power cut of its own."""


class Decoder(Protocol):
    """Finds a sensor's frames in its bytes, and finds back after noise."""

    def feed(self, data: bytes) -> Iterator[Measured | Trouble]:
        """Yield what every complete frame says."""
        ...

    def forget(self) -> None:
        """Give up the beginning of a frame: the rest will never come."""
        ...


@dataclass(frozen=True, slots=True)
class Asking:
    """How a sensor is asked that does not speak by itself.

    Parameters
    ----------
    command
        Asks for one measurement.
    every_s
        How often. [s]
    """

    command: bytes
    every_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorKind:
    """What sets one kind of sensor apart.

    Parameters
    ----------
    model
        As in the readings.
    warm_up_s
        How long after it begins to speak its readings are flagged. [s]
    greeting
        Brings it into its mode; sent again where it has forgotten.
    asking
        How it is asked; None for one that speaks by itself.
    farewell
        Sent when the gateway stops.
    """

    model: str
    warm_up_s: float
    greeting: bytes = b""
    asking: Asking | None = None
    farewell: bytes = b""


class AirSensor:
    """Readings of one sensor at a fixed place.

    Parameters
    ----------
    line
        Where its bytes come from.
    decoder
        Finds its frames.
    kind
        What it is and how it is spoken to.
    place
        Its identifier and position.
    clock
        Gives ``observed_at``: the sensor has no clock.
    """

    def __init__(
        self,
        line: Device,
        decoder: Decoder,
        *,
        kind: SensorKind,
        place: PlaceSettings,
        clock: Clock,
    ) -> None:
        self._line = line
        self._decoder = decoder
        self._kind = kind
        self._clock = clock
        self._place = place
        self._first_at_s: float | None = None
        self._next_question_s = 0.0
        self._asked = False

    def read(self, timeout_s: float) -> Intake:
        """Return the readings that came within `timeout_s`."""
        intake = Intake()
        try:
            data = self._line.receive(0.0 if self._question_is_due() else timeout_s)
            self._take(data, intake)
            self._ask()
        except SourceUnavailable:
            # It may come back as another device, cold, in the middle of a frame.
            self._decoder.forget()
            self._first_at_s = None
            self._next_question_s = 0.0
            if not intake.readings and not intake.dropped:
                raise
        return intake

    def close(self) -> None:
        """Take leave of the sensor and give the line back."""
        if self._kind.farewell:
            with suppress(SourceUnavailable):
                self._line.send(self._kind.farewell)
        self._line.close()

    def _question_is_due(self) -> bool:
        asking = self._kind.asking
        return asking is not None and self._clock.monotonic_s() >= self._next_question_s

    def _ask(self) -> None:
        asking = self._kind.asking
        if asking is not None and self._question_is_due():
            self._line.send(asking.command)
            self._asked = True
            self._next_question_s = self._clock.monotonic_s() + asking.every_s

    def _take(self, data: bytes, intake: Intake) -> None:
        for found in self._decoder.feed(data):
            if isinstance(found, Measured):
                intake.readings.append(self._reading(found))
            elif found is Trouble.DAMAGED:
                intake.dropped[AIR_READING.identifier, BAD_CHECKSUM] += 1
            if found is Trouble.NOT_MEASURING or (self._kind.asking and not self._asked):
                # It speaks unasked, or does not measure: it was without power for a moment.
                self._line.send(self._kind.greeting)
            self._asked = False

    def _reading(self, measured: Measured) -> Reading:
        now_s = self._clock.monotonic_s()
        self._first_at_s = now_s if self._first_at_s is None else self._first_at_s
        warming_up = now_s - self._first_at_s < self._kind.warm_up_s
        flags = (FLAG_WARM_UP, *measured.flags) if warming_up else measured.flags
        return self._place.reading(
            measured.values, model=self._kind.model, clock=self._clock, flags=flags
        )
