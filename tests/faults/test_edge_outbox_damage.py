"""Flipped bits, holes and cuts anywhere in the outbox's files: what is lost is counted."""

from __future__ import annotations

import random
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from doubles.edge_doubles import TurnableClock
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clearway_core.contracts.wire import GPS_PING
from clearway_core.stream.batch import Batch, encode
from clearway_edge.outbox.outbox import DAMAGED, Parcel, Stream
from clearway_edge.outbox.sqlite_outbox import SqliteOutbox

STREAM = Stream(contract="gps_ping/1", boot=7, run=7)
FILES = ("outbox.sqlite", "outbox.sqlite-wal", "outbox.counts")


MOST_RECORDS = 60
"""Of one batch."""


@dataclass
class Crashed:
    """Files of an outbox whose process was killed, and what it had promised."""

    folder: Path
    clock: TurnableClock
    read: int = 0
    waiting: dict[bytes, int] = field(default_factory=dict)

    def put(self, box: SqliteOutbox, chance: random.Random) -> None:
        n = chance.randint(1, MOST_RECORDS)
        names = [f"{chance.getrandbits(128):032x}" for _ in range(n)]
        seq = range(self.read, self.read + n)
        batch = Batch(
            contract="gps_ping/1", gateway="gw-1", boot=7, seq=seq, columns={"vehicle": names}
        )
        payload = encode(batch, GPS_PING)
        box.put(Parcel(stream=STREAM, payload=payload, n_read=n, n_records=n, next_seq=seq.stop))
        self.read = seq.stop
        self.waiting[payload] = n


def crashed(folder: Path, chance: random.Random) -> Crashed:
    """Return the files of a process that was killed after some work."""
    before, after = folder / "before", folder / "after"
    after.mkdir()
    state = Crashed(after, TurnableClock())
    box = SqliteOutbox(before / "outbox.sqlite", None, state.clock)
    for _ in range(chance.randint(1, 60)):
        state.put(box, chance)
        if chance.random() < 0.4:
            for batch in box.waiting(chance.randint(1, 3)):
                box.accept([batch.id])
                del state.waiting[batch.payload]
        if chance.random() < 0.05:
            state.clock.forward(1800)
        if chance.random() < 0.05:
            box._db.execute("pragma wal_checkpoint(passive)")
    for file in before.iterdir():
        shutil.copy(file, after / file.name)
    box.close()
    return state


def flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 3)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def hole(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data)) // 512 * 512
    data[start : start + 4096] = bytes(len(data[start : start + 4096]))


def cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


PLACES = {flip: 3, hole: 2, cut: 1}
"""Commits that a damage can hit: a hole of 4 KiB lies across two frames of the log of commits."""


@pytest.mark.parametrize("damage", PLACES)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), name=st.sampled_from(FILES))
@example(seed=113169, name="outbox.sqlite")  # cut: a page that only the first question touches
@example(seed=16233, name="outbox.sqlite-wal")  # flip: in the name of a column
def test_damage_never_stops_a_start_and_costs_what_it_hit(damage, seed, name):
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as scratch:
        state = crashed(Path(scratch), chance)
        file = state.folder / name
        data = bytearray(file.read_bytes())
        if data:
            damage(data, chance)
            file.write_bytes(data)
        box = SqliteOutbox(state.folder / "outbox.sqlite", None, state.clock)
        state.put(box, chance)
        arrived = set()
        while batches := box.waiting(50):
            arrived.update(batch.payload for batch in batches)
            box.accept([batch.id for batch in batches])
        account = box.account(STREAM)
        counted = box.set_aside
        box.close()
    lost = sum(n for payload, n in state.waiting.items() if payload not in arrived)
    assert (account.missing, account.spooled) == (0, 0)
    if account.read == state.read:
        # Each place that is hit may also cost the word that a batch had left, which then counts
        # as damaged although it arrived.
        inexact = abs(account.dropped.get(DAMAGED, 0) - lost)
        assert inexact <= PLACES[damage] * MOST_RECORDS
    else:
        assert counted > 0


def test_one_flipped_bit_costs_one_batch_at_most(tmp_path):
    """Anywhere in the log of commits: what follows it is not lost with it."""
    state = crashed(tmp_path, random.Random(3))
    content = {name: (state.folder / name).read_bytes() for name in FILES}
    size = len(content["outbox.sqlite-wal"])
    assert size > 50_000
    for place in range(40, size, size // 25):
        again = tmp_path / f"at-{place}"
        again.mkdir()
        for file in state.folder.iterdir():
            shutil.copy(file, again / file.name)
        data = bytearray(content["outbox.sqlite-wal"])
        data[place] ^= 16
        (again / "outbox.sqlite-wal").write_bytes(data)
        box = SqliteOutbox(again / "outbox.sqlite", None, state.clock)
        arrived = {batch.payload for batch in box.waiting(500)}
        box.close()
        assert len(set(state.waiting) - arrived) <= 1
        assert arrived <= set(state.waiting)
