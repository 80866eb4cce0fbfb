"""Minutes from end to end, their interval, and when nothing is said."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from clearway_core.calendar import read_calendar
from clearway_transforms.congestion import cells
from clearway_transforms.corridors import corridor_passes, corridor_times, segment_sums
from clearway_transforms.parameters import (
    congestion_parameters,
    corridor_parameters,
    reliability_parameters,
)
from clearway_transforms.reliability.periods import days_frame

EIGHT = datetime(2026, 3, 10, 1, 0, tzinfo=UTC)
"""A Tuesday, 8 h in Bangkok."""

SEGMENTS = pl.LazyFrame(
    {
        "corridor": ["High Street"] * 10,
        "direction": ["in"] * 10,
        "segment": range(10),
        "segment_length_mm": [200_000] * 10,
    },
    schema_overrides={"segment": pl.Int32, "segment_length_mm": pl.Int64},
)


def drove(vehicle: str, s_per_segment: float, segments=range(10), **columns) -> pl.DataFrame:
    """Return what a vehicle drove at that pace over these segments."""
    n = len(segments)
    given = {
        "corridor": "High Street",
        "direction": "in",
        "window_start": EIGHT,
        "vehicle_class": "car",
        "provider": "p",
        "vehicle": vehicle,
        "pseudonym_epoch": "e",
        "distance_mm": 200_000,
        "duration_ms": round(s_per_segment * 1000),
        "dwell_ms": 0,
        "n_legs": 1,
    } | columns
    frame = pl.DataFrame({name: [value] * n for name, value in given.items()})
    return frame.with_columns(segment=pl.Series(list(segments), dtype=pl.Int32))


def times(*travel: pl.DataFrame) -> pl.DataFrame:
    days = days_frame(read_calendar(None), date(2026, 3, 9), date(2026, 3, 12))
    spans = segment_sums.by_span(
        pl.concat(travel).lazy(), days, reliability_parameters(), time_zone="Asia/Bangkok"
    )
    place = (*segment_sums.SPAN, "segment")
    rows = cells.with_all_classes(spans, place=place, sums=corridor_passes.SUMS)
    return corridor_times.corridor_times(
        rows, SEGMENTS, corridor_parameters(), interval_level=0.9
    ).collect()


def quarter(found: pl.DataFrame) -> dict[str, object]:
    return found.filter((pl.col("window_minutes") == 15) & (pl.col("vehicle_class") == "all")).row(
        0, named=True
    )


def test_time_is_the_sum_of_the_segments_paces_not_a_mean_of_speeds():
    row = quarter(times(drove("a", 10), drove("b", 30)))

    assert row["travel_time_min"] == pytest.approx(200 / 60)
    assert row["status"] == "observed"
    assert (row["n_vehicles"], row["observed_length_share"]) == (2, 1.0)
    assert row["top_vehicle_share"] == pytest.approx(0.75)


def test_interval_is_that_of_the_ratio_estimator_by_vehicle():
    row = quarter(times(*(drove(f"cab-{n}", s) for n, s in enumerate((18, 20, 22)))))

    # u = -20/3, 0, 20/3 s times sqrt(3/2) on 200 s; t of 2 degrees at 90 % is 2.919986.
    cv = (2 * (20 / 3) ** 2 * 1.5) ** 0.5 / 200
    assert row["interval_high_min"] / row["travel_time_min"] == pytest.approx(
        2.718281828 ** (2.919986 * cv), rel=5e-4
    )
    assert row["interval_low_min"] * row["interval_high_min"] == pytest.approx(
        row["travel_time_min"] ** 2
    )


@pytest.mark.parametrize(("seen", "status"), [(8, "observed"), (7, "not enough")])
def test_less_than_four_fifths_of_the_length_is_not_enough(seen, status):
    row = quarter(times(drove("a", 20, range(seen)), drove("b", 20, range(seen))))

    assert row["status"] == status
    assert row["observed_length_share"] == pytest.approx(seen / 10)
    expected = pytest.approx(200 / 60) if status == "observed" else None
    assert row["travel_time_min"] == expected


def test_a_segment_seen_by_one_vehicle_is_not_observed():
    row = quarter(times(drove("a", 20), drove("b", 20, range(5))))

    assert (row["status"], row["observed_length_share"]) == ("not enough", 0.5)


def test_what_is_filled_in_widens_the_interval():
    def width(seen: int) -> float:
        rows = [
            drove(name, 15 + off + 2 * (segment % 3), [segment])
            for segment in range(seen)
            for name, off in (("a", 0), ("b", 1), ("c", 2))
        ]
        row = quarter(times(*rows))
        return row["interval_high_min"] / row["travel_time_min"]

    assert width(8) > width(10)


def test_windows_hours_and_periods_count_vehicles_anew():
    later = EIGHT + timedelta(minutes=15)
    found = times(drove("a", 20), drove("b", 20), drove("a", 40, window_start=later))
    hour = found.filter(pl.col("window_minutes") == 60, pl.col("vehicle_class") == "all")
    peak = found.filter(pl.col("period") == "morning_peak", pl.col("vehicle_class") == "all")

    assert hour["n_vehicles"].to_list() == peak["n_vehicles"].to_list() == [2]
    assert hour["travel_time_min"][0] == pytest.approx(800 / 3 / 60)
    assert peak["window_start"].to_list() == [datetime(2026, 3, 9, 23, tzinfo=UTC)]
    assert peak["local_date"].to_list() == [date(2026, 3, 10)]
    assert peak["window_minutes"].to_list() == [240]


def test_free_flow_is_the_corridors_own_percentile_where_it_has_windows_enough():
    windows = [
        drove(name, s, window_start=EIGHT + timedelta(minutes=15 * n))
        for n, s in enumerate([20, 21, 22, 23, 24, 25, 26, 27])
        for name in ("a", "b")
    ]
    found = times(*windows)
    free = corridor_times.free_flow(
        found.lazy(),
        segment_sums.corridor_travel(pl.concat(windows).lazy(), SEGMENTS),
        SEGMENTS,
        congestion_parameters(),
        min_length_share=0.8,
        time_zone="Asia/Bangkok",
    )
    with_index = corridor_times.with_free_flow(found.lazy(), free).collect()
    slowest = with_index.filter(
        (pl.col("window_minutes") == 15) & (pl.col("vehicle_class") == "all")
    ).sort("travel_time_min")[-1]

    assert slowest["free_flow_method"].item() == "own_p85"
    assert 200 / 60 <= slowest["free_flow_min"].item() <= 212 / 60
    assert slowest["tti"].item() == pytest.approx(270 / 60 / slowest["free_flow_min"].item())
    assert with_index["tti"].min() >= 1
