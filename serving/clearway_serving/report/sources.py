"""The tables that a report reads: at the version that passed its quality gate, through the gate."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from clearway_core.lake import Lake
from clearway_serving.published import Product, PublishedTables, checked_version
from clearway_transforms import jobs as transforms
from clearway_transforms.comparison.month import Month
from clearway_transforms.congestion.cells import ALL_CLASSES
from clearway_transforms.jobs.release import rule_of
from clearway_transforms.release import gate


class Sources:
    """Reads published rows, and remembers which version of each table was read.

    Parameters
    ----------
    lake
        The lake.
    quality_dir
        Where the quality gate puts its report, if it has to run.
    """

    def __init__(self, lake: Lake, *, quality_dir: Path) -> None:
        self.lake = lake
        self.versions: dict[str, int] = {}
        self._quality_dir = quality_dir
        self._published = PublishedTables(lake)

    def product(self, table: str) -> Product | None:
        """Return the cells and windows of a table that were built last, as exports take them."""
        return next(iter(self._published.products(table)), None)

    def windows(self, product: Product) -> pl.LazyFrame:
        """Return the public rows of ``congestion`` of one product, lazily: a month has millions."""
        version = self._passed("congestion")
        return transforms.released(
            self.lake,
            "congestion",
            resolution=product.resolution,
            window_minutes=product.window_minutes,
            version=version,
        )

    def public(self, table: str) -> pl.DataFrame:
        """Return all rows of a table that may leave the house; none if it was never built.

        Raises
        ------
        InsufficientData
            If no version of the table passed its quality gate.
        """
        version = self._passed(table)
        if version is None:
            return self.lake.table(table).scan().head(0).collect()
        return self._through_gate(self._published.read(table, version))

    def candidates(self, table: str) -> pl.LazyFrame:
        """Return the rows of class 'all' at the same version, released or not; to count them."""
        rows = self.lake.table(table).scan(version=self._passed(table))
        return rows.filter(pl.col("vehicle_class") == ALL_CLASSES)

    def kept(self, table: str) -> pl.LazyFrame:
        """Return a table of sums that stays in the house, at its newest version."""
        version = self.lake.table(table).version()
        if version is not None:
            self.versions[table] = version
        return self.lake.table(table).scan(version=version)

    def _passed(self, table: str) -> int | None:
        """Return the version that is read; None if there is nothing to check."""
        if self.lake.table(table).scan().head(1).collect().is_empty():
            return None
        if table not in self.versions:
            self.versions[table] = checked_version(self.lake, table, report_dir=self._quality_dir)
        return self.versions[table]

    def _through_gate(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Apply the rows' own counts once more: a report must not depend on one gate alone."""
        return gate.release(rows.lazy(), rule_of(self.lake)).collect()


def of_month(rows: pl.DataFrame, month: Month, resolution: int) -> pl.DataFrame:
    """Return the rows of a table by span that are of a month and of one size of cell."""
    mine = (pl.col("span") == str(month)) & (pl.col("resolution") == resolution)
    return rows.filter(mine)


def days_of_month(rows: pl.DataFrame, month: Month) -> pl.DataFrame:
    """Return the rows of a table by local day that are of a month."""
    return rows.filter(pl.col("local_date").is_between(month.first, month.last))
