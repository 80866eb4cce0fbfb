"""The outbox on disk: one SQLite file, every batch fsynced, checksummed and bounded."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from clearway_core.clock import Clock, SystemClock
from clearway_core.errors import OutboxFull
from clearway_edge.outbox.batch_store import Row, counter_of
from clearway_edge.outbox.counts_copy import CountsCopy
from clearway_edge.outbox.ledger import Draft, Ledger, Tag, believed
from clearway_edge.outbox.ledger_outbox import LedgerOutbox
from clearway_edge.outbox.outbox import Bounds, Parcel, Stream, Waiting, sum_of
from clearway_edge.outbox.outbox_file import (
    PAGE_BYTES,
    SALVAGE,
    SET_ASIDE,
    DiskTakesNothing,
    begin_anew,
    damaged_file,
    is_damage,
    open_outbox,
    read_pages,
)
from clearway_edge.outbox.recovery import (
    forget_left,
    last_pages_of_devices,
    put_aside,
    reconciled,
    take_back,
    write_off,
)
from clearway_edge.outbox.salvage import Salvage
from clearway_edge.outbox.settling import bring_over
from clearway_edge.outbox.sqlite_batches import SqliteBatches

log = logging.getLogger(__name__)

_RUNNING, _UNCLEAN, _FIRST_PAGE = "running", "unclean_stops", "first_page"
_SALVAGED_TO, _TAKEN_OVER = "salvaged_to", "taken_over"
_PORTION_BYTES = 1024 * 1024
"""What is read out of a damaged file at once, so that nothing waits for it long."""


class _WasSetAside(OutboxFull):
    """The file was damaged; a new one has been begun, and the work can be done again."""


class SqliteOutbox(LedgerOutbox):
    """Keep batches in a SQLite file (WAL, synchronous FULL).

    A file that cannot be read as it should is renamed and a new one begun: a gateway that does
    not start helps nobody. What is still readable in the old one comes over while work goes on.
    `close` marks a clean stop; the next start counts its absence.

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

    Raises
    ------
    DiskTakesNothing
        If nothing can be written there.
    """

    def __init__(
        self,
        file: Path,
        bounds: Bounds | None = None,
        clock: Clock | None = None,
        tag: Tag = believed,
    ) -> None:
        self._file = file
        self._salvage: Salvage | None = None
        self._settled: set[int] = set()
        self._remembered: dict[Stream, int] = {}
        self._unclean_known = 0
        self._first_page = 0
        self._copy = CountsCopy(file.with_suffix(".counts"))
        self._copy.load()
        bounds, clock = bounds or Bounds(), clock or SystemClock()
        self._db = open_outbox(file, bounds, mend=self._copy.same_start)
        try:
            try:
                self._open(bounds, clock, tag)
            except _WasSetAside:
                self._open(bounds, clock, tag)
            except sqlite3.DatabaseError as error:
                # Opening reads little; damage may show only where the first batches are asked for.
                if not is_damage(error):
                    raise
                self._db.close()
                self._db = begin_anew(file, bounds)
                self._open(bounds, clock, tag)
        except (OutboxFull, sqlite3.Error) as error:
            self._db.close()
            raise DiskTakesNothing(str(error)) from error

    def _open(self, bounds: Bounds, clock: Clock, tag: Tag) -> None:
        """Read the counts, and put right what the previous run left."""
        pages, damaged = read_pages(self._db)
        super().__init__(
            SqliteBatches(self._db), Ledger(pages), bounds=bounds, clock=clock, tag=tag
        )
        self._begin(damaged)

    @property
    def unclean_stops(self) -> int:
        """Starts that found the previous run not closed."""
        with self._guard():
            return self._state(_UNCLEAN)

    @property
    def set_aside(self) -> int:
        """Damaged files that were renamed and replaced, and pages whose counts are lost."""
        with self._guard():
            return self._state(SET_ASIDE)

    @property
    def folder(self) -> Path:
        """Folder on whose disk the batches lie."""
        return self._file.parent

    def put(self, *parcels: Parcel) -> None:
        """Keep batches and their counts in one transaction, on disk when this returns."""
        try:
            super().put(*parcels)
        except _WasSetAside:
            super().put(*parcels)
        with self._lock:
            for stream in {parcel.stream for parcel in parcels} & self._remembered.keys():
                # Counted now, perhaps on a later page.
                number = self._remembered.pop(stream)
                self._copy.write({number: self._ledger.pages.get(number)})

    def remember(self, stream: Stream, dropped: Mapping[str, int]) -> None:
        """Keep counts that the full disk did not take where little or no room is needed for them.

        The first page of a stream is in memory and in the second copy then, until there is room.
        """
        with self._lock:
            draft = Draft(self._ledger)
            page = draft.latest(stream) or draft.page_for(stream, self._now())
            self._ledger.take(draft)
            self._remembered[stream] = page.id
            self._copy.write(
                {
                    page.id: replace(
                        page,
                        read=page.read + sum(dropped.values()),
                        dropped=sum_of(page.dropped, dropped),
                        revision=page.revision + 1,
                    )
                }
            )

    def oldest_created_at_ms(self) -> int | None:
        """Return when the oldest batch that may be sent was put, or None [ms since 1970]."""
        oldest_ms = super().oldest_created_at_ms()
        while oldest_ms is None and self._salvage_some():
            oldest_ms = super().oldest_created_at_ms()
        return oldest_ms

    def waiting(self, limit: int, *, skip_clock: str | None = None) -> Sequence[Waiting]:
        """Return batches that may be sent, by priority and age; damaged ones are counted."""
        self._salvage_some()
        while True:
            try:
                found = super().waiting(limit, skip_clock=skip_clock)
            except _WasSetAside:
                found = []
            if found or not self._salvage_some():
                break
        if not found and self.waiting_bytes:
            self._write_off_vanished()
        return found

    def accept(self, ids: Sequence[int]) -> None:
        """Count batches as delivered and forget them, also those that became unreadable since."""
        with self._lock:
            if self._salvage is not None:
                here = {head.id for head in self._store.heads(ids)}
                self._delivered |= set(ids) - here - self._given_up.keys()
                with suppress(OutboxFull), self._change() as draft:
                    self._settle_delivered(draft)
            super().accept(ids)

    def _write_off_vanished(self) -> None:
        """Count what ought to wait where nothing lies any more."""
        with self._lock, suppress(OutboxFull), self._change() as draft:
            if self._store.last_counter() == 0:
                for page in draft.all():
                    draft.keep(replace(page, aside=page.spooled, spooled_bytes=0))
                log.error("outbox_batches_vanished", extra={"n_records": write_off(draft)})

    def close(self) -> None:
        """Mark a clean stop and close the file."""
        with self._lock:
            with suppress(sqlite3.Error), self._db:
                self._set_state(_RUNNING, 0)
            self._db.close()
            self._copy.close()
            if self._salvage is not None:
                self._salvage.close()

    def _begin(self, damaged: set[int]) -> None:
        """Put right what the previous run left, and mark this one as running."""
        self._open_salvage()
        with self._change() as draft:
            forget_left(draft, self._store, self._ledger.pages, self._copy.pages)
            known = {page.id: page for page in draft.all()}
            if self._salvage is not None and self._state(_TAKEN_OVER) != self._state(SALVAGE):
                damaged |= self._take_over(draft, self._salvage)
                known = {page.id: page for page in draft.all()}
            for page in reconciled(known, damaged, self._copy.pages):
                draft.keep(page)
            lost = damaged - set(self._copy.pages)
            if lost:
                self._set_state(SET_ASIDE, self._state(SET_ASIDE) + len(lost))
            take_back(draft, lambda ids: {head.id for head in self._store.heads(ids)})
            if self._state(_RUNNING) == 1:
                self._set_state(_UNCLEAN, self._state(_UNCLEAN) + 1)
                last_pages_of_devices(draft, self._state(_FIRST_PAGE))
            self._set_state(_FIRST_PAGE, max([p.id for p in draft.all()], default=0) + 1)
            self._set_state(_RUNNING, 1)
        self._renumber()
        self._copy.begin(self._ledger.pages)
        self._salvage_some()

    def _take_over(self, draft: Draft, salvage: Salvage) -> set[int]:
        """Take counts, states and notes out of a damaged file; return which pages are damaged."""
        pages, damaged = salvage.pages()
        put_aside(draft, pages, self._copy.pages)
        states = salvage.states()
        for name in (_RUNNING, _UNCLEAN, _FIRST_PAGE):
            self._set_state(name, states.get(name, 0))
        self._set_state(SET_ASIDE, self._state(SET_ASIDE) + states.get(SET_ASIDE, 0))
        for name, value in salvage.notes().items():
            self._store.set_note(name, value)
        self._set_state(_TAKEN_OVER, self._state(SALVAGE))
        return damaged - {page.id for page in pages}

    def _set_aside(self) -> None:
        """Begin a new file in the midst of work; the counts are those in memory."""
        known, unclean = self._ledger.pages, self._unclean_known
        self._db.close()
        if self._salvage is not None:
            self._salvage.close()
        self._db = begin_anew(self._file, self._bounds)
        self._store = SqliteBatches(self._db)
        self._open_salvage()
        with self._change() as draft:
            put_aside(draft, known.values(), {})
            self._settle_delivered(draft)
            self._set_state(_UNCLEAN, unclean)
            self._set_state(_TAKEN_OVER, self._state(SALVAGE))
            self._set_state(_RUNNING, 1)
            self._set_state(_FIRST_PAGE, self._first_page)
        self._renumber()
        self._copy.begin(self._ledger.pages)

    def _settle_delivered(self, draft: Draft) -> None:
        """Count what the log has taken while its batches may be unreadable."""
        for number in (self._delivered & self._given.keys()) - self._given_up.keys():
            head = self._given[number]
            page = draft.find(head.page)
            if page is not None:
                draft.set(
                    page,
                    spooled=page.spooled - head.n_records,
                    aside=page.aside - head.n_records,
                    delivered=page.delivered + head.n_records,
                )
                self._settled.add(number)
        self._delivered -= self._settled

    def _renumber(self) -> None:
        """Give new batches numbers that none in a damaged file has."""
        self._counter = max(self._counter, self._state(SET_ASIDE) << 32)
        self._unclean_known = self._state(_UNCLEAN)
        self._first_page = self._state(_FIRST_PAGE)

    def _open_salvage(self) -> None:
        number = self._state(SALVAGE)
        self._salvage = None
        if number:
            with self._file.open("rb") as stream:
                template = stream.read(PAGE_BYTES)
            self._salvage = Salvage(
                damaged_file(self._file, number), template, after=self._state(_SALVAGED_TO)
            )

    def _salvage_some(self) -> bool:
        """Bring over the next batches of a damaged file; return whether any may have come."""
        with self._lock:
            if self._salvage is None:
                return False
            rows, to = self._salvage.portion(_PORTION_BYTES)
            n_lost = 0
            try:
                with self._change() as draft:
                    for row in rows:
                        if row.id not in self._settled:
                            self._bring_over(draft, row)
                    self._set_state(_SALVAGED_TO, to or 0)
                    if to is None:
                        n_lost = write_off(draft)
                        self._set_state(SALVAGE, 0)
            except OutboxFull:
                # No room just now: from the same place again at the next look.
                self._salvage.close()
                self._open_salvage()
                return False
            if to is None:
                self._end_salvage(n_lost)
            return True

    def _bring_over(self, draft: Draft, row: Row) -> None:
        free = self._again(row) if self._store.heads([row.id]) else row
        bounds = self._bounds
        bring_over(draft, self._store, free, max_bytes=bounds.max_bytes, opened=self._now())

    def _again(self, row: Row) -> Row:
        """Return a row under a number of its own."""
        self._counter += 1
        return replace(row, id=row.id - counter_of(row.id) + self._counter - 1)

    def _end_salvage(self, n_lost: int) -> None:
        if self._salvage is not None:
            self._salvage.close()
        self._salvage = None
        self._settled.clear()
        log.warning("outbox_salvaged", extra={"n_records_lost": n_lost})

    def _state(self, name: str) -> int:
        row = self._db.execute("select value from state where name = ?", (name,)).fetchone()
        return 0 if row is None else int(row[0])

    def _set_state(self, name: str, value: int) -> None:
        self._db.execute("insert or replace into state values (?, ?)", (name, value))

    @contextmanager
    def _change(self) -> Iterator[Draft]:
        with super()._change() as draft:
            yield draft
        self._copy.write(draft.changed)

    @contextmanager
    def _guard(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                if not is_damage(error):
                    message = (
                        f"the outbox {self._file} could not be written: {error}. "
                        "Is the disk full? Nothing was kept of this batch."
                    )
                    raise OutboxFull(message) from error
                log.exception("outbox_damaged", extra={"file": str(self._file)})
                self._set_aside()
                message = f"the outbox {self._file} was damaged and has been set aside: {error}"
                raise _WasSetAside(message) from error
