"""Checks the GeoJSON files of a city pack feature by feature."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

LINES = frozenset({"LineString", "MultiLineString"})
POLYGONS = frozenset({"Polygon", "MultiPolygon"})

ROAD_CLASSES = frozenset(
    name + suffix
    for name in ("motorway", "trunk", "primary", "secondary", "tertiary")
    for suffix in ("", "_link")
) | {"unclassified", "residential", "living_street", "service", "busway", "pedestrian"}
"""Road classes of OpenStreetMap that carry traffic."""

Box = tuple[float, float, float, float]
Position = tuple[float, float]

_MARGIN_DEG = 0.2
"""A road may leave the service area by some 20 km before it is suspicious. [°]"""

_GLOBE_DEG: Box = (-180.0, -90.0, 180.0, 90.0)
_SHORTEST_RING = 4
_SHORTEST_LINE = 2
_MOST_CORNERS_CHECKED = 800
"""Crossing edges are sought pair by pair; a ring with more corners would take too long."""


class SayFault(Protocol):
    """Takes one fault."""

    def __call__(self, where: str, rule: str, problem: str, /) -> None:
        """Record it."""
        ...


def check_geojson(
    file: Path,
    kinds: frozenset[str],
    *,
    needed: str | None,
    area_deg: Box | None,
    fault: SayFault,
) -> None:
    """Report every fault of a GeoJSON file.

    Parameters
    ----------
    file
        The file.
    kinds
        Geometry types that make sense in it.
    needed
        Property that every feature must have; ``class`` is a road class, ``name`` is unique.
    area_deg
        Service area; None if it is not known. [°]
    fault
        Called for each fault.
    """
    features = _features(file, fault)
    names: Counter[str] = Counter()
    for number, feature in enumerate(features, start=1):
        where = f"feature {number}"
        geometry = feature.get("geometry") if isinstance(feature, dict) else None
        if not isinstance(feature, dict) or not isinstance(geometry, dict):
            fault(where, "geometry", f"expected a Feature with a geometry, got {_short(feature)}")
            continue
        if needed is not None:
            _check_property(where, feature.get("properties"), needed, names, fault)
        kind = geometry.get("type")
        if kind not in kinds:
            expected = " or ".join(sorted(kinds))
            fault(where, "geometry_type", f"expected {expected}, got {kind!r}")
            continue
        _check_geometry(where, str(kind), geometry.get("coordinates"), area_deg, fault)


def features_of(file: Path) -> list[object]:
    """Return the features of a GeoJSON file, none if it is not readable as one."""
    return _features(file, lambda _where, _rule, _problem: None)


def feature_names(file: Path) -> frozenset[str] | None:
    """Return the names in a GeoJSON file, or None if there is no readable file."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    features = document.get("features") if isinstance(document, dict) else None
    found = set()
    for feature in features if isinstance(features, list) else ():
        properties = feature.get("properties") if isinstance(feature, dict) else None
        if isinstance(properties, dict) and isinstance(properties.get("name"), str):
            found.add(properties["name"])
    return frozenset(found)


def _features(file: Path, fault: SayFault) -> list[object]:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        fault("file", "encoding", f"expected UTF-8 text, got other bytes ({error}); save as UTF-8")
        return []
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        fault(where, "json", f"is not JSON: {error.msg}; was the file cut off?")
        return []
    except RecursionError:
        fault("file", "json", "is not GeoJSON: lists within lists without end")
        return []
    features = document.get("features") if isinstance(document, dict) else None
    kind = document.get("type") if isinstance(document, dict) else type(document).__name__
    if kind != "FeatureCollection" or not isinstance(features, list):
        fault("file", "collection", f"expected a GeoJSON FeatureCollection, got {kind!r}")
        return []
    if not features:
        fault("file", "empty", "expected at least one feature; delete the file if there is none")
    crs = document.get("crs")
    if crs is not None and "CRS84" not in str(crs) and "4326" not in str(crs):
        fault("file", "crs", f"expected WGS84 longitude and latitude, got {_short(crs)}; reproject")
    return features


def _check_property(
    where: str, properties: object, needed: str, names: Counter[str], fault: SayFault
) -> None:
    value = properties.get(needed) if isinstance(properties, dict) else None
    if not isinstance(value, str) or not value.strip():
        fault(where, f"{needed}_missing", f"expected a property {needed!r}, got {value!r}")
        return
    if needed == "class" and value not in ROAD_CLASSES:
        known = ", ".join(sorted(ROAD_CLASSES))
        fault(where, "class_unknown", f"expected a road class, got {value!r}; known: {known}")
    if needed == "name":
        names[value] += 1
        if names[value] > 1:
            fault(where, "name_doubled", f"the name {value!r} is given twice; names tell apart")


