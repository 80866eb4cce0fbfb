"""Closing the books: what gateways told of their pages against what the lake holds of them."""

from __future__ import annotations

import logging
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from clearway_core.clock import Clock, SystemClock
from clearway_core.contracts.fleet_tables import BOOKS
from clearway_core.errors import OffsetRegression, SourceUnavailable, TableConflict
from clearway_core.lake import Lake
from clearway_core.lake_upkeep import compact_if_crowded
from clearway_core.schema import polars_schema
from clearway_core.stream.log import Log
from clearway_ingest.books.arrivals import Arrivals, Asked
from clearway_ingest.books.balance import Held, Reach, State, Told, balance, reaches
from clearway_ingest.books.ledger import (
    PAGE,
    READ_TO,
    SUMS,
    Ledger,
    Numbered,
    PageKey,
    entry,
    latest_rows,
    received_before,
    told_before,
    told_since,
    written_off,
)
from clearway_ingest.books.reading_point import ReadingPoint
from clearway_ingest.offsets import committed_offsets
from clearway_ingest.ranges import Counter, Span, size, spans_of
from clearway_ingest.upkeep import MANY_FILES

log_ = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class BooksAccount:
    """How the books stand.

    Parameters
    ----------
    pages
        Pages by state, of all that were ever told.
    sums
        The columns of the table, added over all pages; ``n_read`` equals stored + quarantined +
        on the way + spooled + dropped + missing.
    differences
        Rows of the pages that have one.
    changed
        Pages that stand otherwise than before.
    log_was_asked
        Whether the log could be asked; if not, what is not here may be on its way.
    """

    pages: Mapping[str, int]
    sums: Mapping[str, int]
    differences: Sequence[Mapping[str, object]]
    changed: int
    log_was_asked: bool

    def is_closed(self) -> bool:
        """Return whether no page has a difference."""
        return not self.differences


def close_books(lake: Lake, log: Log | None, *, clock: Clock | None = None) -> BooksAccount:
    """Close every page that can be, and say which have a difference; a repeat changes nothing.

    Parameters
    ----------
    lake
        Where the readings, the gateways' words and the books lie.
    log
        Where ingest reads. None, or one that is away: no difference is found where messages may
        still be on their way.
    clock
        Time of the rows.

    Raises
    ------
    TableConflict
        If another process closed the books at the same moment: run it again.

    Notes
    -----
    The order matters. First the gateways' words, then where ingest stands, then what has arrived
    and the tables: whatever a word calls delivered was in the log before it.
    """
    ledger = Ledger(lake.table("books"))
    words_to = lake.table("gateway_books").version()
    words = told_since(lake, ledger.told_to, words_to)
    point, log_was_asked = _reading_point(lake, log)
    rows = _Closing(lake, ledger, words=words, point=point).rows()
    if rows:
        _append(ledger, rows, words_to, now=(clock or SystemClock()).now())
    return _account(lake, changed=len(rows), log_was_asked=log_was_asked and point.is_known)


def _reading_point(lake: Lake, log: Log | None) -> tuple[ReadingPoint, bool]:
    if log is not None:
        try:
            return ReadingPoint(log, committed_offsets(lake, log.identity())), True
        except SourceUnavailable as error:
            log_.warning("log_not_reached", extra={"error": str(error)})
    return ReadingPoint(None, {}), False


