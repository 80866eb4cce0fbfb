"""What every outbox does alike: bounds, order, and counts on pages."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from clearway_core.clock import Clock, to_ms
from clearway_core.errors import OutboxFull
from clearway_edge.outbox.batch_store import BatchStore, Head, Row, row_id
from clearway_edge.outbox.eviction import to_give_up
from clearway_edge.outbox.ledger import Draft, Ledger, Opened, Page, Tag, added, hour_of, is_over
from clearway_edge.outbox.outbox import (
    DAMAGED,
    EVICTED_AGE,
    EVICTED_SIZE,
    LOWEST_PRIORITY,
    Account,
    Bounds,
    PageAccount,
    Parcel,
    Stream,
    Waiting,
    priority_of,
    sum_of,
)
from clearway_edge.outbox.settling import (
    arrived_after_all,
    drop_rest,
    leave,
    strayed,
    tell_again,
)

log = logging.getLogger(__name__)

_EXCHANGE_NOTE = "exchange"

_MOST_ON_THE_WAY = 5000
"""Batches that one look finds to send: of so many that were given up it is remembered, in case they
were on their way to the log just then."""


class LedgerOutbox:
    """An outbox over a store of batches and a ledger of pages.

    Parameters
    ----------
    store
        Where batches lie.
    ledger
        What was counted before.
    bounds
        How much may wait.
    clock
        Tells the age of batches and the hour of pages.
    tag
        `ClockState.tag`.
    """

    def __init__(
        self,
        store: BatchStore,
        ledger: Ledger,
        *,
        bounds: Bounds,
        clock: Clock,
        tag: Tag,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._bounds = bounds
        self._clock = clock
        self._tag = tag
        self._lock = threading.RLock()
        self._counter = store.last_counter() + 1
        self._given: dict[int, Head] = {}
        self._delivered: set[int] = set()
        self._given_up: dict[int, tuple[Head, str]] = {}

    @property
    def waiting_bytes(self) -> int:
        """Payload bytes that wait [B]."""
        with self._lock:
            return self._ledger.waiting_bytes

    def oldest_created_at_ms(self) -> int | None:
        """Return when the oldest batch that may be sent was put, or None [ms since 1970].

        What is held for its trip ends is no backlog.
        """
        with self._guard():
            head = self._store.oldest_ready()
            if head is None:
                return None
            page = self._ledger.pages.get(head.page)
            return head.created_at_ms + (0 if page is None else page.shift_ms)

    def put(self, *parcels: Parcel) -> None:
        """Keep batches and their counts in one transaction, durable when this returns."""
        with self._change() as draft:
            first = self._counter
            opened = self._now()
            from_devices: Counter[int] = Counter()
            for parcel in sorted(parcels, key=lambda each: priority_of(each.stream.contract)):
                page = draft.page_for(parcel.stream, opened)
                self._count(draft, page, parcel)
                if parcel.payload:
                    self._make_room(draft, parcel, first)
                    self._add(draft, page.id, parcel, opened.at_ms)
                if parcel.from_devices:
                    from_devices[page.id] += parcel.n_read
            for number, n_records in from_devices.items():
                page = draft.page(number)
                draft.mark(page, most_at_once=max(page.most_at_once, n_records))

    def waiting(self, limit: int, *, skip_clock: str | None = None) -> Sequence[Waiting]:
        """Return batches that may be sent, by priority and age; damaged ones are counted."""
        with self._guard():
            if self._delivered:
                self._forget_delivered()
            rows = self._store.ready(limit + len(self._delivered), skip_clock)
            self._given = {row.id: row.head for row in rows}
            return self._intact([row for row in rows if row.id not in self._delivered][:limit])

    def held(self) -> Sequence[Waiting]:
        """Return the batches that wait for an exchange, oldest first."""
        with self._guard():
            return self._intact(self._store.held())

    def exchange(
        self,
        ids: Sequence[int],
        *parcels: Parcel,
        dropped: Mapping[Stream, Mapping[str, int]] | None = None,
        note: bytes | None = None,
    ) -> bool:
        """Replace batches by parcels of the same records, all of it or nothing."""
        with self._change() as draft:
            heads = self._store.heads(ids)
            if len(heads) != len(set(ids)):
                return False
            created = {head.page: head.created_at_ms for head in reversed(heads)}
            open_records = Counter[int]()
            for head in heads:
                page = draft.page(head.page)
                open_records[page.id] += head.n_records
                draft.set(
                    page,
                    spooled=page.spooled - head.n_records,
                    spooled_bytes=page.spooled_bytes - head.n_bytes,
                )
            self._store.remove(ids)
            for parcel in parcels:
                open_records[parcel.page] -= parcel.n_records
                if parcel.payload:
                    self._add(draft, parcel.page, parcel, created[parcel.page])
            drop_rest(draft, open_records, dropped or {})
            if note is not None:
                self._store.set_note(_EXCHANGE_NOTE, note)
        return True

    def note(self) -> bytes | None:
        """Return what the last exchange has noted, or None."""
        with self._guard():
            return self._store.note(_EXCHANGE_NOTE)

    def accept(self, ids: Sequence[int]) -> None:
        """Count batches as delivered and forget them.

        This alone is not fsynced: a power cut that undoes it sends the batch again, and ingest
        knows it by its identity. It saves every second fsync of an SD card. On a full disk they
        are forgotten in memory, and on the disk as soon as there is room.
        """
        with self._lock:
            self._delivered.update(ids)
            self._forget_delivered()

    def _forget_delivered(self) -> None:
        try:
            with self._guard(), self._store.lazily(), self._change() as draft:
                self._arrived(draft, sorted(self._delivered))
        except OutboxFull as error:
            log.warning("delivered_not_counted_yet", extra={"error": str(error)})
        else:
            for number in self._delivered:
                self._given_up.pop(number, None)
            self._delivered.clear()

    def _arrived(self, draft: Draft, ids: Sequence[int]) -> list[Head]:
        """Count batches as delivered; return those of them that were here until now or lately."""
        heads = self._store.heads(ids)
        gone = set(ids).difference(head.id for head in heads)
        late = [self._given_up[number] for number in sorted(gone & self._given_up.keys())]
        leave(draft, self._store, heads, None)
        for head, reason in late:
            arrived_after_all(draft, head, reason)
        return [*heads, *(head for head, _ in late)]

    def reject(self, ids: Sequence[int], reason: str) -> None:
        """Count batches as dropped for good and forget them."""
        with self._change() as draft:
            leave(draft, self._store, self._store.heads(ids), reason)

    def settle(self, batch: int, *, n_dropped: int, reason: str) -> None:
        """Forget a batch of which some records were dropped and the others delivered."""
        with self._change() as draft:
            if n_dropped:
                tell_again(draft, {batch})
            for head in self._arrived(draft, [batch]):
                page = draft.find(head.page)
                if page is not None:
                    draft.set(
                        page,
                        delivered=page.delivered - n_dropped,
                        dropped=added(page.dropped, reason, n_dropped),
                    )
        self._given_up.pop(batch, None)

    def account(self, stream: Stream) -> Account:
        """Return the books of one stream: the sum of its pages."""
        with self._lock:
            return self._ledger.account(stream)

    def pages(self) -> Sequence[PageAccount]:
        """Return the pages of all streams but the gateway's own reports, oldest first."""
        with self._lock:
            self._ledger.turn(to_ms(self._clock.now()))
            return self._ledger.accounts()

    def clock_tags(self) -> set[str]:
        """Return the starts of the machine of which pages wait for their true hour."""
        with self._lock:
            tags = {page.opened.tag for page in self._ledger.pages.values()}
        return {tag for tag in tags if tag is not None}

    def set_hours(self, tag: str, base_ms: int) -> None:
        """Correct the hours of pages that were opened while the clock could not be believed."""
        with self._lock:
            wrong = [page for page in self._ledger.pages.values() if page.opened.tag == tag]
        if not wrong:
            return
        with self._change() as draft:
            for page in wrong:
                opened_ms = page.opened.monotonic_ms + base_ms
                draft.set(
                    page,
                    hour_start_ms=hour_of(opened_ms),
                    shift_ms=opened_ms - page.opened.at_ms,
                    opened=replace(page.opened, tag=None),
                )

    def streams(self) -> Sequence[Stream]:
        """Return every stream that has books here."""
        with self._lock:
            return self._ledger.streams()

    def forget(self, stream: Stream) -> None:
        """Close the books of a stream, told or not, if nothing of it waits any more."""
        with self._lock:
            pages = self._ledger.of(stream)
            if not pages or any(page.spooled for page in pages):
                return
            with self._change() as draft:
                for page in pages:
                    draft.remove(page)

    def expire(self) -> int:
        """Drop batches that are older than the bound; return how many records.

        Those that were put while the clock could not be believed have no age yet.
        """
        if self._bounds.max_age_s is None:
            return 0
        oldest_ms = to_ms(self._clock.now()) - round(self._bounds.max_age_s * 1000)
        with self._change() as draft:
            old = []
            for priority in range(LOWEST_PRIORITY + 1):
                for head in self._store.in_order(priority):
                    page = draft.find(head.page)
                    if page is not None and page.opened.tag is not None:
                        continue
                    if head.created_at_ms + (page.shift_ms if page else 0) >= oldest_ms:
                        break
                    old.append(head)
            self._give_up(draft, old, EVICTED_AGE)
        return sum(head.n_records for head in old)

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Hold the lock; what the store raises becomes an error of the outbox."""
        with self._lock:
            yield

    @contextmanager
    def _change(self) -> Iterator[Draft]:
        """Change batches and pages together, durably: all of it or nothing."""
        with self._guard():
            draft = Draft(self._ledger)
            counter = self._counter
            try:
                with self._store.changing(draft):
                    yield draft
            except BaseException:
                self._counter = counter
                raise
            self._ledger.take(draft)

    def _now(self) -> Opened:
        return Opened(
            at_ms=to_ms(self._clock.now()),
            monotonic_ms=round(self._clock.monotonic_s() * 1000),
            tag=self._tag(),
        )

    def _count(self, draft: Draft, page: Page, parcel: Parcel) -> None:
        draft.set(
            page,
            read=page.read + parcel.n_read,
            seq_next=max(page.seq_next, parcel.next_seq),
            dropped=sum_of(page.dropped, parcel.dropped),
            notes=sum_of(page.notes, parcel.notes),
        )

    def _add(self, draft: Draft, number: int, parcel: Parcel, created_at_ms: int) -> None:
        row = Row(
            id=row_id(self._counter, parcel.stream.contract, parcel.clock, held=parcel.held),
            page=number,
            n_records=parcel.n_records,
            created_at_ms=created_at_ms,
            clock=parcel.clock,
            payload=parcel.payload,
        )
        self._counter += 1
        self._store.insert(row)
        page = draft.page(number)
        draft.set(
            page,
            spooled=page.spooled + parcel.n_records,
            spooled_bytes=page.spooled_bytes + len(parcel.payload),
        )
        for told, revision in parcel.tells.items():
            about = draft.find(told)
            if about is not None:
                draft.mark(
                    about,
                    told_revision=revision,
                    told_closed=is_over(about, draft.current),
                    told_in=row.id,
                )

    def _make_room(self, draft: Draft, parcel: Parcel, before: int) -> None:
        victims = to_give_up(draft, self._store, parcel, bounds=self._bounds, before=before)
        if victims:
            told = [head for head in victims if head.id in self._delivered]
            lost = [head for head in victims if head.id not in self._delivered]
            leave(draft, self._store, told, None)
            self._give_up(draft, lost, EVICTED_SIZE)
            log.warning("outbox_full_dropped_oldest", extra={"n_batches": len(lost)})

    def _give_up(self, draft: Draft, heads: Sequence[Head], reason: str) -> None:
        """Drop batches, some of which may be on their way to the log: those are the oldest."""
        leave(draft, self._store, heads, reason)
        self._given_up |= {head.id: (head, reason) for head in heads[:_MOST_ON_THE_WAY]}
        for number in list(self._given_up)[:-_MOST_ON_THE_WAY]:
            del self._given_up[number]

    def _intact(self, rows: Sequence[Row]) -> list[Waiting]:
        damaged = [row.head for row in rows if not row.intact]
        lost = [row for row in rows if row.intact and row.page not in self._ledger.pages]
        if damaged or lost:
            log.error("outbox_batches_damaged", extra={"n_batches": len(damaged) + len(lost)})
            with self._change() as draft:
                leave(draft, self._store, damaged, DAMAGED)
                for row in lost:
                    strayed(draft, self._store, row, self._now())
        pages = self._ledger.pages
        return [
            Waiting(
                id=row.id,
                stream=pages[row.page].stream,
                n_records=row.n_records,
                created_at_ms=row.created_at_ms + pages[row.page].shift_ms,
                payload=row.payload,
                clock=row.clock,
                page=row.page,
            )
            for row in rows
            if row.intact and row.page in pages
        ]
