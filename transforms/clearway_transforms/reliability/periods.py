"""Periods of the local day, and what was driven in each of them.

Every window of 15 minutes belongs to one local calendar day and one period of it. Hours are those
of the city's clock: the day on which the clock is put forward has 23 of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl

from clearway_core.calendar import HOLIDAY, TAG_SEPARATOR, WORKDAY, Calendar
from clearway_transforms.congestion import cells
from clearway_transforms.parameters import ReliabilityParameters
from clearway_transforms.travel.allocation import BASE_WINDOW_MINUTES, SUMS


def days_frame(calendar: Calendar, first: date, last: date) -> pl.LazyFrame:
    """Return one row per day from first to last.

    Its ``local_date``, ``day_type`` and ``day_tags``, and whether it is ``tagged``: lies in a
    school break or has an event.
    """
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    rows = [(day, calendar.day_type(day), calendar.tag_text(day)) for day in days]
    schema = {"local_date": pl.Date, "day_type": pl.String, "day_tags": pl.String}
    return _described(pl.LazyFrame(rows, schema=schema, orient="row"))


def stored_days(period_travel: pl.LazyFrame) -> pl.LazyFrame:
    """Return the days of rows of ``period_travel`` as `days_frame` gives them.

    What a day was when its rows were made: a calendar that changes later changes no figure until
    the day is built again.
    """
    return _described(period_travel.select("local_date", "day_type", "day_tags").unique())


def group_of() -> pl.Expr:
    """Return the day group of rows with ``day_type`` and ``period``: 'all' overnight."""
    return pl.when(pl.col("period") == "overnight").then(pl.lit("all")).otherwise(_group_of_day())


def _group_of_day() -> pl.Expr:
    kind = pl.col("day_type")
    return pl.when(kind.is_in([WORKDAY, HOLIDAY])).then(kind).otherwise(pl.lit("weekend"))


def _described(days: pl.LazyFrame) -> pl.LazyFrame:
    """Add ``tagged``: whether a day lies in a school break or has an event."""
    others = (
        pl.col("day_tags")
        .str.split(TAG_SEPARATOR)
        .list.eval(~pl.element().str.starts_with(HOLIDAY))
    )
    return days.with_columns(tagged=others.list.any().fill_null(value=False))


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
        With ``local_date``, ``minute_of_day`` (of the window's start), what `days_frame` knows
        of the day, ``period`` and ``day_group``.
    """
    windows = _windows(rows, days, parameters, time_zone=time_zone)
    return rows.join(windows, on="window_start", how="inner", validate="m:1")


def _windows(
    rows: pl.LazyFrame, days: pl.LazyFrame, parameters: ReliabilityParameters, *, time_zone: str
) -> pl.LazyFrame:
    """Return the place of each distinct window: few windows, many rows, one look at the clock."""
    local = pl.col("window_start").dt.convert_time_zone(time_zone)
    return (
        rows.select("window_start")
        .unique()
        .with_columns(
            local_date=local.dt.date(),
            minute_of_day=local.dt.hour().cast(pl.Int32) * 60 + local.dt.minute().cast(pl.Int32),
        )
        .join(days, on="local_date", how="inner", validate="m:1")
        .with_columns(period=period_of(parameters))
        .with_columns(day_group=group_of())
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
    apart: Sequence[str] = (),
) -> pl.LazyFrame:
    """Return sums and distinct vehicles per cell, period and local day.

    Parameters
    ----------
    vehicle_travel
        Rows at the base resolution and window, queues counted.
    days
        From `days_frame`; rows of other days are left out.
    parameters
        Hours at which periods begin.
    resolution
        H3 resolution, not finer than that of the rows.
    time_zone
        IANA name of the city's clock.
    apart
        Classes that 'all' leaves out; see `clearway_transforms.congestion.cells.with_all_classes`.

    Returns
    -------
    polars.LazyFrame
        Columns of ``period_travel`` but for resolution and clock.

    Notes
    -----
    Distances and times of the period are added up; vehicles are counted anew over the whole of it,
    as in `clearway_transforms.congestion.cells.cell_travel`, of which a period is just a longer
    window.
    """
    labels = _windows(vehicle_travel, days, parameters, time_zone=time_zone).select(
        "window_start", label=_label(parameters)
    )
    vehicle = ("provider", "vehicle", "pseudonym_epoch")
    rolled = (
        cells.roll_up(vehicle_travel, resolution=resolution, window_minutes=BASE_WINDOW_MINUTES)
        .join(labels, on="window_start", how="inner", validate="m:1")
        .group_by("h3_cell", "vehicle_class", *vehicle, window_start="label")
        .agg(pl.col(*SUMS, "n_seen").sum())
    )
    sums = cells.cell_travel(cells.with_all_classes(rolled, apart))
    start = pl.col("window_start")
    minute = start.dt.hour().cast(pl.Int32) * 60
    return (
        sums.with_columns(local_date=start.dt.date(), minute_of_day=minute)
        .join(days, on="local_date", how="inner", validate="m:1")
        .with_columns(period=period_of(parameters))
        .drop("window_start", "minute_of_day", "tagged")
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
