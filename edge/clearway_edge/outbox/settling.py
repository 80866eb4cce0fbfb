"""How batches leave an outbox, and on which page each of their records is counted."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from clearway_core.errors import ContractViolation
from clearway_core.stream.batch import decode
from clearway_edge.outbox.batch_store import (
    BatchStore,
    Head,
    Row,
    counter_of,
    leaves_in_order,
)
from clearway_edge.outbox.ledger import Draft, Opened, added
from clearway_edge.outbox.outbox import EVICTED_SIZE, Stream

log = logging.getLogger(__name__)


def leave(draft: Draft, store: BatchStore, heads: Sequence[Head], reason: str | None) -> None:
    """Count batches as delivered, or as dropped under a reason, and delete them."""
    for head in heads:
        page = draft.find(head.page)
        if page is None:
            # Its counts were lost with a damaged file, and nobody has looked at it since.
            log.warning("batch_without_page", extra={"n_records": head.n_records})
            continue
        n_records = min(head.n_records, page.spooled)
        spooled = page.spooled - n_records
        draft.set(
            page,
            spooled=spooled,
            # A damaged batch may have another size than the one that was put.
            spooled_bytes=max(0, page.spooled_bytes - head.n_bytes) if spooled else 0,
            delivered=page.delivered + (n_records if reason is None else 0),
            left_to=max(page.left_to, counter_of(head.id) if leaves_in_order(head.id) else 0),
            dropped=page.dropped if reason is None else added(page.dropped, reason, n_records),
        )
    left = [head.id for head in heads]
    store.remove(left)
    if reason is None:
        _was_told(draft, set(left))
    else:
        tell_again(draft, set(left))


def arrived_after_all(draft: Draft, head: Head, reason: str) -> None:
    """Count a batch as delivered that was given up while it was on its way to the log."""
    page = draft.find(head.page)
    if page is None:
        # Its counts have left with their last word: they stay as they were told.
        return
    n_records = min(head.n_records, page.dropped.get(reason, 0))
    draft.set(
        page,
        delivered=page.delivered + n_records,
        dropped=added(page.dropped, reason, -n_records),
    )


def _was_told(draft: Draft, batches: set[int]) -> None:
    """Forget the pages whose last word has been delivered."""
    for page in [page for page in draft.all() if page.told_in in batches]:
        told = draft.mark(page, told_in=None)
        if told.told_closed and told.told_revision == told.revision:
            draft.fold(told)


def tell_again(draft: Draft, batches: set[int]) -> None:
    """Note that what batches would have told was not told."""
    for page in [page for page in draft.all() if page.told_in in batches]:
        draft.mark(page, told_in=None, told_revision=-1)


def strayed(draft: Draft, store: BatchStore, row: Row, opened: Opened) -> None:
    """Count a batch whose page is lost by what it says itself; it goes on."""
    store.remove([row.id])
    try:
        batch = decode(row.payload)
    except ContractViolation as error:
        log.warning("batch_without_page", extra={"n_records": row.n_records, "error": str(error)})
        return
    stream = Stream(contract=batch.contract, boot=batch.boot, run=batch.boot)
    page = draft.past(stream, opened)
    store.insert(replace(row, page=page.id))
    draft.set(
        page,
        read=page.read + row.n_records,
        spooled=page.spooled + row.n_records,
        spooled_bytes=page.spooled_bytes + len(row.payload),
    )


def drop_rest(
    draft: Draft, open_records: Counter[int], dropped: Mapping[Stream, Mapping[str, int]]
) -> None:
    """Count what an exchange gave up on the pages that the records were read on.

    Raises
    ------
    ValueError
        If the exchange leaves records unaccounted for.
    """
    left = {stream: Counter(reasons) for stream, reasons in dropped.items()}
    for number, n_records in sorted(open_records.items()):
        page = draft.page(number)
        for reason, count in sorted(left.get(page.stream, Counter()).items()):
            taken = min(count, open_records[number])
            open_records[number] -= taken
            left[page.stream][reason] -= taken
            page = draft.set(page, dropped=added(page.dropped, reason, taken))
        if open_records[number]:
            message = f"an exchange leaves {n_records} records of page {number} unaccounted for"
            raise ValueError(message)


def bring_over(
    draft: Draft, store: BatchStore, row: Row, *, max_bytes: int, opened: Opened
) -> None:
    """Take a batch out of a damaged file.

    Parameters
    ----------
    draft, store
        Where it comes to.
    row
        The batch, under a number that is free.
    max_bytes
        Payload that may wait; a batch that does not fit is dropped, as the older one. [B]
    opened
        Now.
    """
    page = draft.find(row.page)
    if page is None:
        strayed(draft, store, row, opened)
        return
    if row.n_records > page.aside:
        # A stale copy of something that has left already.
        return
    aside = page.aside - row.n_records
    if draft.waiting_bytes + len(row.payload) > max_bytes:
        draft.set(
            page,
            aside=aside,
            spooled=page.spooled - row.n_records,
            dropped=added(page.dropped, EVICTED_SIZE, row.n_records),
        )
        return
    store.insert(row)
    draft.set(page, aside=aside, spooled_bytes=page.spooled_bytes + len(row.payload))
