"""PurpleAir sensors in the local network: both laser counters, raw, as the device itself tells."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from clearway_core.clock import Clock, to_ms
from clearway_core.contracts.wire import AIR_READING
from clearway_core.settings import Section
from clearway_edge.sources.channels import F_TO_C, Channel, air_intake, channels_of, json_object
from clearway_edge.sources.kinds import Tools
from clearway_edge.sources.place import PlaceSettings
from clearway_edge.sources.polled.http_poll import PolledSource
from clearway_edge.sources.polled.network_sensor import (
    NetworkSensorSettings,
    asked,
    network_sensor_settings,
)
from clearway_edge.sources.source import Intake

MODEL = "purpleair"
REPEATED = "repeated_reading"

EVERY_S = 60.0
"""The device makes a mean of 120 s and offers it for as long; asked twice, none is missed. [s]"""

TABLE = (
    Channel("pm1_0_cf_1", "pm1_cf1_ugm3"),
    Channel("pm2_5_cf_1", "pm2_5_cf1_a_ugm3"),
    Channel("pm2_5_cf_1_b", "pm2_5_cf1_b_ugm3"),
    Channel("pm10_0_cf_1", "pm10_cf1_ugm3"),
    Channel("pm1_0_atm", "pm1_atm_ugm3"),
    Channel("pm2_5_atm", "pm2_5_atm_ugm3"),
    Channel("pm2_5_atm_b", "pm2_5_atm_b_ugm3"),
    Channel("pm10_0_atm", "pm10_atm_ugm3"),
    Channel("p_0_3_um", "particles_0_3_um_per_dl"),
    Channel("p_2_5_um", "particles_2_5_um_per_dl"),
    Channel("current_humidity", "humidity_pct"),
    Channel("current_temp_f", "temperature_c", *F_TO_C),
    Channel("pressure", "pressure_hpa"),
    Channel("current_humidity_680", "humidity_pct"),
    Channel("current_temp_f_680", "temperature_c", *F_TO_C),
    Channel("pressure_680", "pressure_hpa"),
)
"""Names of the device's ``/json``; ``_b`` is the second laser counter, ``_680`` a second weather
chip that some devices have instead of the first. PurpleAir, "Local JSON", firmware 7.02."""

_TIME = "%Y/%m/%dT%H:%M:%Sz"


def settings_of(section: Section, folder: Path) -> NetworkSensorSettings:
    """Read the keys of a ``[[source]]`` of this kind."""
    return network_sensor_settings(section, folder, every_s=EVERY_S)


def open_source(settings: NetworkSensorSettings, tools: Tools) -> PolledSource:
    """Return the device; it is asked once it is first read."""
    return asked(settings, PurpleAirDecoder(settings.place, tools.clock).decode, tools.clock)


class PurpleAirDecoder:
    """Makes readings of the device's documents.

    Parameters
    ----------
    place
        Which sensor it is.
    clock
        For devices that do not know the time.
    """

    def __init__(self, place: PlaceSettings, clock: Clock) -> None:
        self._place = place
        self._clock = clock
        self._last_ms: int | None = None

    def decode(self, body: bytes) -> Intake:
        """Return the reading of a document; ValueError if it is no PurpleAir's."""
        document = json_object(body, expected="a PurpleAir's /json")
        values, flags = channels_of(document, TABLE)
        at_ms = _instant(document.get("DateTime"))
        if values and at_ms is not None:
            if at_ms == self._last_ms:
                return Intake(dropped=Counter({(AIR_READING.identifier, REPEATED): 1}))
            values["observed_at"] = at_ms
        if values:
            self._last_ms = at_ms
        return air_intake(values, place=self._place, model=MODEL, clock=self._clock, flags=flags)


def _instant(text: object) -> int | None:
    try:
        return to_ms(datetime.strptime(str(text), _TIME).replace(tzinfo=UTC))
    except ValueError:
        return None
