"""Plantower PMS5003 (also 7003 and A003) particle sensors on a serial line."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clearway_core.clock import Clock, to_ms
from clearway_core.contracts.wire import AIR_READING
from clearway_core.settings import Section
from clearway_edge.sources.kinds import Tools
from clearway_edge.sources.lines import LineSettings, line_settings, open_line
from clearway_edge.sources.place import PlaceSettings, place_settings
from clearway_edge.sources.source import Intake, Line, Reading

MODEL = "pms5003"
BAUD = 9600

BAD_CHECKSUM = "bad_checksum"
FLAG_WARM_UP = "warming_up"
FLAG_ERROR = "sensor_error"

WARM_UP_S = 30.0
"""Until the fan runs steadily after power-up. [s] Plantower, PMS5003 series data manual, 2016;
not verified by us."""

_START = b"BM"
_FRAME_BYTES = 32
_BODY_BYTES = 28
_FRAME = struct.Struct(">2sH13HH")
_FIELDS = (
    ("pm1_cf1_ugm3", 0),
    ("pm2_5_cf1_a_ugm3", 1),
    ("pm10_cf1_ugm3", 2),
    ("pm2_5_atm_ugm3", 4),
    ("particles_0_3_um_per_dl", 6),
    ("particles_2_5_um_per_dl", 9),
)
"""Wire field and the frame's data word that holds it. The sensor counts particles per 0.1 L, which
is 1 dL."""
_VERSION_AND_ERROR = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Pms5003Settings:
    """A particle sensor at a fixed place."""

    line: LineSettings
    place: PlaceSettings


def settings_of(section: Section, folder: Path) -> Pms5003Settings:
    """Read the keys of a ``[[source]]`` of this kind."""
    return Pms5003Settings(
        line=line_settings(section, folder, baud=BAUD), place=place_settings(section)
    )


def open_source(settings: Pms5003Settings, tools: Tools) -> Pms5003Source:
    """Return the sensor; its line is opened when it is first read."""
    return Pms5003Source(
        open_line(settings.line),
        sensor=settings.place.sensor,
        position_deg=settings.place.position_deg,
        clock=tools.clock,
    )


def parse_frame(frame: bytes) -> tuple[dict[str, float], int] | None:
    """Return the channels and the error byte of a frame, or None if it is damaged.

    Parameters
    ----------
    frame
        32 bytes: ``42 4D``, length 28, 13 words (PM1, PM2.5, PM10 with CF=1; the same
        "atmospheric"; counts above 0.3, 0.5, 1, 2.5, 5, 10 µm; version and error), sum of
        bytes 0 to 29; all words big-endian.
    """
    if len(frame) != _FRAME_BYTES:
        return None
    start, length, *words, checksum = _FRAME.unpack(frame)
    if start != _START or length != _BODY_BYTES or sum(frame[:-2]) & 0xFFFF != checksum:
        return None
    channels = {name: float(words[place]) for name, place in _FIELDS}
    return channels, words[_VERSION_AND_ERROR] & 0xFF


class FrameReader:
    """Finds frames in a byte stream, and finds back after noise."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[dict[str, float], int] | None]:
        """Yield every frame, and None for one whose checksum is wrong."""
        rest = self._rest + data
        while (start := rest.find(_START)) >= 0:
            rest = rest[start:]
            if len(rest) < _FRAME_BYTES:
                break
            frame = parse_frame(rest[:_FRAME_BYTES])
            # After a damaged frame only its first byte is given up: the next good frame may
            # begin anywhere inside.
            is_frame = frame is not None or rest[2:4] == b"\x00\x1c"
            rest = rest[_FRAME_BYTES:] if frame is not None else rest[1:]
            if is_frame:
                yield frame
        # Nothing without a start can become a frame, but for its last byte.
        self._rest = rest if start >= 0 else rest[-1:]


class Pms5003Source:
    """Readings of one sensor at a fixed place.

    Parameters
    ----------
    line
        Serial line of 9600 baud.
    sensor
        Identifier, unique in the city.
    position_deg
        (lon, lat) of the sensor. [°]
    clock
        Gives ``observed_at``: the sensor has no clock.
    """

    def __init__(
        self, line: Line, *, sensor: str, position_deg: tuple[float, float], clock: Clock
    ) -> None:
        self._line = line
        self._sensor = sensor
        self._lon_deg, self._lat_deg = position_deg
        self._clock = clock
        self._reader = FrameReader()
        self._first_at_s: float | None = None

    def read(self, timeout_s: float) -> Intake:
        """Return the readings that came within `timeout_s`."""
        intake = Intake()
        for frame in self._reader.feed(self._line.receive(timeout_s)):
            if frame is None:
                intake.dropped[AIR_READING.identifier, BAD_CHECKSUM] += 1
            else:
                intake.readings.append(self._reading(*frame))
        return intake

    def close(self) -> None:
        """Give the line back."""
        self._line.close()

    def _reading(self, channels: dict[str, float], error: int) -> Reading:
        now_s = self._clock.monotonic_s()
        self._first_at_s = now_s if self._first_at_s is None else self._first_at_s
        flags = [FLAG_WARM_UP] if now_s - self._first_at_s < WARM_UP_S else []
        flags += [FLAG_ERROR] if error else []
        values: dict[str, object] = {
            "sensor": self._sensor,
            "sensor_model": MODEL,
            "observed_at": to_ms(self._clock.now()),
            "lon_deg": self._lon_deg,
            "lat_deg": self._lat_deg,
            "flags": " ".join(flags) or None,
            **channels,
        }
        return Reading(contract=AIR_READING.identifier, values=values)
