"""GCJ-02 against METHODS 1 (verification values) and the inverse against its own forward."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearway_core.datum import (
    DATUMS,
    gcj02_to_bd09,
    to_wgs84,
    wgs84_to_bd09,
    wgs84_to_gcj02,
)
from clearway_core.distance import distance_m
from clearway_core.errors import UsageError

METRES_PER_DEGREE = 111_320.0
FORWARD = {"wgs84": lambda lon, lat: (lon, lat), "gcj02": wgs84_to_gcj02, "bd09": wgs84_to_bd09}

# METHODS.md section 1, verification values, "GCJ-02".
GCJ02_ROWS = [
    (116.4074, 39.9042, 116.413642, 39.905603, 554.9),
    (114.0579, 22.5431, 114.063014, 22.540383, 605.9),
    (104.0647, 30.6586, 104.067205, 30.656177, 360.6),
]


@pytest.mark.parametrize(("lon", "lat", "gcj_lon", "gcj_lat", "shift_m"), GCJ02_ROWS)
def test_gcj02_meets_the_verification_values(lon, lat, gcj_lon, gcj_lat, shift_m):
    got_lon, got_lat = wgs84_to_gcj02(lon, lat)
    assert (got_lon, got_lat) == pytest.approx((gcj_lon, gcj_lat), abs=5e-7)  # six decimals given
    assert distance_m(lon, lat, got_lon, got_lat) == pytest.approx(shift_m, abs=0.05)


def test_bd09_meets_the_widely_published_pair():
    # GCJ-02 (116.404, 39.915) -> BD-09: the sample of the common open-source converters.
    assert gcj02_to_bd09(116.404, 39.915) == pytest.approx(
        (116.41036949371029, 39.92133699351021), abs=1e-12
    )


@settings(max_examples=100)
@given(
    # Whole degrees inside the rectangle where maps shift, so that no shift crosses its edge.
    lon=st.floats(73, 137),
    lat=st.floats(2, 55),
    datum=st.sampled_from(DATUMS),
)
def test_inverse_returns_to_the_start_within_a_micrometre(lon, lat, datum):
    back_lon, back_lat = to_wgs84(*FORWARD[datum](lon, lat), datum)
    east_m = (back_lon - lon) * METRES_PER_DEGREE * math.cos(math.radians(lat))
    north_m = (back_lat - lat) * METRES_PER_DEGREE
    assert math.hypot(east_m, north_m) < 1e-6


@pytest.mark.parametrize("datum", DATUMS)
def test_positions_outside_china_stay_where_they_are(datum):
    assert to_wgs84(-122.4194, 37.7749, datum) == (-122.4194, 37.7749)


def test_unknown_datum_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match=r"wgs84, gcj02, bd09.*'nad27'"):
        to_wgs84(0.0, 0.0, "nad27")
