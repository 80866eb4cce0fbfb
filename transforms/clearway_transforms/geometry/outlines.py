"""Outlines of H3 cells as half-planes: which points lie inside, and where a straight line leaves.

Asking H3 for the cell of a point costs about 500 ns, for an outline 2 500 ns; a point against six
half-planes costs 100. Fixes and legs are many, the cells of a city few, so outlines are kept.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import polars as pl
import polars_h3

from clearway_transforms.geometry.sphere import METRES_PER_DEGREE

_BORDER_DEG = 1.0 / METRES_PER_DEGREE
"""Outlines are straight to 0.1 m; ten times that is left to H3."""

_STRAIGHT_TO_DEG = 70.0
"""Latitude up to which that holds."""

_MOST_KEPT = 300_000
"""Cells whose outlines are kept, some 60 MB; a city of 30,000 km² has as many at resolution 9."""

_MOST_VERTICES = 10
"""A hexagon has six; one over an edge of the icosahedron has up to ten."""


class Outlines:
    """Outlines of the cells that were asked for, kept from one call to the next.

    Notes
    -----
    Sides are straight lines in longitude and latitude. The great circle that H3 means is off by
    less than 2 mm at resolution 9, by 0.1 m at resolution 7 (latitudes up to 70°).
    """

    def __init__(self) -> None:
        self._cells = np.empty(0, dtype=np.uint64)
        self._lon_deg = np.empty(0)
        self._lat_deg = np.empty(0)
        self._east = np.empty((0, 0))
        self._north = np.empty((0, 0))
        self._reach = np.empty((0, 0))
        self._narrow = np.empty(0)
        self._circle = np.empty(0)

    def places(self, cells: np.ndarray) -> np.ndarray:
        """Return the place of each cell's outline, after fetching those not yet known.

        Places hold until the next call.
        """
        if cells.size == 0:
            return np.empty(0, dtype=np.int64)
        begins = np.concatenate(([True], cells[1:] != cells[:-1]))
        runs = cells[begins]
        found = self._find(runs)
        if (found < 0).any():
            self._fetch(np.unique(runs), runs[found < 0])
            found = self._find(runs)
        return np.repeat(found, np.diff(np.append(np.flatnonzero(begins), cells.size)))

    def holds(self, places: np.ndarray, lon_deg: np.ndarray, lat_deg: np.ndarray) -> np.ndarray:
        """Return 1 where a point lies in the outline, -1 where outside, 0 where H3 must be asked.

        Parameters
        ----------
        places
            From `places`.
        lon_deg, lat_deg
            Points. [°]
        """
        x, y = self._from_centre(places, lon_deg, lat_deg)
        circle = (x * self._narrow[places]) ** 2 + y**2 < self._circle[places]
        found: np.ndarray = circle.astype(np.int8)
        rest = np.flatnonzero(~circle)
        places, x, y = places[rest], x[rest], y[rest]
        beyond = np.full(rest.size, -np.inf)
        for east, north, reach in zip(self._east, self._north, self._reach, strict=True):
            np.maximum(beyond, east[places] * x + north[places] * y - reach[places], out=beyond)
        sure = np.abs(beyond) > _BORDER_DEG
        found[rest] = np.where(sure, -np.sign(beyond), 0)
        found[np.abs(lat_deg) > _STRAIGHT_TO_DEG] = 0
        return found

    def crossed(
        self,
        places: np.ndarray,
        lon_deg: np.ndarray,
        lat_deg: np.ndarray,
        *,
        east_deg: np.ndarray,
        north_deg: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return where a line enters and leaves each outline, as shares of the line's length.

        Parameters
        ----------
        places
            From `places`.
        lon_deg, lat_deg
            Where the line begins. [°]
        east_deg, north_deg
            How far it goes. [°]
        """
        x, y = self._from_centre(places, lon_deg, lat_deg)
        enters, leaves = np.full(places.size, -np.inf), np.full(places.size, np.inf)
        with np.errstate(divide="ignore", invalid="ignore"):
            for east, north, reach in zip(self._east, self._north, self._reach, strict=True):
                east_here, north_here = east[places], north[places]
                outwards = east_here * east_deg + north_here * north_deg
                share = (reach[places] - east_here * x - north_here * y) / outwards
                np.minimum(leaves, share, out=leaves, where=outwards > 0)
                np.maximum(enters, share, out=enters, where=outwards < 0)
        return enters, leaves

    def _from_centre(
        self, places: np.ndarray, lon_deg: np.ndarray, lat_deg: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        x = lon_deg - self._lon_deg[places]
        far = np.abs(x) > 180  # noqa: PLR2004 -- degrees, the other way round is shorter
        if far.any():
            x = np.where(far, x - np.copysign(360.0, x), x)
        return x, lat_deg - self._lat_deg[places]

    def _find(self, cells: np.ndarray) -> np.ndarray:
        if self._cells.size == 0:
            return np.full(cells.size, -1)
        place = np.minimum(np.searchsorted(self._cells, cells), self._cells.size - 1)
        return np.where(self._cells[place] == cells, place, -1)

    def _fetch(self, wanted: np.ndarray, missing: np.ndarray) -> None:
        keep = self._cells if self._cells.size < _MOST_KEPT else np.empty(0, dtype=np.uint64)
        if keep.size:
            old = np.arange(keep.size)
            new = np.unique(missing)
        else:
            old, new = np.empty(0, dtype=np.int64), wanted
        lon, lat, east, north, reach = _half_planes(new)
        cells = np.concatenate((keep, new))
        order = np.argsort(cells)
        self._cells = cells[order]
        self._lon_deg = np.concatenate((self._lon_deg[old], lon))[order]
        self._lat_deg = np.concatenate((self._lat_deg[old], lat))[order]
        self._east = _joined(self._east, east, old)[:, order]
        self._north = _joined(self._north, north, old)[:, order]
        self._reach = _joined(self._reach, reach, old)[:, order]
        self._narrow = np.cos(np.radians(self._lat_deg))
        self._circle = np.maximum(self._reach.min(axis=0) - _BORDER_DEG, 0) ** 2


@cache
def known_outlines() -> Outlines:
    """Return the outlines of this process."""
    return Outlines()


def _joined(held: np.ndarray, new: np.ndarray, keep: np.ndarray) -> np.ndarray:
    sides = np.arange(max(held.shape[0], new.shape[0]))
    parts = (held[:, keep], new) if held.size else (new,)
    # A side more is the first once more.
    return np.concatenate([part[sides % part.shape[0]] for part in parts], axis=1)


def _half_planes(
    cells: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the centre of each cell and its sides: outward unit normals and how far they reach.

    Lengths are degrees of latitude, counted from the centre of the corners.
    """
    corners = (
        pl.DataFrame({"cell": cells})
        .lazy()
        .select(polars_h3.cell_to_boundary(pl.col("cell")).alias("corner"))
        .with_row_index("place")
        .explode("corner")
        .select(
            "place",
            side=pl.int_range(pl.len()).over("place"),
            lat=pl.col("corner").list.get(0),
            lon=pl.col("corner").list.get(1),
        )
        .collect()
    )
    place, side = corners["place"].to_numpy(), corners["side"].to_numpy()
    n_sides = int(side.max()) + 1
    lon = np.full((n_sides, cells.size), np.nan)
    lat = np.full((n_sides, cells.size), np.nan)
    lon[side, place], lat[side, place] = corners["lon"].to_numpy(), corners["lat"].to_numpy()
    fewer = np.isnan(lon)
    x = (lon - lon[0] + 540) % 360 - 180
    centre_x, centre_lat = np.nanmean(x, axis=0), np.nanmean(lat, axis=0)
    # Where a cell has fewer corners than others its first stands in for them.
    x = np.where(fewer, x[0], x) - centre_x
    y = np.where(fewer, lat[0], lat) - centre_lat
    narrow = np.cos(np.radians(centre_lat))
    along_x, along_y = (np.roll(x, -1, 0) - x) * narrow, np.roll(y, -1, 0) - y
    length = np.hypot(along_x, along_y)
    none = length < 1e-12  # noqa: PLR2004 -- degrees
    length[none] = np.inf
    # Corners run counter-clockwise, so outside is to the right.
    east, north = along_y / length * narrow, -along_x / length
    reach = east * x + north * y
    reach[none] = np.inf
    return lon[0] + centre_x, centre_lat, east, north, reach
