"""Which vehicles count on a corridor, in which direction, with what distance and time."""

from __future__ import annotations

import itertools

import polars as pl
import pytest
from doubles import corridor_city as city

from clearway_core.corridor_lines import compass_word, corridors_of
from clearway_core.geo import disk
from clearway_transforms.corridors.corridor_passes import corridor_travel, ways_up
from clearway_transforms.parameters import corridor_parameters

PARAMETERS = corridor_parameters()
OUT, IN = 0, 1


def travel(*tracks, lines=()) -> pl.DataFrame:
    found = corridor_travel(city.paired(*tracks), city.index(*lines), PARAMETERS)
    return found.sort("vehicle_code", "corridor", "segment", "window")


def sums(found: pl.DataFrame) -> dict[int, tuple[int, int]]:
    """Return distance [mm] and time [ms] by corridor."""
    rows = found.group_by("corridor").agg(pl.col("distance_mm", "duration_ms").sum())
    return {number: (distance, time) for number, distance, time in rows.iter_rows()}


@pytest.mark.parametrize("every_s", [1.0, 5.0, 10.0, 60.0])
def test_a_vehicle_that_drives_all_of_it_takes_its_time_in_its_direction(every_s):
    there = sums(travel(city.drive(-900, 2_900, kmh=36, every_s=every_s)))
    back = sums(travel(city.drive(2_900, -900, kmh=36, every_s=every_s)))

    assert list(there) == [OUT]
    assert list(back) == [IN]
    for distance, time in (there[OUT], back[IN]):
        assert time / distance == pytest.approx(0.1, rel=1e-3)  # 36 km/h is 0.1 ms per mm
    if every_s < 60:  # fixes a minute apart see the ends of a line from outside
        assert there[OUT] == (2_000_000, 200_000)


def test_time_before_the_line_begins_is_not_its_time():
    waiting = [(second, -20.0, 0.0) for second in range(0, 120, 10)]
    found = sums(travel([*waiting, *city.drive(-20, 2_200, kmh=36, start_s=120)]))

    assert found == {OUT: (2_000_000, 200_000)}


def test_waiting_in_the_side_street_before_turning_in_is_not_counted():
    waiting = [(second, 500.0, 25.0) for second in range(0, 100, 10)]
    found = sums(
        travel([(0 - 10, 500.0, 90.0), *waiting, *city.drive(500, 1_500, kmh=36, start_s=100)])
    )

    (distance, time) = found[OUT]
    assert distance == pytest.approx(970_000, abs=5_000)
    assert time == pytest.approx(97_000, abs=1_000)


def test_a_stop_on_the_way_belongs_to_its_direction():
    first = city.drive(-100, 1_000, kmh=36)
    stop_s = first[-1][0]
    halt = [(stop_s + 10 * n, 1_000.0, 3.0 * (-1) ** n) for n in range(1, 10)]
    found = sums(travel([*first, *halt, *city.drive(1_000, 2_100, kmh=36, start_s=stop_s + 100)]))

    assert list(found) == [OUT]
    assert found[OUT][1] == 300_000  # 200 s of driving, 100 s of standing


def test_a_vehicle_that_turns_round_counts_in_both_directions():
    there = city.drive(-100, 1_200, kmh=36)
    back = city.drive(1_200, -100, kmh=36, start_s=there[-1][0] + 10)
    found = sums(travel([*there, *back]))

    assert set(found) == {OUT, IN}
    for distance, time in found.values():
        assert distance == pytest.approx(1_185_000, abs=2_000)
        assert time / distance == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize(
    "track",
    [
        pytest.param([(10 * n, 700.0, -400.0 + 80 * n) for n in range(11)], id="crosses"),
        pytest.param([(10 * n, 100.0 * n, 60.0) for n in range(20)], id="parallel street"),
        pytest.param([(10 * n, 600 + 57.0 * n, -300 + 57.0 * n) for n in range(11)], id="diagonal"),
        pytest.param([(10 * n, 700.0 + 9 * (n % 2), 5.0) for n in range(12)], id="stands"),
    ],
)
def test_who_does_not_drive_along_it_does_not_count(track):
    assert travel(track).is_empty()


