"""Raw GPS of a day and vehicle bucket, with what lies just before and after the day."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import polars as pl

from clearway_core.lake import Lake
from clearway_transforms.jobs.days import day_start

BEFORE_DAY = timedelta(minutes=75)
"""The hour before midnight settles which legs cross it, and a little before that its first fix."""

AFTER_DAY = timedelta(minutes=20)
"""A leg that begins before midnight, and a halt around it, end within this."""


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
