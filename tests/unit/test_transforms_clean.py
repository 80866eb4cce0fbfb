from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest
from doubles import transforms_pings as pings

from clearway_transforms import clean
from clearway_transforms.parameters import congestion_parameters

PARAMETERS = congestion_parameters()


def faults(marked: pl.LazyFrame) -> list[str | None]:
    return marked.collect()["fault"].to_list()


def ordered(fixes: pl.DataFrame) -> pl.LazyFrame:
    return clean.flag_duplicates(pings.as_gps_pings(fixes).lazy()).filter(pl.col("fault").is_null())


@pytest.mark.parametrize(
    ("columns", "rule"),
    [
        ({"lon_deg": 0.0, "lat_deg": 0.0}, "zero_position"),
        ({"lat_deg": 0.0}, None),  # Pontianak lies on the equator
        ({"accuracy_m": 50.0}, None),
        ({"accuracy_m": 50.1}, "low_accuracy"),
        ({"flags": "speed_kmh_range hdop_high"}, "low_accuracy"),
        ({"flags": "observed_at_far_from_clock"}, "wrong_clock"),
        ({"flags": "speed_kmh_range"}, None),
        ({"observed_at": pings.ARRIVAL + timedelta(seconds=299)}, None),
        ({"observed_at": pings.ARRIVAL + timedelta(seconds=301)}, "wrong_clock"),
    ],
)
def test_a_fix_that_cannot_be_used_gets_the_name_of_its_rule(columns, rule):
    fix = pings.drive(speeds_kmh=[]).with_columns(
        **{name: pl.lit(value) for name, value in columns.items()}
    )
    assert faults(clean.flag_unusable(pings.as_gps_pings(fix).lazy(), PARAMETERS)) == [rule]


@pytest.mark.parametrize(
    ("lat_deg", "rule"),
    [(13.9, None), (14.0 + 0.17, None), (14.0 + 0.19, "outside_service_area")],
)
def test_twenty_kilometres_around_the_service_area_stay_in(lat_deg, rule):
    fix = pings.as_gps_pings(pings.drive(speeds_kmh=[], lat_deg=lat_deg)).lazy()
    marked = clean.flag_unusable(fix, PARAMETERS, service_area_deg=(100.0, 13.5, 101.0, 14.0))
    assert faults(marked) == [rule]


def test_of_two_fixes_at_one_instant_the_one_that_was_read_first_stays():
    fix = pings.drive(speeds_kmh=[])
    both = pl.concat([fix.with_columns(lat_deg=pl.lit(13.8)), fix]).with_columns(
        seq=pl.Series([7, 2])
    )
    marked = clean.flag_duplicates(pings.as_gps_pings(both).lazy()).collect()
    assert marked.select("seq", "fault").rows() == [(2, None), (7, "duplicate")]


def test_a_position_repeated_a_second_later_is_a_fault_unless_speed_says_that_it_stands():
    fixes = pings.drive(step_s=1.0, speeds_kmh=[0.0, 0.0])
    assert faults(clean.flag_repeats(ordered(fixes), PARAMETERS)) == [
        None,
        "repeated_position",
        "repeated_position",
    ]
    standing = fixes.with_columns(speed_kmh=pl.lit(0.0))
    assert faults(clean.flag_repeats(ordered(standing), PARAMETERS)) == [None] * 3


def jumped(lats: list[float], *, step_s: float = 10.0) -> list[bool]:
    fixes = pings.drive(step_s=step_s, speeds_kmh=[0.0] * (len(lats) - 1)).with_columns(
        lat_deg=pl.Series(lats)
    )
    return [fault == "jump" for fault in faults(clean.flag_jumps(ordered(fixes), PARAMETERS))]


def test_a_spike_goes_and_its_neighbours_stay():
    assert jumped([13.75, 13.75, 13.85, 13.75, 13.75]) == [False, False, True, False, False]


def test_a_first_fix_far_off_goes_instead_of_all_that_follow():
    assert jumped([13.85, 13.75, 13.7501, 13.7502]) == [True, False, False, False]


def test_two_stray_fixes_in_a_row_both_go():
    assert jumped([13.75, 13.85, 13.8501, 13.75, 13.75]) == [False, True, True, False, False]


def test_a_new_place_is_believed_once_a_car_could_have_reached_it():
    # 1.1 km in 10 s is too fast, in 30 s it is 133 km/h.
    assert jumped([13.75, 13.75, 13.76, 13.76, 13.76]) == [False, False, True, True, False]


def test_after_a_long_silence_no_jump_is_judged():
    assert jumped([13.75, 14.75], step_s=301.0) == [False, False]


def test_vehicles_do_not_jump_to_each_other():
    fixes = pl.concat([pings.drive("a"), pings.drive("b", lat_deg=14.5)])
    assert set(faults(clean.flag_jumps(ordered(fixes), PARAMETERS))) == {None}


def test_fixes_read_out_of_order_are_counted_and_sorted():
    fixes = pings.as_gps_pings(pings.drive(speeds_kmh=[36.0] * 3)).with_columns(
        seq=pl.Series([0, 2, 1, 3], dtype=pl.Int64)
    )
    sorted_fixes = clean.flag_duplicates(fixes.lazy())
    assert clean.out_of_order(sorted_fixes).collect().item() == 1
    assert sorted_fixes.collect()["observed_at"].is_sorted()
