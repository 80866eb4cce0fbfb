"""Test drives of a file against the corridor times in the lake."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from clearway_core.calendar import read_calendar
from clearway_core.city import City
from clearway_core.corridor_lines import read_corridors
from clearway_core.errors import InsufficientData, UsageError
from clearway_core.lake import Lake
from clearway_transforms.corridors.drive_file import read_drives
from clearway_transforms.corridors.verification import compare
from clearway_transforms.parameters import (
    congestion_parameters,
    corridor_parameters,
    reliability_parameters,
)
from clearway_transforms.reliability.periods import days_frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What test drives say about corridor times.

    Parameters
    ----------
    rows
        One per corridor, direction and period; see
        `clearway_transforms.corridors.verification.compare`.
    n_drives, n_compared
        Drives in the file, and those with observed times to compare with.
    interval_level
        Of the intervals. [1]
    first_date, last_date
        Local days of the drives.
    """

    rows: pl.DataFrame
    n_drives: int
    n_compared: int
    interval_level: float
    first_date: date
    last_date: date


def verify_corridors(lake: Lake, file: Path, city: City | None) -> Verification:
    """Return whether an agency's own test drives agree with the travel times of corridors.

    Parameters
    ----------
    lake
        Holds ``corridor_times``.
    file
        CSV of drives; see `clearway_transforms.corridors.drive_file`.
    city
        Its corridors, clock and calendar.

    Raises
    ------
    UsageError
        If the city pack has no corridors.
    SettingsError
        With every fault of the file.
    InsufficientData
        If corridor times were never built, or none of the days of the drives was.
    """
    known = {(corridor.name, corridor.direction) for corridor in read_corridors(city)}
    if city is None or not known:
        message = (
            "expected a city pack with corridors.geojson, found none: draw its corridors, name "
            "the pack with --city and build again"
        )
        raise UsageError(message)
    drives = read_drives(file, corridors=known, time_zone=city.time_zone)
    local = drives["started_at"].dt.convert_time_zone(city.time_zone.key).dt.date()
    first, last = local.min(), local.max()
    if not isinstance(first, date) or not isinstance(last, date):
        message = f"expected drives in {file}, found none"
        raise InsufficientData(message)
    times = _times(lake, first, last)
    level = congestion_parameters().interval_level
    rows = compare(
        drives.lazy(),
        times.lazy(),
        days_frame(read_calendar(city), first, last + timedelta(days=1)),
        time_zone=city.time_zone.key,
        parameters=corridor_parameters(),
        hours=reliability_parameters(),
        interval_level=level,
    ).collect()
    return Verification(
        rows=rows,
        n_drives=drives.height,
        n_compared=int(rows["n_compared"].sum()),
        interval_level=level,
        first_date=first,
        last_date=last,
    )


def _times(lake: Lake, first: date, last: date) -> pl.DataFrame:
    """Return the corridor times of local days, and of the days beside them by UTC."""
    one = timedelta(days=1)
    table = lake.table("corridor_times")
    times = table.scan(
        [("window_date", ">=", first - one), ("window_date", "<=", last + one)]
    ).collect()
    if times.is_empty():
        held = table.partition_values()["window_date"].cast(pl.String).to_list()
        built = f"there are times from {held[0]} to {held[-1]}" if held else "none exist"
        message = (
            f"expected corridor times from {first} to {last}, the days of the drives, but {built}: "
            "run `clearway build congestion` with fixes of those days"
        )
        raise InsufficientData(message)
    return times
