"""From raw air readings in the lake to hourly values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl

from clearway_core.city import City
from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.errors import InsufficientData
from clearway_core.lake import Lake
from clearway_core.progress import Progress, silent
from clearway_transforms.air import air_quality
from clearway_transforms.air.calibration import LinearCalibration, chosen
from clearway_transforms.jobs.days import day_start
from clearway_transforms.parameters import air_parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class AirAccount:
    """What a build of hourly air values read, left out and wrote.

    Parameters
    ----------
    days
        UTC days that were written.
    n_values
        Values of those days' readings, one per pollutant.
    rejected
        Values that were left out, by rule of `clearway_transforms.air.air_quality.RULES`.
    n_sensors, n_hours, n_complete
        Sensors; hours by sensor and pollutant; those of them that are complete.
    calibrations
        Hours by calibration.
    """

    days: tuple[date, ...]
    n_values: int
    rejected: Mapping[str, int]
    n_sensors: int
    n_hours: int
    n_complete: int
    calibrations: Mapping[str, int]


def build_air(  # noqa: PLR0913 -- the options of the command
    lake: Lake,
    *,
    city: City | None = None,
    calibration: str | None = None,
    trained: Path | None = None,
    time_from: datetime | None = None,
    time_to: datetime | None = None,
    progress: Progress = silent,
) -> AirAccount:
    """Build ``air_hourly`` from ``air_readings``, day by day; rows of touched days are replaced.

    Parameters
    ----------
    lake
        The lake.
    city
        Its clock says when hours begin (else UTC).
    calibration
        Identifier of a calibration; ``none`` for raw values only; None for the shipped default of
        each sensor model.
    trained
        Folder with trained calibrations, such as the data folder's ``models/calibration``.
    time_from, time_to
        Only days that readings in [from, to) can touch; None is without bound.
    progress
        Told after each day.

    Raises
    ------
    InsufficientData
        If there are no air readings in the time asked for.
    UsageError
        If there is no such calibration.
    """
    calibrations = chosen(calibration, trained)
    days = _days(lake, time_from, time_to, city=city)
    rejected: Counter[str] = Counter()
    by_calibration: Counter[str] = Counter()
    sensors: set[str] = set()
    n_values = n_hours = n_complete = 0
    for number, day in enumerate(days):
        values, hours = _day(lake, day, calibrations, city=city)
        rejected.update(dict(values["fault"].drop_nulls().value_counts().iter_rows()))
        by_calibration.update(dict(hours["calibration_id"].value_counts().iter_rows()))
        sensors.update(hours["sensor"].unique())
        n_values += values.height
        n_hours += hours.height
        n_complete += int(hours["complete"].sum())
        lake.table("air_hourly").replace(hours, {"hour_date": [day]})
        progress(number + 1, len(days), str(day))
    return AirAccount(
        days=tuple(days),
        n_values=n_values,
        rejected={rule: rejected[rule] for rule in air_quality.RULES},
        n_sensors=len(sensors),
        n_hours=n_hours,
        n_complete=n_complete,
        calibrations=dict(sorted(by_calibration.items())),
    )


def _days(
    lake: Lake, time_from: datetime | None, time_to: datetime | None, *, city: City | None
) -> list[date]:
    """Return the UTC days on which hours begin that readings in [from, to) can touch."""
    reach = timedelta(seconds=air_parameters().stuck_s)
    held = set(lake.table("air_readings").partition_values()["observed_date"])
    if city is not None:
        # Where clocks run by half hours, a day's first local hour begins on the UTC day before.
        held |= {day - timedelta(days=1) for day in held if _has_odd_minutes(day, city)}
    earliest = None if time_from is None else (time_from - reach).date()
    latest = None if time_to is None else (time_to + reach).date()
    days = sorted(
        day
        for day in held
        if (earliest is None or day >= earliest) and (latest is None or day <= latest)
    )
    if not days:
        message = (
            "expected air readings in the lake, found none: run `clearway replay` or a gateway, "
            "and `clearway ingest run` first"
        )
        raise InsufficientData(message)
    return days


def _has_odd_minutes(day: date, city: City) -> bool:
    offset = day_start(day).astimezone(city.time_zone).utcoffset() or timedelta()
    return offset % timedelta(hours=1) != timedelta()


def _day(
    lake: Lake, day: date, calibrations: tuple[LinearCalibration, ...], *, city: City | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the day's values with their faults, and its hours."""
    parameters = air_parameters()
    around = [day + timedelta(days=step) for step in (-1, 0, 1)]
    readings = lake.table("air_readings").scan([("observed_date", "in", around)])
    values = air_quality.by_pollutant(air_quality.first_of_each(readings), parameters).collect()
    hours = air_quality.hourly(
        values.lazy(),
        parameters,
        calibrations,
        time_zone="UTC" if city is None else city.time_zone.key,
    ).filter(pl.col("hour_date") == day)
    contract = LAKE_CONTRACTS["air_hourly"]
    rows = hours.select(contract.columns).sort(contract.key).collect()
    start = day_start(day)
    of_day = pl.col("observed_at").is_between(start, start + timedelta(days=1), closed="left")
    return values.filter(of_day), rows
