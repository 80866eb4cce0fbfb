"""Trip ends of live cars: what leaves is what a cutter that knows the whole day would let pass."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random

import pytest
from doubles.edge_doubles import NOON, TurnableClock
from doubles.power_cut import PowerCut
from hypothesis import given, settings
from hypothesis import strategies as st

from clearway_core.clock import to_ms
from clearway_core.contracts.wire import GPS_PING
from clearway_core.errors import OutboxFull
from clearway_core.stream.batch import Batch, decode, encode
from clearway_edge.outbox.memory_outbox import MemoryOutbox
from clearway_edge.outbox.outbox import Parcel, Stream
from clearway_edge.outbox.sqlite_outbox import SqliteOutbox
from clearway_edge.privacy.trip_end_cutting import TripEndCutting
from clearway_edge.privacy.trip_ends import LONGEST_CUT_MS, SHORTEST_CUT_MS, TRIP_END, TripEndCutter
from clearway_edge.rows.convert import Converted

STREAM = Stream(contract="gps_ping/1", boot=7, run=7)
STEP_S = 10
DEGREE_M = 111_195.0


class Shortest(Random):
    """Draws the shortest length, always: then two cutters must agree to the fix."""

    def uniform(self, a, b):
        return a


@dataclass
class Drive:
    """One trip of one car, from the start of the day [s], at one speed."""

    car: int
    start_s: int
    n_fixes: int
    speed_mps: float

    def rows(self):
        return [
            {
                "provider": "f", "vehicle": f"{self.car:032x}", "observed_at": 0,
                "at_s": self.start_s + STEP_S * n, "lon_deg": 100.0 + self.car / 10,
                "lat_deg": 13.7 + n * STEP_S * self.speed_mps / DEGREE_M,
            }
            for n in range(self.n_fixes)
        ]  # fmt: skip


@st.composite
def days(draw):
    """Drives of a few cars; a car stands for longer than a gap between two of its own."""
    drives = []
    for car in range(draw(st.integers(1, 3))):
        at_s = draw(st.integers(0, 200))
        for _ in range(draw(st.integers(1, 2))):
            n_fixes = draw(st.integers(1, 110))
            drives.append(Drive(car, at_s, n_fixes, draw(st.sampled_from([0.0, 1.5, 9.0, 25.0]))))
            at_s += n_fixes * STEP_S + draw(st.integers(310, 900))
    return drives


@dataclass
class World:
    """A gateway's outbox, what its sources read, and what left it."""

    drives: list[Drive]
    # The hour turns meanwhile, and with it the page of the books.
    clock: TurnableClock = field(
        default_factory=lambda: TurnableClock(NOON + timedelta(minutes=50))
    )
    boxes: list = field(default_factory=list)
    sent: Counter = field(default_factory=Counter)

    def __post_init__(self):
        start_ms = to_ms(self.clock.now())
        rows = sorted((r for d in self.drives for r in d.rows()), key=lambda r: r["at_s"])
        for row in rows:
            row["observed_at"] = start_ms + 1000 * row["at_s"]
        self.rows = rows
        self.n_put = 0

    def put_until(self, box, now_s):
        """Commit what was read until a moment, as a source of private cars does."""
        due = [r for r in self.rows[self.n_put :] if r["at_s"] <= now_s]
        if not due:
            return
        names = [name for name in due[0] if name != "at_s"]
        batch = Batch(
            contract="gps_ping/1", gateway="gw-1", boot=7,
            seq=range(self.n_put, self.n_put + len(due)),
            columns={name: [row[name] for row in due] for name in names},
        )  # fmt: skip
        self.n_put += len(due)
        box.put(
            Parcel(
                stream=STREAM, payload=encode(batch, GPS_PING), n_read=len(due),
                n_records=len(due), next_seq=self.n_put, held=True,
            )
        )  # fmt: skip

    def send(self, box):
        for waiting in box.waiting(1000):
            self.sent.update(decode(waiting.payload).seq)
            box.accept([waiting.id])

    def expected(self):
        """What the cutter of recordings lets pass, which has the whole day before it."""
        columns = {name: [row.get(name) for row in self.rows] for name in self.rows[0]}
        columns.pop("at_s")
        chunk = Converted(
            seq=list(range(len(self.rows))), columns=columns, read=len(self.rows),
            dropped=Counter(), nulled=Counter(), flagged=Counter(), faults=(),
        )  # fmt: skip
        passed = TripEndCutter(Shortest()).cut(iter([chunk]))
        return {seq for part in passed for seq in part.seq}

    def ends_s(self):
        return max(row["at_s"] for row in self.rows) + 1500


def run(world, box, cutting, *, commit_s=20, restart=None):
    """Let the day pass; `restart` makes a new cutter whenever it says so."""
    for now_s in range(0, world.ends_s(), commit_s):
        world.put_until(box, now_s)
        world.clock.forward(commit_s)
        if restart is not None:
            cutting = restart(cutting)
        cutting()
        world.send(box)
    return cutting


