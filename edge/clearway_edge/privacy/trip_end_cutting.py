"""Cuts the trip ends of live cars: batches that may hold one wait in the outbox, never sent.

A batch is held under pseudonyms until newer fixes prove which of its own lie inside a trip. Then
one exchange makes those ready, drops the ends, and holds the rest anew, together with how far each
trip had come; so a crash at any moment finds batches and trips that belong together.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import compress
from random import Random, SystemRandom
from typing import Any, cast

import cramjam
import orjson

from clearway_core.clock import Clock
from clearway_core.contracts.wire import WIRE_CONTRACTS
from clearway_core.errors import ContractViolation, OutboxFull
from clearway_core.stream.batch import Batch, decode, encode
from clearway_edge.outbox.outbox import DAMAGED, Outbox, Parcel, Stream, Waiting
from clearway_edge.privacy.trip_ends import GAP_MS, TRIP_END, Fix, Trips

log = logging.getLogger(__name__)

LOOK_EVERY_S = 20.0
"""How often new batches are looked at. [s]"""

SHORTEST_WAIT_S = 60.0
LONGEST_WAIT_S = 300.0
"""How long a judged fix waits for the exchange that sends it. [s] An exchange writes what is still
held once more; so between the two it waits for as many judged fixes as are held, and on average
none is written more than once more."""

SILENT_S = GAP_MS / 1000
"""A car of which nothing has arrived for as long as ends a trip has ended its trip. [s] Told by
arrival and the monotonic clock: the wall clocks of car and gateway may differ."""

FORGET_S = 3 * SILENT_S
"""After this much silence the next fix begins a trip, whatever its time. [s]"""

MAX_RECORDS = 5000

_NUMBERS = frozenset({int, float})


class Verdict(IntEnum):
    """What is known of a fix."""

    HELD = 0
    INSIDE = 1
    END = 2


Place = tuple[int, int]
"""Batch and row of a fix."""

Who = tuple[str, str]


@dataclass(slots=True)
class _Arrival:
    """When something of a car came last [s, monotonic], up to which time of its own [ms]."""

    at_s: float
    last_ms: int
    disordered: bool = False


@dataclass(slots=True)
class _Group:
    """Fixes of one page and clock, that may share a parcel."""

    like: Waiting
    gateway: str
    seq: list[int]
    rows: list[tuple[object, ...]]


class TripEndCutting:
    """Judges what the outbox holds; called by the forwarder before each look.

    Parameters
    ----------
    outbox
        Holds the batches, and how far trips have come as its note.
    clock
        Tells how long ago something came.
    random
        Draws the lengths; not seeded outside of tests.
    """

    def __init__(self, outbox: Outbox, clock: Clock, random: Random | None = None) -> None:
        self._outbox = outbox
        self._clock = clock
        self._trips: Trips[Place] = Trips(random or SystemRandom())
        self._arrivals: dict[Who, _Arrival] = {}
        self._verdicts: dict[int, bytearray] = {}
        self._judged_s: float | None = None
        self._next_s = clock.monotonic_s()
        self._restore()

    def __call__(self) -> None:
        """Judge what has come since the last look; now and then exchange it in the outbox."""
        now_s = self._clock.monotonic_s()
        if now_s < self._next_s:
            return
        self._next_s = now_s + LOOK_EVERY_S
        held = self._outbox.held()
        if not self._verdicts.keys() <= {batch.id for batch in held}:
            # Evicted meanwhile, with its fixes counted: judge the others without it.
            self._restore()
        self._look(held, now_s)
        self._end_silent(now_s)
        if self._is_due(now_s):
            self._exchange(held)

    def _restore(self) -> None:
        """Begin at the last exchange: what the outbox holds now has come after it."""
        note = self._outbox.note()
        try:
            self._trips.restore([] if note is None else _unpacked(note))
        except (cramjam.DecompressionError, ValueError, TypeError):
            # Of a damaged disk or another version: every car begins a trip, whose start is cut.
            log.exception("trips_unreadable")
            self._trips.restore([])
        self._verdicts.clear()
        self._judged_s = None
        now_s = self._clock.monotonic_s()
        for who in self._trips.names():
            self._arrivals.setdefault(who, _Arrival(now_s, 0))

    def _look(self, held: Sequence[Waiting], now_s: float) -> None:
        fixes: list[tuple[Who, Fix[Place]]] = []
        for waiting in held:
            if waiting.id not in self._verdicts:
                fixes += self._fixes(waiting)
        # What an exchange has held anew comes after what was put meanwhile: time sets it right.
        fixes.sort(key=lambda each: each[1].at_ms)
        for who, fix in fixes:
            self._note_arrival(who, fix, now_s)
            judged = self._trips.take(who, fix)
            self._judge(judged.inside, Verdict.INSIDE)
            self._judge(judged.ends, Verdict.END)

    def _fixes(self, waiting: Waiting) -> list[tuple[Who, Fix[Place]]]:
        try:
            batch = decode(waiting.payload)
        except ContractViolation:
            log.exception("held_batch_unreadable")
            self._outbox.reject([waiting.id], DAMAGED)
            return []
        self._verdicts[waiting.id] = bytearray(len(batch))
        names = ("provider", "vehicle", "observed_at", "lon_deg", "lat_deg", "occupied")
        none: list[object] = [None] * len(batch)
        columns = [batch.columns.get(name, none) for name in names]
        useless = {row for column in columns[2:5] for row in _without_number(column)}
        # Nothing proves that they lie inside a trip.
        self._judge([(waiting.id, row) for row in useless], Verdict.END)
        rows = enumerate(zip(*cast("list[list[Any]]", columns), strict=True))
        return [
            ((provider, vehicle), Fix((waiting.id, row), at_ms, lon_deg, lat_deg, occupied))
            for row, (provider, vehicle, at_ms, lon_deg, lat_deg, occupied) in rows
            if row not in useless
        ]

    def _note_arrival(self, who: Who, fix: Fix[Place], now_s: float) -> None:
        arrival = self._arrivals.get(who)
        if arrival is None or fix.at_ms > arrival.last_ms:
            self._arrivals[who] = _Arrival(now_s, fix.at_ms)
        elif fix.at_ms < (self._trips.last_ms(who) or 0):
            arrival.disordered = True

    def _judge(self, places: Sequence[Place], verdict: Verdict) -> None:
        for batch, row in places:
            self._verdicts[batch][row] = verdict
        if places and self._judged_s is None:
            self._judged_s = self._clock.monotonic_s()

    def _end_silent(self, now_s: float) -> None:
        for who, arrival in list(self._arrivals.items()):
            silent_s = now_s - arrival.at_s
            if silent_s > SILENT_S:
                self._judge(self._trips.end(who), Verdict.END)
            # A car whose clock was set back would be out of order for as long as it was ahead.
            if silent_s > FORGET_S or (silent_s > SILENT_S and arrival.disordered):
                self._trips.forget(who)
                del self._arrivals[who]

    def _is_due(self, now_s: float) -> bool:
        if self._judged_s is None:
            return False
        waited_s = now_s - self._judged_s
        n_held = sum(verdicts.count(Verdict.HELD) for verdicts in self._verdicts.values())
        n_all = sum(map(len, self._verdicts.values()))
        enough = n_all >= 2 * n_held
        return waited_s >= (SHORTEST_WAIT_S if enough else LONGEST_WAIT_S)

    def _exchange(self, held: Sequence[Waiting]) -> None:
        batches = [waiting for waiting in held if waiting.id in self._verdicts]
        parcels: list[Parcel] = []
        dropped: defaultdict[Stream, Counter[str]] = defaultdict(Counter)
        for verdict in (Verdict.INSIDE, Verdict.HELD):
            for group in self._groups(batches, verdict):
                parcels += _parcels(group, held=verdict is Verdict.HELD)
        for waiting in batches:
            n_ends = self._verdicts[waiting.id].count(Verdict.END)
            if n_ends:
                dropped[waiting.stream][TRIP_END] += n_ends
        try:
            done = self._outbox.exchange(
                [waiting.id for waiting in batches],
                *parcels,
                dropped=dropped,
                note=_packed(self._trips.settled()),
            )
        except OutboxFull as error:
            log.warning("trip_ends_not_exchanged", extra={"error": str(error)})
            return
        if done:
            self._restore()

    def _groups(self, batches: Sequence[Waiting], verdict: Verdict) -> list[_Group]:
        groups: dict[tuple[int, str | None], _Group] = {}
        for waiting in batches:
            chosen = [value == verdict for value in self._verdicts[waiting.id]]
            if not any(chosen):
                continue
            batch = decode(waiting.payload)
            names = WIRE_CONTRACTS[waiting.stream.contract].columns
            none: list[object] = [None] * len(batch)
            columns = [batch.columns.get(name, none) for name in names]
            group = groups.setdefault(
                (waiting.page, waiting.clock), _Group(waiting, batch.gateway, [], [])
            )
            group.seq += compress(batch.seq, chosen)
            group.rows += compress(zip(*columns, strict=True), chosen)
        return list(groups.values())


def _parcels(group: _Group, *, held: bool) -> list[Parcel]:
    """Return the fixes of a group in the order in which they were read."""
    contract = WIRE_CONTRACTS[group.like.stream.contract]
    order = sorted(range(len(group.seq)), key=group.seq.__getitem__)
    parcels = []
    for start in range(0, len(order), MAX_RECORDS):
        part = order[start : start + MAX_RECORDS]
        columns = zip(*(group.rows[row] for row in part), strict=True)
        batch = Batch(
            contract=contract.identifier,
            gateway=group.gateway,
            boot=group.like.stream.boot,
            seq=[group.seq[row] for row in part],
            columns=dict(zip(contract.columns, map(list, columns), strict=True)),
        )
        parcels.append(
            Parcel(
                stream=group.like.stream,
                payload=encode(batch, contract),
                n_read=len(part),
                n_records=len(part),
                next_seq=batch.seq[-1] + 1,
                clock=group.like.clock,
                held=held,
                page=group.like.page,
            )
        )
    return parcels


def _without_number(column: Sequence[object]) -> list[int]:
    """Return the rows of a column that hold no number."""
    if set(map(type, column)) <= _NUMBERS:
        return []
    return [row for row, value in enumerate(column) if type(value) not in _NUMBERS]


def _packed(settled: list[list[object]]) -> bytes:
    return bytes(cramjam.zstd.compress(orjson.dumps(settled)))


def _unpacked(note: bytes) -> list[list[Any]]:
    return cast("list[list[Any]]", orjson.loads(bytes(cramjam.zstd.decompress(note))))
