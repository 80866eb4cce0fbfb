"""The statement of a month: what every gateway read, and where all of it is."""

from __future__ import annotations

import re
from collections import Counter as Tally
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import cast

import orjson
import polars as pl

from clearway_core.errors import InsufficientData, UsageError
from clearway_core.lake import Lake
from clearway_ingest.books.balance import State
from clearway_ingest.books.ledger import PAGE, SUMS, latest_rows

_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")
_DECEMBER = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One gateway and stream in a month.

    Parameters
    ----------
    gateway, contract
        Which.
    n_hours
        Hours of the month in which it told of readings.
    sums
        The columns of `SUMS`; ``n_read`` equals stored + quarantined + on the way + spooled +
        dropped + missing.
    dropped_by_reason
        Records that the gateway gave up, as it told them.
    pages
        Pages by state.
    """

    gateway: str
    contract: str
    n_hours: int
    sums: Mapping[str, int]
    dropped_by_reason: Mapping[str, int]
    pages: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A month of all gateways.

    Parameters
    ----------
    month
        Such as ``2026-01``.
    time_zone
        Whose months and hours.
    as_of
        When the books stood so. They are only ever added to: asked again with this moment, the
        same comes back.
    lines
        By gateway and stream.
    write_offs
        Decisions about hours of the month: gateway, contract, hours, records, reason, person, when.
    differences
        Pages with an open difference.
    """

    month: str
    time_zone: str
    as_of: datetime
    lines: Sequence[Line]
    write_offs: Sequence[Mapping[str, object]]
    differences: Sequence[Mapping[str, object]]

    def total(self) -> Mapping[str, int]:
        """Return the sums over all lines."""
        return {name: sum(line.sums[name] for line in self.lines) for name in SUMS}


def statement(
    lake: Lake, month: str, *, time_zone: tzinfo = UTC, as_of: datetime | None = None
) -> Statement:
    """Return the statement of a month.

    Parameters
    ----------
    lake
        Holds ``books`` and ``book_write_offs``.
    month
        Such as ``2026-01``.
    time_zone
        Whose month.
    as_of
        As the books stood then; None for now.

    Raises
    ------
    UsageError
        If it is no month.
    InsufficientData
        If no gateway told of readings in it.
    """
    start, end = _bounds(month, time_zone)
    in_month = pl.col("hour_start").is_between(start, end, closed="left")
    rows = lake.table("books").scan().drop("received_json")
    offs = lake.table("book_write_offs").scan().filter(in_month)
    if as_of is not None:
        rows = rows.filter(pl.col("computed_at") <= as_of)
        offs = offs.filter(pl.col("decided_at") <= as_of)
    books = latest_rows(rows).filter(in_month).collect()
    if books.is_empty():
        message = (
            f"no gateway told of readings in {month}: `clearway ingest books` closes the books of "
            "what has arrived"
        )
        raise InsufficientData(message)
    decisions = offs.collect()
    newest = [books["computed_at"].max(), decisions["decided_at"].max(), as_of]
    return Statement(
        month=month,
        time_zone=str(time_zone),
        as_of=max(cast("datetime", moment) for moment in newest if moment is not None),
        lines=_lines(books),
        write_offs=_write_offs(decisions),
        differences=books.filter(pl.col("state") == str(State.DIFFERENCE))
        .sort("hour_start", *PAGE)
        .to_dicts(),
    )


def _bounds(month: str, time_zone: tzinfo) -> tuple[datetime, datetime]:
    match = _MONTH.fullmatch(month)
    if match is None or int(match[1]) == 0:
        message = f"expected a month such as 2026-01, got {month!r}"
        raise UsageError(message)
    year, number = int(match[1]), int(match[2])
    later = (year + 1, 1) if number == _DECEMBER else (year, number + 1)
    start, end = (datetime(y, m, 1, tzinfo=time_zone) for y, m in ((year, number), later))
    return start.astimezone(UTC), end.astimezone(UTC)


def _lines(books: pl.DataFrame) -> list[Line]:
    lines = []
    by_stream = books.sort("gateway", "about_contract").group_by(
        "gateway", "about_contract", maintain_order=True
    )
    for (gateway, contract), rows in by_stream:
        dropped: Tally[str] = Tally()
        for reasons in rows["dropped_by_reason"]:
            dropped.update(orjson.loads(reasons))
        pages = Tally(rows["state"].to_list())
        lines.append(
            Line(
                gateway=str(gateway),
                contract=str(contract),
                n_hours=rows["hour_start"].n_unique(),
                sums={name: int(rows[name].sum()) for name in SUMS},
                dropped_by_reason=dict(sorted(dropped.items())),
                pages={str(state): pages[str(state)] for state in State},
            )
        )
    return lines


def _write_offs(decisions: pl.DataFrame) -> list[dict[str, object]]:
    return (
        decisions.group_by(
            "decided_at", "write_off_id", "gateway", "about_contract", "reason", "decided_by"
        )
        .agg(
            pl.col("n_records").sum(),
            pl.col("hour_start").min().alias("first_hour_start"),
            pl.col("hour_start").max().alias("last_hour_start"),
        )
        .sort("decided_at", "gateway", "about_contract")
        .to_dicts()
    )
