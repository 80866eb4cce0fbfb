"""What may be shown: rows of tables that passed the quality gate and the release gate.

Every other module of this package gets its numbers here, so there is one place to look at when
the question is whether a value may leave the house.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from threading import Lock

import polars as pl

from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.errors import ClearwayError, InsufficientData
from clearway_core.lake import Lake
from clearway_core.publication import JOURNAL, passed_version
from clearway_transforms import jobs as transforms

_FRAMES_KEPT = 8
"""Frames in memory: the tables and products that a few people look at side by side."""

DAYS_SHOWN = 31
"""Days that the pages reach back from the newest. It bounds the memory of a frame: 2,000 cells at
15 minutes make 6 million rows in a month, about 0.9 GB; exports hold every day."""

_DAYS = ("window_date", "hour_date")


class NothingPublished(ClearwayError):  # noqa: N818 -- named for what happened
    """No version of the table has passed the quality gate yet."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Product:
    """One combination of cell size and window length that was built.

    Parameters
    ----------
    resolution
        H3 resolution.
    window_minutes
        Length of a window. [min]
    """

    resolution: int
    window_minutes: int


def checked_version(lake: Lake, table: str, *, report_dir: Path) -> int:
    """Return the newest version that passed the quality gate, which looks at the newest first.

    Parameters
    ----------
    lake
        Where the table is.
    table
        One that was written.
    report_dir
        Where the gate puts its report, if nobody has checked the newest version yet.

    Raises
    ------
    InsufficientData
        If no version has passed.
    """
    newest = lake.table(table).version()
    same = pl.col("table_name").eq(table) & pl.col("table_version").eq(newest)
    if lake.table(JOURNAL).scan().filter(same).head(1).collect().is_empty():
        from clearway_quality.jobs import check  # noqa: PLC0415 -- slow, often not needed

        check(lake, table, report_dir=report_dir)
    passed = passed_version(lake, table)
    if passed is None:
        message = (
            f"no version of {table} has passed the quality gate, so nothing of it is handed on. "
            f"See the report in {report_dir}, repair the cause and build again."
        )
        raise InsufficientData(message)
    return passed


_Key = tuple[str, int, int | None, Product | None]
"""Table, its version, version of what was settled for release, product."""


class PublishedTables:
    """The lake as the outside may see it.

    Parameters
    ----------
    lake
        The lake.
    internal
        Read the newest version without either gate. For the agency's own staff only.
    live
        Also show days that are not settled for release yet, row by row through the gate. For the
        agency's own screens.
    """

    def __init__(self, lake: Lake, *, internal: bool = False, live: bool = False) -> None:
        self.lake = lake
        self.internal = internal
        self.live = live
        self._frames: OrderedDict[_Key, pl.DataFrame] = OrderedDict()
        self._lock = Lock()

    def version(self, table: str) -> int | None:
        """Return the Delta version that is shown: the newest that passed; None if none did."""
        if self.internal:
            return self.lake.table(table).version()
        return passed_version(self.lake, table)

    def products(self, table: str) -> tuple[Product, ...]:
        """Return what may be shown of a table by cell and window, the newest build first."""
        built = self.lake.table(table).partition_times()
        if built.is_empty():
            return ()
        newest = (
            built.group_by("resolution", "window_minutes")
            .agg(pl.col("written_at").max())
            .sort("written_at", "resolution", "window_minutes", descending=True)
        )
        laddered = not self.internal and table in transforms.LADDER_TABLES
        return tuple(
            Product(resolution=resolution, window_minutes=window_minutes)
            for resolution, window_minutes, _ in newest.iter_rows()
            if not laddered or (resolution, window_minutes) in transforms.LADDER
        )

    def frame(self, table: str, product: Product | None = None) -> pl.DataFrame:
        """Return the recent rows that may be shown, of one product where the table has products.

        Raises
        ------
        NothingPublished
            If no version of the table has passed the quality gate.
        """
        version = self.version(table)
        if version is None:
            message = (
                f"no version of {table} has passed the quality gate, so nothing of it is shown. "
                f"Build it, then run `clearway quality check {table}`."
            )
            raise NothingPublished(message)
        key = (table, version, self.lake.table("released_travel").version(), product)
        with self._lock:
            if key not in self._frames:
                self._frames[key] = self._recent(table, version, product)
                while len(self._frames) > _FRAMES_KEPT:
                    self._frames.popitem(last=False)
            self._frames.move_to_end(key)
            return self._frames[key]

    def read(self, table: str, version: int, product: Product | None = None) -> pl.DataFrame:
        """Return all rows of one Delta version that may be shown, straight from the lake."""
        return self._scan(table, version, product).collect()

    def _recent(self, table: str, version: int, product: Product | None) -> pl.DataFrame:
        rows = self._scan(table, version, product)
        day = next(
            (name for name in _DAYS if name in self.lake.table(table).contract.columns), None
        )
        newest = None if day is None else self.lake.table(table).partition_values()[day].max()
        if day is None or not isinstance(newest, date):
            return rows.collect()
        return rows.filter(pl.col(day) > newest - timedelta(days=DAYS_SHOWN)).collect()

    def _scan(self, table: str, version: int, product: Product | None) -> pl.LazyFrame:
        if self.internal or not transforms.gated(LAKE_CONTRACTS[table]):
            return self._ungated(table, version, product)
        rows: pl.LazyFrame = transforms.released(
            self.lake,
            table,
            resolution=None if product is None else product.resolution,
            window_minutes=None if product is None else product.window_minutes,
            version=version,
            live=self.live,
        )
        return rows

    def settled(self, start: datetime) -> bool:
        """Return whether the day that holds this instant is settled for release."""
        return any(begin <= start < end for begin, end in transforms.settled_spans(self.lake))

    def _ungated(self, table: str, version: int, product: Product | None) -> pl.LazyFrame:
        partitions: list[tuple[str, str, object]] = []
        if product is not None:
            partitions = [
                ("resolution", "=", product.resolution),
                ("window_minutes", "=", product.window_minutes),
            ]
        return self.lake.table(table).scan(partitions, version=version)
