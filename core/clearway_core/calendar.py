"""The city's calendar: which days compare with each other, and what was special about a day.

Public holidays and weekly days of rest are those of the `holidays` library for the city's country
and subdivision, moving festivals and working days in their place included. The city pack adds to
them or overrides them: ``holidays.csv``, ``school_terms.csv``, ``events.csv``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from clearway_core.city import City
from clearway_core.errors import SettingsError

if TYPE_CHECKING:
    from holidays import HolidayBase

DAY_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
WORKDAY = "workday"
HOLIDAY = "holiday"
HOLIDAY_TYPES = (HOLIDAY, WORKDAY)
"""What a row of ``holidays.csv`` may make of its day, in the optional column day_type."""

SATURDAY_AND_SUNDAY = frozenset({5, 6})
TAG_SEPARATOR = "; "

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """Days on which schools teach, both ends included."""

    start_date: date
    end_date: date
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that changes traffic, in [start, end)."""

    start: datetime
    end: datetime
    name: str
    area: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """What is known of days.

    Parameters
    ----------
    time_zone
        The clock by which days begin.
    public
        Public holidays and days of rest of the country; None where the library does not know it:
        then Saturday and Sunday are the days of rest.
    named
        The city's own holidays and working days: day, type of `HOLIDAY_TYPES`, name.
    terms, events
        From the city pack.
    """

    time_zone: tzinfo = UTC
    public: HolidayBase | None = None
    named: Mapping[date, tuple[str, str]] = field(default_factory=dict)
    terms: Sequence[Term] = ()
    events: Sequence[Event] = ()

    def holiday_name(self, day: date) -> str | None:
        """Return the name of the public holiday that a day is, or None."""
        if day in self.named:
            kind, name = self.named[day]
            return name if kind == HOLIDAY else None
        return None if self.public is None else self.public.get(day)

    def day_type(self, day: date) -> str:
        """Return ``workday``, ``holiday``, or the name of the weekly day of rest that it is."""
        if self.holiday_name(day) is not None:
            return HOLIDAY
        if day in self.named or not self._rests(day):
            return WORKDAY
        return DAY_NAMES[day.weekday()]

    def tags(self, day: date) -> tuple[str, ...]:
        """Return what else a day was: ``holiday: name``, ``school_break``, ``event: name``.

        A workday between the terms given is a school break; before the first and after the last of
        them nothing is known.
        """
        holiday = self.holiday_name(day)
        found = [] if holiday is None else [f"holiday: {holiday}"]
        if self._on_school_break(day):
            found.append("school_break")
        start = datetime.combine(day, time(), self.time_zone)
        end = datetime.combine(day + timedelta(days=1), time(), self.time_zone)
        for event in self.events:
            if event.start < end and event.end > start:
                area = "" if event.area is None else f" ({event.area})"
                found.append(f"event: {event.name}{area}")
        return tuple(tag.replace(";", ",") for tag in found)

    def tag_text(self, day: date) -> str | None:
        """Return the tags as one text, or None if there are none."""
        return TAG_SEPARATOR.join(self.tags(day)) or None

    def _rests(self, day: date) -> bool:
        if self.public is None:
            return day.weekday() in SATURDAY_AND_SUNDAY
        return self.public.is_weekend(day) and day not in self.public.weekend_workdays

    def _on_school_break(self, day: date) -> bool:
        if not self.terms or self.day_type(day) != WORKDAY:
            return False
        first = min(term.start_date for term in self.terms)
        last = max(term.end_date for term in self.terms)
        taught = any(term.start_date <= day <= term.end_date for term in self.terms)
        return first <= day <= last and not taught


def read_calendar(city: City | None) -> Calendar:
    """Return the calendar of a city; without one, that of UTC with Saturdays and Sundays off.

    Raises
    ------
    SettingsError
        With every line of the pack's calendar files that cannot be read.
    """
    if city is None:
        return Calendar()
    faults: list[str] = []
    zone = city.time_zone
    named = _read(city.file("holidays.csv"), faults, _named_day)
    terms = _read(city.file("school_terms.csv"), faults, term_of)
    events = _read(city.file("events.csv"), faults, lambda row: event_of(row, zone))
    if faults:
        raise SettingsError(faults)
    return Calendar(
        time_zone=zone,
        public=public_holidays(city.country, city.subdivision),
        named=dict(named),
        terms=tuple(terms),
        events=tuple(events),
    )


