"""Names of cells for people, who do not read H3 indices."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache, cached_property

from clearway_core.city import City
from clearway_core.corridor_lines import read_corridors
from clearway_core.distance import distance_m
from clearway_core.geo import cell_text, cells_in_geometry, centre_of

_COMPASS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")
_CENTRE_RADIUS_M = 300.0
"""Closer than this to the middle of the service area, a direction means nothing to a reader."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearing:
    """Where a cell lies from the city's middle.

    Parameters
    ----------
    centre_km
        Distance from the middle of the service area. [km], one decimal
    direction
        One of eight compass words such as NE; None in the middle itself.
    """

    centre_km: float
    direction: str | None


class Places:
    """Names by the city pack's areas, else by direction and distance from the city's middle.

    Parameters
    ----------
    city
        The city pack; without one, a cell is called by its index.
    """

    def __init__(self, city: City | None) -> None:
        self._city = city
        self._areas_at = cache(self._cells_of_areas)
        self._corridors_at = cache(self._cells_of_corridors)

    def name(self, h3_cell: int, resolution: int) -> str:
        """Return what to call a cell; several cells may share a name."""
        area = self.area(h3_cell, resolution)
        if area is not None:
            return area
        bearing = self.bearing(h3_cell)
        if bearing is None:
            return f"Cell {cell_text(h3_cell)}"
        if bearing.direction is None:
            return "City centre"
        return f"{bearing.centre_km:.1f} km {bearing.direction} of centre"

    def bearing(self, h3_cell: int) -> Bearing | None:
        """Return where a cell lies from the city's middle; None without a city pack."""
        if self._city is None:
            return None
        west, south, east, north = self._city.service_area_deg
        middle_lon_deg, middle_lat_deg = (west + east) / 2, (south + north) / 2
        lon_deg, lat_deg = centre_of(h3_cell)
        apart_m = distance_m(middle_lon_deg, middle_lat_deg, lon_deg, lat_deg)
        centre_km = round(apart_m / 1000, 1)
        if apart_m < _CENTRE_RADIUS_M:
            return Bearing(centre_km=centre_km, direction=None)
        east_part = (lon_deg - middle_lon_deg) * math.cos(math.radians(middle_lat_deg))
        bearing_deg = math.degrees(math.atan2(east_part, lat_deg - middle_lat_deg)) % 360
        return Bearing(centre_km=centre_km, direction=_COMPASS[round(bearing_deg / 45) % 8])

    def area(self, h3_cell: int, resolution: int) -> str | None:
        """Return the name of the pack's area that a cell lies in, or None."""
        return self._areas_at(resolution).get(h3_cell)

    def corridor(self, h3_cell: int, resolution: int) -> str | None:
        """Return the names of the corridors that run through a cell, or None."""
        return self._corridors_at(resolution).get(h3_cell)

    def labels(self) -> list[dict[str, object]]:
        """Return each area's name with the middle of its outline."""
        labels: list[dict[str, object]] = []
        for name, geometry in self._areas:
            lon_deg, lat_deg = _middle(geometry)
            labels.append({"name": name, "lon_deg": lon_deg, "lat_deg": lat_deg})
        return labels

    @cached_property
    def _areas(self) -> list[tuple[str, dict[str, object]]]:
        """Return names and polygons; what is neither is for `clearway city check` to report."""
        path = self._city.file("areas.geojson") if self._city is not None else None
        if path is None:
            return []
        features = json.loads(path.read_text(encoding="utf-8")).get("features", [])
        named = [(f.get("properties") or {}).get("name") for f in features]
        return [
            (name, feature["geometry"])
            for name, feature in zip(named, features, strict=True)
            if isinstance(name, str)
            and (feature.get("geometry") or {}).get("type") in {"Polygon", "MultiPolygon"}
        ]

    def _cells_of_areas(self, resolution: int) -> dict[int, str]:
        names: dict[int, str] = {}
        for name, geometry in self._areas:
            for cell in cells_in_geometry(geometry, resolution):
                names.setdefault(cell, name)
        return names

    def _cells_of_corridors(self, resolution: int) -> dict[int, str]:
        names: dict[int, list[str]] = {}
        for corridor in read_corridors(self._city):
            for cell in corridor.cells(resolution):
                known = names.setdefault(cell, [])
                if corridor.name not in known:
                    known.append(corridor.name)
        return {cell: "; ".join(known) for cell, known in names.items()}


def _middle(geometry: dict[str, object]) -> tuple[float, float]:
    """Return the middle of a polygon's bounding box, of the first polygon of several."""
    outline: object = geometry["coordinates"]
    while isinstance(outline, list) and not isinstance(outline[0][0], int | float):
        outline = outline[0]
    lons, lats = zip(*[(point[0], point[1]) for point in outline], strict=True)  # type: ignore[attr-defined]
    return (min(lons) + max(lons)) / 2, (min(lats) + max(lats)) / 2
