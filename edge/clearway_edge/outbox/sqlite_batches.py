"""Batches in SQLite: rows lie in the order in which they are sent."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from clearway_edge.outbox.batch_store import Head, Row, counter_of, is_held, lane_start, lanes
from clearway_edge.outbox.ledger import Draft, Page
from clearway_edge.outbox.outbox import LOWEST_PRIORITY
from clearway_edge.outbox.outbox_file import FILE_SLACK_BYTES, PAGE_BYTES

MAX_LOOK_BYTES = 4 * 1024 * 1024
"""Payload that is held in memory at once, however many batches were asked for."""

_DIGEST_BYTES = 16
_HEAD = "id, page, n_records, length(payload), created_at_ms"
ROW = "id, page, n_records, created_at_ms, clock, digest, payload"


class SqliteBatches:
    """Rows of one open file.

    Parameters
    ----------
    db
        As `clearway_edge.outbox.outbox_file` opens it.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db

    @contextmanager
    def changing(self, draft: Draft) -> Iterator[None]:
        """Commit rows and pages together, on disk at the end."""
        with self.db:
            self.db.execute("begin immediate")
            yield
            self.write_pages(draft.changed)

    def write_pages(self, changed: dict[int, Page | None]) -> None:
        """Write pages; None deletes one."""
        self.db.executemany(
            "insert or replace into page (id, body) values (?, ?)",
            [(number, page.to_bytes()) for number, page in changed.items() if page is not None],
        )
        self.db.executemany(
            "delete from page where id = ?",
            [(number,) for number, page in changed.items() if page is None],
        )

    @contextmanager
    def lazily(self) -> Iterator[None]:
        """Commit without waiting for the disk."""
        self.db.execute("pragma synchronous=normal")
        try:
            yield
        finally:
            # The file may have been set aside meanwhile, and its connection closed.
            with suppress(sqlite3.ProgrammingError):
                self.db.execute("pragma synchronous=full")

    def last_counter(self) -> int:
        """Return the highest counter of all lanes."""
        highest = 0
        for lane in _all_lanes():
            (number,) = self.db.execute(
                "select max(id) from batch where id between ? and ?", lane
            ).fetchone()
            highest = max(highest, counter_of(number or 0))
        return highest

    def insert(self, row: Row) -> None:
        """Add a row with its digest."""
        self.db.execute(
            f"insert into batch ({ROW}) values (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 -- a constant
            (
                row.id,
                row.page,
                row.n_records,
                row.created_at_ms,
                row.clock,
                digest(row),
                row.payload,
            ),
        )

    def remove(self, ids: Sequence[int]) -> None:
        """Delete rows; trip ends that waited to be cut are overwritten.

        Raises
        ------
        sqlite3.DatabaseError
            If rows that were read cannot be found again: the file is damaged.
        """
        held = any(is_held(number) for number in ids)
        if held:
            self.db.execute("pragma secure_delete=on")
        done = self.db.executemany("delete from batch where id = ?", [(number,) for number in ids])
        if held:
            self.db.execute("pragma secure_delete=off")
        if ids and done.rowcount != len(ids):
            message = f"expected to delete {len(ids)} batches, found {done.rowcount}"
            raise sqlite3.DatabaseError(message)

    def heads(self, ids: Sequence[int]) -> list[Head]:
        """Return those rows of the given ones that exist."""
        found: list[Head] = []
        for number in sorted(set(ids)):
            found += self._heads("select {} from batch where id = ?", (number,))
        return found

    def in_order(self, priority: int) -> Iterator[Head]:
        """Return all rows of a priority, oldest first."""
        query = "select {} from batch where id between ? and ? order by id"
        every = [
            self._heads(query, _bounds(priority, lane))
            for held in (False, True)
            for lane in lanes(held=held)
        ]
        return heapq.merge(*every, key=lambda head: counter_of(head.id))

    def ready(self, limit: int, skip_clock: str | None) -> list[Row]:
        """Return rows that are not held, by priority and age; few at once if they are large."""
        found: list[Row] = []
        n_bytes = 0
        for priority in range(LOWEST_PRIORITY + 1):
            for row in self._in_order(priority, skip_clock, held=False):
                if len(found) >= limit or n_bytes >= MAX_LOOK_BYTES:
                    return found
                found.append(row)
                n_bytes += len(row.payload)
        return found

    def held(self) -> list[Row]:
        """Return rows that are held, oldest first."""
        return [
            row
            for priority in range(LOWEST_PRIORITY + 1)
            for row in self._in_order(priority, None, held=True)
        ]

    def oldest_ready(self) -> Head | None:
        """Return the row that was put first of those that are not held, or None."""
        query = "select {} from batch where id between ? and ? order by id limit 1"
        ready = [
            _bounds(priority, lane)
            for priority in range(LOWEST_PRIORITY + 1)
            for lane in lanes(held=False)
        ]
        heads = [head for lane in ready for head in self._heads(query, lane)]
        return min(heads, key=lambda head: counter_of(head.id), default=None)

    def too_large_by(self, n_bytes: int, bound: int) -> int:
        """Return by how many bytes the file would pass a bound with so many more [B]."""
        (n_pages,) = self.db.execute("pragma page_count").fetchone()
        (n_free,) = self.db.execute("pragma freelist_count").fetchone()
        return int((n_pages - n_free) * PAGE_BYTES + n_bytes - bound - FILE_SLACK_BYTES)

    def note(self, name: str) -> bytes | None:
        """Return what is kept under a name."""
        row = self.db.execute("select value from note where name = ?", (name,)).fetchone()
        return None if row is None else bytes(row[0])

    def set_note(self, name: str, value: bytes) -> None:
        """Keep something under a name."""
        self.db.execute("insert or replace into note values (?, ?)", (name, value))

    def _in_order(self, priority: int, skip_clock: str | None, *, held: bool) -> Iterator[Row]:
        plain, clocked = lanes(held=held)
        query = f"select {ROW} from batch where id between ? and ? order by id"  # noqa: S608
        every = [rows_of(self.db.execute(query, _bounds(priority, plain)))]
        # An index of the few rows that have a clock: hours of them may have to stay.
        query = f"select {ROW} from batch where clock = ? and id between ? and ? order by id"  # noqa: S608
        for (clock,) in self.db.execute(
            "select distinct clock from batch where clock is not null"
        ).fetchall():
            if clock != skip_clock:
                cursor = self.db.execute(query, (clock, *_bounds(priority, clocked)))
                every.append(rows_of(cursor))
        return heapq.merge(*every, key=lambda row: counter_of(row.id))

    def _heads(self, query: str, values: tuple[int, ...]) -> Iterator[Head]:
        for row in self.db.execute(query.format(_HEAD), values):
            yield Head(*row)


def rows_of(cursor: Iterable[tuple[Any, ...]]) -> Iterator[Row]:
    """Return what a query for `ROW` found, with their digests checked."""
    for number, page, n_records, created_at_ms, clock, expected, payload in cursor:
        row = Row(number, page, n_records, created_at_ms, clock, payload)
        try:
            intact = digest(row) == expected
        except TypeError:
            # Not even the types are those that were put.
            row, intact = Row(number, -1, 0, 0, None, b""), False
        yield row if intact else replace(row, intact=False)


def digest(row: Row) -> bytes:
    """Return the digest of all that a row says."""
    state = blake2b(digest_size=_DIGEST_BYTES)
    state.update(f"{row.id} {row.page} {row.n_records} {row.created_at_ms} {row.clock} ".encode())
    state.update(row.payload)
    return state.digest()


def _bounds(priority: int, lane: int) -> tuple[int, int]:
    first = lane_start(priority, lane)
    return first, lane_start(priority, lane + 1) - 1


def _all_lanes() -> list[tuple[int, int]]:
    return [
        _bounds(priority, lane)
        for priority in range(LOWEST_PRIORITY + 1)
        for held in (False, True)
        for lane in lanes(held=held)
    ]
