from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest
from doubles import transforms_pings as pings

from clearway_core.geo import cell_at, disk, parent_of
from clearway_transforms.congestion import cells
from clearway_transforms.congestion.free_flow import free_flow
from clearway_transforms.estimators import weighted_quantile
from clearway_transforms.parameters import congestion_parameters
from clearway_transforms.travel.allocation import SUMS
from clearway_transforms.travel.legs import OUTLINE_COUNTS

PARAMETERS = congestion_parameters()
CELL = cell_at(100.5, 13.75, 9)


def travelled(**columns: object) -> dict[str, object]:
    """Return a row of vehicle travel: 100 m in 10 s, seen once."""
    row: dict[str, object] = dict.fromkeys(SUMS, 0)
    row |= {"distance_mm": 100_000, "duration_ms": 10_000, "gap_15s_ms": 10_000}
    row |= dict.fromkeys(OUTLINE_COUNTS.values(), columns.get("n_pings", 1))
    row |= {"n_pings": 1, "n_legs": 1, "h3_cell": CELL, "window_start": pings.NOON}
    row |= {"vehicle_class": "taxi", "provider": "a", "vehicle": "v0", "pseudonym_epoch": "1"}
    return row | columns


def frame(rows: list[dict[str, object]]) -> pl.LazyFrame:
    return pl.LazyFrame(
        rows, schema_overrides={"h3_cell": pl.UInt64, "window_start": pl.Datetime("us", "UTC")}
    )


def summed(rows: list[dict[str, object]], **shape: object) -> pl.DataFrame:
    options = {"resolution": 9, "window_minutes": 15} | shape
    rolled = cells.roll_up(frame(rows), **options)
    return cells.cell_travel(cells.with_all_classes(rolled)).collect()


def test_a_vehicle_seen_in_four_windows_counts_once_in_the_hour():
    rows = [
        travelled(window_start=pings.NOON + timedelta(minutes=15 * number), vehicle=f"v{vehicle}")
        for number in range(4)
        for vehicle in range(3)
    ]
    hour = summed(rows, window_minutes=60).row(0, named=True)
    assert (hour["n_vehicles"], hour["n_pings"], hour["duration_ms"]) == (3, 12, 120_000)


def test_over_two_epochs_the_larger_counts_and_not_the_sum():
    rows = [travelled(vehicle=f"a{n}", pseudonym_epoch="2026-03-10") for n in range(4)]
    rows += [travelled(vehicle=f"b{n}", pseudonym_epoch="2026-03-11") for n in range(3)]
    assert summed(rows)["n_vehicles"].to_list() == [4]


def test_a_vehicle_outside_the_outline_of_a_coarser_cell_does_not_count_there():
    rows = [travelled(vehicle="inside"), travelled(vehicle="fringe", n_pings_r8=0)]
    assert summed(rows, resolution=9)["n_vehicles"].to_list() == [2]
    coarse = summed(rows, resolution=8).row(0, named=True)
    assert (coarse["n_vehicles"], coarse["n_pings"], coarse["duration_ms"]) == (1, 2, 20_000)


def test_a_vehicle_that_only_a_straight_line_puts_there_does_not_count():
    rows = [travelled(vehicle="seen"), travelled(vehicle="passed", n_pings=0, provider="b")]
    cell = summed(rows).row(0, named=True)
    assert (cell["n_vehicles"], cell["n_providers"], cell["duration_ms"]) == (1, 1, 20_000)


def test_one_class_has_no_rows_of_its_own_and_two_have():
    one = summed([travelled()])
    two = summed([travelled(), travelled(vehicle="v1", vehicle_class="bus")])
    assert one["vehicle_class"].to_list() == ["all"]
    assert sorted(two["vehicle_class"]) == ["all", "bus", "taxi"]


def test_a_vehicle_of_two_classes_is_one_vehicle_among_all():
    both = summed([travelled(), travelled(vehicle_class="bus")])
    assert both.filter(pl.col("vehicle_class") == "all")["n_vehicles"].item() == 1


