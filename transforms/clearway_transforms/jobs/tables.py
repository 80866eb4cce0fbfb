"""What the jobs read from and write to the lake."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

import polars as pl

from clearway_core.contracts.field import Contract
from clearway_core.lake import Lake, Table
from clearway_transforms.congestion.speed import space_mean_kmh

BEFORE_DAY = timedelta(minutes=75)
"""The hour before midnight settles which legs cross it, and a little before that its first fix."""

AFTER_DAY = timedelta(minutes=20)
"""A leg that begins before midnight, and a halt around it, end within this."""


def day_start(day: date) -> datetime:
    """Return the UTC midnight at which a day begins."""
    return datetime.combine(day, time(), UTC)


def ping_days(
    lake: Lake, time_from: datetime | None = None, time_to: datetime | None = None
) -> dict[date, list[int]]:
    """Return the UTC days with raw GPS and the vehicle buckets of each and of its neighbours.

    Parameters
    ----------
    lake
        The lake.
    time_from, time_to
        Bounds [from, to) of what changed; a day whose legs could be touched by it is included.
    """
    held = lake.table("gps_pings").partition_values()
    days = held["observed_date"].unique().sort().to_list()
    earliest = None if time_from is None else (time_from - AFTER_DAY).date()
    latest = None if time_to is None else (time_to + BEFORE_DAY).date()
    buckets = {
        day: held.filter(
            pl.col("observed_date").is_between(day - timedelta(days=1), day + timedelta(days=1))
        )["vehicle_bucket"]
        .unique()
        .sort()
        .to_list()
        for day in days
    }
    return {
        day: numbers
        for day, numbers in buckets.items()
        if (earliest is None or day >= earliest) and (latest is None or day <= latest)
    }


def scan_pings(lake: Lake, day: date, bucket: int) -> pl.LazyFrame:
    """Return the fixes of one vehicle bucket on a UTC day and around its edges."""
    days = [day + timedelta(days=step) for step in (-1, 0, 1)]
    start = day_start(day)
    return (
        lake.table("gps_pings")
        .scan([("observed_date", "in", days), ("vehicle_bucket", "=", bucket)])
        .filter(
            pl.col("observed_at").is_between(
                start - BEFORE_DAY, start + timedelta(days=1) + AFTER_DAY, closed="left"
            )
        )
    )


def scan_windows(
    table: Table,
    *,
    resolution: int,
    window_minutes: int,
    days: Sequence[date] | None = None,
    version: int | None = None,
) -> pl.LazyFrame:
    """Return the rows of one resolution and window length, on some days or all."""
    conditions: list[tuple[str, str, object]] = [
        ("resolution", "=", resolution),
        ("window_minutes", "=", window_minutes),
    ]
    if days is not None:
        conditions.append(("window_date", "in", list(days)))
    return table.scan(conditions, version=version)


def window_days(table: Table, *, resolution: int, window_minutes: int) -> list[date]:
    """Return the days for which a table holds rows of this resolution and window length."""
    return (
        table.partition_values()
        .filter(
            (pl.col("resolution") == resolution) & (pl.col("window_minutes") == window_minutes)
        )["window_date"]
        .sort()
        .to_list()
    )


def finished(
    rows: pl.LazyFrame, contract: Contract, *, resolution: int, window_minutes: int
) -> pl.LazyFrame:
    """Return the rows with every column of the contract, in the order of its key."""
    names = set(contract.columns)
    rows = rows.with_columns(
        resolution=pl.lit(resolution, dtype=pl.Int32),
        window_minutes=pl.lit(window_minutes, dtype=pl.Int32),
    )
    if "window_date" in names:
        rows = rows.with_columns(window_date=pl.col("window_start").dt.date())
    return rows.select(contract.columns).sort(contract.key)


def replace_days(
    table: Table,
    rows: pl.DataFrame,
    days: Sequence[date],
    *,
    resolution: int,
    window_minutes: int,
) -> int:
    """Put the rows in the place of all of these days, this resolution and window length."""
    return table.replace(
        rows,
        {
            "resolution": [resolution],
            "window_minutes": [window_minutes],
            "window_date": list(days),
        },
    )


def n_providers(lake: Lake) -> pl.LazyFrame:
    """Return, as one value, how many providers the data have ever held.

    From the counts, which stay when raw GPS and vehicle travel are deleted.
    """
    providers = lake.table("cleaning_counts").scan().filter(pl.col("subject") == "provider")
    return providers.select(pl.col("name").n_unique().cast(pl.Int64))


def most_vehicles(vehicle_travel: pl.LazyFrame) -> pl.LazyFrame:
    """Return, as one value, the most distinct pseudonyms of one epoch that moved."""
    return (
        vehicle_travel.filter(pl.col("duration_ms") > 0)
        .group_by("pseudonym_epoch")
        .agg(n=pl.struct("provider", "vehicle").n_unique().cast(pl.Int64))
        .select(pl.col("n").max())
    )


def totals(cell_travel: pl.LazyFrame) -> pl.LazyFrame:
    """Return, as one row, how many rows, cells and windows there are, and the mean of them all."""
    return cell_travel.select(
        n_rows=pl.len().cast(pl.Int64),
        n_cells=pl.col("h3_cell").n_unique().cast(pl.Int64),
        n_windows=pl.col("window_start").n_unique().cast(pl.Int64),
        city_mean_kmh=space_mean_kmh(pl.col("distance_mm").sum(), pl.col("duration_ms").sum()),
    )