def public_holidays(country: str, subdivision: str | None = None) -> HolidayBase | None:
    """Return the public holidays of a country, or None if the library does not know it.

    Raises
    ------
    SettingsError
        If it knows the country, but not the subdivision.
    """
    import holidays  # noqa: PLC0415 -- a gateway reads no calendar and has no such library

    try:
        return holidays.country_holidays(country, subdiv=subdivision)
    except NotImplementedError:
        known = holidays.list_supported_countries().get(country)
    if subdivision is None or known is None:
        return None
    choices = ", ".join(known) or "none"
    message = f"city.subdivision: {country} has no subdivision {subdivision!r}; known: {choices}"
    raise SettingsError([message])


def term_of(row: Mapping[str, str]) -> Term:
    """Return the term of a row of ``school_terms.csv``.

    Raises
    ------
    ValueError
        If a date is none, or the end lies before the start.
    """
    start, end = _day(row, "start_date"), _day(row, "end_date")
    if end < start:
        message = f"end_date: {end} lies before start_date {start}"
        raise ValueError(message)
    return Term(start_date=start, end_date=end, name=row["name"].strip())


def event_of(row: Mapping[str, str], time_zone: tzinfo) -> Event:
    """Return the event of a row of ``events.csv``.

    Parameters
    ----------
    row
        start and end are local days (the end included), or instants; an instant without an offset
        is local. The area is optional.
    time_zone
        The city's clock.

    Raises
    ------
    ValueError
        If a time is none, or the end does not lie after the start.
    """
    start = _instant(row, "start", time_zone)
    end = _instant(row, "end", time_zone)
    if end <= start:
        message = f"end: {row['end'].strip()} does not lie after start {row['start'].strip()}"
        raise ValueError(message)
    area = (row.get("area") or "").strip() or None
    return Event(start=start, end=end, name=row["name"].strip(), area=area)


def named_day_of(row: Mapping[str, str]) -> tuple[date, str]:
    """Return the day of a row of ``holidays.csv`` and what it is, of `HOLIDAY_TYPES`.

    Raises
    ------
    ValueError
        If the date is none, or the type another.
    """
    day = _day(row, "date")
    kind = (row.get("day_type") or "").strip() or HOLIDAY
    if kind not in HOLIDAY_TYPES:
        message = f"day_type: expected {' or '.join(HOLIDAY_TYPES)}, got {kind!r}"
        raise ValueError(message)
    return day, kind


def _named_day(row: Mapping[str, str]) -> tuple[date, tuple[str, str]]:
    day, kind = named_day_of(row)
    return day, (kind, row["name"].strip())


def _day(row: Mapping[str, str], column: str) -> date:
    text = row[column].strip()
    try:
        return date.fromisoformat(text)
    except ValueError:
        message = f"{column}: expected a day such as 2026-01-01, got {text!r}"
        raise ValueError(message) from None


def _instant(row: Mapping[str, str], column: str, time_zone: tzinfo) -> datetime:
    text = row[column].strip()
    try:
        day = date.fromisoformat(text)
    except ValueError:
        pass
    else:
        on = timedelta(days=1 if column == "end" else 0)
        return datetime.combine(day + on, time(), time_zone)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        message = f"{column}: expected a day or an instant such as 2026-01-01T18:00, got {text!r}"
        raise ValueError(message) from None
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=time_zone)


def _read(
    file: Path | None, faults: list[str], parse: Callable[[Mapping[str, str]], Item]
) -> list[Item]:
    """Return what each row of a pack file says; faults name file and line."""
    if file is None:
        return []
    try:
        rows = list(_rows(file))
    except UnicodeDecodeError as error:
        faults.append(f"{file}: expected UTF-8 text ({error}); save it as CSV UTF-8")
        return []
    found: list[Item] = []
    for line, row in rows:
        try:
            found.append(parse(row))
        except (ValueError, KeyError, AttributeError) as error:
            text = f"the column {error} is missing" if isinstance(error, KeyError) else str(error)
            faults.append(f"{file}, line {line}: {text}; `clearway city check` lists all faults")
    return found


def _rows(file: Path) -> Iterable[tuple[int, Mapping[str, str]]]:
    lines = file.read_text(encoding="utf-8-sig").splitlines()
    kept = [(number, line) for number, line in enumerate(lines, 1) if not line.startswith("#")]
    reader = csv.DictReader(io.StringIO("\n".join(line for _, line in kept)))
    for row in reader:
        yield kept[reader.line_num - 1][0], row
