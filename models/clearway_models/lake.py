"""What models read from the lake, and the only place besides `jobs` that collects frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from clearway_core.errors import InsufficientData
from clearway_core.lake import Lake

ALL_CLASSES = "all"

_MAX_PRICING_MINUTES = 60
"""A window longer than an hour cannot be given to one period of the day."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Resolution and window that a table was built at."""

    resolution: int
    window_minutes: int

    def partitions(self) -> list[tuple[str, str, object]]:
        """Return the conditions that select its partitions."""
        return [
            ("resolution", "=", self.resolution),
            ("window_minutes", "=", self.window_minutes),
        ]


def find_grid(
    lake: Lake, *, resolution: int | None = None, window_minutes: int | None = None
) -> Grid:
    """Return the grid of the congestion table to work on.

    Parameters
    ----------
    lake
        Lake with a congestion table.
    resolution, window_minutes
        What must match; None takes what there is: resolution 9 before 8, 10 and 7, and the longest
        window up to an hour, since it holds the most vehicles.

    Raises
    ------
    InsufficientData
        If nothing was built that matches.
    """
    values = lake.table("congestion").partition_values()
    if not values.is_empty():
        values = values.select("resolution", "window_minutes").unique()
    grids = [Grid(*row) for row in values.rows()] if values.width == 2 else []  # noqa: PLR2004
    fitting = [
        grid
        for grid in grids
        if resolution in {None, grid.resolution}
        and window_minutes in {None, grid.window_minutes}
        and grid.window_minutes <= _MAX_PRICING_MINUTES
    ]
    if not fitting:
        held = ", ".join(f"{g.resolution} x {g.window_minutes} min" for g in sorted(grids, key=str))
        message = (
            "expected a congestion table"
            + (f" at resolution {resolution}" if resolution is not None else "")
            + (f" and {window_minutes} minutes" if window_minutes is not None else "")
            + f" with windows up to an hour; the lake has {held or 'none'}. "
            "Run `clearway build congestion` first."
        )
        raise InsufficientData(message)
    preference = {9: 0, 8: 1, 10: 2, 7: 3}
    return min(fitting, key=lambda g: (preference.get(g.resolution, 9), -g.window_minutes))


def congestion(lake: Lake, grid: Grid, *, version: int | None) -> pl.LazyFrame:
    """Return the congestion rows of all vehicles together."""
    rows = lake.table("congestion").scan(grid.partitions(), version=version)
    return rows.filter(pl.col("vehicle_class").eq(ALL_CLASSES))


def zone_windows(
    lake: Lake, cells: Sequence[int], grid: Grid, *, version: int | None
) -> pl.LazyFrame:
    """Return observed windows of a zone with the time that was driven in them.

    Columns: those of congestion, ``duration_ms`` and ``distance_mm`` of cell_travel.
    """
    keys = ["h3_cell", "window_start"]
    wanted = pl.col("h3_cell").is_in(pl.Series(cells, dtype=pl.UInt64).implode())
    travel = (
        lake.table("cell_travel")
        .scan(grid.partitions())
        .filter(wanted & pl.col("vehicle_class").eq(ALL_CLASSES))
        .select(*keys, "duration_ms", "distance_mm")
    )
    rows = congestion(lake, grid, version=version).filter(wanted)
    return rows.join(travel, on=keys, how="left", validate="1:1")


def zone_vehicles(lake: Lake, cells: Sequence[int], grid: Grid) -> pl.LazyFrame:
    """Return what each vehicle drove in a zone; none once raw retention has ended."""
    wanted = pl.col("h3_cell").is_in(pl.Series(cells, dtype=pl.UInt64).implode())
    return lake.table("vehicle_travel").scan(grid.partitions()).filter(wanted)


def raw_fix_days(lake: Lake, days: Sequence[date]) -> list[date]:
    """Return those of some UTC days of which the lake holds raw fixes."""
    values = lake.table("gps_pings").partition_values()
    held = set() if values.is_empty() else set(values["observed_date"])
    return [day for day in days if day in held]


def raw_fixes(lake: Lake, day: date) -> pl.LazyFrame:
    """Return where each vehicle was on a UTC day, and whether it had a passenger."""
    rows = lake.table("gps_pings").scan([("observed_date", "=", day)])
    return rows.select("provider", "vehicle", "observed_at", "lon_deg", "lat_deg", "occupied")


def zone_free_flow(lake: Lake, cells: Sequence[int], grid: Grid) -> pl.LazyFrame:
    """Return the free-flow speeds of a zone's cells with their look-back."""
    wanted = pl.col("h3_cell").is_in(pl.Series(cells, dtype=pl.UInt64).implode())
    rows = lake.table("free_flow").scan(grid.partitions())
    return rows.filter(wanted & pl.col("vehicle_class").eq(ALL_CLASSES))


def table_versions(lake: Lake, names: Sequence[str]) -> dict[str, int | None]:
    """Return the newest Delta version of each table; None for one that does not exist."""
    return {name: lake.table(name).version() for name in names}
