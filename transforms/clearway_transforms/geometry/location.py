"""H3 cells of many fixes, asking H3 itself only where the outlines of known cells do not decide.

A vehicle's fixes follow each other, and mostly the next lies in the same cell. The answers are
those of H3: within a metre of a side it is asked.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import polars_h3

from clearway_transforms.geometry.outlines import Outlines
from clearway_transforms.geometry.sphere import METRES_PER_DEGREE

_FIRST_ASKED = 8
"""Of so many fixes in a row one is asked first; a power of two."""

_EDGE_M = 200.8
"""Average edge of a hexagon at resolution 9."""


def cell_of(lon: str, lat: str, resolution: int) -> pl.Expr:
    """Return the H3 cell of two columns of degrees, as uint64."""
    cell: pl.Expr = polars_h3.latlng_to_cell(lat, lon, resolution, return_dtype=pl.UInt64)
    return cell


def asked(lon_deg: np.ndarray, lat_deg: np.ndarray, resolution: int) -> np.ndarray:
    """Return the H3 cells of positions, each looked up by itself."""
    points = pl.DataFrame({"lon": lon_deg, "lat": lat_deg})
    return points.select(cell_of("lon", "lat", resolution)).to_series().to_numpy()


def cells_of(
    lon_deg: np.ndarray, lat_deg: np.ndarray, resolution: int, outlines: Outlines
) -> np.ndarray:
    """Return the H3 cells of fixes, fastest where neighbours in the arrays are near each other.

    Parameters
    ----------
    lon_deg, lat_deg
        Positions, best in the order of a track. [°]
    resolution
        H3 resolution.
    outlines
        Of the cells known so far.

    Notes
    -----
    Every eighth fix is asked. Of the fixes half way between two known ones each is compared with
    the cells of both, and asked if it lies in neither; then those half way between these.
    """
    cells = np.zeros(lon_deg.size, dtype=np.uint64)
    first = np.arange(0, lon_deg.size, _FIRST_ASKED)
    cells[first] = asked(lon_deg[first], lat_deg[first], resolution)
    # A cell is at most 2.6 average edges wide: further apart, two fixes cannot share one.
    reach_deg = 3 * _EDGE_M * 7 ** ((9 - resolution) / 2) / METRES_PER_DEGREE
    step = _FIRST_ASKED // 2
    while step:
        still = np.arange(step, lon_deg.size, 2 * step)
        for known in (-step, step):
            has = still[still + known < lon_deg.size]
            apart = np.abs(lat_deg[has + known] - lat_deg[has])
            has = has[apart < reach_deg]
            theirs = cells[has + known]
            inside = outlines.holds(outlines.places(theirs), lon_deg[has], lat_deg[has]) > 0
            cells[has[inside]] = theirs[inside]
            still = still[cells[still] == 0]
        cells[still] = asked(lon_deg[still], lat_deg[still], resolution)
        step //= 2
    return cells


def within_parent(
    cells: np.ndarray,
    lon_deg: np.ndarray,
    lat_deg: np.ndarray,
    *,
    resolution: int,
    outlines: Outlines,
) -> np.ndarray:
    """Return whether fixes lie within the outline of their cell's parent.

    Parameters
    ----------
    cells
        Of the fixes.
    lon_deg, lat_deg
        Positions. [°]
    resolution
        Of the parent.
    outlines
        Of the cells known so far.

    Notes
    -----
    An H3 parent is not exactly the union of its children: a fix near the border may lie in a child,
    but outside the parent's hexagon.
    """
    parent = polars_h3.cell_to_parent(pl.col("cell"), resolution).cast(pl.UInt64)
    parents = pl.DataFrame({"cell": cells}).select(parent).to_series().to_numpy()
    held = outlines.holds(outlines.places(parents), lon_deg, lat_deg)
    unsure = np.flatnonzero(held == 0)
    within: np.ndarray = held > 0
    within[unsure] = asked(lon_deg[unsure], lat_deg[unsure], resolution) == parents[unsure]
    return within
