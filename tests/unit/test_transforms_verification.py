"""Test drives: what a file may say, and what is said about it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from clearway_core.calendar import read_calendar
from clearway_core.errors import SettingsError
from clearway_transforms.corridors.drive_file import read_drives
from clearway_transforms.corridors.verification import compare
from clearway_transforms.parameters import corridor_parameters, reliability_parameters
from clearway_transforms.reliability.periods import days_frame

BANGKOK = ZoneInfo("Asia/Bangkok")
KNOWN = {("High Street", "in"), ("High Street", "out")}
EIGHT = datetime(2026, 3, 10, 1, 0, tzinfo=UTC)


def read(tmp_path, text: str) -> pl.DataFrame:
    file = tmp_path / "drives.csv"
    file.write_text(text, encoding="utf-8")
    return read_drives(file, corridors=KNOWN, time_zone=BANGKOK)


def test_drives_are_read_by_the_citys_clock_in_minutes_or_seconds(tmp_path):
    drives = read(
        tmp_path,
        "driver,corridor,direction,started_at,travel_time_s\n"
        "Ann,High Street,in,2026-03-10 08:00,600\n"
        "Bob,High Street,in,2026-03-10T08:00:30+00:00,90\n",
    )

    assert drives["travel_time_min"].to_list() == [10.0, 1.5]
    assert drives["started_at"].to_list() == [EIGHT, EIGHT + timedelta(hours=7, seconds=30)]


def test_all_faults_of_a_file_come_at_once_with_line_value_and_remedy(tmp_path):
    with pytest.raises(SettingsError) as error:
        read(
            tmp_path,
            "corridor,direction,started_at,travel_time_min\n"
            "High Street,north,2026-03-10T08:00,10\n"
            "Low Street,in,2026-03-10T08:00,10\n"
            "High Street,in,10 March,900\n"
            "High Street,in,2026-03-10T08:00,10\n"
            "High Street,in,2026-03-10T08:00,10\n",
        )
    text = str(error.value)

    for part in (
        "line 2: direction 'north': expected a direction of it (in, out)",
        "line 3: corridor 'Low Street': expected one of High Street",
        "line 4: started_at '10 March'",
        "line 4: travel_time_min '900'",
        "line 6: the same drive as in line 5",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected columns corridor, direction, started_at"),
        ("corridor;direction;started_at;travel_time_min\n", "separate columns by commas"),
        ("corridor,direction,started_at,travel_time_min\n", "found none"),
    ],
)
def test_a_file_that_is_no_such_table_is_refused(tmp_path, text, said):
    with pytest.raises(SettingsError, match=said):
        read(tmp_path, text)


def times(minutes: float, *, spread: float = 1.05, status: str = "observed") -> pl.DataFrame:
    """Return sixteen quarters of an hour from eight o'clock at that time."""
    return pl.DataFrame(
        [
            {
                "corridor": "High Street",
                "direction": "in",
                "period": "window",
                "window_minutes": 15,
                "vehicle_class": "all",
                "status": status,
                "window_start": EIGHT + timedelta(minutes=15 * n),
                "travel_time_min": minutes,
                "interval_high_min": minutes * spread,
                "n_vehicles": 20,
            }
            for n in range(16)
        ]
    )


def judged(
    drives: list[float], rows: pl.DataFrame, *, same_window: bool = False
) -> dict[str, object]:
    frame = pl.DataFrame(
        {
            "corridor": "High Street",
            "direction": "in",
            "started_at": EIGHT + timedelta(minutes=1) * (1 if same_window else 15 * number),
            "travel_time_min": minutes,
        }
        for number, minutes in enumerate(drives)
    )
    return (
        compare(
            frame.lazy(),
            rows.lazy(),
            days_frame(read_calendar(None), date(2026, 3, 10), date(2026, 3, 11)),
            time_zone="Asia/Bangkok",
            parameters=corridor_parameters(),
            hours=reliability_parameters(),
            interval_level=0.9,
        )
        .collect()
        .filter(pl.col("period") == "morning_peak")
        .row(0, named=True)
    )


DRIVES = [9.6, 10.3, 10.1, 9.8, 10.4, 9.9]


def test_drives_like_the_probes_agree():
    row = judged(DRIVES, times(10.0))

    assert (row["verdict"], row["reason"], row["n_compared"]) == ("agree", None, 6)
    assert row["difference_low"] < 0 < row["difference_high"]
    assert row["period"] == "morning_peak"


def test_drives_a_fifth_longer_disagree():
    row = judged([1.2 * minutes for minutes in DRIVES], times(10.0))

    assert row["verdict"] == "disagree"
    assert row["difference"] == pytest.approx(1 / 1.2 - 1, abs=0.01)


def test_a_sure_difference_that_does_not_matter_is_agreement():
    row = judged([10.3] * 6, times(10.0, spread=1.001))

    assert row["difference_high"] < 0
    assert row["verdict"] == "agree"


@pytest.mark.parametrize(
    ("drives", "rows", "reason"),
    [
        ([10.0, 10.0], times(10.0), "few drives"),
        (DRIVES, times(10.0, status="not enough"), "few probes"),
        ([5.0, 20.0, 9.0, 12.0], times(10.0), "too scattered"),
    ],
)
def test_where_nothing_can_be_said_the_reason_is(drives, rows, reason):
    row = judged(drives, rows)

    assert (row["verdict"], row["reason"]) == ("not enough", reason)


def test_drives_that_share_a_window_share_its_error():
    def width(row):
        return row["difference_high"] - row["difference_low"]

    apart = judged(DRIVES, times(10.0, spread=1.2))
    together = judged(DRIVES, times(10.0, spread=1.2), same_window=True)

    assert width(together) > 1.5 * width(apart)
