"""Which probes drove past a counting site: legs of raw fixes that cross a gate over the street.

A cell holds more streets than the counted one, so that the probes of a cell cannot be compared with
the counter in it. Here a pass is what the counter counts too: a vehicle that crosses the line
through the site, across the street.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from clearway_core.units import EARTH_RADIUS_M

GATE_HALF_WIDTH_M = 30.0
"""A gate reaches this far to both sides: wider than a street and its position noise, narrower than
a block. [m]"""

DENSE_GAP_S = 20.0
"""Over longer gaps the line between two fixes leaves the street and misses the gate. [s]"""

LONGEST_GAP_S = 120.0
"""A longer gap is the end of a trip. [s]"""

MIN_DENSE_SHARE = 0.9
"""Passes are counted where this share of the distance is driven between dense fixes. [1]"""

_BEARING_RADIUS_M = 40.0
_BEARING_MIN_M = 20.0
_FASTEST_M_S = 160 / 3.6
_QUARTERS = 4
_QUARTER_S = 900

_M_PER_DEGREE = EARTH_RADIUS_M * math.pi / 180

Place = tuple[float, float]
"""Longitude and latitude of a site [°]."""

_Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Legs:
    """Pairs of successive fixes of one vehicle, in order of vehicle and time.

    Parameters
    ----------
    vehicle
        Number of the vehicle.
    start, end
        Longitude and latitude, one row per leg. [°]
    start_s, end_s
        Unix times. [s]
    dense_share
        Share of the distance that is driven between dense fixes; these alone are legs here. [1]
    distance_m
        Driven in all, sparse pairs among it. [m]
    """

    vehicle: NDArray[np.int64]
    start: _Numbers
    end: _Numbers
    start_s: _Numbers
    end_s: _Numbers
    dense_share: float
    distance_m: float

    def covered_hours(self) -> set[datetime]:
        """Return the hours in each quarter of which anybody drove: the feed was running."""
        quarters = np.unique(self.start_s // _QUARTER_S)
        hours, seen = np.unique(quarters // _QUARTERS, return_counts=True)
        return {_hour(float(hour)) for hour in hours[seen == _QUARTERS]}


def legs_of(fixes: pl.DataFrame) -> Legs:
    """Return the legs that count as travel: dense, not vacant, no faster than a car.

    Parameters
    ----------
    fixes
        ``provider``, ``vehicle``, ``observed_at``, ``lon_deg``, ``lat_deg``, ``occupied`` (null
        where the feed does not say).

    Notes
    -----
    Where the feed says who has a passenger, only occupied legs are taken: the same as in
    ``vehicle_travel``, whose distance the factor multiplies.
    """
    name = pl.struct("provider", "vehicle")
    ordered = (
        fixes.unique(["provider", "vehicle", "observed_at"], keep="any")
        .sort("provider", "vehicle", "observed_at")
        .with_columns(
            name.rle_id().alias("number"),
            (pl.col("observed_at").dt.epoch("ms") / 1000).alias("time_s"),
        )
    )
    number = ordered["number"].to_numpy().astype(np.int64)
    time = ordered["time_s"].to_numpy()
    place = ordered.select("lon_deg", "lat_deg").to_numpy()
    occupied = ordered["occupied"].cast(pl.Int8).fill_null(2).to_numpy()
    gap = np.diff(time)
    mean_lat = np.radians((place[1:, 1] + place[:-1, 1]) / 2)
    scale = np.column_stack((np.cos(mean_lat), np.ones_like(mean_lat))) * _M_PER_DEGREE
    length = np.hypot(*((place[1:] - place[:-1]) * scale).T)
    travel = (
        (number[1:] == number[:-1])
        & (gap <= LONGEST_GAP_S)
        & (occupied[1:] == occupied[:-1])
        & (occupied[1:] != 0)
        & (length <= _FASTEST_M_S * gap)
    )
    dense = travel & (gap <= DENSE_GAP_S)
    distance = float(length[travel].sum())
    return Legs(
        vehicle=number[1:][dense],
        start=place[:-1][dense],
        end=place[1:][dense],
        start_s=time[:-1][dense],
        end_s=time[1:][dense],
        dense_share=float(length[dense].sum()) / distance if distance else 0.0,
        distance_m=distance,
    )


def passes(legs: Legs, sites: Iterable[Place]) -> dict[tuple[Place, datetime], int]:
    """Return how often probes passed each site in each UTC hour; nothing where none did.

    Parameters
    ----------
    legs
        From `legs_of`.
    sites
        Counting sites.
    """
    found: dict[tuple[Place, datetime], int] = {}
    for site in sites:
        for hour, number in _at_site(legs, site).items():
            found[site, _hour(hour)] = number
    return found


def _at_site(legs: Legs, site: Place) -> Mapping[float, int]:
    """Return net passes by hour since 1970.

    Crossings of one vehicle within two minutes count as one pass at most, and none if it is back
    where it was: position noise makes a waiting vehicle cross the gate to and fro.
    """
    metres = np.array([math.cos(math.radians(site[1])), 1.0]) * _M_PER_DEGREE
    start, end = (legs.start - site) * metres, (legs.end - site) * metres
    bearing = _street_bearing(start, end)
    if bearing is None:
        return {}
    east, north = math.cos(bearing), math.sin(bearing)
    turn = np.array([[east, -north], [north, east]])
    (ahead_0, side_0), (ahead_1, side_1) = (start @ turn).T, (end @ turn).T
    crosses = np.flatnonzero((ahead_0 < 0) != (ahead_1 < 0))
    part = ahead_0[crosses] / (ahead_0[crosses] - ahead_1[crosses])
    side = side_0[crosses] + part * (side_1[crosses] - side_0[crosses])
    inside = np.abs(side) <= GATE_HALF_WIDTH_M
    crosses, part = crosses[inside], part[inside]
    time = legs.start_s[crosses] + part * (legs.end_s[crosses] - legs.start_s[crosses])
    forward = np.where(ahead_1[crosses] >= 0, 1, -1)
    vehicle = legs.vehicle[crosses]
    if len(crosses) == 0:
        return {}
    new = np.ones(len(crosses), dtype=bool)
    new[1:] = (np.diff(vehicle) != 0) | (np.diff(time) > LONGEST_GAP_S)
    first = np.flatnonzero(new)
    net = np.abs(np.add.reduceat(forward, first))
    counted: Counter[float] = Counter()
    for hour, number in zip((time[first] // 3600).tolist(), net.tolist(), strict=True):
        counted[hour] += number
    return {hour: number for hour, number in counted.items() if number}


def _street_bearing(start: _Numbers, end: _Numbers) -> float | None:
    """Return the bearing that legs near the site have in common [rad, east to north], or None.

    The mean of doubled angles: both directions of a street are the same axis.
    """
    step = end - start
    length = np.hypot(*step.T)
    along = -np.einsum("ij,ij->i", start, step) / np.maximum(length**2, 1e-9)
    closest = np.hypot(*(start + np.clip(along, 0, 1)[:, None] * step).T)
    near = (closest <= _BEARING_RADIUS_M) & (length >= _BEARING_MIN_M)
    if not near.any():
        return None
    axes = ((step[near, 0] + 1j * step[near, 1]) / length[near]) ** 2
    return float(np.angle(axes.sum())) / 2


def _hour(hours_since_1970: float) -> datetime:
    return datetime.fromtimestamp(hours_since_1970 * 3600, tz=UTC)
