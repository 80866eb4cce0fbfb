"""Cuts the ends of private cars' trips, where homes and workplaces show, before anything is stored.

The first and the last part of each trip is left out: at least two minutes and 100 to 300 m, both
drawn anew at each end, because a circle of known size around a home is found from a few trips.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import asin, cos, radians, sin, sqrt
from random import Random
from typing import NamedTuple, cast

from clearway_core.units import EARTH_RADIUS_M
from clearway_edge.convert import Converted
from clearway_edge.profile import PUBLIC_CLASSES

TRIP_END = "trip_end"

GAP_MS = 300_000
"""A pause without fixes after which a new trip begins. [ms] METHODS of sparse feeds: 300 s."""

SHORTEST_CUT_MS = 120_000
LONGEST_CUT_MS = 180_000
SHORTEST_CUT_M = 100.0
LONGEST_CUT_M = 300.0
"""Two minutes at least and a distance drawn from 100-300 m, whichever is longer."""


class _Fix(NamedTuple):
    seq: int
    at_ms: int
    along_m: float
    row: tuple[object, ...]


@dataclass(slots=True)
class _Trip:
    started_ms: int
    start_cut_ms: float
    start_cut_m: float
    end_cut_ms: float
    end_cut_m: float
    lon_deg: float
    lat_deg: float
    last_ms: int
    occupied: object
    along_m: float = 0.0
    held: deque[_Fix] = field(default_factory=deque)


class TripEndCutter:
    """Holds each private car's latest fixes back until they prove not to be its trip's end.

    Parameters
    ----------
    random
        Draws the lengths; not seeded outside of tests.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._trips: dict[object, _Trip] = {}
        self._names: tuple[str, ...] = ()

    def cut(self, chunks: Iterator[Converted]) -> Iterator[Converted]:
        """Yield the chunks without trip ends; every record is yielded or counted once."""
        for chunk in chunks:
            yield self._cut(chunk)
        yield self._chunk([], sum(len(trip.held) for trip in self._trips.values()), None)
        self._trips.clear()

    def _cut(self, chunk: Converted) -> Converted:
        names = tuple(dict.fromkeys((*self._names, *chunk.columns)))
        if names != self._names:
            self._widen(len(names) - len(self._names))
            self._names = names
        n_rows = len(chunk.seq)
        columns = [chunk.columns.get(name, [None] * n_rows) for name in names]
        passed: list[_Fix] = []
        n_cut = 0
        for seq, row in zip(chunk.seq, zip(*columns, strict=True), strict=True):
            released, cut = self._take(seq, row)
            passed += released
            n_cut += cut
        return self._chunk(passed, n_cut, chunk)

    def _take(self, seq: int, row: tuple[object, ...]) -> tuple[list[_Fix], int]:
        value = dict(zip(self._names, row, strict=True))
        at_ms = cast("int", value["observed_at"])
        fix = _Fix(seq, at_ms, 0.0, row)
        if value.get("vehicle_class") in PUBLIC_CLASSES:
            return [fix], 0
        who = value["provider"], value["vehicle"]
        lon, lat = cast("float", value["lon_deg"]), cast("float", value["lat_deg"])
        trip = self._trips.get(who)
        if trip is not None and at_ms < trip.last_ms:
            # Out of order: it cannot be shown to lie inside the trip.
            return [], 1
        if trip is None or self._is_over(trip, at_ms, value.get("occupied")):
            n_cut = 0 if trip is None else len(trip.held)
            trip = self._trips[who] = self._begin(at_ms, lon, lat, value.get("occupied"))
        else:
            n_cut = 0
            trip.along_m += distance_m(trip.lon_deg, trip.lat_deg, lon, lat)
        trip.lon_deg, trip.lat_deg, trip.last_ms = lon, lat, at_ms
        if at_ms - trip.started_ms < trip.start_cut_ms or trip.along_m < trip.start_cut_m:
            return [], n_cut + 1
        trip.held.append(fix._replace(along_m=trip.along_m))
        return list(_proved(trip)), n_cut

    @staticmethod
    def _is_over(trip: _Trip, at_ms: int, occupied: object) -> bool:
        return at_ms - trip.last_ms > GAP_MS or occupied != trip.occupied

    def _begin(self, at_ms: int, lon: float, lat: float, occupied: object) -> _Trip:
        draw = self._random.uniform
        return _Trip(
            started_ms=at_ms,
            start_cut_ms=draw(SHORTEST_CUT_MS, LONGEST_CUT_MS),
            start_cut_m=draw(SHORTEST_CUT_M, LONGEST_CUT_M),
            end_cut_ms=draw(SHORTEST_CUT_MS, LONGEST_CUT_MS),
            end_cut_m=draw(SHORTEST_CUT_M, LONGEST_CUT_M),
            lon_deg=lon,
            lat_deg=lat,
            last_ms=at_ms,
            occupied=occupied,
        )

    def _widen(self, more: int) -> None:
        for trip in self._trips.values():
            trip.held = deque(fix._replace(row=fix.row + (None,) * more) for fix in trip.held)

    def _chunk(self, fixes: Sequence[_Fix], n_cut: int, chunk: Converted | None) -> Converted:
        ordered = sorted(fixes)
        dropped = Counter() if chunk is None else Counter(chunk.dropped)
        before = 0 if chunk is None else chunk.read - len(chunk.seq)
        if n_cut:
            dropped[TRIP_END] += n_cut
        return Converted(
            seq=[fix.seq for fix in ordered],
            columns={
                name: [fix.row[place] for fix in ordered] for place, name in enumerate(self._names)
            },
            read=len(ordered) + n_cut + before,
            dropped=dropped,
            nulled=Counter() if chunk is None else chunk.nulled,
            flagged=Counter() if chunk is None else chunk.flagged,
            faults=() if chunk is None else chunk.faults,
        )


def _proved(trip: _Trip) -> Iterator[_Fix]:
    """Yield the held fixes that the trip has left far enough behind."""
    while trip.held:
        first = trip.held[0]
        late = trip.last_ms - first.at_ms >= trip.end_cut_ms
        if not (late and trip.along_m - first.along_m >= trip.end_cut_m):
            return
        yield trip.held.popleft()


def distance_m(lon_a_deg: float, lat_a_deg: float, lon_b_deg: float, lat_b_deg: float) -> float:
    """Return the great-circle distance of two positions [m] (haversine)."""
    lat_a, lat_b = radians(lat_a_deg), radians(lat_b_deg)
    half_lat = sin((lat_b - lat_a) / 2)
    half_lon = sin(radians(lon_b_deg - lon_a_deg) / 2)
    return (
        2
        * EARTH_RADIUS_M
        * asin(min(1.0, sqrt(half_lat**2 + cos(lat_a) * cos(lat_b) * half_lon**2)))
    )
