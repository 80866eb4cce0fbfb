"""Law of every outbox: nothing acked is lost, nothing rejected is sent again, the books balance."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from doubles.edge_doubles import TurnableClock
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from clearway_edge.memory_outbox import MemoryOutbox
from clearway_edge.outbox import Parcel, Stream
from clearway_edge.sqlite_outbox import SqliteOutbox


class OutboxMachine(RuleBasedStateMachine):
    """Any mixture of putting, sending, rejecting and dying."""

    durable = True

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = TurnableClock()
        self.box = self.open()
        self.waiting: dict[bytes, tuple[Stream, int]] = {}
        self.delivered: set[bytes] = set()
        self.rejected: set[bytes] = set()
        self.read = 0
        self.dropped = 0
        self.sequence = 0

    def open(self):
        if self.durable:
            return SqliteOutbox(self.folder / "outbox.sqlite", None, self.clock)
        return MemoryOutbox(None, self.clock)

    @rule(n=st.integers(1, 50), lost=st.integers(0, 5), boot=st.integers(0, 2))
    def put(self, n, lost, boot):
        payload = f"batch {self.sequence}".encode()
        self.sequence += 1
        stream = Stream(contract="gps_ping/1", boot=boot, run=boot)
        self.box.put(
            Parcel(
                stream=stream,
                payload=payload,
                n_read=n + lost,
                n_records=n,
                next_seq=self.sequence,
                dropped={"null_island": lost} if lost else {},
            )
        )
        self.waiting[payload] = (stream, n)
        self.read += n + lost
        self.dropped += lost

    @rule(count=st.integers(1, 4))
    def accept(self, count):
        for batch in self.box.waiting(count):
            self.box.accept([batch.id])
            _, n = self.waiting.pop(batch.payload)
            assert batch.n_records == n
            self.delivered.add(batch.payload)

    @rule(count=st.integers(1, 2))
    def reject(self, count):
        for batch in self.box.waiting(count):
            self.box.reject([batch.id], "message_too_large")
            _, n = self.waiting.pop(batch.payload)
            self.rejected.add(batch.payload)
            self.dropped += n

    @precondition(lambda self: self.durable)
    @rule(clean=st.booleans())
    def restart(self, clean):
        if clean:
            self.box.close()
        else:
            self.box._db.close()
        self.box = self.open()

    @invariant()
    def exactly_what_was_put_and_not_settled_waits_in_order(self):
        assert [batch.payload for batch in self.box.waiting(1000)] == list(self.waiting)

    @invariant()
    def books_balance(self):
        accounts = [self.box.account(stream) for stream in self.box.streams()]
        assert sum(account.missing for account in accounts) == 0
        assert sum(account.read for account in accounts) == self.read
        assert sum(sum(account.dropped.values()) for account in accounts) == self.dropped

    def teardown(self):
        self.box.close()
        shutil.rmtree(self.folder)


class MemoryMachine(OutboxMachine):
    """The same without a disk, and so without restarts."""

    durable = False


TestSqliteOutbox = OutboxMachine.TestCase
TestSqliteOutbox.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestMemoryOutbox = MemoryMachine.TestCase
TestMemoryOutbox.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
