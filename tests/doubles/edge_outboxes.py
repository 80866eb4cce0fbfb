"""Every outbox there is: what one suite runs over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from clearway_core.clock import Clock
from clearway_edge.outbox.ledger import Tag, believed
from clearway_edge.outbox.memory_outbox import MemoryOutbox
from clearway_edge.outbox.outbox import Bounds, Outbox
from clearway_edge.outbox.sqlite_outbox import SqliteOutbox

OUTBOXES: dict[str, Callable[[Path, Bounds | None, Clock, Tag], Outbox]] = {
    "disk": lambda folder, *about: SqliteOutbox(folder / "outbox.sqlite", *about),
    "memory": lambda _, *about: MemoryOutbox(*about),
}


class Outboxes:
    """Outboxes of one kind that a test has opened.

    Whatever the test did, what waits is what the books call spooled, and no record is missing.
    """

    def __init__(self, kind: str, folder: Path) -> None:
        self._open = OUTBOXES[kind]
        self._folder = folder
        self._opened: list[Outbox] = []

    def __call__(self, bounds: Bounds | None, clock: Clock, tag: Tag = believed) -> Outbox:
        box = self._open(self._folder, bounds, clock, tag)
        self._opened.append(box)
        return box

    def close(self) -> None:
        """Look into their books, and close them."""
        for box in self._opened:
            check_books(box)
            box.close()


def check_books(box: Outbox) -> None:
    """Fail if the books of an outbox do not say what it holds."""
    accounts = [box.account(stream) for stream in box.streams()]
    held = [*box.waiting(1000), *box.held()]
    assert all(account.missing == 0 for account in accounts)
    assert sum(account.spooled for account in accounts) == sum(b.n_records for b in held)
    assert all(count > 0 for account in accounts for count in account.dropped.values())
    assert box.waiting_bytes == sum(len(batch.payload) for batch in held)
