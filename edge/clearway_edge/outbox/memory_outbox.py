"""An outbox without a disk: for a card that must not be written, and for tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from clearway_core.clock import Clock, SystemClock
from clearway_edge.outbox.batch_store import Head, Row, counter_of, is_held, priority_in
from clearway_edge.outbox.ledger import Draft, Ledger, Tag, believed
from clearway_edge.outbox.ledger_outbox import LedgerOutbox
from clearway_edge.outbox.outbox import Bounds, Stream


class MemoryOutbox(LedgerOutbox):
    """Keep batches in memory: a crash or power cut loses what waits.

    Parameters
    ----------
    bounds
        How much may wait.
    clock
        Tells the age of batches and the hour of pages.
    tag
        `ClockState.tag`.
    """

    def __init__(
        self, bounds: Bounds | None = None, clock: Clock | None = None, tag: Tag = believed
    ) -> None:
        super().__init__(
            MemoryBatches(),
            Ledger(),
            bounds=bounds or Bounds(),
            clock=clock or SystemClock(),
            tag=tag,
        )

    @property
    def unclean_stops(self) -> int:
        """No start knows of another."""
        return 0

    @property
    def set_aside(self) -> int:
        """No file can be damaged."""
        return 0

    @property
    def folder(self) -> None:
        """No batch lies on a disk."""
        return

    def remember(self, stream: Stream, dropped: Mapping[str, int]) -> None:
        """Do nothing: what is in memory only ends with the process."""

    def close(self) -> None:
        """Do nothing: there is no file."""


class MemoryBatches:
    """Rows in a dictionary."""

    def __init__(self) -> None:
        self._rows: dict[int, Row] = {}
        self._notes: dict[str, bytes] = {}

    @contextmanager
    def changing(self, draft: Draft) -> Iterator[None]:  # noqa: ARG002 -- pages are in the ledger
        """Undo what was done inside if it fails."""
        rows, notes = dict(self._rows), dict(self._notes)
        try:
            yield
        except BaseException:
            self._rows, self._notes = rows, notes
            raise

    def lazily(self) -> AbstractContextManager[None]:
        """Do nothing: a power cut takes it all."""
        return nullcontext()

    def last_counter(self) -> int:
        """Return 0: it begins empty."""
        return 0

    def insert(self, row: Row) -> None:
        """Add a row."""
        self._rows[row.id] = row

    def remove(self, ids: Sequence[int]) -> None:
        """Delete rows."""
        for number in ids:
            self._rows.pop(number, None)

    def heads(self, ids: Sequence[int]) -> list[Head]:
        """Return those rows of the given ones that exist."""
        return [self._rows[number].head for number in sorted(set(ids)) if number in self._rows]

    def in_order(self, priority: int) -> Iterator[Head]:
        """Return all rows of a priority, oldest first."""
        mine = [row for row in self._rows.values() if priority_in(row.id) == priority]
        return (row.head for row in sorted(mine, key=_put_order))

    def ready(self, limit: int, skip_clock: str | None) -> list[Row]:
        """Return rows that are not held, by priority and age."""
        found = [
            row
            for row in self._rows.values()
            if not is_held(row.id) and (row.clock is None or row.clock != skip_clock)
        ]
        return sorted(found, key=lambda row: (priority_in(row.id), _put_order(row)))[:limit]

    def held(self) -> list[Row]:
        """Return rows that are held, oldest first."""
        return sorted((row for row in self._rows.values() if is_held(row.id)), key=_put_order)

    def oldest_ready(self) -> Head | None:
        """Return the row that was put first of those that are not held, or None."""
        ready = [row for row in self._rows.values() if not is_held(row.id)]
        return min(ready, key=_put_order).head if ready else None

    def too_large_by(self, n_bytes: int, bound: int) -> int:  # noqa: ARG002 -- as on disk
        """Return 0: there is no file."""
        return 0

    def note(self, name: str) -> bytes | None:
        """Return what is kept under a name."""
        return self._notes.get(name)

    def set_note(self, name: str, value: bytes) -> None:
        """Keep something under a name."""
        self._notes[name] = value


def _put_order(row: Row) -> int:
    return counter_of(row.id)
