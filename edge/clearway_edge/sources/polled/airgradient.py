"""AirGradient monitors in the local network, by their own local server: raw values only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from clearway_core.clock import Clock
from clearway_core.settings import Section
from clearway_edge.sources.channels import Channel, air_intake, channels_of, json_object
from clearway_edge.sources.kinds import Tools
from clearway_edge.sources.place import PlaceSettings
from clearway_edge.sources.polled.http_poll import PolledSource
from clearway_edge.sources.polled.network_sensor import (
    NetworkSensorSettings,
    asked,
    network_sensor_settings,
)
from clearway_edge.sources.source import Intake

EVERY_S = 60.0
"""The monitor makes a mean of its latest values; it has no time of its own. [s]"""

TABLE = (
    Channel("1.pm01Standard", "pm1_cf1_ugm3"),
    Channel("1.pm02Standard", "pm2_5_cf1_a_ugm3"),
    Channel("2.pm02Standard", "pm2_5_cf1_b_ugm3"),
    Channel("1.pm10Standard", "pm10_cf1_ugm3"),
    Channel("1.pm01", "pm1_atm_ugm3"),
    Channel("1.pm02", "pm2_5_atm_ugm3"),
    Channel("2.pm02", "pm2_5_atm_b_ugm3"),
    Channel("1.pm10", "pm10_atm_ugm3"),
    Channel("1.pm003Count", "particles_0_3_um_per_dl"),
    Channel("pm01Standard", "pm1_cf1_ugm3"),
    Channel("pm02Standard", "pm2_5_cf1_a_ugm3"),
    Channel("pm10Standard", "pm10_cf1_ugm3"),
    Channel("pm01", "pm1_atm_ugm3"),
    Channel("pm02", "pm2_5_atm_ugm3"),
    Channel("pm10", "pm10_atm_ugm3"),
    Channel("pm003Count", "particles_0_3_um_per_dl"),
    Channel("pm02Count", "particles_2_5_um_per_dl"),
    Channel("atmp", "temperature_c"),
    Channel("rhum", "humidity_pct"),
)
"""Names of ``/measures/current``. "Standard" is Plantower's CF=1; a monitor with two sensors tells
each of them under ``channels`` and their mean at the top, which counts where there is no other.
Compensated values stay behind: corrections belong into the lake. AirGradient, "Local server API",
firmware 3.1."""

_MODEL = re.compile(r"[a-z0-9_.-]{1,50}")


def settings_of(section: Section, folder: Path) -> NetworkSensorSettings:
    """Read the keys of a ``[[source]]`` of this kind."""
    return network_sensor_settings(section, folder, every_s=EVERY_S)


def open_source(settings: NetworkSensorSettings, tools: Tools) -> PolledSource:
    """Return the monitor; it is asked once it is first read."""
    return asked(settings, partial(decode, place=settings.place, clock=tools.clock), tools.clock)


def decode(body: bytes, *, place: PlaceSettings, clock: Clock) -> Intake:
    """Return the reading of a document.

    Raises
    ------
    ValueError
        If it is no AirGradient's.
    """
    document = json_object(body, expected="an AirGradient's /measures/current")
    values, flags = channels_of(_flat(document), TABLE)
    return air_intake(values, place=place, model=_model(document), clock=clock, flags=flags)


def _flat(document: Mapping[str, object]) -> dict[str, object]:
    """Return the document with the values of each of its sensors beside the others."""
    flat = dict(document)
    sensors = document.get("channels")
    if isinstance(sensors, dict):
        for number, values in sensors.items():
            if isinstance(values, dict):
                flat.update({f"{number}.{name}": value for name, value in values.items()})
    return flat


def _model(document: Mapping[str, object]) -> str:
    model = str(document.get("model", "")).lower()
    return f"airgradient-{model}" if _MODEL.fullmatch(model) else "airgradient"
