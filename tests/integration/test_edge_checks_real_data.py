"""Checks over real cabs and a real sensor with two channels, beside rules written down anew."""

from __future__ import annotations

import csv
import io
import math
import tarfile
from collections import Counter, defaultdict
from itertools import islice

import pytest

from clearway_core.contracts.wire import AIR_READING, GPS_PING
from clearway_edge.checks.checks import Checks
from clearway_edge.checks.flags import Flags

pytestmark = pytest.mark.real_data

REACH_KMH, SLACK_M, SILENCE_S = 250.0, 100.0, 600.0


def members(file):
    with tarfile.open(file) as archive:
        for member in archive:
            if member.isfile():
                yield member.name, archive.extractfile(member).read()


def flagged(contract, rows, columns):
    """Return the flags of each row, checked in chunks of a thousand."""
    checks, found, left = Checks(), [], iter(rows)
    while part := list(islice(left, 1000)):
        flags = Flags()
        checks.flag(contract, dict(zip(columns, zip(*part, strict=True), strict=True)), flags)
        found += [set(flags.by_row.get(row, ())) for row in range(len(part))]
    return found


def haversine_m(a, b):
    (lon_a, lat_a), (lon_b, lat_b) = (map(math.radians, place) for place in (a, b))
    half = math.sin((lat_b - lat_a) / 2) ** 2
    half += math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    return 2 * 6_371_008.8 * math.asin(math.sqrt(half))


def test_cabs_are_flagged_where_no_car_can_have_driven(real_data):
    rows = []
    cabs = members(real_data / "gps/sf_cabspotting/cabspotting_2008-05-21.tar.gz")
    for name, data in islice(sorted(cabs), 0, None, 4):
        for line in data.splitlines():
            lat, lon, _, at_s = line.split()
            rows.append((name, int(at_s) * 1000, float(lon), float(lat)))
    rows.sort(key=lambda row: row[1])
    found = flagged(GPS_PING, rows, ("vehicle", "observed_at", "lon_deg", "lat_deg"))
    n_jumps, by_cab = 0, defaultdict(list)
    for (cab, at_ms, lon, lat), flags in zip(rows, found, strict=True):
        by_cab[cab].append((at_ms, (lon, lat), "impossible_jump" in flags))
        n_jumps += "impossible_jump" in flags
    # Strays, most of them of a few cabs; three in a thousand over all cabs of the day.
    assert (len(rows), n_jumps) == (114_192, 764)
    n_close = 0
    for fixes in by_cab.values():
        good = None
        for number, (at_ms, place, jumped) in enumerate(fixes):
            before = fixes[number - 1] if number else None
            # The suspect of before, if it was one, may turn out to have been right.
            from_suspect = before is not None and before[2] and reaches(before, at_ms, place) < 1
            effort = 0.0 if good is None else reaches(good, at_ms, place)
            if 0.999 < effort < 1.001:
                n_close += 1  # the plane that the check computes in differs by so much
            else:
                assert jumped == (effort > 1 and not from_suspect)
            if not jumped:
                good = (at_ms, place)
    assert n_close < 5  # hardly any are so close


def reaches(fix, at_ms, place):
    """Return which share of the reach a car would have needed to get there."""
    elapsed_s = abs(at_ms - fix[0]) / 1000
    if elapsed_s > SILENCE_S:
        return 0.0
    return haversine_m(fix[1], place) / (elapsed_s * REACH_KMH / 3.6 + SLACK_M)


def test_two_channels_disagree_exactly_where_the_published_rule_says(real_data):
    archive = real_data / "air/troy_ny_purpleair_ab/sensor-166371.tar.gz"
    readings = {}
    for name, data in members(archive):
        if name.endswith(".csv"):
            for row in csv.DictReader(io.StringIO(data.decode())):
                readings[int(row["time_stamp"])] = row
    columns = (
        "sensor", "sensor_model", "observed_at", "lon_deg", "lat_deg",
        "pm2_5_cf1_a_ugm3", "pm2_5_cf1_b_ugm3", "humidity_pct",
    )  # fmt: skip
    rows, expected = [], Counter()
    for at_s, row in sorted(readings.items()):
        a, b, humidity = (
            float(row[name]) if row[name] else None
            for name in ("pm2.5_cf_1_a", "pm2.5_cf_1_b", "humidity")
        )
        rows.append(("s", "pms5003", at_s * 1000, -73.7, 42.7, a, b, humidity))
        if a is not None and b is not None and a + b:
            expected["ab"] += abs(a - b) > 5 and abs(a - b) / ((a + b) / 2) > 0.7
        expected["damp"] += humidity is not None and humidity > 95
    flags = Counter(flag for row in flagged(AIR_READING, rows, columns) for flag in row)
    assert len(rows) > 20_000
    assert flags["ab_disagreement"] == expected["ab"]
    assert flags["humidity_out_of_sensor_range"] == expected["damp"]
    # Smoke and fireworks apart, real air neither spikes nor stands still.
    assert sum(n for flag, n in flags.items() if flag.endswith("_spike")) < len(rows) / 500
    assert sum(n for flag, n in flags.items() if flag.endswith("_stuck")) < len(rows) / 500
