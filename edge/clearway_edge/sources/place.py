"""Which air sensor it is, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass

from clearway_core.contracts.wire import AIR_READING
from clearway_core.settings import Section


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceSettings:
    """A sensor at a fixed place.

    Parameters
    ----------
    sensor
        Identifier, unique in the city. It belongs to the site: a new device there keeps it.
    position_deg
        (lon, lat) of the sensor. [°]
    """

    sensor: str
    position_deg: tuple[float, float]


def place_settings(section: Section) -> PlaceSettings:
    """Read ``sensor``, ``lon_deg`` and ``lat_deg``; faults go to the section."""
    return PlaceSettings(
        sensor=section.matching("sensor", AIR_READING.field("sensor").pattern),
        position_deg=(
            section.number("lon_deg", minimum=-180, maximum=180),
            section.number("lat_deg", minimum=-90, maximum=90),
        ),
    )
