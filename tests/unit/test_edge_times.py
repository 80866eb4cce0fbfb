"""Every way in which a file may write time."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from clearway_core.clock import to_ms
from clearway_edge.rows.profile import Ambiguous, TimeFormat, TimeRule
from clearway_edge.rows.times import AMBIGUOUS, NONEXISTENT, UNPARSABLE, read_times


def rule(format_, **more):
    return TimeRule(column="t", format=TimeFormat(format_), **more)


def utc_ms(text):
    return to_ms(datetime.fromisoformat(text))


@pytest.mark.parametrize(
    ("how", "value", "expected"),
    [
        (rule("unix_s"), "1211353227", 1_211_353_227_000),
        (rule("unix_s"), "1211353227.25", 1_211_353_227_250),
        (rule("unix_s"), 1_211_353_227, 1_211_353_227_000),
        (rule("unix_ms"), "1211353227123", 1_211_353_227_123),
        (rule("seconds_since", since_ms=1_000_000), "50", 1_050_000),
        (rule("iso8601"), "2015-03-08T01:40:54-06:00", utc_ms("2015-03-08T07:40:54+00:00")),
        (rule("iso8601"), "2015-03-08T03:40:54-0500", utc_ms("2015-03-08T08:40:54+00:00")),
        (rule("iso8601"), "2020-01-01 12:00:00+01", utc_ms("2020-01-01T11:00:00+00:00")),
        (rule("iso8601"), "2020-01-01T12:00:00Z", utc_ms("2020-01-01T12:00:00+00:00")),
        (rule("iso8601"), datetime(2020, 1, 1, tzinfo=UTC), utc_ms("2020-01-01T00:00:00+00:00")),
        (
            rule("iso8601", zone=ZoneInfo("Asia/Kolkata")),
            "2023-09-15 05:00",
            utc_ms("2023-09-14T23:30:00+00:00"),
        ),
        (
            rule("pattern", pattern="%m/%d/%Y %H:%M", zone=ZoneInfo("Asia/Kathmandu")),
            "9/15/2023 5:00",
            utc_ms("2023-09-14T23:15:00+00:00"),
        ),
    ],
)
def test_instant_is_read(how, value, expected):
    assert read_times(how, [value]) == [expected]


@pytest.mark.parametrize(
    ("how", "value"),
    [
        (rule("unix_s"), ""),
        (rule("unix_s"), None),
        (rule("unix_s"), "nan"),
        (rule("unix_s"), "inf"),
        (rule("unix_s"), "soon"),
        (rule("unix_s"), "9" * 30),  # more than 64 bits would not fit the wire
        (rule("unix_s"), "1e300"),
        (rule("iso8601"), "2020-13-01T00:00:00Z"),
        (rule("iso8601"), "2020-01-01T12:00:00"),  # no offset, and the profile names no zone
        (rule("iso8601"), None),
        (rule("pattern", pattern="%H:%M", zone=ZoneInfo("UTC")), "25:00"),
    ],
)
def test_unreadable_time_is_a_reason_not_an_exception(how, value):
    assert read_times(how, [value]) == [UNPARSABLE]


CHICAGO = ZoneInfo("America/Chicago")
LOCAL = "%Y-%m-%d %H:%M"


def test_hour_that_happens_twice_means_what_the_profile_says():
    twice = "2015-11-01 01:30"
    earlier = rule("pattern", pattern=LOCAL, zone=CHICAGO)
    later = rule("pattern", pattern=LOCAL, zone=CHICAGO, ambiguous=Ambiguous.LATER)
    drop = rule("pattern", pattern=LOCAL, zone=CHICAGO, ambiguous=Ambiguous.DROP)
    assert read_times(earlier, [twice]) == [utc_ms("2015-11-01T06:30:00+00:00")]
    assert read_times(later, [twice]) == [utc_ms("2015-11-01T07:30:00+00:00")]
    assert read_times(drop, [twice]) == [AMBIGUOUS]


def test_hour_that_never_happens_is_dropped_with_its_reason():
    how = rule("pattern", pattern=LOCAL, zone=CHICAGO)
    assert read_times(how, ["2015-03-08 02:30"]) == [NONEXISTENT]
    assert read_times(how, ["2015-03-08 03:00"]) == [utc_ms("2015-03-08T08:00:00+00:00")]


@pytest.mark.parametrize("format_", [TimeFormat.ISO8601, TimeFormat.UNIX_S])
def test_values_of_json_that_are_no_time_are_named_and_never_raise(format_):
    rule = TimeRule(column="at", format=format_)
    values: list[object] = [[], {}, None, float("inf"), 10**400, True]
    found = read_times(rule, values)
    assert found[:5] == [UNPARSABLE] * 5
