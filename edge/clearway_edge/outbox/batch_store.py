"""Where an outbox keeps its batches: rows in the order in which they are sent and given up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from clearway_edge.outbox.ledger import Draft
from clearway_edge.outbox.outbox import priority_of

COUNTER_BITS = 48
COUNTER_MASK = (1 << COUNTER_BITS) - 1
N_LANES = 4
_CLOCKED, _HELD = 1, 2


@dataclass(frozen=True, slots=True)
class Head:
    """A batch without its payload."""

    id: int
    page: int
    n_records: int
    n_bytes: int
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class Row:
    """A batch as it is kept.

    Parameters
    ----------
    intact
        Whether its bytes are those that were put.
    """

    id: int
    page: int
    n_records: int
    created_at_ms: int
    clock: str | None
    payload: bytes
    intact: bool = True

    @property
    def head(self) -> Head:
        """The row without its payload."""
        return Head(self.id, self.page, self.n_records, len(self.payload), self.created_at_ms)


class BatchStore(Protocol):
    """Rows and notes; used under the outbox's lock only."""

    def changing(self, draft: Draft) -> AbstractContextManager[None]:
        """Keep what is done inside, with the draft's pages: all of it or nothing."""
        ...

    def lazily(self) -> AbstractContextManager[None]:
        """Let a power cut undo what is committed inside."""
        ...

    def last_counter(self) -> int:
        """Return the highest counter that a row has, 0 if there is none."""
        ...

    def insert(self, row: Row) -> None:
        """Add a row."""
        ...

    def remove(self, ids: Sequence[int]) -> None:
        """Delete rows."""
        ...

    def heads(self, ids: Sequence[int]) -> list[Head]:
        """Return those rows of the given ones that exist."""
        ...

    def in_order(self, priority: int) -> Iterator[Head]:
        """Return all rows of a priority, oldest first."""
        ...

    def ready(self, limit: int, skip_clock: str | None) -> list[Row]:
        """Return rows that are not held, by priority and age; few at once if they are large."""
        ...

    def held(self) -> list[Row]:
        """Return rows that are held, oldest first."""
        ...

    def oldest_ready(self) -> Head | None:
        """Return the row that was put first of those that are not held, or None."""
        ...

    def too_large_by(self, n_bytes: int, bound: int) -> int:
        """Return by how many bytes the file would pass a bound with so many more [B]."""
        ...

    def note(self, name: str) -> bytes | None:
        """Return what is kept under a name."""
        ...

    def set_note(self, name: str, value: bytes) -> None:
        """Keep something under a name."""
        ...


def row_id(counter: int, contract: str, clock: str | None, *, held: bool) -> int:
    """Return the number of a row: first its priority, then its lane, then when it was put.

    The order in which rows are sent and given up is that of their numbers, so that no index has
    to be written for each of them.
    """
    lane = (_CLOCKED if clock is not None else 0) | (_HELD if held else 0)
    return lane_start(priority_of(contract), lane) | counter


def lane_start(priority: int, lane: int) -> int:
    """Return the lowest number that a row of a lane can have."""
    return (priority * N_LANES + lane) << COUNTER_BITS


def lanes(*, held: bool) -> tuple[int, int]:
    """Return the lanes of rows that are held, or not: without clock, with clock."""
    first = _HELD if held else 0
    return first, first | _CLOCKED


def is_held(number: int) -> bool:
    """Return whether the row of a number waits for an exchange."""
    return bool(number >> COUNTER_BITS & _HELD)


def leaves_in_order(number: int) -> bool:
    """Return whether what was put before the row of a number leaves before it.

    Rows that are held, or read by a clock that is not synchronised, are passed by later ones.
    """
    return not number >> COUNTER_BITS & (_HELD | _CLOCKED)


def counter_of(number: int) -> int:
    """Return the counter in a row's number."""
    return number & COUNTER_MASK


def priority_in(number: int) -> int:
    """Return the priority in a row's number."""
    return (number >> COUNTER_BITS) // N_LANES
