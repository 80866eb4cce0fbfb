"""Fixes that a vehicle cannot have got to, by position or by reported speed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from clearway_core.distance import distance_m
from clearway_transforms.geometry.sphere import METRES_PER_DEGREE, distances_m

CLOCK_STEP_MS = 1000
"""Many receivers tell whole seconds: speeds closer in time than that are judged as if one apart."""


def jump_mask(
    vehicle: np.ndarray,
    time_ms: np.ndarray,
    lon_deg: np.ndarray,
    lat_deg: np.ndarray,
    *,
    max_speed_kmh: float,
    max_gap_ms: int,
) -> np.ndarray:
    """Return which fixes are jumps.

    Parameters
    ----------
    vehicle, time_ms, lon_deg, lat_deg
        Fixes ordered by vehicle and time. [1], [ms], [°], [°]
    max_speed_kmh
        No car is faster. [km/h]
    max_gap_ms
        Pairs further apart are not judged. [ms]

    Returns
    -------
    numpy.ndarray
        True where the fix goes.
    """

    def apart_m(here: int, there: int) -> float:
        return distance_m(lon_deg[here], lat_deg[here], lon_deg[there], lat_deg[there])

    track = _Track(vehicle, time_ms, apart_m, max_speed_kmh / 3600, max_gap_ms)
    # The way along a meridian and a parallel is never shorter; most steps are in reach even so.
    steps_m = (np.abs(np.diff(lon_deg)) + np.abs(np.diff(lat_deg))) * METRES_PER_DEGREE * 1.001
    far = np.flatnonzero(steps_m > track.reach_in(np.diff(time_ms)))
    steps_m[far] = distances_m(lon_deg[far], lat_deg[far], lon_deg[far + 1], lat_deg[far + 1])
    return _odd_ones_out(track, steps_m)


def acceleration_mask(
    vehicle: np.ndarray,
    time_ms: np.ndarray,
    speed_kmh: np.ndarray,
    *,
    max_acceleration_ms2: float,
    max_gap_ms: int,
) -> np.ndarray:
    """Return which fixes have a reported speed that the one before cannot have led to.

    Parameters
    ----------
    vehicle, time_ms, speed_kmh
        Fixes ordered by vehicle and time; without a speed NaN. [1], [ms], [km/h]
    max_acceleration_ms2
        No car speeds up or brakes harder. [m/s²]
    max_gap_ms
        Pairs further apart are not judged. [ms]

    Returns
    -------
    numpy.ndarray
        True where the fix goes.
    """
    dropped = np.zeros(len(vehicle), dtype=bool)
    told = np.flatnonzero(~np.isnan(speed_kmh))
    speed_ms = speed_kmh[told] / 3.6

    def apart_ms(here: int, there: int) -> float:
        return abs(float(speed_ms[there] - speed_ms[here]))

    reach = max_acceleration_ms2 / 1000
    track = _Track(vehicle[told], time_ms[told], apart_ms, reach, max_gap_ms, CLOCK_STEP_MS)
    dropped[told] = _odd_ones_out(track, np.abs(np.diff(speed_ms)))
    return dropped


def _odd_ones_out(track: _Track, steps: np.ndarray) -> np.ndarray:
    """Return which fixes cannot be reached from the last good one, given each step's length."""
    dropped = np.zeros(len(track.vehicle), dtype=bool)
    gap = np.diff(track.time_ms)
    judged = (np.diff(track.vehicle) == 0) & (gap <= track.max_gap_ms)
    bad = np.flatnonzero(judged & (steps > track.reach_in(gap))).tolist()
    done = 0
    for number, anchor in enumerate(bad):
        if anchor < done:
            continue
        done = track.reached_from(anchor)
        first = anchor == 0 or not judged[anchor - 1]
        if first and track.cost_without(anchor, bad[number + 1 :][:1]) < done - anchor - 1:
            # Nothing before it speaks for the first fix: the choice that costs fewer fixes wins.
            dropped[anchor] = True
            done = anchor + 1
        else:
            dropped[anchor + 1 : done] = True
    return dropped


@dataclass(frozen=True, slots=True)
class _Track:
    """Fixes ordered by vehicle and time, how far apart two are, and how far a car gets."""

    vehicle: np.ndarray
    time_ms: np.ndarray
    apart: Callable[[int, int], float]
    reach_per_ms: float
    max_gap_ms: int
    min_gap_ms: int = 0

    def reach_in(self, gap_ms: np.ndarray) -> np.ndarray:
        """Return how far a car gets in each gap."""
        reach: np.ndarray = self.reach_per_ms * np.maximum(gap_ms, self.min_gap_ms)
        return reach

    def reached_from(self, anchor: int) -> int:
        """Return the first later fix that a car could reach or that is not judged."""
        here = anchor + 1
        while here < len(self.vehicle) and self.vehicle[here] == self.vehicle[anchor]:
            gap_ms = self.time_ms[here] - self.time_ms[anchor]
            if gap_ms > self.max_gap_ms or self.apart(anchor, here) <= self.reach_in(gap_ms):
                break
            here += 1
        return here

    def cost_without(self, anchor: int, next_bad: list[int]) -> int:
        """Return how many fixes go if this one does, those of the next bad pair included."""
        cost = 1
        for after in next_bad:
            near = self.time_ms[after] - self.time_ms[anchor] <= self.max_gap_ms
            if near and self.vehicle[after] == self.vehicle[anchor]:
                cost += self.reached_from(after) - after - 1
        return cost
