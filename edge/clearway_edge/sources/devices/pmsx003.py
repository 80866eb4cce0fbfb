"""Plantower particle sensors (PMS1003 to PMS7003, PMSA003) on a serial line."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

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
from clearway_edge.sources.devices.sensor_pair import SensorPair
from clearway_edge.sources.kinds import Tools
from clearway_edge.sources.place import PlaceSettings, place_settings

BAUD = 9600

WARM_UP_S = 30.0
"""Until the fan runs steadily after power-up. [s] Plantower, PMS5003 series data manual, 2016;
not verified by us."""

FLAG_OTHER_MODEL = "frame_of_other_model"
"""The frame is longer or shorter than those of the model that the settings name."""

_START = b"BM"
_HEAD_BYTES = 4
_REPLY_BODY_BYTES = 4
_PLAIN_BODY_BYTES = 28
BODY_BYTES = {"pms3003": 20, "pms5003st": 36}
"""Length that a model's frames announce, checksum included; all others send 28. [B]"""

MODELS = (
    "pms1003", "pms3003", "pms5003", "pms5003s", "pms5003st", "pms5003t", "pms6003", "pms7003",
    "pmsa003",
)  # fmt: skip
_LENGTHS = frozenset({20, 24, 28, 36})

_MASSES = (
    "pm1_cf1_ugm3", "pm2_5_cf1_a_ugm3", "pm10_cf1_ugm3",
    "pm1_atm_ugm3", "pm2_5_atm_ugm3", "pm10_atm_ugm3",
)  # fmt: skip
"""Fields of the first six data words, which all models share."""
_COUNTS = {"particles_0_3_um_per_dl": 6, "particles_2_5_um_per_dl": 9}
"""Data words that hold counts per 0.1 L, which is 1 dL."""
_SECOND_SENSOR = {
    "pm2_5_cf1_a_ugm3": "pm2_5_cf1_b_ugm3",
    "pm2_5_atm_ugm3": "pm2_5_atm_b_ugm3",
}
"""The wire has columns for PM2.5 of a second sensor, and for nothing else of it."""

_TENTH = 10.0
_SIGN = 0x8000


def _command(code: int, value: int) -> bytes:
    body = _START + bytes((code, value >> 8, value & 0xFF))
    return body + sum(body).to_bytes(2, "big")


