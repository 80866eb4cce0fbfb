"""Days of UTC, by which tables are cut, and of the city's clock, by which people count."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo


def day_start(day: date) -> datetime:
    """Return the UTC midnight at which a day begins."""
    return datetime.combine(day, time(), UTC)


def local_span(day: date, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return the instants at which a local day begins and ends, in UTC."""
    start, end = (
        datetime.combine(each, time(), zone).astimezone(UTC)
        for each in (day, day + timedelta(days=1))
    )
    return start, end


def utc_days(day: date, zone: tzinfo) -> list[date]:
    """Return the UTC days that a local day lies on, in order."""
    start, end = local_span(day, zone)
    last = (end - timedelta(microseconds=1)).date()
    return [start.date() + timedelta(days=on) for on in range((last - start.date()).days + 1)]
