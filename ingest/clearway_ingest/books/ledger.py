"""The gateways' words about their pages, and the rows of the table ``books``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, cast

import orjson
import polars as pl

from clearway_core.contracts.fleet_tables import BOOKS
from clearway_core.lake import Lake, Table
from clearway_ingest.books.balance import Balance, Told
from clearway_ingest.ranges import Counter, Span

PAGE = BOOKS.key
SUMS = (
    "n_read", "n_stored", "n_quarantined", "n_on_the_way", "n_spooled", "n_dropped", "n_missing",
    "n_written_off", "n_came_back", "n_unclean_stops", "n_unclean_at_most",
)  # fmt: skip
"""Columns of ``books`` that add up."""
_ORDER = (
    "n_read",
    pl.col("n_delivered") + pl.col("n_dropped"),
    "closed",
    "n_unclean_stops",
    "received_at",
    "log_offset",
    "seq",
)
"""A page's counts only grow, so that they themselves say which word is the later one, whatever a
clock or another log says; only among equal words the log decides."""

READ_TO = "clearway-books:gateway_books"
"""Under this name the table ``books`` commits up to which version ``gateway_books`` was read."""


class PageKey(NamedTuple):
    """One page."""

    counter: Counter
    page: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbered:
    """A page that the books know, by its numbers; `is_first`: the first that was ever told."""

    page: int
    seq_first: int
    seq_next: int
    n_untold: int
    is_first: bool


def page_of(row: Mapping[str, object]) -> PageKey:
    """Return which page a row of ``gateway_books``, ``books`` or ``book_write_offs`` is about."""
    boot, page = cast("int", row["about_boot"]), cast("int", row["page"])
    counter = Counter(str(row["about_contract"]), str(row["gateway"]), boot)
    return PageKey(counter, page)


def told_since(lake: Lake, version: int | None, now: int | None) -> dict[PageKey, Told]:
    """Return the latest word about each page of which a word came after a version.

    Parameters
    ----------
    lake
        The lake.
    version
        Version of ``gateway_books`` up to which words are known; None for nothing.
    now
        Its version now.
    """
    table = lake.table("gateway_books")
    if now is None or now == version:
        return {}
    days = _days_since(table, version)
    rows = (
        table.scan([] if days is None else [("observed_date", "in", days)], version=now)
        .sort(_ORDER)
        .group_by(PAGE, maintain_order=True)
        .last()
        .collect()
    )
    return {page_of(row): told_of(row) for row in rows.iter_rows(named=True)}


def _days_since(table: Table, version: int | None) -> list[object] | None:
    """Return the days that got files after a version; None for all, where that cannot be told."""
    delta = table.handle()
    if version is None or delta is None:
        return None
    try:
        before = table.handle_at(version)
    except Exception:  # noqa: BLE001 -- whatever is wrong with an old version: all days are read
        return None
    if before.metadata().id != delta.metadata().id:
        return None
    fresh = table.files().join(table.files(version), on="path", how="anti")
    return fresh["observed_date"].unique().to_list()


def told_of(row: Mapping[str, object]) -> Told:
    """Return the word in a row of ``gateway_books``."""
    return _told(row, spooled="n_spooled", dropped="n_dropped", closed="closed", at="received_at")


def told_before(row: Mapping[str, object]) -> Told:
    """Return the word that a row of ``books`` was computed from."""
    told = {**row, "n_read": cast("int", row["n_read"]) - cast("int", row["n_untold"])}
    return _told(
        told,
        spooled="n_told_spooled",
        dropped="n_told_dropped",
        closed="told_closed",
        at="told_at",
    )


def _told(row: Mapping[str, object], *, spooled: str, dropped: str, closed: str, at: str) -> Told:
    key = page_of(row)
    return Told(
        counter=key.counter,
        page=key.page,
        hour_start=cast("datetime", row["hour_start"]),
        seq_first=cast("int", row["seq_first"]),
        seq_next=cast("int", row["seq_next"]),
        n_read=cast("int", row["n_read"]),
        n_spooled=cast("int", row[spooled]),
        n_dropped=cast("int", row[dropped]),
        dropped_by_reason=str(row["dropped_by_reason"]),
        n_unclean_stops=cast("int", row["n_unclean_stops"]),
        n_unclean_at_most=cast("int", row["n_unclean_at_most"]),
        closed=bool(row[closed]),
        told_at=cast("datetime", row[at]),
    )


def entry(told: Told, found: Balance, received: Sequence[Span]) -> dict[str, object]:
    """Return the row of ``books`` for a page, without ``computed_at``."""
    return {
        "gateway": told.counter.gateway,
        "about_contract": told.counter.contract,
        "about_boot": told.counter.boot,
        "page": told.page,
        "hour_start": told.hour_start,
        "seq_first": told.seq_first,
        "seq_next": told.seq_next,
        "n_read": found.n_read,
        "n_stored": found.n_stored,
        "n_quarantined": found.n_quarantined,
        "n_on_the_way": found.n_on_the_way,
        "n_spooled": found.n_spooled,
        "n_dropped": found.n_dropped,
        "dropped_by_reason": told.dropped_by_reason,
        "n_missing": found.n_missing,
        "n_untold": found.n_untold,
        "n_written_off": found.n_written_off,
        "n_came_back": found.n_came_back,
        "n_unclean_stops": told.n_unclean_stops,
        "n_unclean_at_most": told.n_unclean_at_most,
        "state": str(found.state),
        "told_closed": told.closed,
        "n_told_spooled": told.n_spooled,
        "n_told_dropped": told.n_dropped,
        "received_json": orjson.dumps([list(span) for span in received]).decode(),
        "told_at": told.told_at,
    }


def received_before(row: Mapping[str, object]) -> list[Span]:
    """Return the numbers that had arrived when a row of ``books`` was computed."""
    return [Span(first, last) for first, last in orjson.loads(str(row["received_json"]))]


class Ledger:
    """The table ``books`` as it stands: the latest row of each page.

    Parameters
    ----------
    table
        The table.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self.told_to = table.transaction_version(READ_TO)
        self._rows = table.scan()
        names = ("seq_first", "seq_next", "n_untold", "state", "computed_at")
        self._latest = latest_rows(self._rows.select(*PAGE, *names)).collect()

    def unclosed(self) -> set[PageKey]:
        """Return the pages that are not closed."""
        rows = self._latest.filter(pl.col("state") != "closed").select(PAGE)
        return {page_of(row) for row in rows.iter_rows(named=True)}

    def pages(self, lowest: Mapping[Counter, int]) -> dict[Counter, list[Numbered]]:
        """Return the pages of counters from one on, and of those before the one that reaches most.

        Parameters
        ----------
        lowest
            From which page on, by counter.
        """
        wanted = pl.DataFrame(
            [(each.gateway, each.contract, each.boot, page) for each, page in lowest.items()],
            schema={**{name: self._latest.schema[name] for name in PAGE[:3]}, "lowest": pl.Int64()},
            orient="row",
        )
        mine = self._latest.join(wanted, on=PAGE[:3], how="inner", validate="m:1")
        earlier = pl.col("page") < pl.col("lowest")
        before = mine.filter(earlier).sort("seq_next", "page").group_by(PAGE[:3]).last()
        firsts = mine.group_by(PAGE[:3]).agg(pl.col("page").min().alias("first_page"))
        rows = pl.concat([mine.filter(~earlier), before.select(mine.columns)]).join(
            firsts, on=PAGE[:3], validate="m:1"
        )
        found: dict[Counter, list[Numbered]] = {counter: [] for counter in lowest}
        for row in rows.iter_rows(named=True):
            key = page_of(row)
            found[key.counter].append(
                Numbered(
                    page=key.page,
                    seq_first=row["seq_first"],
                    seq_next=row["seq_next"],
                    n_untold=row["n_untold"],
                    is_first=key.page == row["first_page"],
                )
            )
        return found

    def rows(self, pages: Collection[PageKey]) -> dict[PageKey, dict[str, object]]:
        """Return the latest rows of these pages, where there are any."""
        wanted = pl.DataFrame(
            [(p.counter.gateway, p.counter.contract, p.counter.boot, p.page) for p in pages],
            schema={name: self._latest.schema[name] for name in PAGE},
            orient="row",
        )
        latest = self._latest.join(wanted, on=PAGE, how="semi")
        rows = (
            self._rows.filter(pl.col("about_boot").is_in(latest["about_boot"].unique().to_list()))
            .join(latest.lazy(), on=[*PAGE, "computed_at"], how="semi")
            .collect()
        )
        return {page_of(row): row for row in rows.iter_rows(named=True)}

    def newest(self) -> datetime | None:
        """Return when the newest row was computed."""
        return cast("datetime | None", self._latest["computed_at"].max())


def latest_rows(books: pl.LazyFrame) -> pl.LazyFrame:
    """Return the row of each page that counts, of rows of ``books``."""
    return books.sort("computed_at").group_by(PAGE, maintain_order=True).last()


def written_off(lake: Lake) -> dict[PageKey, int]:
    """Return how many records people wrote off of each page, all decisions together."""
    rows = (
        lake.table("book_write_offs").scan().group_by(PAGE).agg(pl.col("n_records").sum()).collect()
    )
    return {page_of(row): row["n_records"] for row in rows.iter_rows(named=True)}