def _check_geometry(
    where: str, kind: str, coordinates: object, area_deg: Box | None, fault: SayFault
) -> None:
    parts = list(_parts(kind, coordinates))
    if not parts:
        fault(where, "coordinates", f"expected coordinates of a {kind}, got {_short(coordinates)}")
        return
    positions: list[Position] = []
    for part in parts:
        line = _positions(part)
        if line is None:
            fault(where, "position", f"expected [longitude, latitude] pairs, got {_short(part)}")
            return
        if kind in POLYGONS:
            _check_ring(where, line, fault)
        elif len(line) < _SHORTEST_LINE:
            fault(where, "line_short", f"expected two or more positions, got {len(line)}")
        positions += line
    problem = place_problem(positions, area_deg)
    if problem is not None:
        fault(where, *problem)


def _parts(kind: str, coordinates: object) -> Iterator[object]:
    """Yield each line or ring of a geometry."""
    if not isinstance(coordinates, list) or not coordinates:
        return
    if kind == "LineString":
        yield coordinates
    elif kind == "MultiPolygon":
        for polygon in coordinates:
            yield from polygon if isinstance(polygon, list) else [polygon]
    else:
        yield from coordinates


def _positions(part: object) -> list[Position] | None:
    if not isinstance(part, list):
        return None
    line = []
    for position in part:
        if not isinstance(position, list) or len(position) not in {2, 3}:
            return None
        lon, lat = position[0], position[1]
        if not (_is_number(lon) and _is_number(lat)):
            return None
        line.append((float(lon), float(lat)))
    return line


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def place_problem(positions: Sequence[Position], area_deg: Box | None) -> tuple[str, str] | None:
    """Return rule and problem of positions that cannot be right, or None.

    Parameters
    ----------
    positions
        (lon_deg, lat_deg) of one feature or row.
    area_deg
        Service area; None checks against the globe alone. [°]
    """
    for lon, lat in positions:
        if _within(lon, lat, area_deg):
            continue
        if area_deg is not None and _within(lat, lon, area_deg):
            return (
                "order",
                (
                    f"longitude and latitude look exchanged: [{lon}, {lat}] is outside the service "
                    f"area, [{lat}, {lon}] is inside; longitude comes first"
                ),
            )
        if not _inside(lon, lat, _GLOBE_DEG, margin_deg=0.0):
            return (
                "range",
                (
                    f"expected longitude -180 to 180 and latitude -90 to 90, got [{lon}, {lat}]; "
                    "is longitude first, in degrees?"
                ),
            )
        return (
            "outside",
            (
                f"[{lon}, {lat}] is outside the service area {list(area_deg or ())}; "
                "correct the position or widen service_area_deg"
            ),
        )
    return None


def _within(lon: float, lat: float, area_deg: Box | None) -> bool:
    if area_deg is None:
        return _inside(lon, lat, _GLOBE_DEG, margin_deg=0.0)
    return _inside(lon, lat, area_deg, margin_deg=_MARGIN_DEG)


def _inside(lon: float, lat: float, box: Box, *, margin_deg: float) -> bool:
    west, south, east, north = box
    in_width = west - margin_deg <= lon <= east + margin_deg
    return in_width and south - margin_deg <= lat <= north + margin_deg


def _check_ring(where: str, ring: Sequence[Position], fault: SayFault) -> None:
    if len(ring) < _SHORTEST_RING:
        fault(where, "ring_short", f"expected a ring of 4 or more positions, got {len(ring)}")
        return
    if ring[0] != ring[-1]:
        first, last = list(ring[0]), list(ring[-1])
        fault(where, "ring_open", f"the ring begins at {first} and ends at {last}; close it")
        return
    if len(ring) <= _MOST_CORNERS_CHECKED and (crossing := _crossing(ring)) is not None:
        fault(where, "ring_crossing", f"the ring crosses itself near {crossing}; redraw it")


def _crossing(ring: Sequence[Position]) -> list[float] | None:
    edges = list(itertools.pairwise(ring))
    for i, (a, b) in enumerate(edges):
        for j in range(i + 2, len(edges)):
            if i == 0 and j == len(edges) - 1:
                continue
            c, d = edges[j]
            if _side(a, b, c) * _side(a, b, d) < 0 and _side(c, d, a) * _side(c, d, b) < 0:
                return [round(a[0], 5), round(a[1], 5)]
    return None


def _side(a: Position, b: Position, c: Position) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _short(value: object) -> str:
    text = repr(value)
    longest = 60
    return text if len(text) <= longest else text[:longest] + "…"
