"""Which air sensor it is, and where it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clearway_core.clock import Clock
from clearway_core.contracts.wire import AIR_READING
from clearway_core.settings import Section
from clearway_edge.sources.source import Reading
from clearway_edge.sources.stamps import stamp


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

    def reading(
        self, values: Mapping[str, object], *, model: str, clock: Clock, flags: Sequence[str] = ()
    ) -> Reading:
        """Return a reading of the sensor.

        Parameters
        ----------
        values
            Channels, and ``observed_at`` if the sensor has a clock; else it is now.
        """
        lon_deg, lat_deg = self.position_deg
        about = {
            "sensor": self.sensor,
            "sensor_model": model,
            "lon_deg": lon_deg,
            "lat_deg": lat_deg,
            "flags": " ".join(dict.fromkeys(flags)) or None,
        }
        time = {} if "observed_at" in values else stamp(clock)
        return Reading(contract=AIR_READING.identifier, values={**about, **time, **values})


def place_settings(section: Section) -> PlaceSettings:
    """Read ``sensor``, ``lon_deg`` and ``lat_deg``; faults go to the section."""
    return PlaceSettings(
        sensor=section.matching("sensor", AIR_READING.field("sensor").pattern),
        position_deg=(
            section.number("lon_deg", minimum=-180, maximum=180),
            section.number("lat_deg", minimum=-90, maximum=90),
        ),
    )
