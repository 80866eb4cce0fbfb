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
from clearway_transforms.jobs import tables
from clearway_transforms.travel import allocation

WINDOWS = (15, 60, 1440)
"""Window lengths that can be built [min]."""

BASE_RESOLUTION = 9


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
    def base(self) -> int:
        """Resolution at which vehicle travel is kept for this product."""
        return max(BASE_RESOLUTION, self.resolution)

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
        """Return a table's rows of this product."""
        return tables.scan_windows(
            lake.table(table),
            resolution=self.resolution,
            window_minutes=self.window_minutes,
            days=days,
            version=version,
        )

    def scan_vehicles(self, lake: Lake, days: Sequence[date] | None = None) -> pl.LazyFrame:
        """Return the vehicle travel that this product is made of."""
        return tables.scan_windows(
            lake.table("vehicle_travel"),
            resolution=self.base,
            window_minutes=allocation.BASE_WINDOW_MINUTES,
            days=days,
        )

    def days_touched(self, days: Sequence[date]) -> list[date]:
        """Return the UTC dates on which windows begin that may hold travel of these days."""
        if self.window_minutes == allocation.BASE_WINDOW_MINUTES or self.city is None:
            return sorted(days)
        return sorted({day - timedelta(days=back) for day in days for back in (0, 1)})


def finished(rows: pl.LazyFrame, table: str, product: Product) -> pl.LazyFrame:
    """Return the rows with every column of a table, in the order of its key."""
    return tables.finished(
        rows,
        LAKE_CONTRACTS[table],
        resolution=product.resolution,
        window_minutes=product.window_minutes,
    )


def replace(
    lake: Lake, table: str, rows: pl.LazyFrame, *, product: Product, days: Sequence[date]
) -> None:
    """Put the rows in the place of a table's rows of these days and this product."""
    tables.replace_days(
        lake.table(table),
        finished(rows, table, product).collect(),
        days,
        resolution=product.resolution,
        window_minutes=product.window_minutes,
    )