def of_all(rows: list[dict[str, object]]) -> list[str]:
    rolled = cells.roll_up(frame(rows), resolution=9, window_minutes=15)
    everyone = cells.with_all_classes(rolled, PARAMETERS.classes_apart).collect()
    return everyone.filter(pl.col("vehicle_class") == "all")["vehicle"].sort().to_list()


def test_motorcycles_and_buses_are_no_part_of_all_where_cars_are_there():
    rows = [
        travelled(vehicle=name, vehicle_class=name) for name in ("car", "motorcycle", "bus", "taxi")
    ]
    assert of_all(rows) == ["car", "taxi"]


def test_where_only_motorcycles_are_there_they_are_all():
    tomorrow = pings.NOON + timedelta(days=1)
    rows = [
        travelled(vehicle="m1", vehicle_class="motorcycle"),
        travelled(vehicle="m2", vehicle_class="motorcycle", window_start=tomorrow),
        travelled(vehicle="car", vehicle_class="car", window_start=tomorrow),
    ]
    assert of_all(rows) == ["car", "m1"]


def test_days_begin_by_the_local_clock():
    before = travelled(window_start=pings.NOON.replace(hour=16, minute=45))
    after = travelled(window_start=pings.NOON.replace(hour=17, minute=0), vehicle="v1")
    days = summed([before, after], window_minutes=1440, time_zone="Asia/Bangkok")
    assert days["window_start"].sort().to_list() == [
        pings.NOON.replace(day=9, hour=17),
        pings.NOON.replace(day=10, hour=17),
    ]


def test_hours_begin_by_a_clock_with_quarters():
    row = travelled(window_start=pings.NOON.replace(hour=12, minute=30))
    hours = summed([row], window_minutes=60, time_zone="Asia/Kathmandu")  # +05:45
    assert hours["window_start"].to_list() == [pings.NOON.replace(hour=12, minute=15)]


def test_cells_roll_up_to_their_parent():
    assert summed([travelled()], resolution=7)["h3_cell"].item() == parent_of(CELL, 7)


def test_standing_among_crawling_vehicles_is_part_of_the_queue():
    crawling = [travelled(vehicle=f"v{n}", distance_mm=20_000) for n in range(2)]
    waiting = travelled(vehicle="w", distance_mm=0, duration_ms=0, gap_15s_ms=0, dwell_ms=240_000)
    counted = cells.count_queues(frame([*crawling, waiting]), PARAMETERS).collect()
    assert counted["duration_ms"].sum() == 260_000
    assert counted["dwell_ms"].sum() == 0


def test_standing_beside_flowing_traffic_is_parking():
    waiting = travelled(vehicle="w", distance_mm=0, duration_ms=0, gap_15s_ms=0, dwell_ms=240_000)
    counted = cells.count_queues(
        frame([travelled(), travelled(vehicle="v1"), waiting]), PARAMETERS
    ).collect()
    assert counted["duration_ms"].sum() == 20_000


def windows(cell: int, speeds_kmh: list[float], *, step: timedelta, n_vehicles: int = 12):
    return pl.DataFrame(
        {
            "h3_cell": pl.Series([cell] * len(speeds_kmh), dtype=pl.UInt64),
            "vehicle_class": "all",
            "window_start": [pings.NOON + step * n for n in range(len(speeds_kmh))],
            "distance_mm": [round(v / 3.6 * 10_000) for v in speeds_kmh],
            "duration_ms": 10_000,
            "n_vehicles": n_vehicles,
        },
        schema_overrides={"window_start": pl.Datetime("us", "UTC")},
    )


def ladder(frame: pl.DataFrame, **options: object) -> pl.DataFrame:
    found = free_flow(
        frame.lazy(), PARAMETERS, **({"resolution": 9, "window_minutes": 60} | options)
    )
    return found.collect().sort("h3_cell")


def test_free_flow_is_the_night_where_there_are_enough_nights():
    # Every 12 hours from noon: each second window is at midnight, 30 of them over 30 days.
    speeds = [20.0 + (n % 2) * 30 for n in range(60)]
    found = ladder(windows(CELL, speeds, step=timedelta(hours=12))).row(0, named=True)
    assert found["free_flow_method"] == "night_p85"
    assert (found["free_flow_kmh"], found["n_windows"]) == (pytest.approx(50.0, abs=1e-3), 30)


