"""Two exports of the same days, before and after late data, tell nothing about who came late."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
from doubles import transforms_pings as pings
from polars.testing import assert_frame_equal

from clearway_core.city import City
from clearway_core.lake import Lake
from clearway_transforms import jobs
from clearway_transforms.jobs.release import settle_release


class At:
    """A clock that stands still."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def monotonic_s(self) -> float:
        return 0.0

    def sleep(self, duration_s: float) -> None:
        raise NotImplementedError


def fleet(number: int, name: str = "c", start: datetime = pings.NOON) -> pl.DataFrame:
    drives = [pings.drive(f"{name}{n}", start=start, speeds_kmh=[20.0] * 9) for n in range(number)]
    return pl.concat(drives)


def test_a_late_vehicle_changes_internal_values_and_no_public_one(tmp_path):
    lake = Lake(tmp_path)
    pings.store(lake, fleet(12))
    jobs.build_congestion(lake)
    first = jobs.released(lake, "cell_speed", resolution=9, window_minutes=15).collect()
    inside = lake.table("cell_speed").scan().collect()

    pings.store(lake, fleet(1, name="late"))
    jobs.build_congestion(lake)
    second = jobs.released(lake, "cell_speed", resolution=9, window_minutes=15).collect()
    assert first.height > 0
    assert_frame_equal(first, second, check_exact=True)
    assert lake.table("cell_speed").scan().collect()["n_vehicles"].max() == 13
    assert inside["n_vehicles"].max() == 12


def test_a_day_is_released_once_it_has_been_closed_long_enough(tmp_path):
    lake = Lake(tmp_path)
    pings.store(lake, fleet(12))
    jobs.build_congestion(lake, resolution=8, window_minutes=60)
    midnight = pings.NOON.replace(hour=0) + timedelta(days=1)
    lake.table("released_travel").replace(
        lake.table("released_travel").scan().head(0).collect(), {}
    )
    early = At(midnight + timedelta(hours=23, minutes=59))
    assert settle_release(lake, clock=early) == ()
    assert settle_release(lake, clock=At(midnight + timedelta(hours=24))) == (pings.NOON.date(),)
    assert settle_release(lake, clock=At(midnight + timedelta(days=9))) == ()


def test_another_clock_does_not_release_the_same_hours_again(tmp_path):
    """Days of two clocks overlap, and hours at half past would cross those at the full hour."""
    city = City(
        folder=tmp_path, name="X", country="IN", time_zone=ZoneInfo("Asia/Kolkata"), currency=None,
        price_year=None, service_area_deg=(100.0, 13.0, 101.0, 14.0), synthetic=True,
    )  # fmt: skip
    lake = Lake(tmp_path / "lake")
    pings.store(lake, fleet(12))
    jobs.build_congestion(lake)
    before = lake.table("released_travel").scan().collect()
    jobs.build_congestion(lake, city=city)
    after = lake.table("released_travel").scan().collect()
    assert before.height > 0
    assert_frame_equal(before, after, check_row_order=False)
