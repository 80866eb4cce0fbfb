from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from doubles import transforms_pings as pings

from clearway_transforms.cleaning import clean
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


def accelerated(speeds_kmh: list[float | None], *, step_s: float = 1.0) -> list[bool]:
    fixes = pings.drive(step_s=step_s, speeds_kmh=[10.0] * (len(speeds_kmh) - 1)).with_columns(
        speed_kmh=pl.Series(speeds_kmh, dtype=pl.Float64)
    )
    marked = clean.flag_acceleration(ordered(fixes), PARAMETERS)
    return [fault == "acceleration" for fault in faults(marked)]


def test_a_reported_speed_that_no_car_gets_to_in_a_second_goes_and_its_neighbours_stay():
    # 8 m/s² are 28.8 km/h in a second.
    assert accelerated([20.0, 48.0, 20.0]) == [False, False, False]
    assert accelerated([20.0, 50.0, 20.0]) == [False, True, False]


def test_a_first_speed_that_is_the_odd_one_out_goes_instead_of_all_that_follow():
    assert accelerated([120.0, 20.0, 21.0, 22.0]) == [True, False, False, False]


def test_fixes_without_speed_and_far_apart_in_time_are_not_judged_by_acceleration():
    assert accelerated([20.0, None, 70.0, 20.0]) == [False, False, False, True]  # 25 km/h a second
    assert accelerated([0.0, 160.0], step_s=16.0) == [False, False]


def test_speeds_within_one_step_of_the_clock_are_judged_as_if_a_second_apart():
    assert accelerated([20.0, 24.0, 20.0], step_s=0.1) == [False, False, False]


def heard(*, offset_s: float, step_s: float = 10.0, name: str = "gw-b", **columns: object):
    """Return a drive as a second gateway hears it: another clock, other noise."""
    rows = pings.drive(
        start=pings.NOON + timedelta(seconds=offset_s),
        step_s=step_s,
        speeds_kmh=[36.0] * 40,
        gateway=name,
        **columns,
    )
    noise = pl.Series(np.random.default_rng(5).normal(0, 5e-5, rows.height))
    return rows.with_columns(lat_deg=pl.col("lat_deg") + noise)


def second_gateway(fixes: pl.DataFrame) -> pl.DataFrame:
    return clean.flag_second_gateway(ordered(fixes), PARAMETERS).collect()


@pytest.mark.parametrize("offset_s", [0.0, 0.4, 1.0, 2.0, -1.7])
@pytest.mark.parametrize("step_s", [1.0, 10.0, 60.0])
def test_what_a_second_gateway_hears_of_a_vehicle_is_left_out_whatever_its_clock(offset_s, step_s):
    first = pings.drive(step_s=step_s, speeds_kmh=[36.0] * 40, gateway="gw-a")
    rows = second_gateway(pl.concat([first, heard(offset_s=offset_s, step_s=step_s)]))
    kept = rows.filter(pl.col("fault").is_null())
    # Only before the first gateway's first fix and after its last is the other one alone.
    assert kept.filter(pl.col("gateway") == "gw-a").height == first.height
    assert kept.height - first.height <= 2


def test_vehicles_that_two_gateways_share_out_between_them_stay_whole():
    rows = pl.concat(
        [
            pings.drive("one", speeds_kmh=[36.0] * 9, gateway="gw-a"),
            pings.drive("two", speeds_kmh=[36.0] * 9, gateway="gw-b"),
        ]
    )
    assert second_gateway(rows)["fault"].null_count() == 20


def test_a_second_gateway_fills_the_gaps_of_the_first_one():
    first = pings.drive(step_s=10, speeds_kmh=[36.0] * 40, gateway="gw-a")
    silent = pl.col("observed_at").is_between(
        pings.NOON + timedelta(seconds=100), pings.NOON + timedelta(seconds=200)
    )
    rows = second_gateway(pl.concat([first.filter(~silent), heard(offset_s=1.0).head(25)]))
    kept = rows.filter(pl.col("fault").is_null())
    assert kept.height == first.height
    assert kept.filter(pl.col("gateway") == "gw-b").height == 11


def test_a_vehicle_is_handed_from_one_gateway_to_the_next_within_seconds():
    whole = pings.drive(step_s=1, speeds_kmh=[36.0] * 1200)
    by = pl.when(pl.int_range(pl.len()) < 700).then(pl.lit("gw-a")).otherwise(pl.lit("gw-b"))
    assert second_gateway(whole.with_columns(gateway=by))["fault"].null_count() == 1201 - 5


def test_fixes_read_out_of_order_are_counted_and_sorted():
    fixes = pings.as_gps_pings(pings.drive(speeds_kmh=[36.0] * 3)).with_columns(
        seq=pl.Series([0, 2, 1, 3], dtype=pl.Int64)
    )
    sorted_fixes = clean.flag_duplicates(fixes.lazy())
    assert clean.out_of_order(sorted_fixes).collect().item() == 1
    assert sorted_fixes.collect()["observed_at"].is_sorted()