def check_books(world, box):
    account = box.account(STREAM)
    n_sent = sum(world.sent.values())
    assert max(world.sent.values(), default=1) == 1
    assert account.missing == 0
    assert all(page.account.missing == 0 for page in box.pages())
    assert account.read == len(world.rows)
    assert account.delivered == n_sent
    assert account.spooled == 0
    assert dict(account.dropped) == (
        {TRIP_END: len(world.rows) - n_sent} if len(world.rows) > n_sent else {}
    )


@settings(max_examples=40, deadline=None)
@given(drives=days(), commit_s=st.sampled_from([10, 20, 60]))
def test_what_leaves_is_what_a_cutter_with_the_whole_day_lets_pass(drives, commit_s):
    world = World(drives)
    box = MemoryOutbox(clock=world.clock)
    run(world, box, TripEndCutting(box, world.clock, Shortest()), commit_s=commit_s)
    assert set(world.sent) == world.expected()
    check_books(world, box)


@settings(max_examples=40, deadline=None)
@given(drives=days(), seed=st.integers(0, 2**32))
def test_gateway_that_stops_and_starts_again_and_again_lets_the_same_pass(drives, seed):
    world = World(drives)
    box = MemoryOutbox(clock=world.clock)
    chance = Random(seed)

    def restart(cutting):
        # A silence counts from the start: it is told at last when the gateway stays up for so long.
        if world.n_put < len(world.rows) and chance.random() < 0.2:
            return TripEndCutting(box, world.clock, Shortest())
        return cutting

    run(world, box, TripEndCutting(box, world.clock, Shortest()), restart=restart)
    assert set(world.sent) == world.expected()
    check_books(world, box)


@settings(max_examples=30, deadline=None)
@given(drives=days(), seed=st.integers(0, 2**32))
def test_no_fix_near_the_start_or_end_of_a_trip_ever_leaves(drives, seed):
    world = World(drives)
    box = MemoryOutbox(clock=world.clock)
    run(world, box, TripEndCutting(box, world.clock, Random(seed)))
    for drive in drives:
        first_s, last_s = drive.start_s, drive.start_s + STEP_S * (drive.n_fixes - 1)
        for seq in world.sent:
            row = world.rows[seq]
            if row["vehicle"] == f"{drive.car:032x}" and first_s <= row["at_s"] <= last_s:
                assert row["at_s"] - first_s >= SHORTEST_CUT_MS / 1000
                assert last_s - row["at_s"] >= SHORTEST_CUT_MS / 1000
                assert (row["at_s"] - first_s) * drive.speed_mps >= 99.9
                assert (last_s - row["at_s"]) * drive.speed_mps >= 99.9
    check_books(world, box)


class Cut:
    """An outbox whose machine loses power at one of its calls, before or after it is done."""

    def __init__(self, box, at, *, after):
        self._box, self._at, self._after = box, at, after
        self.names = []

    @property
    def calls(self):
        return len(self.names)

    def __getattr__(self, name):
        method = getattr(self._box, name)
        if name not in {"held", "exchange", "note", "reject"}:
            return method

        def call(*arguments, **options):
            self.names.append(name)
            if self.calls == self._at and not self._after:
                raise PowerCut
            result = method(*arguments, **options)
            if self.calls == self._at:
                raise PowerCut
            return result

        return call


SCRIPT = [Drive(0, 0, 60, 12.0), Drive(1, 300, 50, 8.0), Drive(0, 950, 45, 15.0)]


def _whole_day(file, at, *, after):
    """Run the day on a disk; the power goes at call `at`, and again as far into the next start."""
    world = World(SCRIPT)
    box = SqliteOutbox(file, clock=world.clock)
    shaky = Cut(box, at, after=after)
    cutting = None
    names = []
    for now_s in range(0, world.ends_s(), 40):
        world.put_until(box, now_s)
        world.clock.forward(40)
        try:
            cutting = cutting or TripEndCutting(shaky, world.clock, Shortest())
            cutting()
        except PowerCut:
            box._db.close()
            box = SqliteOutbox(file, clock=world.clock)
            names += shaky.names
            shaky, cutting = Cut(box, 0, after=False), None
        world.send(box)
    names += shaky.names
    check_books(world, box)
    assert set(world.sent) == world.expected()
    box.close()
    return names


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_power_cut_at_every_step_neither_loses_nor_doubles_nor_sends_an_end(tmp_path, after):
    names = _whole_day(tmp_path / "whole/outbox.sqlite", 0, after=False)
    exchanges = [at for at, name in enumerate(names, 1) if name == "exchange"]
    assert len(exchanges) > 5
    # Every exchange with the calls beside it, the first calls, and some of the idle looks.
    steps = {at + beside for at in exchanges for beside in (-1, 0, 1)}
    steps |= {1, 2, 3, *range(4, len(names), 41)}
    for at in sorted(steps):
        _whole_day(tmp_path / f"{at}/outbox.sqlite", at, after=after)


