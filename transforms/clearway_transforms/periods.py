"""Periods of the local day, and what was driven in each of them.

Every window of 15 minutes belongs to one local calendar day and one period of it. Hours are those
of the city's clock: the day on which the clock is put forward has 23 of them.
"""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import polars_h3

from clearway_core.calendar import HOLIDAY, WORKDAY, Calendar
from clearway_transforms import cells
from clearway_transforms.parameters import ReliabilityParameters
from clearway_transforms.travel import BASE_WINDOW_MINUTES

DAY_COLUMNS = ("day_type", "day_group", "day_tags", "tagged")
"""What `days_frame` knows of each day."""

_ALL_DAYS = "all"
_WEEKEND = "weekend"


def days_frame(calendar: Calendar, first: date, last: date) -> pl.LazyFrame:
    """Return one row per day from first to last: ``local_date`` and `DAY_COLUMNS`.

    ``tagged`` is whether the day lies in a school break or has an event.
    """
    rows = []
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        kind = calendar.day_type(day)
        group = kind if kind in {WORKDAY, HOLIDAY} else _WEEKEND
        special = any(not tag.startswith(HOLIDAY) for tag in calendar.tags(day))
        rows.append((day, kind, group, calendar.tag_text(day), special))
    schema = {
        "local_date": pl.Date,
        "day_type": pl.String,
        "day_group": pl.String,
        "day_tags": pl.String,
        "tagged": pl.Boolean,
    }
    return pl.LazyFrame(rows, schema=schema, orient="row")


def with_period(
    rows: pl.LazyFrame,
    days: pl.LazyFrame,
    parameters: ReliabilityParameters,
    *,
    time_zone: str,
) -> pl.LazyFrame:
    """Return the rows of these days with their place in the calendar.

    Parameters
    ----------
    rows
        Rows with ``window_start``, of windows no longer than an hour.
    days
        From `days_frame`; rows of other days are left out.
    parameters
        Hours at which periods begin.
    time_zone
        IANA name of the city's clock.

    Returns
    -------
    polars.LazyFrame
        With ``local_date``, ``minute_of_day`` (of the window's start), ``period``, `DAY_COLUMNS`.
        ``day_group`` is 'all' overnight: nights are compared whatever the day.
    """
    local = pl.col("window_start").dt.convert_time_zone(time_zone)
    placed = rows.with_columns(
        local_date=local.dt.date(),
        minute_of_day=local.dt.hour().cast(pl.Int32) * 60 + local.dt.minute().cast(pl.Int32),
    ).join(days, on="local_date", how="inner", validate="m:1")
    overnight = pl.col("period") == "overnight"
    return placed.with_columns(period=period_of(parameters)).with_columns(
        day_group=pl.when(overnight).then(pl.lit(_ALL_DAYS)).otherwise("day_group")
    )


def period_of(parameters: ReliabilityParameters) -> pl.Expr:
    """Return the period of rows with ``minute_of_day`` and ``day_type``.

    References
    ----------
    23 CFR 490.511 and 490.611 (United States): the periods of level of travel time reliability and
    of truck travel time reliability. A public holiday counts as a day off here.
    """
    hour = pl.col("minute_of_day") // 60
    day = (hour >= parameters.morning_peak_from_hour) & (hour < parameters.overnight_from_hour)
    return (
        pl.when(~day)
        .then(pl.lit("overnight"))
        .when(pl.col("day_type") != WORKDAY)
        .then(pl.lit("daytime"))
        .when(hour < parameters.midday_from_hour)
        .then(pl.lit("morning_peak"))
        .when(hour < parameters.evening_peak_from_hour)
        .then(pl.lit("midday"))
        .otherwise(pl.lit("evening_peak"))
    )


def period_travel(
    vehicle_travel: pl.LazyFrame,
    days: pl.LazyFrame,
    parameters: ReliabilityParameters,
    *,
    resolution: int,
    time_zone: str,
) -> pl.LazyFrame:
    """Return sums and distinct vehicles per cell, period and local day.

    Parameters
    ----------
    vehicle_travel
        Rows at the base resolution and window, queues counted.
    days
        From `days_frame`; other days are left out.
    parameters
        Hours at which periods begin.
    resolution
        H3 resolution, not finer than that of the rows.
    time_zone
        IANA name of the city's clock.

    Returns
    -------
    polars.LazyFrame
        Columns of ``period_travel`` but for resolution.

    Notes
    -----
    Distances and times of the period are added up; vehicles are counted anew over the whole of it,
    as in `clearway_transforms.cells.cell_travel`, of which a period is just a longer window.
    """
    placed = with_period(vehicle_travel, days, parameters, time_zone=time_zone).with_columns(
        seen_start="window_start", window_start=_label(parameters)
    )
    rolled = cells.roll_up(placed, resolution=resolution, window_minutes=BASE_WINDOW_MINUTES)
    sums = cells.cell_travel(cells.with_all_classes(rolled))
    key = ["h3_cell", "window_start", "vehicle_class"]
    sums = sums.join(_windows(placed, resolution), on=key, how="left", validate="1:1")
    start = pl.col("window_start")
    return (
        sums.with_columns(local_date=start.dt.date(), minute_of_day=start.dt.hour() * 60)
        .join(days, on="local_date", how="inner", validate="m:1")
        .with_columns(period=period_of(parameters), time_zone=pl.lit(time_zone))
        .drop("window_start", "minute_of_day", "day_group", "tagged")
    )


def _label(parameters: ReliabilityParameters) -> pl.Expr:
    """Return an instant that stands for local day and period: the clock's reading, called UTC."""
    hours = {
        "overnight": 0,
        "daytime": parameters.morning_peak_from_hour,
        "morning_peak": parameters.morning_peak_from_hour,
        "midday": parameters.midday_from_hour,
        "evening_peak": parameters.evening_peak_from_hour,
    }
    hour = pl.col("period").replace_strict(hours, return_dtype=pl.Int64)
    midnight = pl.col("local_date").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return midnight + pl.duration(hours=hour)


def _windows(placed: pl.LazyFrame, resolution: int) -> pl.LazyFrame:
    """Return in how many windows of 15 minutes a vehicle moved, per cell, period and class."""
    cell = polars_h3.cell_to_parent(pl.col("h3_cell"), resolution).cast(pl.UInt64)
    key = ["h3_cell", "window_start"]
    moved = placed.filter(pl.col("duration_ms") > 0).select(
        "window_start", "seen_start", "vehicle_class", h3_cell=cell
    )
    windows = pl.col("seen_start").n_unique().cast(pl.Int64)
    together = moved.group_by(key).agg(vehicle_class=pl.lit(cells.ALL_CLASSES), n_windows=windows)
    by_class = moved.group_by(*key, "vehicle_class").agg(n_windows=windows)
    columns = [*key, "vehicle_class", "n_windows"]
    return pl.concat([together.select(columns), by_class.select(columns)])
