"""Cuts the ends of private cars' trips, where homes and workplaces show, before anything is stored.

The first and the last part of each trip is left out: at least two minutes and 100 to 300 m, both
drawn anew at each end, because a circle of known size around a home is found from a few trips.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Generic, NamedTuple, TypeVar, cast

from clearway_core.distance import distance_m
from clearway_edge.rows.convert import Converted
from clearway_edge.rows.profile import PUBLIC_CLASSES

Item = TypeVar("Item")

TRIP_END = "trip_end"

GAP_MS = 300_000
"""A pause without fixes after which a new trip begins. [ms] METHODS of sparse feeds: 300 s."""

SHORTEST_CUT_MS = 120_000
LONGEST_CUT_MS = 180_000
SHORTEST_CUT_M = 100.0
LONGEST_CUT_M = 300.0
"""Two minutes at least and a distance drawn from 100-300 m, whichever is longer."""


class Fix(NamedTuple, Generic[Item]):
    """One fix of a vehicle: what it is to whoever asks, when [ms since 1970] and where [°]."""

    item: Item
    at_ms: int
    lon_deg: float
    lat_deg: float
    occupied: object = None


class Judged(NamedTuple, Generic[Item]):
    """Fixes of which it is now known what they are: inside a trip, or its end."""

    inside: list[Item]
    ends: list[Item]


class _Point(NamedTuple):
    at_ms: int
    lon_deg: float
    lat_deg: float
    along_m: float


@dataclass(slots=True)
class _Trip(Generic[Item]):
    """A trip that goes on.

    Parameters
    ----------
    last, settled
        Its latest fix, and the latest one that is judged.
    held
        Those in between.
    """

    occupied: object
    started_ms: int
    start_cut_ms: int
    start_cut_m: float
    end_cut_ms: int
    end_cut_m: float
    last: _Point
    settled: _Point
    held: deque[tuple[Item, _Point]] = field(default_factory=deque)


class Trips(Generic[Item]):
    """Holds each vehicle's latest fixes back until they prove not to be its trip's end.

    Parameters
    ----------
    random
        Draws the lengths; not seeded outside of tests.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._trips: dict[tuple[str, str], _Trip[Item]] = {}

    def take(self, who: tuple[str, str], fix: Fix[Item]) -> Judged[Item]:
        """Take the next fix of a vehicle and return which ones are judged by it.

        Parameters
        ----------
        who
            Provider and vehicle.
        """
        trip = self._trips.get(who)
        if trip is not None and fix.at_ms < trip.last.at_ms:
            # Out of order: it cannot be shown to lie inside the trip.
            return Judged([], [fix.item])
        ends: list[Item] = []
        if trip is None or _is_over(trip, fix):
            ends = [] if trip is None else [item for item, _ in trip.held]
            trip = self._trips[who] = self._begin(fix)
        here = _after(trip.last, fix)
        trip.last = here
        early = here.at_ms - trip.started_ms < trip.start_cut_ms
        if early or here.along_m < trip.start_cut_m:
            trip.settled = here
            return Judged([], [*ends, fix.item])
        trip.held.append((fix.item, here))
        return Judged(_proved(trip), ends)

    def end(self, who: tuple[str, str]) -> list[Item]:
        """Return the fixes of a vehicle that nothing more has followed: they were its trip's end.

        Should the trip go on nevertheless, it does so from here.
        """
        trip = self._trips.get(who)
        if trip is None:
            return []
        ends = [item for item, _ in trip.held]
        trip.held.clear()
        trip.settled = trip.last
        return ends

    def end_all(self) -> list[Item]:
        """Forget all trips and return the fixes that were not judged: they are ends."""
        held = [item for trip in self._trips.values() for item, _ in trip.held]
        self._trips.clear()
        return held

    def names(self) -> list[tuple[str, str]]:
        """Return provider and vehicle of every trip."""
        return list(self._trips)

    def last_ms(self, who: tuple[str, str]) -> int | None:
        """Return when a vehicle's latest fix was taken, or None without a trip [ms since 1970]."""
        trip = self._trips.get(who)
        return None if trip is None else trip.last.at_ms

    def forget(self, who: tuple[str, str]) -> None:
        """Forget a vehicle: its next fix begins a trip."""
        self._trips.pop(who, None)

    def settled(self) -> list[list[object]]:
        """Return each trip as it was at its latest judged fix, for `restore`."""
        return [
            [
                *who, trip.occupied, trip.started_ms, trip.start_cut_ms, trip.start_cut_m,
                trip.end_cut_ms, trip.end_cut_m, *trip.settled,
            ]
            for who, trip in self._trips.items()
        ]  # fmt: skip

    def restore(self, settled: Sequence[Sequence[Any]]) -> None:
        """Begin where `settled` was told; the fixes that were not judged have to be taken again."""
        self._trips.clear()
        for provider, vehicle, occupied, *numbers in settled:
            started_ms, start_cut_ms, start_cut_m, end_cut_ms, end_cut_m, *point = numbers
            self._trips[provider, vehicle] = _Trip(
                occupied=occupied,
                started_ms=started_ms,
                start_cut_ms=start_cut_ms,
                start_cut_m=start_cut_m,
                end_cut_ms=end_cut_ms,
                end_cut_m=end_cut_m,
                last=_Point(*point),
                settled=_Point(*point),
            )

    def _begin(self, fix: Fix[Item]) -> _Trip[Item]:
        draw = self._random.uniform
        point = _Point(fix.at_ms, fix.lon_deg, fix.lat_deg, 0.0)
        return _Trip(
            occupied=fix.occupied,
            started_ms=fix.at_ms,
            start_cut_ms=round(draw(SHORTEST_CUT_MS, LONGEST_CUT_MS)),
            start_cut_m=round(draw(SHORTEST_CUT_M, LONGEST_CUT_M), 1),
            end_cut_ms=round(draw(SHORTEST_CUT_MS, LONGEST_CUT_MS)),
            end_cut_m=round(draw(SHORTEST_CUT_M, LONGEST_CUT_M), 1),
            last=point,
            settled=point,
        )


