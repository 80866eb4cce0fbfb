"""Free flow from six months of nights, where the last four weeks have too few of them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from doubles import transforms_windows as double

from clearway_transforms.congestion.free_flow import free_flow
from clearway_transforms.parameters import congestion_parameters

FIRST = date(2026, 1, 5)


def nights(kmh: float, *, n: int = 20, n_vehicles: int = 12, every: int = 7) -> pl.LazyFrame:
    """Return nights of `period_travel`, one a week; every tenth is 10 km/h slower."""
    speeds = [kmh - (10 if number % 10 == 9 else 0) for number in range(n)]
    return pl.LazyFrame(
        {
            "h3_cell": pl.Series([double.CELL] * n, dtype=pl.UInt64),
            "vehicle_class": ["all"] * n,
            "local_date": [FIRST + timedelta(days=every * number) for number in range(n)],
            "distance_mm": [round(speed / 3.6 * 1_000_000) for speed in speeds],
            "duration_ms": [1_000_000] * n,
            "n_vehicles": [n_vehicles] * n,
        }
    )


def found(past: pl.LazyFrame | None, *, day_kmh: float = 40.0) -> dict[str, object]:
    windows = double.windows(lambda *_: day_kmh, days=1, minutes=range(600, 900, 15))
    rows = free_flow(
        windows.lazy(),
        congestion_parameters(),
        resolution=9,
        window_minutes=15,
        time_zone="Asia/Bangkok",
        nights=past,
    )
    return rows.collect().row(0, named=True)


def test_twenty_nights_of_five_months_are_the_free_flow():
    row = found(nights(60.0))
    assert row["free_flow_method"] == "overnight_p85"
    assert row["free_flow_kmh"] == pytest.approx(60.0, abs=1e-3)
    assert (row["n_windows"], row["n_vehicles"]) == (20, 12)
    assert row["look_back_start"] == datetime(2026, 1, 4, 17, tzinfo=UTC)  # midnight in Bangkok
    last_midnight = datetime(2026, 5, 17, 17, tzinfo=UTC)
    assert row["look_back_end"] == last_midnight + timedelta(hours=23, minutes=15)


@pytest.mark.parametrize(
    "past", [None, nights(60.0).head(0), nights(60.0, n=13), nights(60.0, n_vehicles=9)]
)
def test_with_too_little_of_the_night_the_cells_own_windows_stay_as_they_were(past):
    assert found(past) == found(None)
    assert found(past)["free_flow_method"] == "own_p85"


def test_nights_slower_than_the_day_are_not_free_of_congestion():
    assert found(nights(30.0)) == found(None)


def test_a_night_of_a_few_metres_does_not_make_the_free_flow():
    lucky = nights(150.0, n=3).with_columns(
        distance_mm=pl.col("distance_mm") // 1000,
        duration_ms=pl.col("duration_ms") // 1000,
        local_date=pl.col("local_date") + pl.duration(days=1),
    )
    row = found(pl.concat([nights(60.0), lucky]))
    assert row["free_flow_kmh"] == pytest.approx(60.0, abs=0.1)
