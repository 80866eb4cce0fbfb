"""Names of cells for people, who do not read H3 indices."""

from __future__ import annotations

import json
import math
from functools import cache

from clearway_core.city import City
from clearway_core.errors import ClearwayError
from clearway_core.geo import cell_text, cells_in_geometry, centre_of, distance_m

_COMPASS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")
_CENTRE_RADIUS_M = 300.0
"""Closer than this to the middle of the service area, a direction means nothing to a reader."""


class Places:
    """Names by the city pack's areas, else by direction and distance from the city's middle.

    Parameters
    ----------
    city
        The city pack; without one, a cell is called by its index.
    """

    def __init__(self, city: City | None) -> None:
        self._city = city
        self._areas_at = cache(self._read_areas)

    def name(self, h3_cell: int, resolution: int) -> str:
        """Return what to call a cell; several cells may share a name."""
        area = self._areas_at(resolution).get(h3_cell)
        if area is not None:
            return area
        if self._city is None:
            return f"Cell {cell_text(h3_cell)}"
        return _bearing_text(self._city, h3_cell)

    def _read_areas(self, resolution: int) -> dict[int, str]:
        path = self._city.file("areas.geojson") if self._city is not None else None
        if path is None:
            return {}
        names: dict[int, str] = {}
        for feature in json.loads(path.read_text(encoding="utf-8")).get("features", []):
            name = (feature.get("properties") or {}).get("name")
            if not isinstance(name, str):
                continue
            try:
                cells = cells_in_geometry(feature.get("geometry") or {}, resolution)
            except ClearwayError:
                continue  # `clearway city check` reports it; a map without that name is still a map
            for cell in cells:
                names.setdefault(cell, name)
        return names


def _bearing_text(city: City, h3_cell: int) -> str:
    west, south, east, north = city.service_area_deg
    middle_lon_deg, middle_lat_deg = (west + east) / 2, (south + north) / 2
    lon_deg, lat_deg = centre_of(h3_cell)
    apart_m = distance_m(middle_lon_deg, middle_lat_deg, lon_deg, lat_deg)
    if apart_m < _CENTRE_RADIUS_M:
        return "City centre"
    east_part = (lon_deg - middle_lon_deg) * math.cos(math.radians(middle_lat_deg))
    bearing_deg = math.degrees(math.atan2(east_part, lat_deg - middle_lat_deg)) % 360
    direction = _COMPASS[round(bearing_deg / 45) % 8]
    return f"{apart_m / 1000:.1f} km {direction} of centre"
