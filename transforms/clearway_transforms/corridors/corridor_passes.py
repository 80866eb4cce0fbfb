"""Which vehicles drove along which corridor, in its direction, and how long each segment took.

A *pass* is one vehicle's way along a line in its direction, from where it came on to where it left.
Its distance is counted along the line, so that noise of single fixes cancels out and a vehicle that
stands in the pass belongs to its direction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from clearway_core.contracts.wire import VEHICLE_CLASSES
from clearway_transforms.corridors.corridor_segments import CorridorIndex, Nearby
from clearway_transforms.geometry.sphere import distances_m
from clearway_transforms.parameters import CorridorParameters
from clearway_transforms.travel.allocation import WINDOW_MS
from clearway_transforms.travel.trips import COUNTED

GROUP = ("vehicle_code", "vehicle_class", "corridor", "segment", "window")

SUMS = ("distance_mm", "duration_ms", "dwell_ms", "n_legs")
"""Additive columns of ``vehicle_corridor_travel``."""

_CLASS_NAMES = dict(enumerate(VEHICLE_CLASSES))
_CLASS_NUMBERS = {name: number for number, name in _CLASS_NAMES.items()}

_APART_MM = 10**10
"""Further than any line is long: keeps runs apart in running maxima. [mm]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Legs:
    """Ways between two fixes of a pass, along its line, as columns of one length."""

    corridor: np.ndarray
    vehicle: np.ndarray
    vehicle_class: np.ndarray
    dwell: np.ndarray
    from_mm: np.ndarray
    to_mm: np.ndarray
    from_ms: np.ndarray
    to_ms: np.ndarray
    n_legs: np.ndarray

    def part(self, chosen: np.ndarray, **columns: np.ndarray) -> _Legs:
        """Return the chosen legs, with these columns in the place of theirs."""
        return _Legs(
            **{
                name: columns[name] if name in columns else getattr(self, name)[chosen]
                for name in self.__slots__
            }
        )

    def when(self, place_mm: np.ndarray) -> np.ndarray:
        """Return when each leg was at a place of its way, at an even pace [ms]."""
        way = np.maximum(self.to_mm - self.from_mm, 1)
        took: np.ndarray = (place_mm - self.from_mm) * (self.to_ms - self.from_ms) // way
        return np.asarray(self.from_ms + took)


def corridor_travel(
    paired: pl.DataFrame, index: CorridorIndex, parameters: CorridorParameters
) -> pl.DataFrame:
    """Return what each vehicle drove along each segment and 15-minute window.

    Parameters
    ----------
    paired
        From `clearway_transforms.travel.trips.pair_fixes`, ordered by vehicle and time.
    index
        Lines of the corridors.
    parameters
        Thresholds.

    Returns
    -------
    polars.DataFrame
        `GROUP` and `SUMS`; ``corridor`` is its number in the index. Within a pass distance and time
        of the segments and windows add up to its own, exactly.

    Notes
    -----
    A fix is near a line within ``match_radius_m``. Successive near fixes form a run as long as
    their legs count (as in cells: no vacant legs, no gaps) and are no short cut. Within a run the
    way along the line goes up and down by noise; only where it turns by ``reversal_m`` has the
    vehicle turned. Ways up of at least ``min_pass_m`` are passes, others are not the corridor's
    direction, or are crossing streets. Within a pass the place never goes back: it is the furthest
    so far, at most the last, so that its ends are those of the first and last fix. The first
    and last ``trim_m`` of a pass are left out, as is what lies beyond the line's ends.
    """
    near = index.nearby(paired["lon_deg"].to_numpy(), paired["lat_deg"].to_numpy())
    run = _runs(paired, near, parameters)
    first, last = _stretches(near.position_mm, run, parameters)
    legs, stretch = _legs(paired, near, first, last)
    low = np.maximum(near.position_mm[first] + _mm(parameters.trim_m), 0)
    high = np.minimum(
        near.position_mm[last] - _mm(parameters.trim_m), index.length_mm[near.corridor[first]]
    )
    legs = _clipped(legs, low[stretch], high[stretch])
    pieces = _cut_at_segments(_cut_at_windows(legs), index)
    moving = ~pieces.dwell
    took_ms = pieces.to_ms - pieces.from_ms
    return (
        pl.DataFrame(
            {
                "vehicle_code": pieces.vehicle,
                "vehicle_class": pieces.vehicle_class,
                "corridor": pieces.corridor,
                "segment": index.segment_at(pieces.corridor, pieces.from_mm),
                "window": pieces.from_ms // WINDOW_MS,
                "distance_mm": pieces.to_mm - pieces.from_mm,
                "duration_ms": took_ms * moving,
                "dwell_ms": took_ms * ~moving,
                "n_legs": pieces.n_legs,
            }
        )
        .group_by(GROUP)
        .agg(pl.col(name).sum() for name in SUMS)
        .with_columns(pl.col("vehicle_class").replace_strict(_CLASS_NAMES, return_dtype=pl.String))
    )


