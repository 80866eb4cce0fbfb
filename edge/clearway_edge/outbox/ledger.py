"""The books of an outbox in memory: pages, each a stream and an hour.

Pages are values; a `Draft` collects the changed ones until the batches that they speak of are
durable, so that counts and batches never disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from typing import Any

import orjson

from clearway_edge.outbox.outbox import (
    OWN_REPORTS,
    Account,
    PageAccount,
    Stream,
    sum_of,
    total_of,
)

HOUR_MS = 3_600_000
PAST = -1
"""Number of the page that sums up those which were told, delivered and forgotten."""

_DIGEST_BYTES = 16


Tag = Callable[[], str | None]
"""Tells the start of the machine while its clock cannot be believed, else None."""


def believed() -> None:
    """Return None: the clock can be believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """When a page was opened.

    Parameters
    ----------
    at_ms, monotonic_ms
        By the wall clock and by the monotonic clock. [ms]
    tag
        Start of the machine if the wall clock could not be believed, else None.
    """

    at_ms: int
    monotonic_ms: int
    tag: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page as the outbox keeps it; `PageAccount` is what others see.

    Parameters
    ----------
    spooled_bytes
        Payload that waits. [B]
    most_at_once
        Most records that devices gave to one commit: what a crash can cost.
    shift_ms
        What the clock was wrong by when batches of this page were put. [ms]
    told_revision, told_closed
        What the last parcel about it said.
    told_in
        Batch of that parcel, while it waits.
    aside
        Records of `spooled` that still lie in a damaged file.
    left_to
        Highest counter of a batch that has left, of those that leave in order.
    """

    id: int
    stream: Stream
    number: int
    hour_start_ms: int
    seq_first: int
    seq_next: int
    opened: Opened
    read: int = 0
    delivered: int = 0
    spooled: int = 0
    spooled_bytes: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)
    most_at_once: int = 0
    n_unclean_stops: int = 0
    n_unclean_at_most: int = 0
    shift_ms: int = 0
    revision: int = 0
    told_revision: int = -1
    told_closed: bool = False
    told_in: int | None = None
    aside: int = 0
    left_to: int = 0

    @property
    def account(self) -> Account:
        """The page's counts."""
        return Account(
            read=self.read,
            delivered=self.delivered,
            spooled=self.spooled,
            dropped=self.dropped,
            notes=self.notes,
        )

    def to_bytes(self) -> bytes:
        """Return the page as it lies on disk, with a digest in front."""
        body = orjson.dumps(asdict(self))
        return blake2b(body, digest_size=_DIGEST_BYTES).digest() + body

    @staticmethod
    def from_bytes(data: object) -> Page | None:
        """Return a page from the disk, or None if its bytes have changed or are no page's."""
        if not isinstance(data, bytes):
            return None
        digest, body = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        if blake2b(body, digest_size=_DIGEST_BYTES).digest() != digest:
            return None
        try:
            values: dict[str, Any] = orjson.loads(body)
            values["stream"] = Stream(**values["stream"])
            values["opened"] = Opened(**values["opened"])
            return Page(**values)
        except (KeyError, TypeError, ValueError):  # of another version
            return None


class Ledger:
    """All pages of an outbox, and which of them are being written.

    Parameters
    ----------
    pages
        What an earlier process left: their hour is over.
    """

    def __init__(self, pages: Iterable[Page] = ()) -> None:
        self.pages: dict[int, Page] = {}
        self.current: dict[Stream, int] = {}
        self.numbers: dict[tuple[str, int], int] = {}
        self.next_seqs: dict[Stream, int] = {}
        self.next_id = 1
        self.waiting_bytes = 0
        for page in pages:
            self._set(page)

    def take(self, draft: Draft) -> None:
        """Make a draft true."""
        for number, page in draft.changed.items():
            before = self.pages.pop(number, None)
            if before is not None:
                self.waiting_bytes -= before.spooled_bytes
            if page is not None:
                self._set(page)
        self.current = draft.current

    def of(self, stream: Stream) -> list[Page]:
        """Return the pages of a stream, oldest first."""
        found = (page for page in self.pages.values() if page.stream == stream)
        return sorted(found, key=lambda page: page.id)

    def account(self, stream: Stream) -> Account:
        """Return the sum of the pages of a stream."""
        return total_of(page.account for page in self.of(stream))

    def streams(self) -> list[Stream]:
        """Return the streams that have pages."""
        return list({page.stream: None for page in self.pages.values()})

    def accounts(self) -> list[PageAccount]:
        """Return the pages that the books tell, oldest first."""
        return [
            self._account(page)
            for page in sorted(self.pages.values(), key=lambda page: page.id)
            if page.number != PAST and page.stream.contract not in OWN_REPORTS
        ]

    def turn(self, now_ms: int) -> None:
        """End the pages whose hour the clock has left; a later record begins a new one."""
        hour_ms = hour_of(now_ms)
        self.current = {
            stream: number
            for stream, number in self.current.items()
            if stream.contract in OWN_REPORTS or self.pages[number].hour_start_ms == hour_ms
        }

    def _account(self, page: Page) -> PageAccount:
        closed = is_over(page, self.current)
        return PageAccount(
            id=page.id,
            revision=page.revision,
            stream=page.stream,
            number=page.number,
            hour_start_ms=page.hour_start_ms,
            seq_first=page.seq_first,
            seq_next=page.seq_next,
            account=page.account,
            n_unclean_stops=page.n_unclean_stops,
            n_unclean_at_most=page.n_unclean_at_most,
            closed=closed,
            changed=(page.told_revision, page.told_closed) != (page.revision, closed),
        )

    def _set(self, page: Page) -> None:
        self.pages[page.id] = page
        self.waiting_bytes += page.spooled_bytes
        self.next_id = max(self.next_id, page.id + 1)
        space = (page.stream.contract, page.stream.boot)
        self.numbers[space] = max(self.numbers.get(space, 0), page.number + 1)
        self.next_seqs[page.stream] = max(self.next_seqs.get(page.stream, 0), page.seq_next)