PASSIVE = _command(0xE1, 0)
ACTIVE = _command(0xE1, 1)
MEASURE = _command(0xE2, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PmsSettings:
    """A Plantower sensor at a fixed place.

    Parameters
    ----------
    model
        One of `MODELS`; it says what the words after the particle masses mean.
    channel
        ``a``, or ``b`` for the second sensor of a pair.
    second
        Line of a second sensor of the same model and mode, whose readings become channel b of the
        same records; None: there is none.
    every_s
        How often it is asked in passive mode; None: it speaks by itself. [s]
    """

    line: LineSettings
    place: PlaceSettings
    model: str = "pms5003"
    channel: str = "a"
    second: LineSettings | None = None
    every_s: float | None = None


def settings_of(section: Section, folder: Path) -> PmsSettings:
    """Read the keys of a ``[[source]]`` of this kind."""
    model = section.text("model", "pms5003", allowed=MODELS)
    passive = section.text("mode", "active", allowed=("active", "passive")) == "passive"
    if passive and model == "pms3003":
        section.fault("mode", "expected active: a PMS3003 cannot be asked")
    if not passive and "every_s" in section:
        section.fault("every_s", 'expected mode = "passive" beside it: else the sensor decides')
    every_s = section.number("every_s", DEFAULT_EVERY_S, minimum=1.0, maximum=3600.0)
    line = line_settings(section, folder, baud=BAUD)
    channel = section.text("channel", "a", allowed=("a", "b"))
    return PmsSettings(
        line=line,
        place=place_settings(section),
        model=model,
        channel=channel,
        second=_second(section, line, channel),
        every_s=every_s if passive else None,
    )


def _second(section: Section, line: LineSettings, channel: str) -> LineSettings | None:
    port = section.optional_text("second")
    if port is None:
        return None
    if line.serial is None or port == line.serial:
        section.fault("second", "expected another serial port, beside one named by serial")
    if channel == "b":
        section.fault("second", "expected no channel beside it: the second sensor is channel b")
    return replace(line, serial=port)


def open_source(settings: PmsSettings, tools: Tools) -> AirSensor | SensorPair:
    """Return the sensor or pair; lines are opened when they are first read."""
    first = _opened(settings, settings.line, settings.channel, tools=tools)
    if settings.second is None:
        return first
    return SensorPair(
        first, _opened(settings, settings.second, "b", tools=tools), clock=tools.clock
    )


def _opened(settings: PmsSettings, line: LineSettings, channel: str, *, tools: Tools) -> AirSensor:
    asking = None if settings.every_s is None else Asking(MEASURE, settings.every_s)
    greeting = ACTIVE if asking is None else PASSIVE
    return AirSensor(
        open_line(line, greeting=greeting),
        PmsDecoder(settings.model, channel=channel),
        kind=SensorKind(
            model=settings.model, warm_up_s=WARM_UP_S, greeting=greeting, asking=asking
        ),
        place=settings.place,
        clock=tools.clock,
    )


class PmsDecoder:
    """Finds the frames of a Plantower sensor.

    A frame is ``42 4D``, the length of what follows, data words and the sum of all bytes before;
    all words are big-endian.

    Parameters
    ----------
    model
        Whose words they are.
    channel
        ``a`` or ``b``.

    References
    ----------
    Plantower, "PMS5003 series data manual", 2016, appendix I (frame) and II (commands); words of
    PMS5003T, S and ST as PyPMS and ESPHome read them, not verified by us on a device.
    """

    def __init__(self, model: str = "pms5003", *, channel: str = "a") -> None:
        self._model = model
        self._channel = channel
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Measured | Trouble]:
        """Yield what every complete frame says."""
        rest = self._rest + data
        while (start := rest.find(_START)) >= 0:
            rest = rest[start:]
            if len(rest) < _HEAD_BYTES:
                break
            body_bytes = int.from_bytes(rest[2:_HEAD_BYTES], "big")
            frame = rest[: _HEAD_BYTES + body_bytes]
            if body_bytes not in _LENGTHS and body_bytes != _REPLY_BODY_BYTES:
                rest = rest[1:]
            elif len(frame) < _HEAD_BYTES + body_bytes:
                break
            elif sum(frame[:-2]) & 0xFFFF != int.from_bytes(frame[-2:], "big"):
                # Only its first byte is given up: the next good frame may begin anywhere inside.
                rest = rest[1:]
                if body_bytes != _REPLY_BODY_BYTES:
                    yield Trouble.DAMAGED
            else:
                rest = rest[len(frame) :]
                if body_bytes != _REPLY_BODY_BYTES:
                    yield self._measured(frame, body_bytes)
        # Nothing without a start can become a frame, but for its last byte.
        self._rest = rest if start >= 0 else rest[-1:]

    def forget(self) -> None:
        """Give up the beginning of a frame."""
        self._rest = b""

    def _measured(self, frame: bytes, body_bytes: int) -> Measured:
        words = struct.unpack_from(f">{body_bytes // 2 - 1}H", frame, _HEAD_BYTES)
        values = dict(zip(_MASSES, map(float, words), strict=False))
        fits = body_bytes == BODY_BYTES.get(self._model, _PLAIN_BODY_BYTES)
        flags: tuple[str, ...] = () if fits else (FLAG_OTHER_MODEL,)
        # What follows the masses depends on the model, which a frame does not tell.
        if fits and body_bytes >= _PLAIN_BODY_BYTES:
            values |= {name: float(words[place]) for name, place in _COUNTS.items()}
            values |= _weather(self._model, words)
            flags += (FLAG_ERROR,) if _error(self._model, words) else ()
        if self._channel == "b":
            values = {b: values[a] for a, b in _SECOND_SENSOR.items()}
        return Measured(values, flags)


def _weather(model: str, words: tuple[int, ...]) -> Mapping[str, float]:
    """Return temperature [°C] and humidity [%] of the models that measure them, in tenths."""
    place = {"pms5003t": 10, "pms5003st": 13}.get(model)
    if place is None:
        return {}
    signed = words[place] - (words[place] & _SIGN) * 2
    return {"temperature_c": signed / _TENTH, "humidity_pct": words[place + 1] / _TENTH}


def _error(model: str, words: tuple[int, ...]) -> int:
    """Return the error byte; a PMS5003S has formaldehyde in its place."""
    if model == "pms5003s":
        return 0
    return words[16 if model == "pms5003st" else 12] & 0xFF