def _runs(paired: pl.DataFrame, near: Nearby, parameters: CorridorParameters) -> np.ndarray:
    """Return for each near fix the number of its run, increasing."""
    fix, position = near.fix, near.position_mm
    if len(fix) == 0:
        return np.zeros(0, dtype=np.int64)
    linked = paired["kind"].is_in(COUNTED).fill_null(value=False).to_numpy()
    time_ms = paired["observed_ms"].to_numpy()
    lon, lat = paired["lon_deg"].to_numpy(), paired["lat_deg"].to_numpy()
    before, after = fix[:-1], fix[1:]
    gap_ms = time_ms[after] - time_ms[before]
    next_one = (after == before + 1) & linked[after]
    stray = (after == before + 2) & linked[after] & linked[after - 1]
    joined = (next_one & (gap_ms <= parameters.max_gap_s * 1000)) | (
        stray & (gap_ms <= parameters.bridge_gap_s * 1000)
    )
    chord_m = distances_m(lon[before], lat[before], lon[after], lat[after])
    way_m = np.abs(np.diff(position)) / 1000
    joined &= way_m <= parameters.max_detour * chord_m + 2 * parameters.match_radius_m
    joined &= near.corridor[1:] == near.corridor[:-1]
    run: np.ndarray = np.concatenate([[0], np.cumsum(~joined)])
    return run


def _stretches(
    position_mm: np.ndarray, run: np.ndarray, parameters: CorridorParameters
) -> tuple[np.ndarray, np.ndarray]:
    """Return first and last near fix of each stretch in the line's direction."""
    if len(run) == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    reversal, at_least = _mm(parameters.reversal_m), _mm(parameters.min_pass_m)
    first = np.flatnonzero(np.diff(run, prepend=-1))
    last = np.append(first[1:], len(run)) - 1
    apart = run * _APART_MM
    risen = np.maximum.accumulate(position_mm + apart) - apart
    sunk = np.minimum.accumulate(position_mm - apart) + apart
    back = np.maximum.reduceat(risen - position_mm, first)
    forward = np.maximum.reduceat(position_mm - sunk, first)
    straight = (back < reversal) & (position_mm[last] - position_mm[first] >= at_least)
    ways = list(zip(first[straight].tolist(), last[straight].tolist(), strict=True))
    turning = (back >= reversal) & (forward >= at_least)
    for begin, end in zip(first[turning].tolist(), last[turning].tolist(), strict=True):
        found = ways_up(position_mm[begin : end + 1].tolist(), reversal=reversal, at_least=at_least)
        ways += [(begin + low, begin + high) for low, high in found]
    starts, ends = np.array(sorted(ways), dtype=np.int64).reshape(len(ways), 2).T
    return starts, ends


def ways_up(positions: list[int], *, reversal: int, at_least: int) -> list[tuple[int, int]]:
    """Return first and last index of each way up in a series that goes up and down.

    Parameters
    ----------
    positions
        Places along a line, in order of time.
    reversal
        The series has turned once it is this far from the furthest place.
    at_least
        A way up is at least this long.
    """
    ways: list[tuple[int, int]] = []
    low = high = 0
    rising = False
    for index, place in enumerate(positions):
        if rising:
            if place > positions[high]:
                high = index
            elif positions[high] - place >= reversal:
                ways.append((low, high))
                rising, low = False, index
        elif place < positions[low]:
            low = index
        elif place - positions[low] >= reversal:
            rising, high = True, index
    if rising:
        ways.append((low, high))
    return [(low, high) for low, high in ways if positions[high] - positions[low] >= at_least]


