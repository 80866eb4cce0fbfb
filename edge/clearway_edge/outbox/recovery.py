"""What is put right in the books when an outbox is opened after a crash or damage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from clearway_edge.outbox.batch_store import BatchStore, counter_of, leaves_in_order
from clearway_edge.outbox.ledger import Draft, Page, added
from clearway_edge.outbox.outbox import DAMAGED, priority_of


def reconciled(
    pages: Mapping[int, Page], damaged: set[int], copies: Mapping[int, Page]
) -> list[Page]:
    """Return pages as the second copy knows them, where it knows more.

    Parameters
    ----------
    pages
        Pages in the outbox's file; what they say of waiting batches is what lies there.
    damaged
        Pages that are there with wrong bytes.
    copies
        The second copy.

    Returns
    -------
    list of Page
        Changed pages. Records that were read, and neither wait nor were delivered or dropped, are
        counted as damaged; where more waits than the copy says, it is sent again.
    """
    changed = []
    for number, copy in sorted(copies.items()):
        mine = pages.get(number)
        if mine is None and number in damaged:
            changed.append(copy)
        elif mine is None or copy.revision > mine.revision:
            spooled, n_bytes = (mine.spooled, mine.spooled_bytes) if mine else (0, 0)
            settled = copy.delivered + copy.account.n_dropped
            lost = copy.read - settled - spooled
            changed.append(
                replace(
                    copy,
                    spooled=spooled,
                    spooled_bytes=n_bytes,
                    aside=mine.aside if mine else 0,
                    delivered=copy.delivered + min(0, lost),
                    dropped=added(copy.dropped, DAMAGED, max(0, lost)),
                    revision=copy.revision + 1,
                )
            )
    return changed


def forget_left(
    draft: Draft, store: BatchStore, pages: Mapping[int, Page], copies: Mapping[int, Page]
) -> None:
    """Delete batches that had left, by the second copy, before the file went back in time."""
    for number, page in pages.items():
        copy = copies.get(number)
        if copy is None or copy.revision <= page.revision or copy.left_to <= page.left_to:
            continue
        left = []
        for head in store.in_order(priority_of(page.stream.contract)):
            if counter_of(head.id) > copy.left_to:
                break
            if head.page == number and leaves_in_order(head.id):
                left.append(head)
        store.remove([head.id for head in left])
        draft.keep(
            replace(
                page,
                spooled=page.spooled - sum(head.n_records for head in left),
                spooled_bytes=page.spooled_bytes - sum(head.n_bytes for head in left),
            )
        )


def put_aside(draft: Draft, pages: Iterable[Page], copies: Mapping[int, Page]) -> None:
    """Take pages over from a damaged file, in which all that waits still lies."""
    found = {page.id: page for page in pages}
    for number, copy in copies.items():
        # The page itself could not be read: its batches may be.
        found.setdefault(number, copy)
    for page in found.values():
        draft.keep(replace(page, aside=page.spooled, spooled_bytes=0))


def write_off(draft: Draft) -> int:
    """Count what could not be brought over from a damaged file; return how many records."""
    lost = [page for page in draft.all() if page.aside]
    for page in lost:
        draft.set(
            page,
            aside=0,
            spooled=page.spooled - page.aside,
            dropped=added(page.dropped, DAMAGED, page.aside),
        )
    return sum(page.aside for page in lost)


def take_back(draft: Draft, existing: Callable[[Sequence[int]], set[int]]) -> None:
    """Tell pages again whose last word was lost with the batch that it was in."""
    told = [page for page in draft.all() if page.told_in is not None]
    there = existing([page.told_in for page in told if page.told_in is not None])
    for page in told:
        if page.told_in not in there:
            draft.mark(page, told_in=None, told_revision=-1)


def last_pages_of_devices(draft: Draft, first: int) -> None:
    """Count an unclean stop on the last page of each stream that the run read from devices.

    Parameters
    ----------
    draft
        The books.
    first
        First page that the run could open.
    """
    last = {
        page.stream: page
        for page in sorted(draft.all(), key=lambda page: page.id)
        if page.id >= first and page.most_at_once
    }
    for page in last.values():
        draft.set(
            page,
            n_unclean_stops=page.n_unclean_stops + 1,
            n_unclean_at_most=page.n_unclean_at_most + page.most_at_once,
        )
