"""A charge zone: from a GeoJSON file or a list of H3 cells to cells."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from clearway_core import geo
from clearway_core.distance import distance_m
from clearway_core.errors import UsageError
from clearway_core.units import EARTH_RADIUS_M

_FORM = (
    "a zone file is a GeoJSON Feature, FeatureCollection, Polygon or MultiPolygon, or a JSON list "
    "of H3 cells"
)
_MAX_CELLS = 20_000
"""About 2,100 km² at resolution 9: more than any city's area is a mistake in the file."""

_MAX_REACH_M = 300_000.0
"""From corner to corner; no city is larger. H3 makes room for all cells of the box around a ring,
gigabytes for a sliver that reaches over a continent. [m]"""

_MIN_RING = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """A charge zone.

    Parameters
    ----------
    name
        For people: the feature's ``name``, or the file's stem.
    geometry
        GeoJSON geometry.
    resolution
        H3 resolution of the cells.
    cells
        H3 cells whose centre lies inside, sorted.
    """

    name: str
    geometry: dict[str, object]
    resolution: int
    cells: tuple[int, ...]

    @property
    def area_km2(self) -> float:
        """Area of the cells [km²]."""
        return sum(geo.area_km2(cell) for cell in self.cells)

    @property
    def crossing_km(self) -> float:
        r"""Mean length of a straight line through the zone [km].

        Notes
        -----
        :math:`\pi A / P` for a convex area A with perimeter P. The perimeter of the cells' outline
        runs in a zigzag, 1.15 to 1.33 times as long as a smooth border, so that the length is
        rather too short than too long. Of an area with holes or in parts it is the mean of the
        pieces inside.

        References
        ----------
        L. Santaló, "Integral Geometry and Geometric Probability", 2nd edition, 2004, chapter 3,
        doi:10.1017/CBO9780511617331.
        """
        return math.pi * self.area_km2 / self._perimeter_km()

    def _perimeter_km(self) -> float:
        """Return the length of all edges that only one cell has [km]."""
        edges: Counter[frozenset[tuple[float, float]]] = Counter()
        lengths: dict[frozenset[tuple[float, float]], float] = {}
        for cell in self.cells:
            ring = geo.boundary_of(cell)
            for (lon_a, lat_a), (lon_b, lat_b) in pairwise(ring):
                edge = frozenset(
                    ((round(lon_a, 7), round(lat_a, 7)), (round(lon_b, 7), round(lat_b, 7)))
                )
                edges[edge] += 1
                lengths[edge] = distance_m(lon_a, lat_a, lon_b, lat_b)
        return sum(lengths[edge] for edge, count in edges.items() if count == 1) / 1000