def _is_over(trip: _Trip[Item], fix: Fix[Item]) -> bool:
    return fix.at_ms - trip.last.at_ms > GAP_MS or fix.occupied != trip.occupied


def _after(last: _Point, fix: Fix[Item]) -> _Point:
    moved_m = distance_m(last.lon_deg, last.lat_deg, fix.lon_deg, fix.lat_deg)
    return _Point(fix.at_ms, fix.lon_deg, fix.lat_deg, round(last.along_m + moved_m, 2))


def _proved(trip: _Trip[Item]) -> list[Item]:
    """Return the held fixes that the trip has left far enough behind; they are held no more."""
    proved = []
    while trip.held:
        item, point = trip.held[0]
        late = trip.last.at_ms - point.at_ms >= trip.end_cut_ms
        if not (late and trip.last.along_m - point.along_m >= trip.end_cut_m):
            break
        trip.held.popleft()
        trip.settled = point
        proved.append(item)
    return proved


class _Row(NamedTuple):
    seq: int
    values: tuple[object, ...]


class TripEndCutter:
    """Cuts the trip ends of recorded files.

    Parameters
    ----------
    random
        Draws the lengths; not seeded outside of tests.
    """

    def __init__(self, random: Random) -> None:
        self._trips: Trips[_Row] = Trips(random)
        self._names: tuple[str, ...] = ()

    def cut(self, chunks: Iterator[Converted]) -> Iterator[Converted]:
        """Yield the chunks without trip ends; every record is yielded or counted once."""
        for chunk in chunks:
            yield self._cut(chunk)
        yield self._chunk([], len(self._trips.end_all()), None)

    def _cut(self, chunk: Converted) -> Converted:
        # New columns come at the end: rows that are held are filled up when they leave.
        self._names = tuple(dict.fromkeys((*self._names, *chunk.columns)))
        n_rows = len(chunk.seq)
        columns = [chunk.columns.get(name, [None] * n_rows) for name in self._names]
        passed: list[_Row] = []
        n_cut = 0
        for seq, values in zip(chunk.seq, zip(*columns, strict=True), strict=True):
            inside, ends = self._take(_Row(seq, values))
            passed += inside
            n_cut += len(ends)
        return self._chunk(passed, n_cut, chunk)

    def _take(self, row: _Row) -> Judged[_Row]:
        value = dict(zip(self._names, row.values, strict=True))
        if value.get("vehicle_class") in PUBLIC_CLASSES:
            return Judged([row], [])
        who = cast("str", value["provider"]), cast("str", value["vehicle"])
        fix = Fix(
            row,
            cast("int", value["observed_at"]),
            cast("float", value["lon_deg"]),
            cast("float", value["lat_deg"]),
            value.get("occupied"),
        )
        return self._trips.take(who, fix)

    def _chunk(self, rows: Sequence[_Row], n_cut: int, chunk: Converted | None) -> Converted:
        ordered = sorted(rows, key=lambda row: row.seq)
        dropped = Counter() if chunk is None else Counter(chunk.dropped)
        before = 0 if chunk is None else chunk.read - len(chunk.seq)
        if n_cut:
            dropped[TRIP_END] += n_cut
        return Converted(
            seq=[row.seq for row in ordered],
            columns={
                name: [row.values[place] if place < len(row.values) else None for row in ordered]
                for place, name in enumerate(self._names)
            },
            read=len(ordered) + n_cut + before,
            dropped=dropped,
            nulled=Counter() if chunk is None else chunk.nulled,
            flagged=Counter() if chunk is None else chunk.flagged,
            faults=() if chunk is None else chunk.faults,
        )
