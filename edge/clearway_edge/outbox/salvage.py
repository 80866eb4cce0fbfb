"""What can still be read of a damaged outbox, a portion at a time."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from clearway_edge.outbox.batch_store import COUNTER_BITS, N_LANES, Row
from clearway_edge.outbox.ledger import Page
from clearway_edge.outbox.outbox import LOWEST_PRIORITY
from clearway_edge.outbox.outbox_file import PAGE_BYTES
from clearway_edge.outbox.sqlite_batches import ROW, rows_of

log = logging.getLogger(__name__)

_COUNTS = slice(24, 40)
"""Bytes of the first page that count pages; as zeros, SQLite asks the file for its size."""
_LAST_ID = ((LOWEST_PRIORITY + 1) * N_LANES << COUNTER_BITS) - 1


class Salvage:
    """A damaged file, read only, around its damaged places.

    Parameters
    ----------
    file
        The file that was set aside.
    template
        First page of a new outbox: where the tables begin is the same in all of them.
    after
        Batches up to this number were read before.
    """

    def __init__(self, file: Path, template: bytes, *, after: int = 0) -> None:
        self._file = file
        self._after = after
        self._shift = 0
        self._first_page: bytes | None = None
        self._db = _opened(file)
        if self._db is None:
            self._replace_first_page(template)
            self._db = _opened(file)

    def pages(self) -> tuple[list[Page], set[int]]:
        """Return the pages that can be read, and the numbers of those whose bytes have changed."""
        found: dict[int, Page | None] = {}
        for query in (
            "select id, body from page order by id",
            "select id, body from page order by id desc",
        ):
            with suppress(sqlite3.Error):
                for number, body in self._select(query):
                    found[number] = Page.from_bytes(body)
        pages = [page for page in found.values() if page is not None]
        return pages, {number for number, page in found.items() if page is None}

    def states(self) -> dict[str, int]:
        """Return the states that can be read."""
        with suppress(sqlite3.Error):
            return dict(self._select("select name, value from state"))
        return {}

    def notes(self) -> dict[str, bytes]:
        """Return the notes that can be read."""
        with suppress(sqlite3.Error):
            return dict(self._select("select name, value from note"))
        return {}

    def portion(self, max_bytes: int) -> tuple[list[Row], int | None]:
        """Return the next intact rows, and up to which number was read; None at the end."""
        rows: list[Row] = []
        n_bytes = 0
        try:
            for row in self._rows():
                if row.id <= self._after:
                    break
                self._after = row.id
                if row.intact:
                    rows.append(row)
                n_bytes += len(row.payload)
                if n_bytes >= max_bytes:
                    return rows, self._after
            else:
                return rows, None
        except (sqlite3.Error, TypeError, ValueError) as error:
            log.warning(
                "outbox_damaged_place", extra={"file": str(self._file), "error": str(error)}
            )
        following = self._next_readable()
        # Damage may lead round in a circle: what brings nothing is passed in longer and longer
        # steps, so that there is an end.
        self._shift = 0 if rows else 2 * self._shift + 1
        if following is None or following + self._shift > _LAST_ID:
            return rows, None
        self._after = following - 1 + self._shift
        return rows, self._after

    def close(self) -> None:
        """Let go of the file and leave it as it was found."""
        if self._db is not None:
            self._db.close()
            self._db = None
        wal, index = (self._file.with_name(self._file.name + end) for end in ("-wal", "-shm"))
        with suppress(OSError):
            if wal.stat().st_size == 0:
                wal.unlink()
        with suppress(OSError):
            index.unlink()
        if self._first_page is not None:
            with suppress(OSError), self._file.open("r+b") as stream:
                stream.write(self._first_page)

    def _select(self, query: str, values: tuple[int, ...] = ()) -> Iterator[tuple[Any, ...]]:
        if self._db is not None:
            yield from self._db.execute(query, values)

    def _rows(self) -> Iterator[Row]:
        if self._db is not None:
            query = f"select {ROW} from batch where id > ? order by id"  # noqa: S608 -- a constant
            yield from rows_of(self._db.execute(query, (self._after,)))

    def _next_readable(self) -> int | None:
        """Return the first number behind the damaged place at which rows can be read again."""
        lane_bytes = 1 << COUNTER_BITS
        low = self._after
        while low < _LAST_ID:
            end = (low // lane_bytes + 1) * lane_bytes
            step = 1
            while low + step < end:
                if self._readable(low + step):
                    return self._first_readable(low + step // 2, low + step)
                step *= 2
            if self._readable(end):
                return end
            low = end
        return None

    def _first_readable(self, unreadable: int, readable: int) -> int:
        while readable - unreadable > 1:
            middle = (unreadable + readable) // 2
            if self._readable(middle):
                readable = middle
            else:
                unreadable = middle
        return readable

    def _readable(self, number: int) -> bool:
        try:
            query = f"select {ROW} from batch where id >= ? order by id limit 1"  # noqa: S608
            row = next(rows_of(self._select(query, (number,))), None)
        except (sqlite3.Error, TypeError, ValueError):
            return False
        return row is None or row.id >= number

    def _replace_first_page(self, template: bytes) -> None:
        page = bytearray(template)
        page[_COUNTS] = bytes(_COUNTS.stop - _COUNTS.start)
        with suppress(OSError), self._file.open("r+b") as stream:
            self._first_page = stream.read(PAGE_BYTES)
            stream.seek(0)
            stream.write(page)


def _opened(file: Path) -> sqlite3.Connection | None:
    """Return a damaged file for reading, or None if not even its tables can be found."""
    db = None
    try:
        db = sqlite3.connect(f"file:{file}?mode=ro", uri=True, check_same_thread=False)
        (page_bytes,) = db.execute("pragma page_size").fetchone()
        db.execute("select id, page, clock from batch where id < 0").fetchall()
        db.execute("select id, body from page where id < 0").fetchall()
    except sqlite3.Error:
        page_bytes = 0
    if db is not None and page_bytes != PAGE_BYTES:
        db.close()
        return None
    return db
