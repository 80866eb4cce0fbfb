"""Law of every outbox: nothing acked is lost, nothing rejected is sent again, the books balance."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from doubles.edge_doubles import TurnableClock
from doubles.edge_outboxes import OUTBOXES
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from clearway_edge.outbox.books import books_parcel
from clearway_edge.outbox.ledger import believed
from clearway_edge.outbox.outbox import (
    OWN_REPORTS,
    PRIORITIES,
    Bounds,
    Parcel,
    Stream,
    Waiting,
)

CONTRACTS = ("gps_ping/1", "air_reading/1", "gateway_health/1")
MAX_BYTES = 400
"""Room for six batches: most runs of the machine fill it."""


@dataclass
class Batch:
    """What the test knows of a batch that waits."""

    stream: Stream
    n: int
    held: bool
    clock: str | None


class OutboxMachine(RuleBasedStateMachine):
    """Any mixture of putting, sending, rejecting, exchanging, evicting, damage and dying."""

    kind = "disk"

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = TurnableClock()
        self.box = self.open()
        self.waiting: dict[bytes, Batch] = {}
        self.read = 0
        self.dropped = 0
        self.sequence = 0
        self.told = 0
        self.on_the_way: list[Waiting] = []
        self.given_up: dict[bytes, int] = {}

    def open(self):
        return OUTBOXES[self.kind](self.folder, Bounds(max_bytes=MAX_BYTES), self.clock, believed)

    def lose(self, payload):
        self.dropped += self.waiting.pop(payload).n

    def in_order(self, *, held=False, skip_clock=None):
        """Return what ought to wait, in the order of sending."""
        found = [
            (payload, batch)
            for payload, batch in self.waiting.items()
            if batch.held is held and (batch.clock is None or batch.clock != skip_clock)
        ]
        return sorted(found, key=lambda pair: PRIORITIES[pair[1].stream.contract])

    def make_room(self, size, contract):
        """Give up what the outbox gives up: least important first, then oldest."""
        order = sorted(self.waiting, key=lambda p: -PRIORITIES[self.waiting[p].stream.contract])
        for payload in order:
            if sum(map(len, self.waiting)) + size <= MAX_BYTES:
                return
            assert PRIORITIES[self.waiting[payload].stream.contract] >= PRIORITIES[contract]
            self.given_up[payload] = self.waiting[payload].n
            self.lose(payload)

    @rule(
        n=st.integers(1, 50), lost=st.integers(0, 5), boot=st.integers(0, 2),
        contract=st.sampled_from(CONTRACTS), held=st.booleans(),
        clock=st.sampled_from([None, None, "start-1", "start-2"]),
    )  # fmt: skip
    def put(self, n, lost, boot, contract, held, clock):
        payload = f"batch {self.sequence} ".encode().ljust(60, b"x")
        self.sequence += 1
        held = held and contract == "gps_ping/1"
        stream = Stream(contract=contract, boot=boot, run=boot)
        more = [p for p, b in self.waiting.items() if PRIORITIES[b.stream.contract]
                < PRIORITIES[contract]]  # fmt: skip
        if sum(map(len, more)) + len(payload) > MAX_BYTES:
            return
        self.box.put(
            Parcel(
                stream=stream,
                payload=payload,
                n_read=n + lost,
                n_records=n,
                next_seq=self.sequence,
                dropped={"null_island": lost} if lost else {},
                held=held,
                clock=clock,
            )
        )
        self.make_room(len(payload), contract)
        self.waiting[payload] = Batch(stream, n, held, clock)
        self.read += n + lost
        self.dropped += lost

    @rule(count=st.integers(1, 4))
    def accept(self, count):
        for batch in self.box.waiting(count):
            self.box.accept([batch.id])
            assert self.waiting.pop(batch.payload).n == batch.n_records

    @rule(count=st.integers(1, 20))
    def send(self, count):
        self.on_the_way = list(self.box.waiting(count))

    @rule()
    def arrive(self):
        """What was given up meanwhile arrives as well, unless its page was told and has left."""
        for batch in self.on_the_way:
            pages = {page.id for page in self.box.pages()}
            self.box.accept([batch.id])
            if batch.payload in self.waiting:
                del self.waiting[batch.payload]
            elif batch.page in pages or batch.stream.contract in OWN_REPORTS:
                self.dropped -= self.given_up.pop(batch.payload, 0)
        self.on_the_way = []

    @rule(count=st.integers(1, 2))
    def reject(self, count):
        for batch in self.box.waiting(count):
            self.box.reject([batch.id], "message_too_large")
            self.lose(batch.payload)

    @rule()
    def settle(self):
        for batch in self.box.waiting(1):
            self.box.settle(batch.id, n_dropped=1, reason="message_too_large")
            del self.waiting[batch.payload]
            self.dropped += 1

    @rule(keep=st.integers(0, 49), still_held=st.booleans())
    def exchange(self, keep, still_held):
        for batch in self.box.held()[:1]:
            known = self.waiting[batch.payload]
            kept = min(keep, batch.n_records)
            payload = f"cut {self.sequence} ".encode().ljust(50, b"x") if kept else b""
            self.sequence += 1
            cut = Parcel(
                stream=batch.stream, payload=payload, n_read=0, n_records=kept, next_seq=0,
                held=still_held, clock=batch.clock, page=batch.page,
            )  # fmt: skip
            dropped = {batch.stream: {"trip_end": batch.n_records - kept}}
            assert self.box.exchange([batch.id], cut, dropped=dropped)
            del self.waiting[batch.payload]
            self.dropped += batch.n_records - kept
            if kept:
                self.waiting[payload] = Batch(known.stream, kept, still_held, known.clock)

    @rule(hours=st.sampled_from([-5.0, 0.3, 1.0]))
    def time_passes(self, hours):
        self.clock.jump_to(self.clock.now() + timedelta(hours=hours))

    @rule(deliver=st.booleans())
    def tell_the_books(self, deliver):
        made = books_parcel("gw", self.box.pages(), observed_at_ms=0, boot=9, first_seq=self.told)
        if made is None:
            return
        self.told += made.n_records
        self.box.put(Parcel(**{**vars_of(made), "payload": b"books"}))
        self.make_room(0, "gateway_books/1")
        books = [b for b in self.box.waiting(1000) if b.stream.contract == "gateway_books/1"]
        if deliver:
            self.box.accept([batch.id for batch in books])
        else:
            self.box.reject([batch.id for batch in books], "message_too_large")

    @precondition(lambda self: self.kind == "disk")
    @rule()
    def damage(self):
        row = self.box._db.execute("select id, payload from batch limit 1").fetchone()
        if row is not None:
            with self.box._db:
                self.box._db.execute(
                    "update batch set payload = zeroblob(length(payload)) where id = ?", (row[0],)
                )
            self.box.waiting(1000)
            self.box.held()
            self.lose(row[1])

    @precondition(lambda self: self.kind == "disk")
    @rule(clean=st.booleans())
    def restart(self, clean):
        if clean:
            self.box.close()
        else:
            self.box._db.close()
        self.box = self.open()
        self.given_up = {}

    @invariant()
    def exactly_what_was_put_and_not_settled_waits_in_order(self):
        for skip in (None, "start-1"):
            expected = [payload for payload, _ in self.in_order(skip_clock=skip)]
            assert [b.payload for b in self.box.waiting(1000, skip_clock=skip)] == expected
        held = [payload for payload, _ in self.in_order(held=True)]
        assert [batch.payload for batch in self.box.held()] == held
        assert self.box.waiting_bytes == sum(map(len, self.waiting)) <= MAX_BYTES

    @invariant()
    def books_balance(self):
        streams = [s for s in self.box.streams() if s.contract != "gateway_books/1"]
        accounts = [self.box.account(stream) for stream in streams]
        assert sum(account.missing for account in accounts) == 0
        assert sum(account.read for account in accounts) == self.read
        assert sum(sum(account.dropped.values()) for account in accounts) == self.dropped

    @invariant()
    def pages_balance_and_never_overlap(self):
        ends: dict[Stream, int] = {}
        for page in self.box.pages():
            assert page.account.missing == 0
            assert page.stream.contract not in OWN_REPORTS
            assert ends.get(page.stream, 0) <= page.seq_first <= page.seq_next
            ends[page.stream] = page.seq_next

    def teardown(self):
        self.box.close()
        shutil.rmtree(self.folder)


def vars_of(parcel: Parcel) -> dict[str, object]:
    return {name: getattr(parcel, name) for name in Parcel.__dataclass_fields__}


class MemoryMachine(OutboxMachine):
    """The same without a disk, and so without restarts."""

    kind = "memory"


TestSqliteOutbox = OutboxMachine.TestCase
TestSqliteOutbox.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestMemoryOutbox = MemoryMachine.TestCase
TestMemoryOutbox.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
