"""The outbox on disk: one SQLite file, every batch fsynced, checksummed and bounded."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clearway_core.clock import Clock
from clearway_core.errors import OutboxFull
from clearway_edge.ledger import Ledger, Page
from clearway_edge.ledger_outbox import LedgerOutbox, Tag, believed
from clearway_edge.outbox import Bounds
from clearway_edge.outbox_file import SET_ASIDE, begin_anew, open_outbox, read_pages
from clearway_edge.sqlite_batches import SqliteBatches

log = logging.getLogger(__name__)

_RUNNING, _UNCLEAN, _FIRST_PAGE = "running", "unclean_stops", "first_page"


class SqliteOutbox(LedgerOutbox):
    """Keep batches in a SQLite file (WAL, synchronous FULL).

    A file that cannot be opened as it should is renamed and a new one begun: a gateway that does
    not start helps nobody. `close` marks a clean stop; the next start counts its absence.

    Parameters
    ----------
    file
        The file; it and its folder are created.
    bounds
        How much may wait.
    clock
        Tells the age of batches and the hour of pages.
    tag
        `ClockState.tag`.
    """

    def __init__(
        self,
        file: Path,
        bounds: Bounds | None = None,
        clock: Clock | None = None,
        tag: Tag = believed,
    ) -> None:
        self._file = file
        self._db = open_outbox(file, bounds or Bounds())
        super().__init__(
            SqliteBatches(self._db),
            Ledger(read_pages(self._db)),
            bounds=bounds,
            clock=clock,
            tag=tag,
        )
        self._begin()

    @property
    def unclean_stops(self) -> int:
        """Starts that found the previous run not closed."""
        with self._guard():
            return self._state(_UNCLEAN)

    @property
    def set_aside(self) -> int:
        """Damaged files that were renamed and replaced."""
        with self._guard():
            return self._state(SET_ASIDE)

    @property
    def folder(self) -> Path:
        """Folder on whose disk the batches lie."""
        return self._file.parent

    def close(self) -> None:
        """Mark a clean stop and close the file."""
        with self._lock:
            with suppress(sqlite3.Error), self._db:
                self._set_state(_RUNNING, 0)
            self._db.close()

    def _begin(self) -> None:
        """Count a crash of the previous run on the pages that it wrote."""
        with self._change() as draft:
            if self._state(_RUNNING) == 1:
                self._set_state(_UNCLEAN, self._state(_UNCLEAN) + 1)
                for page in _last_pages_of_devices(self._ledger, self._state(_FIRST_PAGE)):
                    draft.set(
                        page,
                        n_unclean_stops=page.n_unclean_stops + 1,
                        n_unclean_at_most=page.n_unclean_at_most + page.most_at_once,
                    )
            self._set_state(_FIRST_PAGE, self._ledger.next_id)
            self._set_state(_RUNNING, 1)

    def _state(self, name: str) -> int:
        row = self._db.execute("select value from state where name = ?", (name,)).fetchone()
        return 0 if row is None else int(row[0])

    def _set_state(self, name: str, value: int) -> None:
        self._db.execute("insert or replace into state values (?, ?)", (name, value))

    @contextmanager
    def _guard(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except sqlite3.OperationalError as error:
                message = (
                    f"the outbox {self._file} could not be written: {error}. "
                    "Is the disk full? Nothing was kept of this batch."
                )
                raise OutboxFull(message) from error
            except sqlite3.DatabaseError as error:
                log.exception("outbox_damaged", extra={"file": str(self._file)})
                self._set_aside()
                message = f"the outbox {self._file} was damaged and has been set aside: {error}"
                raise OutboxFull(message) from error

    def _set_aside(self) -> None:
        self._db.close()
        self._db = begin_anew(self._file, self._bounds)
        self._store = SqliteBatches(self._db)
        self._ledger = Ledger()
        self._begin()


def _last_pages_of_devices(ledger: Ledger, first: int) -> list[Page]:
    """Return the last page of each stream that the run since page `first` read from devices."""
    last = {
        page.stream: page
        for page in sorted(ledger.pages.values(), key=lambda page: page.id)
        if page.id >= first and page.most_at_once
    }
    return list(last.values())