def test_held_batches_that_were_evicted_are_not_sent_after_all():
    world = World([Drive(0, 0, 90, 12.0)])
    box = MemoryOutbox(clock=world.clock)
    cutting = TripEndCutting(box, world.clock, Shortest())
    for now_s in range(0, 800, 20):
        world.put_until(box, now_s)
        world.clock.forward(20)
        cutting()
        if now_s == 400:
            box.reject([waiting.id for waiting in box.held()[:3]], "outbox_full")
    for _ in range(60):
        world.clock.forward(20)
        cutting()
    world.put_until(box, 10**6)
    world.send(box)
    account = box.account(STREAM)
    assert account.dropped["outbox_full"] > 0
    assert account.missing == 0
    assert account.delivered == sum(world.sent.values()) > 0
    assert max(world.sent.values()) == 1


def test_fixes_of_a_clock_that_is_not_believed_keep_its_name_and_are_not_mixed_with_others():
    world = World([Drive(0, 0, 60, 12.0)])
    box = MemoryOutbox(clock=world.clock)
    unsynchronised = Cut(box, 0, after=False)
    unsynchronised.put = lambda parcel: box.put(
        replace(parcel, clock="start-1" if parcel.next_seq <= 30 else None)
    )
    found = {}
    cutting = TripEndCutting(box, world.clock, Shortest())
    for now_s in range(0, world.ends_s(), 20):
        world.put_until(unsynchronised, now_s)
        world.clock.forward(20)
        cutting()
        for waiting in box.waiting(100):
            found.setdefault(waiting.clock, set()).update(decode(waiting.payload).seq)
        world.send(box)
    assert 20 < max(found["start-1"]) < min(found[None]) <= 30
    assert found["start-1"] | found[None] == world.expected()


class FullDisk:
    """An outbox whose disk is full for a while."""

    def __init__(self, box):
        self._box = box
        self.full = True

    def __getattr__(self, name):
        return getattr(self._box, name)

    def exchange(self, *arguments, **options):
        if self.full:
            raise OutboxFull("no space")
        return self._box.exchange(*arguments, **options)


def test_full_disk_delays_the_cut_and_loses_nothing():
    world = World([Drive(0, 0, 60, 12.0)])
    box = MemoryOutbox(clock=world.clock)
    full = FullDisk(box)
    cutting = run(world, full, TripEndCutting(full, world.clock, Shortest()))
    assert not world.sent
    full.full = False
    world.clock.forward(20)
    cutting()
    world.send(box)
    assert set(world.sent) == world.expected()
    check_books(world, box)


@pytest.mark.parametrize("note", [b"", b"\x28\xb5\x2f\xfd", b"junk"])
def test_damaged_note_lets_every_car_begin_a_trip_and_stops_nothing(note, caplog):
    world = World([Drive(0, 0, 90, 12.0)])
    box = MemoryOutbox(clock=world.clock)
    box.exchange([], note=note)
    run(world, box, TripEndCutting(box, world.clock, Shortest()))
    assert "trips_unreadable" in caplog.text
    assert set(world.sent) == world.expected()


def test_car_whose_clock_was_set_back_is_heard_again_after_a_while():
    world = World([Drive(0, 0, 100, 12.0)])
    for row in world.rows[:30]:
        row["observed_at"] += 3_600_000
    box = MemoryOutbox(clock=world.clock)
    run(world, box, TripEndCutting(box, world.clock, Shortest()))
    check_books(world, box)
    # Its hour ahead is forgotten five minutes after its clock was right, then a start is cut.
    assert {seq for seq in world.sent if seq >= 30} >= set(range(85, 87))
    assert all(not 30 <= seq < 70 for seq in world.sent)


def test_fixes_without_a_usable_time_or_place_are_cut_since_nothing_proves_them():
    clock = TurnableClock()
    box = MemoryOutbox(clock=clock)
    columns = {
        "provider": ["f"] * 3, "vehicle": ["0" * 32] * 3, "observed_at": [None, 5, 6],
        "lon_deg": [1.0, None, 1.0], "lat_deg": [1.0, 1.0, None],
    }  # fmt: skip
    batch = Batch(contract="gps_ping/1", gateway="gw-1", boot=7, seq=range(3), columns=columns)
    box.put(
        Parcel(
            stream=STREAM,
            payload=encode(batch, GPS_PING),
            n_read=3,
            n_records=3,
            next_seq=3,
            held=True,
        )
    )
    cutting = TripEndCutting(box, clock, Shortest())
    for _ in range(5):
        cutting()
        clock.forward(30)
    assert box.account(STREAM).dropped == {TRIP_END: 3}


def test_lengths_of_cuts_differ_from_trip_to_trip():
    drives = [Drive(car, 0, 80, 12.0) for car in range(12)]
    world = World(drives)
    box = MemoryOutbox(clock=world.clock)
    run(world, box, TripEndCutting(box, world.clock, Random(5)))
    first, last = {}, {}
    for seq in sorted(world.sent):
        row = world.rows[seq]
        first.setdefault(row["vehicle"], row["at_s"])
        last[row["vehicle"]] = row["at_s"]
    assert len(set(first.values())) > 3
    assert len(set(last.values())) > 3
    assert all(first_s <= LONGEST_CUT_MS / 1000 + STEP_S for first_s in first.values())
