"""Whether fixes lie on the city's roads: an undeclared datum moves all of them away."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.spatial import KDTree

from clearway_core.city import City
from clearway_core.errors import SettingsError
from clearway_core.units import EARTH_RADIUS_M
from clearway_transforms.parameters import CongestionParameters

NEAR, FAR = "near_road", "far_from_road"
"""Subjects of ``cleaning_counts``, by provider: fixes looked at, at most ``road_distance_m`` from
a road of the pack, and further away."""

ROADS = "roads.geojson"

_STEP_M = 20.0
"""A road is a row of points this far apart: a distance of 50 m comes out at most 1 m too long."""

_ONE_IN = 16
"""A share needs no more than some hundred fixes, and looking for the nearest road takes time."""

_HASH = 2_654_435_761
"""Knuth's multiplier: spreads instants evenly, so that the choice is the same in every build."""


@dataclass(frozen=True, slots=True)
class Roads:
    """Points along all roads of a city pack, for distances of metres within one city.

    Parameters
    ----------
    tree
        Points in a plane. [m]
    east_m, north_m
        Length of a degree of longitude and latitude here. [m/°]
    bounds_deg
        (west, south, east, north) of the roads. [°]
    """

    tree: KDTree
    east_m: float
    north_m: float
    bounds_deg: tuple[float, float, float, float]

    def within(self, lon_deg: np.ndarray, lat_deg: np.ndarray, metres: float) -> np.ndarray:
        """Return which positions have a road so close."""
        points = np.column_stack([lon_deg * self.east_m, lat_deg * self.north_m])
        found, _ = self.tree.query(points, distance_upper_bound=metres)
        near: np.ndarray = np.isfinite(found)
        return near


def read_roads(city: City | None) -> Roads | None:
    """Return the roads of a city pack, or None where it has none.

    Raises
    ------
    SettingsError
        If the file is no GeoJSON of lines.
    """
    file = None if city is None else city.file(ROADS)
    if file is None:
        return None
    try:
        lines = [
            np.array(line, dtype=float)[:, :2] for line in _lines(json.loads(file.read_text()))
        ]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        message = (
            f"{file}: expected a GeoJSON FeatureCollection of LineString or MultiLineString with "
            f"[lon, lat], got something else ({error}). Run `clearway city check`."
        )
        raise SettingsError([message]) from error
    if not lines:
        return None
    every = np.concatenate(lines)
    north_m = EARTH_RADIUS_M * np.pi / 180
    east_m = north_m * float(np.cos(np.radians(every[:, 1].mean())))
    scale = np.array([east_m, north_m])
    points = np.concatenate([_spread(line * scale) for line in lines])
    (west, south), (east, north) = every.min(axis=0).tolist(), every.max(axis=0).tolist()
    return Roads(KDTree(points), east_m, north_m, (west, south, east, north))


def count_near_roads(
    fixes: pl.DataFrame, roads: Roads, parameters: CongestionParameters
) -> Counter[tuple[str, str]]:
    """Return how many fixes lie near a road and far from all, by (`NEAR` or `FAR`, provider).

    Parameters
    ----------
    fixes
        Clean fixes with ``observed_ms``; one in 16, chosen by its instant, is looked at if it lies
        in the rectangle that the roads fill.
    roads
        Of the city pack.
    parameters
        ``road_distance_m``.
    """
    west, south, east, north = roads.bounds_deg
    chosen = fixes.filter(
        (pl.col("observed_ms") // 1000 * _HASH % 2**32 < 2**32 // _ONE_IN)
        & pl.col("lon_deg").is_between(west, east)
        & pl.col("lat_deg").is_between(south, north)
    )
    near = roads.within(
        chosen["lon_deg"].to_numpy(), chosen["lat_deg"].to_numpy(), parameters.road_distance_m
    )
    where = pl.when(pl.Series(near)).then(pl.lit(NEAR)).otherwise(pl.lit(FAR))
    counted = chosen.group_by(where.alias("where"), "provider").len()
    return Counter({(place, provider): n for place, provider, n in counted.iter_rows()})


def suspect_datums(
    counts: Mapping[tuple[str, str], int], parameters: CongestionParameters
) -> dict[str, float]:
    """Return the providers too many of whose fixes lie far from all roads, with that share.

    Parameters
    ----------
    counts
        By (subject, provider), as from `count_near_roads`.
    parameters
        ``max_far_share`` and ``min_fixes_for_share``.
    """
    found = {}
    for provider in sorted({name for place, name in counts if place in {NEAR, FAR}}):
        far, near = counts.get((FAR, provider), 0), counts.get((NEAR, provider), 0)
        enough = far + near >= parameters.min_fixes_for_share
        if enough and far / (far + near) > parameters.max_far_share:
            found[provider] = far / (far + near)
    return found


def _lines(collection: Mapping[str, list[Mapping[str, Mapping[str, object]]]]) -> Iterator[object]:
    for feature in collection["features"]:
        shape = feature["geometry"]
        coordinates = shape["coordinates"]
        if shape["type"] == "MultiLineString" and isinstance(coordinates, list):
            yield from coordinates
        elif shape["type"] == "LineString":
            yield coordinates


def _spread(line_m: np.ndarray) -> np.ndarray:
    """Return points at most `_STEP_M` apart along a line."""
    lengths = np.hypot(*np.diff(line_m, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    places = np.linspace(0, along[-1], max(2, int(np.ceil(along[-1] / _STEP_M)) + 1))
    return np.column_stack([np.interp(places, along, line_m[:, axis]) for axis in (0, 1)])
