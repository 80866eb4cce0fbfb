"""The named, directed lines of a city pack along which travel times are told."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clearway_core.city import City
from clearway_core.distance import distance_m
from clearway_core.geo import cell_at

CORRIDOR_FILE = "corridors.geojson"

Position = tuple[float, float]

_COMPASS = (
    "north",
    "north-east",
    "east",
    "south-east",
    "south",
    "south-west",
    "west",
    "north-west",
)
_CELL_STEP_M = 25.0
"""A line is followed in steps of this length: a third of the edge of the finest cell. [m]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corridor:
    """A street or a chain of streets, driven in one direction.

    Parameters
    ----------
    name
        For people; both directions share it.
    direction
        The pack's word for this direction, else a compass word.
    line
        (lon_deg, lat_deg) from start to end. [°]
    """

    name: str
    direction: str
    line: tuple[Position, ...]

    def cells(self, resolution: int) -> list[int]:
        """Return the H3 cells that the line runs through, in driving order, each once."""
        found: dict[int, None] = {}
        for (from_lon, from_lat), (to_lon, to_lat) in itertools.pairwise(self.line):
            steps = max(1, math.ceil(distance_m(from_lon, from_lat, to_lon, to_lat) / _CELL_STEP_M))
            for step in range(steps + 1):
                lon = from_lon + (to_lon - from_lon) * step / steps
                lat = from_lat + (to_lat - from_lat) * step / steps
                found.setdefault(cell_at(lon, lat, resolution))
        return list(found)


def read_corridors(city: City | None) -> tuple[Corridor, ...]:
    """Return the corridors of a city pack, none where it has none.

    A feature with ``both_directions`` gives two. What is not a named line is left out: it is for
    `clearway city check` to report.
    """
    path = None if city is None else city.file(CORRIDOR_FILE)
    if path is None:
        return ()
    features = json.loads(path.read_text(encoding="utf-8")).get("features", [])
    return tuple(corridor for feature in features for corridor in corridors_of(feature))


def corridors_of(feature: Mapping[str, object]) -> tuple[Corridor, ...]:
    """Return the one or two corridors of a GeoJSON feature, none if it is no named line."""
    properties = feature.get("properties")
    geometry = feature.get("geometry")
    if not isinstance(properties, dict) or not isinstance(geometry, dict):
        return ()
    name = properties.get("name")
    if not isinstance(name, str) or geometry.get("type") != "LineString":
        return ()
    line = tuple((float(lon), float(lat)) for lon, lat, *_ in geometry["coordinates"])
    if len(set(line)) < 2:  # noqa: PLR2004 -- a line has two ends
        return ()
    if properties.get("both_directions") is True:
        return tuple(
            Corridor(name=name, direction=compass_word(way), line=way) for way in (line, line[::-1])
        )
    given = properties.get("direction")
    direction = given if isinstance(given, str) and given.strip() else compass_word(line)
    return (Corridor(name=name, direction=direction, line=line),)


def compass_word(line: Sequence[Position]) -> str:
    """Return the compass word of the way from a line's first to its last position."""
    (from_lon, from_lat), (to_lon, to_lat) = line[0], line[-1]
    east = (to_lon - from_lon) * math.cos(math.radians((from_lat + to_lat) / 2))
    bearing_deg = math.degrees(math.atan2(east, to_lat - from_lat)) % 360
    return _COMPASS[round(bearing_deg / 45) % 8]
