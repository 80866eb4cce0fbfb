"""What became of every reading of a trial, told by the lake and by the gateway's own books."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from clearway_core.data_dir import DataDir
from clearway_core.lake import Lake, open_lake
from clearway_core.schema import polars_schema
from clearway_core.stream.embedded import EmbeddedLog
from clearway_core.stream.log import Log
from clearway_ingest.books.closing import close_books
from clearway_ingest.jobs import ingest

GPS = "gps_ping/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Readings of one trial.

    Parameters
    ----------
    given
        Readings that the sender gave, or was told are safe.
    stored
        Different readings in the lake.
    duplicates
        Rows of the lake beyond those.
    strangers
        Readings in the lake that nobody gave.
    quarantined
        Rows in quarantine.
    read, dropped, spooled, missing
        What the closed books say.
    unclean_at_most
        Serial readings that its unclean stops can have cost, by the books.
    """

    given: int
    stored: int
    duplicates: int
    strangers: int
    quarantined: int
    read: int
    dropped: int
    spooled: int
    missing: int
    unclean_at_most: int

    @property
    def lost(self) -> int:
        """Readings that were given and are neither in the lake nor counted by the gateway."""
        return self.given - self.stored - self.quarantined - self.dropped - self.spooled


def filled_lake(data_dir: Path, log: Log | None = None) -> Lake:
    """Ingest everything into the lake of a data folder, close the books, and return the lake.

    Parameters
    ----------
    data_dir
        The lake is made in it.
    log
        The log; None: the embedded one of the folder.
    """
    lake = open_lake(data_dir)
    source = log or EmbeddedLog(DataDir(data_dir).log_file)
    try:
        ingest(lake, source, until_idle=True)
        close_books(lake, source)
    finally:
        if log is None:
            source.close()
    return lake


def account_of(lake: Lake, gateway: str, given: Sequence[int]) -> Account:
    """Return what became of the readings of a gateway.

    Parameters
    ----------
    given
        Instants of the readings that it was given. [ms since 1970]
    """
    rows = _rows(lake, "gps_pings", "observed_at", "gateway").filter(pl.col("gateway") == gateway)
    stored = [round(at.timestamp() * 1000) for at in rows["observed_at"]] if len(rows) else []
    quarantined = _rows(lake, "quarantine", "contract", "gateway")
    pages = _pages(lake, gateway)
    wanted = set(given)
    return Account(
        given=len(wanted),
        stored=len(wanted & set(stored)),
        duplicates=len(stored) - len(set(stored)),
        strangers=len(set(stored) - wanted),
        quarantined=quarantined.filter(
            (pl.col("contract") == GPS) & (pl.col("gateway") == gateway)
        ).height,
        read=int(pages["n_read"].sum()),
        dropped=int(pages["n_dropped"].sum()),
        spooled=int(pages["n_spooled"].sum()),
        missing=int(pages["n_missing"].sum()),
        unclean_at_most=int(pages["n_unclean_at_most"].sum()),
    )


def _pages(lake: Lake, gateway: str) -> pl.DataFrame:
    """Return the closed books of a gateway's fixes, a row for each page."""
    columns = (
        "gateway", "about_contract", "about_boot", "page", "computed_at", "n_read", "n_dropped",
        "n_spooled", "n_missing", "n_unclean_at_most", "dropped_by_reason",
    )  # fmt: skip
    rows = _rows(lake, "books", *columns)
    return (
        rows.filter((pl.col("about_contract") == GPS) & (pl.col("gateway") == gateway))
        .sort("computed_at")
        .unique(["about_boot", "page"], keep="last", maintain_order=True)
    )


def dropped_by_reason(lake: Lake, gateway: str) -> dict[str, int]:
    """Return what a gateway gave up, by reason."""
    total: dict[str, int] = {}
    for text in _pages(lake, gateway)["dropped_by_reason"]:
        for reason, count in json.loads(text).items():
            total[reason] = total.get(reason, 0) + count
    return total


def _rows(lake: Lake, name: str, *columns: str) -> pl.DataFrame:
    table = lake.table(name)
    if table.version() is None:
        schema = polars_schema(table.contract)
        return pl.DataFrame(schema={column: schema[column] for column in columns})
    return table.scan().select(columns).collect()