def test_a_short_cut_of_a_winding_line_is_no_travel_along_it():
    lines = city.street((0, 0), (1_000, 0), (1_000, 600), (0, 600))
    along = [(0, 20.0, 0.0), (60, 20.0, 600.0)]  # straight up, 2,560 m by the line

    assert travel(along, lines=lines).is_empty()


def test_one_stray_fix_does_not_end_a_pass():
    track = city.drive(-100, 2_100, kmh=36)
    strayed = [(s, east, 80.0 if n == 9 else north) for n, (s, east, north) in enumerate(track)]

    assert sums(travel(strayed)) == sums(travel(track))


def test_parked_time_is_kept_apart():
    first = city.drive(-100, 1_000, kmh=36)
    stop_s = first[-1][0]
    parked = [(stop_s + 10 * n, 1_000.0, 0.0) for n in range(1, 40)]
    found = travel([*first, *parked, *city.drive(1_000, 2_100, kmh=36, start_s=stop_s + 400)])

    assert sums(found)[OUT][1] == 200_000
    assert found["dwell_ms"].sum() == 400_000


def test_windows_and_segments_share_a_leg_exactly():
    start_s = 15 * 60 - 33.0
    found = travel(city.drive(-100, 2_100, kmh=36, start_s=start_s, every_s=60))

    assert found["window"].n_unique() == 2
    by_segment = found.group_by("segment").agg(pl.col("distance_mm").sum())
    inner = by_segment.filter(pl.col("segment").is_between(1, 7))
    assert inner["distance_mm"].unique().to_list() == [200_000]


def test_a_vehicle_is_counted_on_both_of_two_lines_that_share_a_street():
    lines = (*city.street(), *city.street((500, 0), (1_500, 0)))
    found = sums(travel(city.drive(-100, 2_100, kmh=36), lines=lines))

    assert found == {0: (2_000_000, 200_000), 2: (1_000_000, 100_000)}


def test_ways_up_are_found_between_turns():
    places = [0, 50, 100, 150, 140, 145, 60, 20, 90, 200, 210]

    assert ways_up(places, reversal=60, at_least=100) == [(0, 3), (7, 10)]
    assert ways_up(places, reversal=200, at_least=100) == [(0, 10)]
    assert ways_up([], reversal=60, at_least=100) == []


def feature(**properties: object) -> dict[str, object]:
    return {
        "properties": properties,
        "geometry": {"type": "LineString", "coordinates": [[100.5, 13.7], [100.52, 13.701]]},
    }


def test_a_line_without_direction_is_called_by_the_compass():
    (one,) = corridors_of(feature(name="High Street"))
    there, back = corridors_of(feature(name="High Street", both_directions=True))

    assert one.direction == there.direction == "east"
    assert back.direction == "west"
    assert back.line == there.line[::-1]
    assert compass_word([(0.0, 0.0), (0.0, -1.0)]) == "south"


@pytest.mark.parametrize(
    "broken",
    [
        {"properties": None, "geometry": None},
        feature(),
        {**feature(name="A"), "geometry": {"type": "Point", "coordinates": [0, 0]}},
        {**feature(name="A"), "geometry": {"type": "LineString", "coordinates": [[0, 0], [0, 0]]}},
    ],
)
def test_what_is_no_named_line_is_no_corridor(broken):
    assert corridors_of(broken) == ()


def test_cells_of_a_corridor_are_neighbours():
    (there, back) = city.street((0, 0), (900, 700), (2_000, 100))
    cells = there.cells(9)

    assert set(cells) == set(back.cells(9))
    assert all(b in disk(a, 1) for a, b in itertools.pairwise(cells))