def read_zone(path: Path, *, resolution: int) -> Zone:
    """Return the zone of a file.

    Parameters
    ----------
    path
        GeoJSON (Feature, FeatureCollection with one or more areas, or a geometry), or H3 cells: a
        JSON list or one hex text per line.
    resolution
        H3 resolution wanted. Cells in the file of a finer one are an error; coarser ones are
        filled.

    Raises
    ------
    UsageError
        If the file cannot be read or is none of these; file and feature are named.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path}: cannot be read ({error}); {_FORM}"
        raise UsageError(message) from error
    try:
        document: object = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if not lines or any(line[0] in "{[" for line in lines):
            message = f"{path}: is not JSON: {error}; {_FORM}"
            raise UsageError(message) from error
        document = lines
    if isinstance(document, list):
        return _from_cells(path, document, resolution)
    if not isinstance(document, dict):
        message = f"{path}: {_FORM}, got {type(document).__name__}"
        raise UsageError(message)
    return _from_geojson(path, document, resolution)


def _from_cells(path: Path, texts: Sequence[object], resolution: int) -> Zone:
    cells: set[int] = set()
    for number, text in enumerate(texts):
        where = f"{path}: cell {number}"
        try:
            cell = geo.cell_number(str(text))
        except UsageError as error:
            message = f"{where}: {error}"
            raise UsageError(message) from error
        held = geo.resolution_of(cell)
        if held > resolution:
            message = (
                f"{where}: {text} has resolution {held}, finer than the {resolution} of the "
                f"evidence: give its parent, or build congestion at {held}"
            )
            raise UsageError(message)
        cells.update(geo.children_of(cell, resolution))
    return _zone(path, path.stem, _outline(sorted(cells)), cells=cells, resolution=resolution)


def _from_geojson(path: Path, document: dict[str, object], resolution: int) -> Zone:
    kind = document.get("type")
    features = document.get("features") if kind == "FeatureCollection" else [document]
    if not isinstance(features, list) or not features:
        message = f"{path}: has no feature; {_FORM}"
        raise UsageError(message)
    cells: set[int] = set()
    geometries: list[dict[str, object]] = []
    names: list[str] = []
    for number, feature in enumerate(features):
        where = f"{path}: feature {number}" if kind == "FeatureCollection" else str(path)
        geometry, name = _geometry(where, feature)
        cells.update(_cells(where, geometry, resolution))
        geometries.append(geometry)
        names += [name] if name else []
    name = " and ".join(dict.fromkeys(names)) or path.stem
    geometry = geometries[0] if len(geometries) == 1 else _joined(geometries)
    return _zone(path, name, geometry, cells=cells, resolution=resolution)


def _geometry(where: str, feature: object) -> tuple[dict[str, object], str | None]:
    if not isinstance(feature, dict):
        message = f"{where}: {_FORM}, got {type(feature).__name__}"
        raise UsageError(message)
    properties = feature.get("properties")
    name = properties.get("name") if isinstance(properties, dict) else None
    geometry = feature.get("geometry") if feature.get("type") == "Feature" else feature
    if not isinstance(geometry, dict) or geometry.get("type") not in {"Polygon", "MultiPolygon"}:
        held = geometry.get("type") if isinstance(geometry, dict) else geometry
        message = f"{where}: a zone is an area (Polygon or MultiPolygon), got {held!r}"
        raise UsageError(message)
    return geometry, name if isinstance(name, str) and name.strip() else None


def _cells(where: str, geometry: dict[str, object], resolution: int) -> list[int]:
    coordinates = geometry.get("coordinates")
    polygons = [coordinates] if geometry["type"] == "Polygon" else coordinates
    if not isinstance(polygons, list):
        message = f"{where}: coordinates are missing"
        raise UsageError(message)
    for polygon in polygons:
        _check_rings(where, polygon)
        _check_size(where, polygon[0], resolution)
    return geo.cells_in_geometry(geometry, resolution)


def _check_size(where: str, ring: Sequence[Sequence[float]], resolution: int) -> None:
    """Refuse a ring before its cells are listed: those of a country would fill the memory."""
    lons, lats = [position[0] for position in ring], [position[1] for position in ring]
    reach_m = distance_m(min(lons), min(lats), max(lons), max(lats))
    if reach_m > _MAX_REACH_M:
        message = (
            f"{where}: the zone reaches over {reach_m / 1000:,.0f} km, more than a city. Is "
            "latitude given before longitude?"
        )
        raise UsageError(message)
    lon_deg, lat_deg, *_ = ring[0]
    cell_km2 = geo.area_km2(geo.cell_at(lon_deg, lat_deg, resolution))
    sines = [math.sin(math.radians(position[1])) for position in ring]
    steps = [math.radians(b[0] - a[0]) for a, b in pairwise(ring)]
    twice = sum(step * (a + b) for step, (a, b) in zip(steps, pairwise(sines), strict=True))
    n_cells = abs(twice) / 2 * (EARTH_RADIUS_M / 1000) ** 2 / cell_km2
    if n_cells > _MAX_CELLS:
        message = (
            f"{where}: the zone has about {n_cells:,.0f} cells of resolution {resolution}; at most "
            f"{_MAX_CELLS:,} make a city. Is latitude given before longitude?"
        )
        raise UsageError(message)


def _check_rings(where: str, polygon: object) -> None:
    if not isinstance(polygon, list) or not polygon:
        message = f"{where}: a polygon is a list of rings, got {polygon!r:.80}"
        raise UsageError(message)
    for ring in polygon:
        if not isinstance(ring, list) or len(ring) < _MIN_RING or ring[0] != ring[-1]:
            message = f"{where}: a ring needs at least 4 positions and ends where it starts"
            raise UsageError(message)
        for position in ring:
            _check_position(where, position)


def _check_position(where: str, position: object) -> None:
    if not isinstance(position, list) or not all(
        isinstance(v, int | float) and not isinstance(v, bool) for v in position
    ):
        message = f"{where}: a position is [lon, lat] in degrees, got {position!r:.80}"
        raise UsageError(message)
    lon_deg, lat_deg = (*position, math.nan, math.nan)[:2]
    if not (-180 <= lon_deg <= 180 and -90 <= lat_deg <= 90):  # noqa: PLR2004 -- degrees
        message = (
            f"{where}: position {position} is not [lon, lat] in degrees (WGS 84). Are latitude and "
            "longitude swapped, or is it a projected coordinate system?"
        )
        raise UsageError(message)


def _joined(geometries: Sequence[dict[str, object]]) -> dict[str, object]:
    polygons: list[object] = []
    for geometry in geometries:
        part = geometry["coordinates"]
        polygons += [part] if geometry["type"] == "Polygon" else list(part)  # type: ignore[call-overload]
    return {"type": "MultiPolygon", "coordinates": polygons}


def _outline(cells: Sequence[int]) -> dict[str, object]:
    rings = [[[list(corner) for corner in geo.boundary_of(cell)]] for cell in cells]
    return {"type": "MultiPolygon", "coordinates": rings}


def _zone(
    path: Path, name: str, geometry: dict[str, object], *, cells: set[int], resolution: int
) -> Zone:
    if not cells:
        message = (
            f"{path}: no H3 cell of resolution {resolution} has its centre in the zone: it is "
            "smaller than a cell. Draw a larger zone, or work at a finer resolution."
        )
        raise UsageError(message)
    if len(cells) > _MAX_CELLS:
        message = (
            f"{path}: the zone has {len(cells):,} cells of resolution {resolution}; at most "
            f"{_MAX_CELLS:,} make a city. Is latitude given before longitude?"
        )
        raise UsageError(message)
    return Zone(name=name, geometry=geometry, resolution=resolution, cells=tuple(sorted(cells)))
