"""The gateway's books as records of ``gateway_books/1``: a page for each stream and hour.

A page is told whenever it has changed, and a last time when its hour is over and nothing of it
waits; once that last word is in the log, the outbox forgets it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from clearway_core.contracts.wire import GATEWAY_BOOKS
from clearway_edge.outbox.outbox import PageAccount, Parcel, Stream, total_of
from clearway_edge.outbox.reports import counts_of, report_parcel

MAX_PAGES = 1000
"""Pages of one message; after a month without a log, several are needed."""


def books_parcel(
    gateway: str,
    pages: Sequence[PageAccount],
    *,
    observed_at_ms: int,
    boot: int,
    first_seq: int,
) -> Parcel | None:
    """Return what has changed in the books as a parcel, or None if nothing has.

    Parameters
    ----------
    gateway
        Its name.
    pages
        All pages of its outbox.
    observed_at_ms
        Now, by the gateway's clock. [ms since 1970]
    boot, first_seq
        Identity of the records: the gateway's own start, not that of the pages.
    """
    changed = [page for page in pages if page.changed][:MAX_PAGES]
    if not changed:
        return None
    records = [page_record(page, observed_at_ms) for page in changed]
    return report_parcel(
        gateway,
        records,
        stream=Stream(contract=GATEWAY_BOOKS.identifier, boot=boot, run=boot),
        first_seq=first_seq,
        tells={page.id: page.revision for page in changed},
    )


def page_record(page: PageAccount, observed_at_ms: int) -> dict[str, object]:
    """Return what a page says."""
    return {
        "observed_at": observed_at_ms,
        "about_contract": page.stream.contract,
        "about_boot": page.stream.boot,
        "page": page.number,
        "hour_start": page.hour_start_ms,
        "seq_first": page.seq_first,
        "seq_next": page.seq_next,
        **counts_of(page.account),
        "n_unclean_stops": page.n_unclean_stops,
        "n_unclean_at_most": page.n_unclean_at_most,
        "closed": page.closed,
    }


def one_page(pages: Sequence[PageAccount]) -> PageAccount:
    """Return the pages of a recorded file as one: page 0, the same each time it is replayed."""
    total = total_of(page.account for page in pages)
    return replace(
        min(pages, key=lambda page: page.number),
        number=0,
        seq_next=max(page.seq_next for page in pages),
        account=total,
        n_unclean_stops=0,
        n_unclean_at_most=0,
        closed=total.spooled == 0,
    )
