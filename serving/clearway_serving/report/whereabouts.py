"""Where a cell lies, in parts that each language puts into its own words."""

from __future__ import annotations

import math
from dataclasses import dataclass

from clearway_core.city import City
from clearway_core.distance import distance_m
from clearway_core.geo import centre_of
from clearway_serving.places import Places

_COMPASS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")
_CENTRE_RADIUS_KM = 0.3
"""Closer than this to the middle of the service area, a direction means nothing to a reader."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """A cell's area by name, and how far from the city's middle it lies.

    Parameters
    ----------
    area
        Name in the city pack; None outside all of them.
    corridor
        Names of the corridors that run through it; None off all of them.
    centre_km
        Distance from the middle of the service area; None without a city pack. [km]
    direction
        Of `_COMPASS`; None in the middle and without a city pack.
    """

    area: str | None
    corridor: str | None
    centre_km: float | None
    direction: str | None


def whereabouts(city: City | None, places: Places, h3_cell: int, resolution: int) -> Whereabouts:
    """Return where a cell lies."""
    area, corridor = places.area(h3_cell, resolution), places.corridor(h3_cell, resolution)
    if city is None:
        return Whereabouts(area=area, corridor=corridor, centre_km=None, direction=None)
    west, south, east, north = city.service_area_deg
    middle = (west + east) / 2, (south + north) / 2
    lon_deg, lat_deg = centre_of(h3_cell)
    apart_km = distance_m(*middle, lon_deg, lat_deg) / 1000
    if apart_km < _CENTRE_RADIUS_KM:
        return Whereabouts(
            area=area, corridor=corridor, centre_km=round(apart_km, 1), direction=None
        )
    east_part = (lon_deg - middle[0]) * math.cos(math.radians(middle[1]))
    bearing_deg = math.degrees(math.atan2(east_part, lat_deg - middle[1])) % 360
    direction = _COMPASS[round(bearing_deg / 45) % 8]
    return Whereabouts(
        area=area, corridor=corridor, centre_km=round(apart_km, 1), direction=direction
    )
