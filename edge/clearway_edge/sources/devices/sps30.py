"""Sensirion SPS30 particle sensors on a serial line, by Sensirion's SHDLC protocol."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clearway_core.contracts.wire import AIR_READING
from clearway_core.settings import Section
from clearway_edge.sources.devices.air_sensor import (
    DEFAULT_EVERY_S,
    FLAG_ERROR,
    AirSensor,
    Asking,
    Measured,
    SensorKind,
    Trouble,
)
from clearway_edge.sources.devices.lines import LineSettings, line_settings, open_line
from clearway_edge.sources.kinds import Tools
from clearway_edge.sources.place import PlaceSettings, place_settings

MODEL = "sps30"
BAUD = 115_200

WARM_UP_S = 30.0
"""Longest start-up time, of clean air. [s] Sensirion, SPS30 data sheet 1.0, 2020, table 1; not
verified by us."""

FLAG_BEYOND_COLUMN = "particles_beyond_column"
"""A count was left out because its column ends below it; the masses travel."""

_MARK = 0x7E
_ESCAPE = 0x7D
_ESCAPED = frozenset({0x7E, 0x7D, 0x11, 0x13})
_FLIP = 0x20
_HEAD_BYTES = 4
_MAX_STUFFED_BYTES = 2 * (_HEAD_BYTES + 255 + 1)

_START, _STOP, _READ = 0x00, 0x01, 0x03
_FORMATS = {"float": 0x03, "uint16": 0x05}
_LAYOUTS = {40: struct.Struct(">10f"), 20: struct.Struct(">10H")}

_DEVICE_ERROR = 0x80
_WRONG_STATE = 0x43
"""Error code "command not allowed in this state": the sensor does not measure."""

_DL_CM3 = 100.0
_COUNT = AIR_READING.field("particles_0_3_um_per_dl")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpsSettings:
    """A Sensirion sensor at a fixed place.

    Parameters
    ----------
    every_s
        How often it is asked. [s]
    number_format
        ``float``, or ``uint16`` for whole µg/m³ (firmware 2.0 or later).
    """

    line: LineSettings
    place: PlaceSettings
    every_s: float = DEFAULT_EVERY_S
    number_format: str = "float"


def settings_of(section: Section, folder: Path) -> SpsSettings:
    """Read the keys of a ``[[source]]`` of this kind."""
    return SpsSettings(
        line=line_settings(section, folder, baud=BAUD),
        place=place_settings(section),
        every_s=section.number("every_s", DEFAULT_EVERY_S, minimum=1.0, maximum=3600.0),
        number_format=section.text("format", "float", allowed=tuple(_FORMATS)),
    )


def open_source(settings: SpsSettings, tools: Tools) -> AirSensor:
    """Return the sensor; its line is opened when it is first read."""
    start = command(_START, bytes((0x01, _FORMATS[settings.number_format])))
    return AirSensor(
        open_line(settings.line, greeting=start),
        SpsDecoder(),
        kind=SensorKind(
            model=MODEL,
            warm_up_s=WARM_UP_S,
            greeting=start,
            asking=Asking(command(_READ), settings.every_s),
            farewell=command(_STOP),
        ),
        place=settings.place,
        clock=tools.clock,
    )


def command(code: int, data: bytes = b"") -> bytes:
    """Return a command as it goes over the wire.

    Parameters
    ----------
    code
        0 start, 1 stop, 3 read.
    data
        What the command needs.
    """
    body = bytes((0, code, len(data))) + data
    return bytes((_MARK,)) + _stuffed(body + bytes((checksum(body),))) + bytes((_MARK,))


def checksum(body: bytes) -> int:
    """Return the inverted lowest byte of the sum."""
    return ~sum(body) & 0xFF


def _stuffed(body: bytes) -> bytes:
    out = bytearray()
    for byte in body:
        out += bytes((_ESCAPE, byte ^ _FLIP)) if byte in _ESCAPED else bytes((byte,))
    return bytes(out)


def _unstuffed(stuffed: bytes) -> bytes | None:
    first, *parts = stuffed.split(bytes((_ESCAPE,)))
    out = bytearray(first)
    for part in parts:
        if not part or part[0] ^ _FLIP not in _ESCAPED:
            return None
        out.append(part[0] ^ _FLIP)
        out += part[1:]
    return bytes(out)


class SpsDecoder:
    """Finds the answers of a Sensirion sensor.

    An answer is ``7E``, address, command, state, length, data, checksum, ``7E``; inside, the bytes
    7E, 7D, 11 and 13 are sent as 7D and the byte with bit 5 turned. Ten numbers follow: mass of
    PM1, 2.5, 4 and 10 [µg/m³], particles from 0.3 to 0.5, 1, 2.5, 4 and 10 µm [1/cm³], and their
    typical size.

    The masses go into the wire's "atmospheric" columns, as with any sensor that reports one
    calibration only. Particles above 0.3 µm are those up to 10 µm, above 2.5 µm the difference; the
    column is per dL. PM4 and the typical size have no column.

    References
    ----------
    Sensirion, "SPS30 data sheet" version 1.0, 2020, sections 4 (measurement formats) and 5 (UART).
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Measured | Trouble]:
        """Yield what every complete answer says."""
        *pieces, rest = (self._rest + data).split(bytes((_MARK,)))
        # Longer than any answer can be is noise, whatever its end is.
        self._rest = rest[: _MAX_STUFFED_BYTES + 1]
        for piece in pieces:
            found = _answer(piece) if 0 < len(piece) <= _MAX_STUFFED_BYTES else None
            if found is not None:
                yield found

    def forget(self) -> None:
        """Give up the beginning of an answer."""
        self._rest = b""


def _answer(stuffed: bytes) -> Measured | Trouble | None:
    """Return what an answer to a question for values says; None if it is none."""
    body = _unstuffed(stuffed)
    if stuffed[:2] != bytes((0, _READ)):
        return None
    if body is None or len(body) <= _HEAD_BYTES or checksum(body[:-1]) != body[-1]:
        return Trouble.DAMAGED
    state, length, data = body[2], body[3], body[_HEAD_BYTES:-1]
    if len(data) != length:
        return Trouble.DAMAGED
    if state & ~_DEVICE_ERROR == _WRONG_STATE:
        return Trouble.NOT_MEASURING
    layout = _LAYOUTS.get(length)
    # No data: it was asked faster than it measures.
    return None if layout is None else _measured(layout.unpack(data), state)


def _measured(numbers: tuple[float, ...], state: int) -> Measured:
    pm1, pm2_5, _, pm10, _, _, upto_2_5, _, upto_10, _ = map(float, numbers)
    flags = [FLAG_ERROR] if state & _DEVICE_ERROR else []
    masses = {"pm1_atm_ugm3": pm1, "pm2_5_atm_ugm3": pm2_5, "pm10_atm_ugm3": pm10}
    counts = {
        "particles_0_3_um_per_dl": upto_10 * _DL_CM3,
        "particles_2_5_um_per_dl": max(upto_10 - upto_2_5, 0.0) * _DL_CM3,
    }
    values = {name: value for name, value in (masses | counts).items() if math.isfinite(value)}
    if len(values) < len(masses | counts) and not flags:
        flags.append(FLAG_ERROR)
    beyond = [name for name in counts if values.get(name, 0.0) > (_COUNT.maximum or math.inf)]
    for name in beyond:
        # Its column ends at 65,535, a sixteen-bit counter: the whole record would be quarantined.
        del values[name]
    return Measured(values, (*flags, FLAG_BEYOND_COLUMN) if beyond else tuple(flags))
