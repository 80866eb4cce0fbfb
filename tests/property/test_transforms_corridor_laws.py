"""Laws of travel along corridors, whatever was driven."""

from __future__ import annotations

import polars as pl
from doubles import corridor_city as city
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from clearway_transforms.corridors.corridor_passes import GROUP, SUMS, corridor_travel
from clearway_transforms.parameters import corridor_parameters

PARAMETERS = corridor_parameters()
LINES = city.street((0, 0), (700, 0), (1_300, 500), (2_000, 500))
INDEX, MIRRORED = city.index(*LINES), city.index(*LINES[::-1])
LENGTH_MM = int(INDEX.length_mm[0])

steps = st.tuples(
    st.integers(1, 70),  # s
    st.integers(-150, 400),  # m eastward
    st.integers(-40, 40),  # m northward scatter
)


@st.composite
def tracks(draw):
    """Return a vehicle's fixes somewhere along the bent line."""
    second, east = draw(st.integers(0, 800)), draw(st.integers(-300, 1_800))
    fixes = []
    for took, moved, scatter in draw(st.lists(steps, min_size=2, max_size=25)):
        second, east = second + took, east + moved
        along = min(max((east - 700) / 600, 0.0), 1.0) * 500
        fixes.append((float(second), float(east), along + scatter))
    return fixes


def travel(*some, index=INDEX) -> pl.DataFrame:
    return corridor_travel(city.paired(*some), index, PARAMETERS).sort(GROUP)


@settings(max_examples=60, deadline=None)
@given(tracks())
def test_nothing_is_negative_and_no_pass_is_longer_than_the_way_or_the_time(track):
    found = travel(track)

    assert (found.select(SUMS).min_horizontal() >= 0).all()
    took_ms = (track[-1][0] - track[0][0]) * 1000
    assert found["duration_ms"].sum() + found["dwell_ms"].sum() <= took_ms
    for (_,), rows in found.group_by("corridor"):
        assert rows["segment"].is_between(0, int(INDEX.n_segments[0]) - 1).all()
        if rows["distance_mm"].sum() > LENGTH_MM:  # only who turned can drive more than all of it
            assert found["corridor"].n_unique() == 2


@settings(max_examples=60, deadline=None)
@given(tracks())
def test_both_directions_are_mirror_images(track):
    found, mirrored = travel(track), travel(track, index=MIRRORED)

    swapped = mirrored.with_columns(corridor=1 - pl.col("corridor")).sort(GROUP)
    assert_frame_equal(found, swapped, check_column_order=False)


@settings(max_examples=40, deadline=None)
@given(st.lists(tracks(), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_vehicles_do_not_depend_on_each_other_or_their_order(some, random):
    together = travel(*some)
    order = list(range(len(some)))
    random.shuffle(order)
    shuffled = travel(*(some[n] for n in order))
    renamed = shuffled.with_columns(
        pl.col("vehicle_code").replace_strict(dict(enumerate(order)), return_dtype=pl.Int64)
    )

    assert_frame_equal(together, renamed.sort(GROUP))


@settings(max_examples=40, deadline=None)
@given(st.integers(-600, -60), st.integers(2_100, 2_600), st.integers(10, 100), st.integers(1, 50))
def test_a_whole_pass_is_shared_out_without_rest(start_m, end_m, kmh, every_s):
    straight = city.index(*city.street())
    track = city.drive(start_m, end_m, kmh=kmh, every_s=every_s, start_s=700)
    found = travel(track, index=straight)

    near = [east for _, east, _ in track if -150 <= east <= 2_150]
    first, last = near[0] + PARAMETERS.trim_m, near[-1] - PARAMETERS.trim_m
    expected = min(last, 2_000) - max(first, 0)
    assert abs(found["distance_mm"].sum() - expected * 1000) <= 2_500  # lines are laid into a plane
    pace = found["duration_ms"].sum() / found["distance_mm"].sum()
    assert abs(pace * kmh / 3.6 - 1) < 2e-3
