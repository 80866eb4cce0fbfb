"""Nova SDS011 (also SDS018, SDS021) particle sensors on a serial line."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clearway_core.settings import Section
from clearway_edge.sources.devices.air_sensor import (
    FLAG_ERROR,
    AirSensor,
    Measured,
    SensorKind,
    Trouble,
)
from clearway_edge.sources.devices.lines import LineSettings, line_settings, open_line
from clearway_edge.sources.kinds import Tools
from clearway_edge.sources.place import PlaceSettings, place_settings

log = logging.getLogger(__name__)

BAUD = 9600
MODELS = ("sds011", "sds018", "sds021")

WARM_UP_S = 30.0
"""In its own cyclic mode the sensor blows air for 30 s before each value. [s] Nova Fitness,
"SDS011 sensor control protocol" V1.3, working period; not verified by us."""

FAN_FAILURE_PM2_5_UGM3 = 999.0
FAN_FAILURE_PM10_UGM3 = 1999.0
"""From here on the sensor says that its fan stands still. [µg/m³] Maintainers of Sensor.Community,
sensors-software 442; the data sheet ends at 999.9."""

_FRAME_BYTES = 10
_HEAD, _TAIL = b"\xaa", 0xAB
_DATA, _REPLY = 0xC0, 0xC5
_TENTH = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SdsSettings:
    """A Nova sensor at a fixed place."""

    line: LineSettings
    place: PlaceSettings
    model: str = "sds011"


def settings_of(section: Section, folder: Path) -> SdsSettings:
    """Read the keys of a ``[[source]]`` of this kind."""
    return SdsSettings(
        line=line_settings(section, folder, baud=BAUD),
        place=place_settings(section),
        model=section.text("model", "sds011", allowed=MODELS),
    )


def open_source(settings: SdsSettings, tools: Tools) -> AirSensor:
    """Return the sensor; its line is opened when it is first read."""
    return AirSensor(
        open_line(settings.line),
        SdsDecoder(settings.place.sensor),
        kind=SensorKind(model=settings.model, warm_up_s=WARM_UP_S),
        place=settings.place,
        clock=tools.clock,
    )


class SdsDecoder:
    """Finds the frames of a Nova sensor.

    A frame is ``AA C0``, PM2.5 and PM10 in tenths of µg/m³, the device's id, the sum of these six
    bytes, ``AB``; words are little-endian. ``AA C5`` answers a command and holds no values.

    The values go into the wire's "atmospheric" columns: the sensor reports one calibration only,
    its own for ambient air, and the CF=1 columns are what corrections made for Plantower sensors
    are applied to.

    Parameters
    ----------
    sensor
        Named in the log beside the device's id, so that a swap can be seen there.

    References
    ----------
    Nova Fitness, "Laser PM2.5 sensor specification SDS011" V1.3, 2015.
    """

    def __init__(self, sensor: str = "") -> None:
        self._sensor = sensor
        self._device = b""
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Measured | Trouble]:
        """Yield what every complete frame says."""
        rest = self._rest + data
        while (start := rest.find(_HEAD)) >= 0:
            rest = rest[start:]
            if len(rest) < _FRAME_BYTES:
                break
            frame, kind = rest[:_FRAME_BYTES], rest[1]
            if sum(frame[2:8]) & 0xFF == frame[8] and frame[9] == _TAIL and kind in {_DATA, _REPLY}:
                rest = rest[_FRAME_BYTES:]
                if kind == _DATA:
                    yield self._measured(frame)
                continue
            # Only its first byte is given up: the next good frame may begin anywhere inside.
            rest = rest[1:]
            if kind == _DATA:
                yield Trouble.DAMAGED
        self._rest = rest if start >= 0 else b""

    def forget(self) -> None:
        """Give up the beginning of a frame."""
        self._rest = b""

    def _measured(self, frame: bytes) -> Measured:
        device = frame[6:8]
        if device != self._device:
            self._device = device
            log.info("sds011_device", extra={"sensor": self._sensor, "device": device.hex()})
        pm2_5_ugm3 = int.from_bytes(frame[2:4], "little") / _TENTH
        pm10_ugm3 = int.from_bytes(frame[4:6], "little") / _TENTH
        stands = pm2_5_ugm3 >= FAN_FAILURE_PM2_5_UGM3 or pm10_ugm3 >= FAN_FAILURE_PM10_UGM3
        return Measured(
            {"pm2_5_atm_ugm3": pm2_5_ugm3, "pm10_atm_ugm3": pm10_ugm3},
            (FLAG_ERROR,) if stands else (),
        )
