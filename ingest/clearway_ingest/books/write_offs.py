"""What a person writes off: readings on a card that is lost, in a device that was swapped."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

import polars as pl

from clearway_core.clock import Clock, SystemClock
from clearway_core.contracts.fleet_tables import BOOK_WRITE_OFFS
from clearway_core.errors import UsageError
from clearway_core.lake import Lake
from clearway_core.schema import polars_schema
from clearway_core.stream.log import Log
from clearway_ingest.books.balance import State
from clearway_ingest.books.closing import BooksAccount, close_books
from clearway_ingest.books.ledger import PAGE, latest_rows, page_of, written_off

SILENT_AFTER = timedelta(hours=1)
"""A gateway speaks every minute. One that has not for so long told its last page half, and a person
may declare that page over although nothing of it is known to be missing."""

_ID_CHARACTERS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOff:
    """What was written off.

    Parameters
    ----------
    write_off_id
        Identity of the decision.
    pages
        Rows of ``book_write_offs``.
    books
        How the books stand after it.
    """

    write_off_id: str
    pages: Sequence[Mapping[str, object]]
    books: BooksAccount

    @property
    def n_records(self) -> int:
        """Records written off."""
        return sum(cast("int", page["n_records"]) for page in self.pages)


def write_off(  # noqa: PLR0913 -- which books, and who decides why
    lake: Lake,
    log: Log | None,
    gateway: str,
    *,
    decided_by: str,
    reason: str,
    boot: int | None = None,
    hour_start: datetime | None = None,
    clock: Clock | None = None,
) -> WriteOff:
    """Write off what is missing or waits on a gateway at this moment.

    Parameters
    ----------
    lake, log
        As for `close_books`, which is done before and after.
    gateway
        Name of the device.
    decided_by, reason
        Who decides it, and why.
    boot, hour_start
        Only that boot, only that hour; None for all.
    clock
        Time of the decision.

    Raises
    ------
    UsageError
        If person or reason are empty, or nothing of that gateway is missing or waits.
    TableConflict
        If another process closed the books at the same moment: run it again.
    """
    if not decided_by.strip() or not reason.strip():
        message = "a write-off names the person who decides it and the reason, got an empty text"
        raise UsageError(message)
    clock = clock or SystemClock()
    close_books(lake, log, clock=clock)
    now = clock.now()
    decided = _decided(lake, gateway, now=now, boot=boot, hour_start=hour_start)
    text = repr([(now, decided_by, reason), *(sorted(page.items()) for page in decided)])
    write_off_id = hashlib.sha256(text.encode()).hexdigest()[:_ID_CHARACTERS]
    frame = pl.DataFrame(
        [
            {
                **page,
                "write_off_id": write_off_id,
                "reason": reason.strip(),
                "decided_by": decided_by.strip(),
                "decided_at": now,
            }
            for page in decided
        ],
        schema=polars_schema(BOOK_WRITE_OFFS),
    )
    lake.table("book_write_offs").append(frame)
    return WriteOff(
        write_off_id=write_off_id,
        pages=frame.to_dicts(),
        books=close_books(lake, log, clock=clock),
    )


def _decided(
    lake: Lake, gateway: str, *, now: datetime, boot: int | None, hour_start: datetime | None
) -> list[dict[str, object]]:
    rows = latest_rows(lake.table("books").scan().filter(pl.col("gateway") == gateway))
    if boot is not None:
        rows = rows.filter(pl.col("about_boot") == boot)
    if hour_start is not None:
        rows = rows.filter(pl.col("hour_start") == hour_start)
    unsettled = rows.filter(pl.col("state").is_in([str(State.OPEN), str(State.DIFFERENCE)]))
    before = written_off(lake)
    decided = []
    for row in unsettled.sort("about_contract", "about_boot", "page").collect().to_dicts():
        gap = row["n_missing"] + row["n_spooled"]
        is_silent = row["n_on_the_way"] == 0 and now - row["told_at"] >= SILENT_AFTER
        if gap == 0 and not is_silent:
            continue
        missing = gap - before.get(page_of(row), 0)
        page = {name: row[name] for name in (*PAGE, "hour_start")}
        decided.append({**page, "n_records": missing})
    if not decided:
        message = (
            f"nothing of gateway {gateway!r} is missing or waits"
            f"{'' if boot is None else f' in boot {boot}'}"
            f"{'' if hour_start is None else f' in the hour {hour_start:%Y-%m-%d %H:%M} UTC'}: "
            "`clearway ingest books` lists what is"
        )
        raise UsageError(message)
    return decided
