"""An air sensor in the local network that tells its newest values as a document."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clearway_core.clock import Clock
from clearway_core.contracts.wire import AIR_READING
from clearway_core.settings import Section
from clearway_edge.sources.place import PlaceSettings, place_settings
from clearway_edge.sources.polled.http_poll import (
    HttpPoll,
    PolledSource,
    PollSettings,
    poll_settings,
)
from clearway_edge.sources.source import Intake


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSensorSettings:
    """Where the sensor is asked, and where it stands."""

    poll: PollSettings
    place: PlaceSettings


def network_sensor_settings(
    section: Section, folder: Path, *, every_s: float
) -> NetworkSensorSettings:
    """Read the keys of a sensor that is asked every so often, unless they say otherwise."""
    return NetworkSensorSettings(
        poll=poll_settings(section, folder, every_s=every_s), place=place_settings(section)
    )


def asked(
    settings: NetworkSensorSettings, decode: Callable[[bytes], Intake], clock: Clock
) -> PolledSource:
    """Return the sensor; it is asked once it is first read."""
    return PolledSource(HttpPoll(settings.poll, clock), decode, contract=AIR_READING.identifier)
