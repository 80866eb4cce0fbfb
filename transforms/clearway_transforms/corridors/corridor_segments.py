"""The lines of corridors, cut into segments and laid out so that fixes find them quickly."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clearway_core.corridor_lines import Corridor
from clearway_core.units import EARTH_RADIUS_M
from clearway_transforms.parameters import CorridorParameters

_ROW = 2**31
"""Squares of the grid are numbered by row and column; no city has so many columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearby:
    """Fixes near corridors, ordered by corridor and fix; a fix may be near several.

    Parameters
    ----------
    corridor
        Number of the corridor.
    fix
        Number of the fix.
    position_mm
        Place along the line; below 0 or above its length just beyond an end. [mm]
    """

    corridor: np.ndarray
    fix: np.ndarray
    position_mm: np.ndarray


class CorridorIndex:
    """Corridors with their segments, and a grid that tells which of their edges are near a place.

    Parameters
    ----------
    corridors
        Directed lines.
    parameters
        Length of segments and reach of lines.

    Notes
    -----
    Lines are laid into a plane, true to scale at the middle latitude of them all: within 50 km of
    it lengths are off by less than one per cent, and times along a line do not depend on that.
    """

    def __init__(self, corridors: Sequence[Corridor], parameters: CorridorParameters) -> None:
        self.corridors = tuple(corridors)
        lats = [lat for corridor in corridors for _, lat in corridor.line]
        self._scale_north = EARTH_RADIUS_M * math.pi / 180
        middle = (min(lats) + max(lats)) / 2 if lats else 0.0
        self._scale_east = self._scale_north * math.cos(math.radians(middle))
        self._radius_m, self._beyond_m = parameters.match_radius_m, parameters.beyond_m
        self._edges = _Edges(*self._all_edges())
        self.length_mm = np.array(
            [
                np.rint(self._edges.length_m[self._edges.corridor == number].sum() * 1000)
                for number in range(len(self.corridors))
            ],
            dtype=np.int64,
        )
        self.n_segments = np.maximum(
            1, np.rint(self.length_mm / 1000 / parameters.segment_length_m).astype(np.int64)
        )
        self._keys, self._first, self._count, self._members = self._grid()

    def segment_lengths_mm(self, corridor: int) -> list[int]:
        """Return the length of each segment of a corridor [mm]."""
        borders = self.border_mm(corridor, np.arange(self.n_segments[corridor] + 1))
        return [int(length) for length in np.diff(borders)]

    def border_mm(self, corridor: np.ndarray | int, segment: np.ndarray) -> np.ndarray:
        """Return where a segment begins, element by element [mm]."""
        borders: np.ndarray = segment * self.length_mm[corridor] // self.n_segments[corridor]
        return borders

    def segment_at(self, corridor: np.ndarray, position_mm: np.ndarray) -> np.ndarray:
        """Return the segment that holds a place along the line, element by element."""
        n, length = self.n_segments[corridor], self.length_mm[corridor]
        # The inverse of `border_mm`: the last segment that begins at or before the place.
        found: np.ndarray = ((position_mm + 1) * n - 1) // length
        return np.asarray(np.clip(found, 0, n - 1))

    def nearby(self, lon_deg: np.ndarray, lat_deg: np.ndarray) -> Nearby:
        """Return the fixes within the match radius of a corridor, each at its nearest place.

        Parameters
        ----------
        lon_deg, lat_deg
            Fixes. [°]
        """
        east, north = lon_deg * self._scale_east, lat_deg * self._scale_north
        fix, edge = self._candidates(east, north)
        position, apart = self._edges.project(edge, east[fix], north[fix], beyond_m=self._beyond_m)
        near = apart <= self._radius_m
        fix, position, apart = fix[near], position[near], apart[near]
        corridor = self._edges.corridor[edge[near]]
        order = np.lexsort((position, apart, fix, corridor))
        fix, corridor, position = fix[order], corridor[order], position[order]
        best = np.ones(len(fix), dtype=bool)
        best[1:] = (fix[1:] != fix[:-1]) | (corridor[1:] != corridor[:-1])
        return Nearby(
            corridor=corridor[best],
            fix=fix[best],
            position_mm=np.rint(position[best] * 1000).astype(np.int64),
        )

    def _all_edges(self) -> tuple[np.ndarray, ...]:
        """Return corridor, both ends and start along the line of every edge, and which are ends."""
        rows = []
        for number, corridor in enumerate(self.corridors):
            points = [
                (lon * self._scale_east, lat * self._scale_north) for lon, lat in corridor.line
            ]
            pairs = [(a, b) for a, b in itertools.pairwise(points) if a != b]
            along = 0.0
            for place, (a, b) in enumerate(pairs):
                rows.append((number, *a, *b, along, place == 0, place == len(pairs) - 1))
                along += math.dist(a, b)
        table = np.array(rows, dtype=np.float64).reshape(len(rows), 8)
        return tuple(table.T)

    def _candidates(self, east: np.ndarray, north: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return pairs of a fix and an edge that may be near each other, ordered by fix."""
        if self._keys.size == 0:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        keys = self._key(east, north)
        place = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        hit = np.flatnonzero(self._keys[place] == keys)
        place = place[hit]
        counts = self._count[place]
        fix = np.repeat(hit, counts)
        within = np.arange(len(fix)) - np.repeat(np.cumsum(counts) - counts, counts)
        return fix, self._members[np.repeat(self._first[place], counts) + within]

    def _key(self, east: np.ndarray, north: np.ndarray) -> np.ndarray:
        side = 2 * self._radius_m
        row = np.floor(north / side).astype(np.int64)
        return row * _ROW + np.floor(east / side).astype(np.int64)

    def _grid(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return numbers of squares, and for each where its edges begin, how many, and which."""
        found: dict[int, set[int]] = defaultdict(set)
        step, reach = self._radius_m, 2 * self._radius_m
        beyond = self._beyond_m + reach
        for number, (a, b, length) in enumerate(self._edges.ends()):
            # The line reaches beyond its ends, so sampling begins before each edge.
            n = math.ceil((length + 2 * beyond) / step)
            share = (np.arange(n + 1) * step - beyond) / length
            for off_east, off_north in itertools.product((-reach, 0.0, reach), repeat=2):
                east = a[0] + (b[0] - a[0]) * share + off_east
                north = a[1] + (b[1] - a[1]) * share + off_north
                for key in np.unique(self._key(east, north)).tolist():
                    found[key].add(number)
        keys = sorted(found)
        members = [sorted(found[key]) for key in keys]
        counts = np.array([len(each) for each in members], dtype=np.int64)
        flat = np.array([edge for each in members for edge in each], dtype=np.int64)
        return np.array(keys, dtype=np.int64), np.cumsum(counts) - counts, counts, flat


class _Edges:
    """All edges of all lines, in the plane."""

    def __init__(self, *columns: np.ndarray) -> None:
        corridor, self._from_east, self._from_north, to_east, to_north, *rest = columns
        self._along, first, last = rest
        self.corridor = corridor.astype(np.int64)
        self._first, self._last = first.astype(bool), last.astype(bool)
        self._east, self._north = to_east - self._from_east, to_north - self._from_north
        self.length_m = np.hypot(self._east, self._north)

    def ends(self) -> list[tuple[tuple[float, float], tuple[float, float], float]]:
        """Return both ends and the length of each edge."""
        return [
            ((east, north), (east + by_east, north + by_north), length)
            for east, north, by_east, by_north, length in zip(
                self._from_east.tolist(),
                self._from_north.tolist(),
                self._east.tolist(),
                self._north.tolist(),
                self.length_m.tolist(),
                strict=True,
            )
        ]

    def project(
        self, edge: np.ndarray, east: np.ndarray, north: np.ndarray, *, beyond_m: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return place along the line and distance from it; a line goes on a little at its ends."""
        length = self.length_m[edge]
        by_east = east - self._from_east[edge]
        by_north = north - self._from_north[edge]
        along = (by_east * self._east[edge] + by_north * self._north[edge]) / length
        low = np.where(self._first[edge], -np.inf, 0.0)
        high = np.where(self._last[edge], np.inf, length)
        along = np.clip(along, low, high)
        apart = np.hypot(
            by_east - along / length * self._east[edge],
            by_north - along / length * self._north[edge],
        )
        outside = (along < -beyond_m) | (along > length + beyond_m)
        return self._along[edge] + along, np.where(outside, np.inf, apart)