def _legs(
    paired: pl.DataFrame, near: Nearby, first: np.ndarray, last: np.ndarray
) -> tuple[_Legs, np.ndarray]:
    """Return the legs of all stretches, their places never going back, and the stretch of each."""
    counts = last - first + 1
    stretch = np.repeat(np.arange(len(first)), counts)
    member = np.arange(len(stretch)) - np.repeat(np.cumsum(counts) - counts - first, counts)
    apart = stretch * _APART_MM
    place = np.maximum.accumulate(near.position_mm[member] + apart) - apart
    place = np.minimum(place, near.position_mm[last][stretch])
    start = np.flatnonzero(stretch[1:] == stretch[:-1])
    before, after = near.fix[member[start]], near.fix[member[start + 1]]
    time_ms = paired["observed_ms"].to_numpy()
    classes = paired["vehicle_class"].cast(pl.String).fill_null("unknown")
    numbers = classes.replace_strict(_CLASS_NUMBERS, return_dtype=pl.Int64).to_numpy()
    legs = _Legs(
        corridor=near.corridor[member[start]],
        vehicle=paired["vehicle_code"].to_numpy()[after],
        vehicle_class=numbers[after],
        dwell=(paired["kind"] == "dwell").fill_null(value=False).to_numpy()[after],
        from_mm=place[start],
        to_mm=place[start + 1],
        from_ms=time_ms[before],
        to_ms=time_ms[after],
        n_legs=np.ones(len(start), dtype=np.int64),
    )
    return legs, stretch[start]


def _clipped(legs: _Legs, low_mm: np.ndarray, high_mm: np.ndarray) -> _Legs:
    """Return what of each leg lies between two places; time goes with distance."""
    stands = legs.from_mm == legs.to_mm
    from_mm, to_mm = np.maximum(legs.from_mm, low_mm), np.minimum(legs.to_mm, high_mm)
    inside = (low_mm <= legs.from_mm) & (legs.from_mm < high_mm)
    kept = np.where(stands, inside, from_mm < to_mm)
    return legs.part(
        kept,
        from_mm=from_mm[kept],
        to_mm=to_mm[kept],
        from_ms=legs.when(from_mm)[kept],
        to_ms=np.where(stands, legs.to_ms, legs.when(to_mm))[kept],
    )


def _cut_at_windows(legs: _Legs) -> _Legs:
    """Return the legs, those that cross the border of a window as two: gaps are shorter than it."""
    border = (legs.to_ms - 1) // WINDOW_MS * WINDOW_MS
    crosses = legs.from_ms < border
    place = legs.from_mm + (legs.to_mm - legs.from_mm) * (border - legs.from_ms) // np.maximum(
        legs.to_ms - legs.from_ms, 1
    )
    whole = legs.part(~crosses)
    before = legs.part(crosses, to_mm=place[crosses], to_ms=border[crosses])
    after = legs.part(
        crosses,
        from_mm=place[crosses],
        from_ms=border[crosses],
        n_legs=np.zeros(int(crosses.sum()), dtype=np.int64),
    )
    return _Legs(
        **{
            name: np.concatenate([getattr(each, name) for each in (whole, before, after)])
            for name in _Legs.__slots__
        }
    )


def _cut_at_segments(legs: _Legs, index: CorridorIndex) -> _Legs:
    """Return the legs in pieces, each within one segment."""
    first = index.segment_at(legs.corridor, legs.from_mm)
    last = index.segment_at(legs.corridor, np.maximum(legs.to_mm - 1, legs.from_mm))
    counts = last - first + 1
    leg = np.repeat(np.arange(len(counts)), counts)
    nth = np.arange(len(leg)) - np.repeat(np.cumsum(counts) - counts, counts)
    whole = legs.part(leg)
    segment = first[leg] + nth
    from_mm = np.maximum(whole.from_mm, index.border_mm(whole.corridor, segment))
    to_mm = np.minimum(whole.to_mm, index.border_mm(whole.corridor, segment + 1))
    return whole.part(
        np.arange(len(leg)),
        from_mm=from_mm,
        to_mm=to_mm,
        from_ms=whole.when(from_mm),
        to_ms=np.where(segment == last[leg], whole.to_ms, whole.when(to_mm)),
        n_legs=np.where(nth == 0, whole.n_legs, 0),
    )


def _mm(metres: float) -> int:
    return round(metres * 1000)
