"""Days: holidays and weekends of many countries, school terms, events, and the pack's own word."""

from __future__ import annotations

from datetime import UTC, date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from clearway_core.calendar import Calendar, read_calendar
from clearway_core.city import City
from clearway_core.errors import SettingsError


def city(folder: Path, country: str = "US", *, zone: str = "UTC", subdivision: str | None = None):
    return City(
        folder=folder,
        name="Town",
        country=country,
        time_zone=ZoneInfo(zone),
        currency=None,
        price_year=None,
        service_area_deg=(0.0, 0.0, 1.0, 1.0),
        synthetic=True,
        subdivision=subdivision,
    )


@pytest.mark.parametrize(
    ("country", "day", "expected"),
    [
        ("US", date(2008, 5, 26), "holiday"),  # Memorial Day, the last Monday of May
        ("US", date(2008, 5, 24), "saturday"),
        ("US", date(2008, 5, 21), "workday"),
        ("TH", date(2026, 4, 13), "holiday"),  # Songkran
        ("CN", date(2024, 2, 10), "holiday"),  # New Year by the moon
        ("CN", date(2024, 2, 4), "workday"),  # a Sunday worked in its place
        ("VN", date(2025, 1, 29), "holiday"),  # Tet
        ("VN", date(2024, 2, 10), "holiday"),
        ("SG", date(2025, 3, 31), "holiday"),  # end of Ramadan
        ("SA", date(2025, 6, 13), "friday"),
        ("SA", date(2025, 6, 15), "workday"),  # Sunday
        ("BN", date(2025, 6, 15), "sunday"),
        ("BN", date(2025, 6, 14), "workday"),  # Saturday, between two days of rest
        ("XX", date(2026, 6, 14), "sunday"),
        ("XX", date(2026, 1, 1), "workday"),
    ],
)
def test_a_day_is_what_its_country_makes_of_it(tmp_path, country, day, expected):
    assert read_calendar(city(tmp_path, country)).day_type(day) == expected


def test_a_state_has_holidays_of_its_own(tmp_path):
    chavez_day = date(2020, 3, 31)
    assert read_calendar(city(tmp_path)).day_type(chavez_day) == "workday"
    assert read_calendar(city(tmp_path, subdivision="CA")).day_type(chavez_day) == "holiday"


def test_a_state_that_is_none_is_named_with_those_that_are(tmp_path):
    with pytest.raises(SettingsError, match=r"'ZZ'; known: .*CA"):
        read_calendar(city(tmp_path, subdivision="ZZ"))


def test_the_pack_adds_holidays_and_takes_them_away(tmp_path):
    (tmp_path / "holidays.csv").write_text(
        "# by decree\ndate,name,day_type\n2008-05-21,Founders,\n2008-05-26,Market,workday\n"
        "2008-05-24,Shift,workday\n",
        encoding="utf-8",
    )
    calendar = read_calendar(city(tmp_path))
    assert calendar.day_type(date(2008, 5, 21)) == "holiday"
    assert calendar.tags(date(2008, 5, 21)) == ("holiday: Founders",)
    assert calendar.day_type(date(2008, 5, 26)) == "workday"
    assert calendar.tags(date(2008, 5, 26)) == ()
    assert calendar.day_type(date(2008, 5, 24)) == "workday"


def test_workdays_between_terms_are_school_breaks_and_others_say_nothing(tmp_path):
    (tmp_path / "school_terms.csv").write_text(
        "start_date,end_date,name\n2008-01-07,2008-05-23,spring\n2008-08-25,2008-12-19,autumn\n",
        encoding="utf-8",
    )
    calendar = read_calendar(city(tmp_path))
    assert calendar.tag_text(date(2008, 6, 2)) == "school_break"
    for day in (date(2008, 5, 23), date(2008, 8, 25), date(2008, 6, 7), date(2009, 6, 2)):
        assert calendar.tag_text(day) is None


def test_events_mark_the_local_days_they_touch(tmp_path):
    (tmp_path / "events.csv").write_text(
        "start,end,name,area\n"
        "2008-05-18,2008-05-18,Run; walk,Bay\n"
        "2008-05-20T20:00,2008-05-21T00:00,Concert,\n"
        "2008-05-22T06:30:00Z,2008-05-22T07:30:00Z,Fireworks,\n",
        encoding="utf-8",
    )
    calendar = read_calendar(city(tmp_path, zone="America/Los_Angeles"))
    tags = {day: calendar.tag_text(date(2008, 5, day)) for day in range(17, 24)}
    assert tags == {
        17: None,
        18: "event: Run, walk (Bay)",
        19: None,
        20: "event: Concert",
        21: "event: Fireworks",  # 23:30 local ...
        22: "event: Fireworks",  # ... to 00:30
        23: None,
    }


def test_every_faulty_line_of_the_calendar_is_named(tmp_path):
    (tmp_path / "school_terms.csv").write_text(
        "start_date,end_date,name\n2008-05-23,2008-01-07,back\nsoon,2008-12-19,x\n",
        encoding="utf-8",
    )
    (tmp_path / "events.csv").write_text(
        "start,end,name\n2008-05-20T20:00,2008-05-20T20:00,nothing\n", encoding="utf-8"
    )
    with pytest.raises(SettingsError) as caught:
        read_calendar(city(tmp_path))
    lines = [fault.split(": ")[0].rpartition(", ")[2] for fault in caught.value.faults]
    assert lines == ["line 2", "line 3", "line 2"]


def test_without_a_city_only_weekends_are_known():
    assert read_calendar(None) == Calendar(time_zone=UTC)
    assert Calendar().day_type(date(2008, 5, 26)) == "workday"
    assert Calendar().day_type(date(2008, 5, 25)) == "sunday"
