"""Which cells and windows a build makes, and where their rows lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from clearway_core.city import City
from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.errors import UsageError
from clearway_core.geo import COARSEST_RESOLUTION, FINEST_RESOLUTION
from clearway_core.lake import Lake
from clearway_transforms.travel.allocation import BASE_WINDOW_MINUTES

WINDOWS = (15, 60, 1440)
"""Window lengths that can be built [min]."""

BASE_RESOLUTION = 9

_NO_DAY = date.min
"""Of which no table holds rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """Which cells and windows are built, and by whose clock."""

    resolution: int
    window_minutes: int
    city: City | None = None

    def __post_init__(self) -> None:
        if not COARSEST_RESOLUTION <= self.resolution <= FINEST_RESOLUTION:
            message = (
                f"the resolution is {COARSEST_RESOLUTION} to {FINEST_RESOLUTION}, "
                f"got {self.resolution}"
            )
            raise UsageError(message)
        if self.window_minutes not in WINDOWS:
            lengths = ", ".join(map(str, WINDOWS))
            message = f"a window is {lengths} minutes long, got {self.window_minutes}"
            raise UsageError(message)

    @property
    def base(self) -> Product:
        """Cells and windows in which vehicle travel is kept for this product."""
        return Product(
            resolution=max(BASE_RESOLUTION, self.resolution),
            window_minutes=BASE_WINDOW_MINUTES,
            city=self.city,
        )

    @property
    def time_zone(self) -> str:
        """IANA name of the clock by which hours, days and nights begin."""
        return "UTC" if self.city is None else self.city.time_zone.key

    def scan(
        self,
        lake: Lake,
        table: str,
        days: Sequence[date] | None = None,
        *,
        version: int | None = None,
    ) -> pl.LazyFrame:
        """Return a table's rows of this product, on some days or all."""
        conditions: list[tuple[str, str, object]] = [
            ("resolution", "=", self.resolution),
            ("window_minutes", "=", self.window_minutes),
        ]
        if days is not None:
            conditions.append(("window_date", "in", list(days) or [_NO_DAY]))
        return lake.table(table).scan(conditions, version=version)

    def held_days(self, lake: Lake, table: str) -> list[date]:
        """Return the days for which a table holds rows of this product, in order."""
        mine = (pl.col("resolution") == self.resolution) & (
            pl.col("window_minutes") == self.window_minutes
        )
        return lake.table(table).partition_values().filter(mine)["window_date"].sort().to_list()

    def replace(self, lake: Lake, table: str, rows: pl.LazyFrame, days: Sequence[date]) -> None:
        """Put the rows in the place of a table's rows of these days and this product."""
        lake.table(table).replace(
            self.finished(rows, table).collect(),
            {
                "resolution": [self.resolution],
                "window_minutes": [self.window_minutes],
                "window_date": list(days),
            },
        )

    def finished(self, rows: pl.LazyFrame, table: str) -> pl.LazyFrame:
        """Return the rows with every column of a table, in the order of its key."""
        contract = LAKE_CONTRACTS[table]
        rows = rows.with_columns(
            resolution=pl.lit(self.resolution, dtype=pl.Int32),
            window_minutes=pl.lit(self.window_minutes, dtype=pl.Int32),
        )
        if "window_date" in contract.columns:
            rows = rows.with_columns(window_date=pl.col("window_start").dt.date())
        return rows.select(contract.columns).sort(contract.key)

    def days_touched(self, days: Sequence[date]) -> list[date]:
        """Return the UTC dates on which windows begin that may hold travel of these days."""
        if self.window_minutes == BASE_WINDOW_MINUTES or self.city is None:
            return sorted(days)
        return sorted({day - timedelta(days=back) for day in days for back in (0, 1)})


BASE = Product(resolution=BASE_RESOLUTION, window_minutes=BASE_WINDOW_MINUTES)
"""In which vehicle travel is always kept, by UTC."""