class _Closing:
    """One look at every page that is not closed, or of which a word has come."""

    def __init__(
        self,
        lake: Lake,
        ledger: Ledger,
        *,
        words: Mapping[PageKey, Told],
        point: ReadingPoint,
    ) -> None:
        unclosed = ledger.unclosed().union(words)
        lowest: dict[Counter, int] = {}
        for key in unclosed:
            lowest[key.counter] = min(key.page, lowest.get(key.counter, key.page))
        known = ledger.pages(lowest)
        self._reaches = _reaches(known, words)
        # A word that is lost, or comes late after all, changes what the page before answers for.
        moved = {
            PageKey(counter, numbered.page)
            for counter, pages in known.items()
            for numbered in pages
            if self._reaches[PageKey(counter, numbered.page)].n_untold != numbered.n_untold
        }
        self._before = ledger.rows(unclosed.union(moved))
        self._told = {page: told_before(row) for page, row in self._before.items()}
        for page, told in words.items():
            earlier = self._told.get(page)
            if earlier is None or told.told_at >= earlier.told_at:
                self._told[page] = told
        self._point = point
        floors: dict[Counter, int] = {}
        for page in self._told:
            first = self._reaches[page].first
            floors[page.counter] = min(first, floors.get(page.counter, first))
        self._arrivals = Arrivals(lake, floors)
        self._written_off = written_off(lake)

    def rows(self) -> list[dict[str, object]]:
        """Return the rows of the pages that stand otherwise than before."""
        received = {page: self._received(page) for page in sorted(self._told)}
        counted = self._counted(received)
        changed = []
        for page, held in counted.items():
            told, before = self._told[page], self._before.get(page)
            found = balance(
                told,
                self._reaches[page],
                held,
                n_written_off=self._written_off.get(page),
                is_read_past=self._point.is_past(page.counter.contract, told.told_at),
            )
            row = entry(told, found, received[page])
            if before is None or any(before[name] != value for name, value in row.items()):
                changed.append(row)
        return changed

    def _received(self, page: PageKey) -> list[Span]:
        reach = self._reaches[page]
        return self._arrivals.of(page.counter).within(reach.first, reach.stop)

    def _told_received(self, page: PageKey) -> int:
        told = self._told[page]
        return size(self._arrivals.of(page.counter).within(told.seq_first, told.seq_next))

    def _counted(self, received: Mapping[PageKey, Sequence[Span]]) -> dict[PageKey, Held]:
        """Return what the lake holds of each page; rows that were counted before stay counted.

        Rows are counted soon after they arrive and only once, since they expire.
        """
        known = {page: self._known(page, spans) for page, spans in received.items()}
        asked = [Asked(page.counter, known[page].new) for page in received]
        rows = self._arrivals.rows(asked)
        return {
            page: Held(
                n_received=size(spans),
                n_told_received=self._told_received(page),
                n_stored=known[page].n_stored + found.n_stored,
                n_quarantined=known[page].n_quarantined + found.n_quarantined,
            )
            for (page, spans), found in zip(received.items(), rows, strict=True)
        }

    def _known(self, page: PageKey, received: Sequence[Span]) -> _Known:
        before = self._before.get(page)
        if before is None:
            return _Known(received, 0, 0)
        stored, quarantined = _number(before, "n_stored"), _number(before, "n_quarantined")
        counted = received_before(before)
        numbers = spans_of(counted)
        new = [span for each in received for span in numbers.add(each)]
        whole = stored + quarantined == size(counted)
        if not whole or size(numbers) > size(received):
            # Rows were lacking, or the page answers for less than it did: all are counted anew.
            return _Known(received, 0, 0)
        return _Known(new, stored, quarantined)


@dataclass(frozen=True, slots=True)
class _Known:
    """Numbers of a page whose rows are to be counted, and the rows counted before."""

    new: Sequence[Span]
    n_stored: int
    n_quarantined: int


def _reaches(
    known: Mapping[Counter, Sequence[Numbered]], words: Mapping[PageKey, Told]
) -> dict[PageKey, Reach]:
    """Return what every page answers for, with what has been told of it last."""
    found: dict[PageKey, Reach] = {}
    told: defaultdict[Counter, dict[int, tuple[int, int, int]]] = defaultdict(dict)
    for counter, pages in known.items():
        told[counter] = {page.page: (page.page, page.seq_first, page.seq_next) for page in pages}
    for (counter, page), word in words.items():
        told[counter][page] = (page, word.seq_first, word.seq_next)
    for counter, numbers in told.items():
        lowest = min(known.get(counter, ()), key=lambda page: page.page, default=None)
        # Where earlier pages are left out, the lowest one begins where they ended.
        left_out = lowest is not None and not lowest.is_first and min(numbers) == lowest.page
        start = lowest.seq_first if lowest is not None and left_out else 0
        for page, reach in reaches(numbers.values(), start=start).items():
            found[PageKey(counter, page)] = reach
    return found


def _number(row: Mapping[str, object], name: str) -> int:
    value = row[name]
    return value if isinstance(value, int) else 0


def _append(
    ledger: Ledger, rows: Sequence[Mapping[str, object]], words_to: int | None, *, now: datetime
) -> None:
    newest = ledger.newest()
    if newest is not None:
        # The latest row counts, also where this machine's clock was set back.
        now = max(now, newest + timedelta(microseconds=1))
    schema = {name: dtype for name, dtype in polars_schema(BOOKS).items() if name in rows[0]}
    frame = pl.DataFrame(rows, schema=schema).with_columns(computed_at=pl.lit(now))
    transactions = {}
    if words_to is not None and words_to > (-1 if ledger.told_to is None else ledger.told_to):
        transactions[READ_TO] = words_to
    try:
        ledger.table.append(
            frame,
            transactions=transactions,
            committed=dict.fromkeys(transactions, ledger.told_to),
        )
    except OffsetRegression as error:
        message = "another process closed the books at the same moment; run it again"
        raise TableConflict(message) from error
    compact_if_crowded(ledger.table, many=MANY_FILES)


def _account(lake: Lake, *, changed: int, log_was_asked: bool) -> BooksAccount:
    rows = lake.table("books").scan()
    latest = latest_rows(rows.select(*PAGE, *SUMS, "state", "computed_at")).collect()
    differing = latest.filter(pl.col("state") == str(State.DIFFERENCE))
    differences = rows.drop("received_json").join(
        differing.lazy(), on=[*PAGE, "computed_at"], how="semi"
    )
    pages = Tally(latest["state"].to_list())
    return BooksAccount(
        pages={str(state): pages[str(state)] for state in State},
        sums={name: int(latest[name].sum()) for name in SUMS},
        differences=differences.sort("hour_start", *PAGE).collect().to_dicts(),
        changed=changed,
        log_was_asked=log_was_asked,
    )