@pytest.mark.parametrize(
    "short_of",
    [
        {"step": timedelta(hours=4)},  # fewer than 14 days
        {"n_vehicles": 9},
        {"speeds_kmh": [20.0 + (n % 2) * 30 for n in range(58)]},  # 29 nights
    ],
)
def test_free_flow_is_the_cells_own_percentile_without_enough_nights(short_of):
    options = {"speeds_kmh": [20.0 + (n % 2) * 30 for n in range(60)], "step": timedelta(hours=12)}
    found = ladder(windows(CELL, **(options | short_of)))
    assert found["free_flow_method"].to_list() == ["own_p85"]


def test_days_have_no_night():
    speeds = [20.0 + (n % 2) * 30 for n in range(60)]
    found = ladder(windows(CELL, speeds, step=timedelta(hours=12)), window_minutes=1440)
    assert found["free_flow_method"].to_list() == ["own_p85"]


def test_night_is_by_the_local_clock():
    # Noon UTC is 21:00 in Tokyo and midnight UTC is 9:00: no window is at night.
    speeds = [20.0 + (n % 2) * 30 for n in range(60)]
    found = ladder(windows(CELL, speeds, step=timedelta(hours=12)), time_zone="Asia/Tokyo")
    assert found["free_flow_method"].to_list() == ["own_p85"]


def test_a_cell_with_few_windows_takes_its_parents_and_a_lonely_one_the_citys():
    sister = next(c for c in disk(CELL, 1) if c != CELL and parent_of(c, 8) == parent_of(CELL, 8))
    lonely = cell_at(101.5, 13.75, 9)
    hour = timedelta(hours=1)
    many = windows(CELL, [30.0 + n for n in range(11)], step=hour)
    frame = pl.concat([many, windows(sister, [10.0], step=hour), windows(lonely, [5.0], step=hour)])
    found = {row["h3_cell"]: row for row in ladder(frame).iter_rows(named=True)}
    assert found[CELL]["free_flow_method"] == "own_p85"
    # Each window counts by its distance, here as its speed: 0.85 x (30 + ... + 39) = 293.25 lies
    # 25.25 beyond the 268 before the window of 38 km/h, of the 38 to the next one.
    assert found[CELL]["free_flow_kmh"] == pytest.approx(38 + 25.25 / 38, abs=1e-3)
    assert found[sister]["free_flow_method"] == "parent_p85"
    assert found[lonely]["free_flow_method"] == "city_p85"


def test_a_lucky_window_of_a_few_metres_does_not_make_the_free_flow():
    busy = windows(CELL, [30.0] * 8, step=timedelta(hours=1))
    lucky = windows(CELL, [70.0] * 2, step=timedelta(minutes=7)).with_columns(
        distance_mm=pl.col("distance_mm") // 100,
        duration_ms=pl.lit(100, dtype=pl.Int64),
        window_start=pl.col("window_start") + timedelta(minutes=1),
    )
    found = ladder(pl.concat([busy, lucky.cast(busy.schema)]))
    assert found["free_flow_kmh"].item() == pytest.approx(30.0, abs=0.1)


def test_equal_weights_give_the_percentile_of_type_7():
    frame = pl.DataFrame({"speed": [5.0, 1.0, 9.0, 4.0, 7.0], "w": [3] * 5})
    found = frame.select(
        weighted=weighted_quantile("speed", "w", 0.85),
        plain=pl.col("speed").quantile(0.85, interpolation="linear"),
    )
    assert found["weighted"].item() == pytest.approx(found["plain"].item())


def test_single_vehicles_say_nothing_about_free_flow_unless_there_is_nothing_else():
    hour = timedelta(hours=1)
    found = ladder(windows(CELL, [30.0] * 20, step=hour, n_vehicles=1))
    assert found["free_flow_method"].to_list() == ["city_p85"]
