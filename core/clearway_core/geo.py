"""H3 cells. The only module that calls h3-py, which takes latitude first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import h3

from clearway_core.errors import UsageError

DEFAULT_RESOLUTION = 9
FINEST_RESOLUTION = 10
COARSEST_RESOLUTION = 7


def cell_at(lon_deg: float, lat_deg: float, resolution: int = DEFAULT_RESOLUTION) -> int:
    """Return the H3 cell that holds a position."""
    return int(h3.str_to_int(h3.latlng_to_cell(lat_deg, lon_deg, resolution)))


def cell_text(h3_cell: int) -> str:
    """Return the cell as the 15-digit hex text that people and files use."""
    return str(h3.int_to_str(h3_cell))


def cell_number(text: str) -> int:
    """Return the cell of a hex text.

    Raises
    ------
    UsageError
        If the text is not an H3 cell.
    """
    if re.fullmatch(r"[0-9a-fA-F]{15}", text) is None or not h3.is_valid_cell(text):
        message = f"an H3 cell is a 15-digit hex text such as 8928308280fffff, got {text!r}"
        raise UsageError(message)
    return int(h3.str_to_int(text))


def resolution_of(h3_cell: int) -> int:
    """Return the H3 resolution of a cell."""
    return int(h3.get_resolution(h3.int_to_str(h3_cell)))


def parent_of(h3_cell: int, resolution: int) -> int:
    """Return the cell's ancestor at a coarser (or the same) resolution."""
    return int(h3.str_to_int(h3.cell_to_parent(h3.int_to_str(h3_cell), resolution)))


def centre_of(h3_cell: int) -> tuple[float, float]:
    """Return (lon_deg, lat_deg) of a cell's centre."""
    lat_deg, lon_deg = h3.cell_to_latlng(h3.int_to_str(h3_cell))
    return lon_deg, lat_deg


def boundary_of(h3_cell: int) -> list[tuple[float, float]]:
    """Return the cell's corners as a closed ring of (lon_deg, lat_deg), as GeoJSON wants them."""
    corners = [(lon, lat) for lat, lon in h3.cell_to_boundary(h3.int_to_str(h3_cell))]
    return [*corners, corners[0]]


def area_km2(h3_cell: int) -> float:
    """Return the cell's area [km²]."""
    return float(h3.cell_area(h3.int_to_str(h3_cell), unit="km^2"))


def disk(h3_cell: int, rings: int) -> list[int]:
    """Return the cells within so many steps, the cell itself included, sorted."""
    return sorted(h3.str_to_int(c) for c in h3.grid_disk(h3.int_to_str(h3_cell), rings))


def cells_in_polygon(rings: Sequence[Sequence[Sequence[float]]], resolution: int) -> list[int]:
    """Return the cells whose centre lies in a GeoJSON polygon, sorted; none where it has no area.

    Parameters
    ----------
    rings
        ``coordinates`` of a GeoJSON Polygon: outer ring, then holes, each of [lon, lat].
    resolution
        H3 resolution.
    """
    outer, *holes = [[(lat, lon) for lon, lat, *_ in ring] for ring in rings]
    try:
        cells = h3.polygon_to_cells(h3.LatLngPoly(outer, *holes), resolution)
    except h3.H3FailedError:  # all corners on one line
        return []
    return sorted(map(h3.str_to_int, cells))


def cells_in_geometry(geometry: dict[str, object], resolution: int) -> list[int]:
    """Return the cells of a GeoJSON Polygon or MultiPolygon geometry, sorted.

    Raises
    ------
    UsageError
        If the geometry is of another type.
    """
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind == "Polygon" and isinstance(coordinates, list):
        return cells_in_polygon(coordinates, resolution)
    if kind == "MultiPolygon" and isinstance(coordinates, list):
        parts: Iterable[int] = (
            cell for rings in coordinates for cell in cells_in_polygon(rings, resolution)
        )
        return sorted(set(parts))
    message = f"a zone is a GeoJSON Polygon or MultiPolygon, got {kind!r}"
    raise UsageError(message)


def children_of(h3_cell: int, resolution: int) -> list[int]:
    """Return the cell's descendants at a finer (or the same) resolution, sorted."""
    children = h3.cell_to_children(h3.int_to_str(h3_cell), resolution)
    return sorted(h3.str_to_int(child) for child in children)