class Draft:
    """Changes of a ledger that are not durable yet.

    Parameters
    ----------
    ledger
        What is changed; untouched until it takes the draft.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.changed: dict[int, Page | None] = {}
        self.current = dict(ledger.current)
        self.waiting_bytes = ledger.waiting_bytes
        self._next_id = ledger.next_id

    def find(self, number: int) -> Page | None:
        """Return a page as it will be, or None."""
        return self.changed[number] if number in self.changed else self._ledger.pages.get(number)

    def page(self, number: int) -> Page:
        """Return a page that must be there.

        Raises
        ------
        LookupError
            If it is not.
        """
        page = self.find(number)
        if page is None:
            message = f"page {number} of a batch that waits is missing"
            raise LookupError(message)
        return page

    def set(self, page: Page, **changes: Any) -> Page:
        """Change a page; it will be told again."""
        return self.mark(page, revision=page.revision + 1, **changes)

    def mark(self, page: Page, **changes: Any) -> Page:
        """Change what is known of a page without changing what it says."""
        after = replace(page, **changes)
        self.waiting_bytes += after.spooled_bytes - self.page(page.id).spooled_bytes
        self.changed[page.id] = after
        return after

    def remove(self, page: Page) -> None:
        """Forget a page."""
        self.waiting_bytes -= page.spooled_bytes
        self.changed[page.id] = None
        if self.current.get(page.stream) == page.id:
            del self.current[page.stream]

    def latest(self, stream: Stream) -> Page | None:
        """Return the last page of a stream that is still to be told, or None."""
        pages = [page for page in self.all() if page.stream == stream and page.number != PAST]
        return max(pages, key=lambda page: page.number, default=None)

    def page_for(self, stream: Stream, opened: Opened) -> Page:
        """Return the page that a stream's records go to now; a new hour opens a new one."""
        current = self.current.get(stream)
        page = None if current is None else self.find(current)
        if page is not None and (
            stream.contract in OWN_REPORTS
            or (page.hour_start_ms == hour_of(opened.at_ms) and page.opened.tag == opened.tag)
        ):
            return page
        return self._open(stream, opened, number=self._next_number(stream))

    def fold(self, page: Page) -> None:
        """Add a page to the sum of those that are settled, and forget it."""
        past = self.past(page.stream, page.opened)
        total = past.account.plus(page.account)
        self.set(
            past,
            seq_next=max(past.seq_next, page.seq_next),
            read=total.read,
            delivered=total.delivered,
            dropped=total.dropped,
            notes=total.notes,
        )
        self.remove(page)

    def past(self, stream: Stream, opened: Opened) -> Page:
        """Return the page of a stream that is never told."""
        for page in self.all():
            if page.stream == stream and page.number == PAST:
                return page
        return self._open(stream, opened, number=PAST)

    def keep(self, page: Page) -> None:
        """Take a page as it is, whatever was known of it."""
        before = self.find(page.id)
        self.waiting_bytes += page.spooled_bytes - (before.spooled_bytes if before else 0)
        self.changed[page.id] = page
        self._next_id = max(self._next_id, page.id + 1)

    def all(self) -> list[Page]:
        """Return all pages as they will be."""
        numbers = {**self._ledger.pages, **self.changed}
        return [page for number in numbers if (page := self.find(number)) is not None]

    def _next_number(self, stream: Stream) -> int:
        known = self._ledger.numbers.get((stream.contract, stream.boot), 0)
        mine = [
            page.number + 1
            for page in self.changed.values()
            if page is not None
            and (page.stream.contract, page.stream.boot) == (stream.contract, stream.boot)
        ]
        return max([known, *mine])

    def _open(self, stream: Stream, opened: Opened, *, number: int) -> Page:
        seqs = [
            page.seq_next
            for page in self.changed.values()
            if page is not None and page.stream == stream
        ]
        first = max([self._ledger.next_seqs.get(stream, 0), *seqs])
        page = Page(
            id=self._next_id,
            stream=stream,
            number=number,
            hour_start_ms=hour_of(opened.at_ms),
            seq_first=first,
            seq_next=first,
            opened=opened,
        )
        self._next_id += 1
        self.changed[page.id] = page
        if number != PAST:
            self.current[stream] = page.id
        return page


def is_over(page: Page, current: Mapping[Stream, int]) -> bool:
    """Return whether nothing more is read for a page, and nothing of it waits."""
    return current.get(page.stream) != page.id and page.spooled == 0


def added(counts: Mapping[str, int], reason: str, more: int) -> Mapping[str, int]:
    """Return counts with one of them larger."""
    return sum_of(counts, {reason: more})


def hour_of(instant_ms: int) -> int:
    """Return the start of the UTC hour [ms since 1970]."""
    return instant_ms - instant_ms % HOUR_MS
