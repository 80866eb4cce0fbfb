from __future__ import annotations

import polars as pl
import pytest
from doubles import transforms_pings as pings

from clearway_transforms.cleaning import clean
from clearway_transforms.parameters import congestion_parameters
from clearway_transforms.travel import trips
from clearway_transforms.travel.legs import counted_legs, located

PARAMETERS = congestion_parameters()


def paired(fixes: pl.DataFrame) -> pl.DataFrame:
    cleaned = clean.flag_duplicates(pings.as_gps_pings(fixes).lazy())
    return trips.pair_fixes(cleaned.drop("fault"), PARAMETERS).collect()


def kinds(fixes: pl.DataFrame) -> list[str | None]:
    return paired(fixes)["kind"].to_list()


@pytest.mark.parametrize(
    ("steps_s", "last"),
    [
        ([10] * 8 + [121], "gap"),
        ([10] * 8 + [120], "path"),
        ([60] * 8 + [121], "path"),
        ([60] * 8 + [300], "path"),
        ([60] * 8 + [301], "gap"),
    ],
)
def test_a_trip_ends_at_a_pause_that_is_long_for_its_feed(steps_s, last):
    fixes = pings.drive(speeds_kmh=[36.0] * len(steps_s))
    instants = [pings.NOON]
    for step in steps_s:
        instants.append(instants[-1] + (pings.timedelta(seconds=step)))
    moved = fixes.with_columns(observed_at=pl.Series(instants))
    assert kinds(moved)[-1] == last


def test_only_occupied_legs_count_and_none_across_a_change():
    occupied = [False, False, True, True, False]
    fixes = pings.drive(speeds_kmh=[36.0] * 4).with_columns(occupied=pl.Series(occupied))
    assert kinds(fixes) == [None, "vacant", "status_change", "path", "status_change"]


def test_standing_at_the_kerb_for_a_passenger_is_no_traffic():
    # 30 s at the kerb with the passenger in, a drive, 40 s until the fare is paid.
    speeds = [36.0, 36.0, 0.0, 0.0, 0.0, *[37.0] * 12, 0.0, 0.0, 0.0, 0.0, 36.0]
    occupied = [False] * 3 + [True] * 19 + [False]
    fixes = pings.drive(step_s=10, speeds_kmh=speeds).with_columns(occupied=pl.Series(occupied))
    found = kinds(fixes)
    assert found[:3] == [None, "vacant", "vacant"]
    assert found[3] == "status_change"
    assert found[4:6] == ["boarding"] * 2
    assert found[6:18] == ["path"] * 12
    assert found[18:] == [*["boarding"] * 4, "status_change"]


def test_creeping_in_a_queue_soon_after_a_passenger_got_in_is_traffic_again_after_a_minute():
    occupied = [False, *[True] * 20]
    fixes = pings.drive(step_s=10, speeds_kmh=[4.0] * 20).with_columns(occupied=pl.Series(occupied))
    assert kinds(fixes)[1:] == ["status_change", *["boarding"] * 6, *["path"] * 13]


def test_a_change_after_a_long_silence_says_nothing_about_the_kerb():
    first = pings.drive(speeds_kmh=[], occupied=False)
    later = pings.drive(
        start=pings.NOON + pings.timedelta(seconds=301), step_s=10, speeds_kmh=[4.0], occupied=True
    )
    assert kinds(pl.concat([first, later])) == [None, "gap", "path"]


def test_where_nobody_knows_about_passengers_every_leg_counts():
    assert kinds(pings.drive(speeds_kmh=[36.0] * 2)) == [None, "path", "path"]


def test_a_halt_of_more_than_three_minutes_is_dwell_and_a_shorter_one_is_not():
    driving = [36.0, 36.0]
    short = kinds(pings.drive(step_s=60, speeds_kmh=[*driving, *[0.0] * 3, *driving]))
    long = kinds(pings.drive(step_s=60, speeds_kmh=[*driving, *[0.0] * 4, *driving]))
    assert short.count("dwell") == 0
    assert long == [None, "path", "path", *["dwell"] * 4, "path", "path"]


def test_creeping_out_of_the_radius_is_not_dwell():
    creeping = pings.drive(step_s=10, speeds_kmh=[1.0] * 60)  # 50 m in three minutes
    assert "dwell" not in kinds(creeping)


def test_reported_speeds_count_up_to_gaps_of_fifteen_seconds():
    dense = pings.drive(step_s=15, speeds_kmh=[36.0] * 3, speed_kmh=40.0)
    sparse = pings.drive(step_s=16, speeds_kmh=[36.0] * 3, speed_kmh=40.0)
    assert kinds(dense)[1:] == ["reported"] * 3
    assert kinds(sparse)[1:] == ["path"] * 3


def test_an_impossible_reported_speed_is_not_used():
    fixes = pings.drive(step_s=10, speeds_kmh=[36.0] * 2, speed_kmh=200.0)
    assert kinds(fixes) == [None, "path", "path"]
    assert paired(fixes)["speed_kmh"].null_count() == 3


def legs(fixes: pl.DataFrame) -> pl.DataFrame:
    within_cells = located(paired(fixes).lazy(), 9)
    return counted_legs(within_cells, PARAMETERS).collect().sort("start_ms")


def test_reported_speed_wins_over_the_way_between_noisy_positions():
    noisy = pings.drive(step_s=5, speeds_kmh=[72.0, 0.0] * 5, speed_kmh=36.0)
    assert legs(noisy)["distance_mm"].to_list() == [50_000] * 10


def test_short_pairs_without_speed_are_joined_and_nothing_is_lost():
    found = legs(pings.drive(step_s=4, speeds_kmh=[36.0] * 7))
    # 12 s of 3 pairs, and the last pair with the 12 s before it.
    assert found["duration_ms"].to_list() == [12_000, 16_000]
    assert found["distance_mm"].to_list() == pytest.approx([120_000, 160_000], abs=1)


def test_a_trip_shorter_than_ten_seconds_without_speed_says_nothing():
    assert legs(pings.drive(step_s=4, speeds_kmh=[36.0] * 2)).is_empty()
