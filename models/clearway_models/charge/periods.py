"""Periods of a tariff: hours of working and free days, in local time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from clearway_core.calendar import WORKDAY, Calendar
from clearway_core.settings import Section

_HOURS = 24

DAY_KINDS = ("working", "free", "all")


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Hours in which one price holds.

    Parameters
    ----------
    name, label
        For machines and for people.
    days
        ``working``, ``free`` (days of rest and holidays) or ``all``.
    start_hour, end_hour
        Local hours [start, end); an end at or before the start lies on the next day. [h]
    quiet
        Whether its traffic is the measure of what is no congestion.
    """

    name: str
    label: str
    days: str
    start_hour: int
    end_hour: int
    quiet: bool = False

    def hours(self) -> tuple[int, ...]:
        """Return the local hours of the period, in order."""
        length = (self.end_hour - self.start_hour) % _HOURS or _HOURS
        return tuple((self.start_hour + i) % _HOURS for i in range(length))

    def record(self) -> dict[str, object]:
        """Return the period as JSON-ready values."""
        return {
            "period": self.name,
            "label": self.label,
            "days": self.days,
            "start_hour_local": self.start_hour,
            "end_hour_local": self.end_hour,
        }


def read_periods(top: Section) -> tuple[Period, ...]:
    """Return the ``[[period]]`` tables; a fault unless every hour of both kinds of day has one."""
    periods = []
    for section in top.sections("period"):
        period = Period(
            name=section.text("name"),
            label=section.text("label"),
            days=section.text("days", allowed=DAY_KINDS),
            start_hour=section.whole("start_hour"),
            end_hour=section.whole("end_hour"),
            quiet=section.flag("quiet", default=False),
        )
        section.finish()
        periods.append(period)
    for kind in ("working", "free"):
        hours = sorted(h for p in periods if p.days in {kind, "all"} for h in p.hours())
        if hours != list(range(_HOURS)):
            top.fault("period", f"the hours of a {kind} day must each belong to one, got {hours}")
    return tuple(periods)


def with_period(
    frame: pl.LazyFrame,
    periods: Sequence[Period],
    calendar: Calendar,
) -> pl.LazyFrame:
    """Return the frame with columns ``period`` and ``local_date``.

    Parameters
    ----------
    frame
        Has ``window_start`` (UTC).
    periods
        Periods that share out all hours.
    calendar
        The city's clock, holidays and days of rest.

    Notes
    -----
    A window belongs to the period in which it starts, and to the calendar day on which it starts:
    the small hours of a night that follows a Friday are Saturday's.
    """

    def is_free(days: pl.Series) -> pl.Series:
        return days.is_in([day for day in days.unique() if calendar.day_type(day) != WORKDAY])

    local = pl.col("window_start").dt.convert_time_zone(str(calendar.time_zone))
    free = local.dt.date().map_batches(is_free, return_dtype=pl.Boolean)
    period = pl.lit(None, dtype=pl.String)
    for item in periods:
        matches = local.dt.hour().is_in(list(item.hours()))
        if item.days != "all":
            matches = matches & (free if item.days == "free" else ~free)
        period = pl.when(matches).then(pl.lit(item.name)).otherwise(period)
    return frame.with_columns(period.alias("period"), local.dt.date().alias("local_date"))
