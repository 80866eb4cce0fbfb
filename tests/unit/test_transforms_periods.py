"""Which period a window belongs to, and that periods add distances and times, never averages."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from doubles import transforms_windows as double

from clearway_core.calendar import Calendar
from clearway_transforms.congestion import cells
from clearway_transforms.congestion.speed import space_mean_kmh
from clearway_transforms.parameters import congestion_parameters, reliability_parameters
from clearway_transforms.reliability import periods
from clearway_transforms.travel import allocation

HOURS = reliability_parameters()
WEDNESDAY, SUNDAY = date(2026, 3, 11), date(2026, 3, 15)


def period_at(local: datetime, calendar: Calendar | None = None) -> tuple[object, ...]:
    """Return local day, period and group of the window at an instant."""
    row = double.frame([double.window(local.astimezone(UTC), 30.0)])
    found = double.placed(row, calendar=calendar).select("local_date", "period", "day_group")
    return found.collect().row(0)


@pytest.mark.parametrize(
    ("hour", "workday", "sunday"),
    [
        (0, "overnight", "overnight"),
        (5, "overnight", "overnight"),
        (6, "morning_peak", "daytime"),
        (9, "morning_peak", "daytime"),
        (10, "midday", "daytime"),
        (15, "midday", "daytime"),
        (16, "evening_peak", "daytime"),
        (19, "evening_peak", "daytime"),
        (20, "overnight", "overnight"),
        (23, "overnight", "overnight"),
    ],
)
def test_each_hour_has_its_period(hour, workday, sunday):
    for day, expected in ((WEDNESDAY, workday), (SUNDAY, sunday)):
        local = datetime(day.year, day.month, day.day, hour, 45, tzinfo=UTC)
        group = "workday" if day == WEDNESDAY else "weekend"
        group = "all" if expected == "overnight" else group
        assert period_at(local) == (day, expected, group)


def test_a_holiday_is_compared_with_holidays_only():
    calendar = Calendar(named={WEDNESDAY: ("holiday", "Founders")})
    noon = datetime(2026, 3, 11, 12, tzinfo=UTC)
    assert period_at(noon, calendar) == (WEDNESDAY, "daytime", "holiday")


@pytest.mark.parametrize(
    ("zone", "local", "expected"),
    [
        ("Asia/Kathmandu", (2026, 3, 11, 6, 0), "morning_peak"),  # +5:45
        ("Asia/Kathmandu", (2026, 3, 11, 5, 45), "overnight"),
        ("America/Los_Angeles", (2026, 3, 8, 6, 0), "daytime"),  # clock put forward at 2
        ("America/Los_Angeles", (2026, 3, 8, 5, 45), "overnight"),
        ("America/Los_Angeles", (2026, 11, 1, 6, 0), "daytime"),  # put back
        ("America/Los_Angeles", (2026, 11, 1, 19, 45), "daytime"),
        ("America/Los_Angeles", (2026, 11, 1, 20, 0), "overnight"),
    ],
)
def test_hours_are_those_of_the_clock_on_the_wall(zone, local, expected):
    calendar = Calendar(time_zone=ZoneInfo(zone))
    instant = datetime(*local, tzinfo=ZoneInfo(zone))
    day, period, _ = period_at(instant, calendar)
    assert (day, period) == (date(*local[:3]), expected)


@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 8), 23), ((2026, 11, 1), 25)])
def test_no_window_is_lost_when_the_clock_is_changed(day, hours):
    calendar = Calendar(time_zone=ZoneInfo("America/Los_Angeles"))
    start = datetime(*day, tzinfo=calendar.time_zone).astimezone(UTC)
    rows = double.frame(
        [double.window(start + timedelta(minutes=15 * n), 30.0) for n in range(-4, 108)]
    )
    found = double.placed(rows, calendar=calendar).filter(pl.col("local_date") == date(*day))
    assert found.collect().height == 4 * hours


def vehicle_rows(*passes: tuple[str, datetime, float, float, str]) -> pl.DataFrame:
    """Return rows of ``vehicle_travel``: vehicle, window, distance [km], time [s], epoch."""
    rows = [
        {
            "h3_cell": double.CELL,
            "window_start": start,
            "vehicle_class": "car",
            "provider": "one",
            "vehicle": vehicle,
            "pseudonym_epoch": epoch,
            **dict.fromkeys(allocation.SUMS, 0),
            "distance_mm": round(km * 1e6),
            "duration_ms": round(seconds * 1e3),
            "n_pings": 3,
            **dict.fromkeys(allocation.OUTLINE_COUNTS.values(), 3),
        }
        for vehicle, start, km, seconds, epoch in passes
    ]
    return double.frame(rows)


def period_rows(rows: pl.DataFrame, *, resolution: int = 9) -> pl.DataFrame:
    days = periods.days_frame(Calendar(), WEDNESDAY, WEDNESDAY)
    found = periods.period_travel(rows.lazy(), days, HOURS, resolution=resolution, time_zone="UTC")
    return found.sort("period", "h3_cell").collect()


SEVEN = datetime(2026, 3, 11, 7, tzinfo=UTC)


def test_a_period_adds_distance_and_time_and_never_averages_speeds():
    # 40 km/h for 20 minutes' worth of way, then 5 km/h: the mean of speeds would be 22.5.
    rows = vehicle_rows(
        ("a", SEVEN, 4.0, 360.0, "e"), ("b", SEVEN + timedelta(hours=1), 1.0, 720.0, "e")
    )
    found = period_rows(rows)
    mean = space_mean_kmh(pl.col("distance_mm"), pl.col("duration_ms"))
    assert found.select(mean).item() == pytest.approx(5.0 / 1080 * 3600)  # 16.67
    assert abs(found.select(mean).item() - 22.5) > 5


def test_rolling_up_cells_equals_computing_the_coarse_cell_directly():
    other = double.CELL ^ (1 << 18)  # below the same parent at resolution 8
    first = vehicle_rows(("a", SEVEN, 4.0, 360.0, "e"))
    second = vehicle_rows(("a", SEVEN, 1.0, 720.0, "e")).with_columns(
        h3_cell=pl.lit(other, dtype=pl.UInt64)
    )
    both = pl.concat([first, second])
    direct = period_rows(both, resolution=8)
    fine = period_rows(both)
    assert direct.height == 1
    for name in ("distance_mm", "duration_ms"):
        assert direct[name].sum() == fine[name].sum()
    mean = space_mean_kmh(pl.col("distance_mm").sum(), pl.col("duration_ms").sum())
    rolled, exact = fine.select(mean).item(), direct.select(mean).item()
    assert rolled == exact
    averaged = fine.select(
        space_mean_kmh(pl.col("distance_mm"), pl.col("duration_ms")).mean()
    ).item()
    assert abs(averaged - exact) > 5  # what an average of speeds would say


def test_vehicles_of_a_period_are_recounted_and_the_larger_epoch_counts():
    rows = vehicle_rows(
        *(("a", SEVEN + timedelta(minutes=15 * n), 1.0, 60.0, "e") for n in range(4)),
        ("b", SEVEN, 1.0, 60.0, "e"),
        ("c", SEVEN, 1.0, 60.0, "f"),
    )
    found = period_rows(rows)
    assert found["n_vehicles"].to_list() == [2]
    assert found["top_vehicle_ms"].to_list() == [240_000]


def test_one_vehicle_over_a_period_is_one_cluster_of_the_interval():
    rows = vehicle_rows(*(("a", SEVEN + timedelta(minutes=15 * n), 1.0, 60.0, "e") for n in (0, 1)))
    assert period_rows(rows)["distance_sq_dm2"].to_list() == [20_000**2]


def test_night_before_and_after_belong_to_one_overnight_of_the_calendar_day():
    rows = vehicle_rows(
        ("a", datetime(2026, 3, 11, 1, tzinfo=UTC), 1.0, 60.0, "e"),
        ("b", datetime(2026, 3, 11, 22, tzinfo=UTC), 1.0, 60.0, "e"),
        ("c", datetime(2026, 3, 10, 22, tzinfo=UTC), 1.0, 60.0, "e"),
    )
    found = period_rows(rows)
    assert found.select("local_date", "period", "n_vehicles").rows() == [
        (WEDNESDAY, "overnight", 2)
    ]


def test_days_as_they_were_stored_are_days_as_the_calendar_gave_them():
    calendar = Calendar(named={WEDNESDAY: ("holiday", "Founders; guild")})
    days = periods.days_frame(calendar, date(2026, 3, 9), SUNDAY)
    again = periods.stored_days(days.select("local_date", "day_type", "day_tags"))
    assert again.sort("local_date").collect().equals(days.sort("local_date").collect())
    assert not days.select(pl.col("tagged").any()).collect().item()


def test_period_travel_has_the_queues_that_cells_have():
    parameters = congestion_parameters()
    rows = vehicle_rows(
        ("a", SEVEN, 0.1, 120.0, "e"), ("b", SEVEN, 0.1, 120.0, "e"), ("c", SEVEN, 0.0, 0.0, "e")
    ).with_columns(dwell_ms=pl.when(pl.col("vehicle") == "c").then(600_000).otherwise(0))
    queued = cells.count_queues(rows.lazy(), parameters).collect()
    assert period_rows(queued)["duration_ms"].to_list() == [840_000]
