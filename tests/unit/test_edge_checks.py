"""Checks of the gateway: what they flag, that they alter nothing, and that chunks do not matter."""

from __future__ import annotations

import copy
import random
from zoneinfo import ZoneInfo

import pytest
from doubles.edge_doubles import TurnableClock
from hypothesis import given, settings
from hypothesis import strategies as st

from clearway_core.contracts.wire import AIR_READING, GPS_PING
from clearway_core.stream.batch import decode
from clearway_edge.batching import Batcher, Gathered
from clearway_edge.checks.check_parameters import CheckParameters, check_parameters
from clearway_edge.checks.checks import Checks
from clearway_edge.checks.flags import Flags
from clearway_edge.checks.sensor_checks import SensorChecks
from clearway_edge.checks.vehicle_checks import VehicleChecks
from clearway_edge.clock.clock_state import ClockState
from clearway_edge.privacy.pseudonyms import KeyRing, Pseudonymiser
from clearway_edge.sources.source import Intake, Reading, columns_of

NOON_MS = 1_768_478_400_000
A, B = "pm2_5_cf1_a_ugm3", "pm2_5_cf1_b_ugm3"
ATM = "pm2_5_atm_ugm3"


def air(at_s, *, sensor="s1", model="pms5003", lon_deg=100.5, **channels):
    place = {"lon_deg": lon_deg, "lat_deg": 13.7}
    at_ms = round(NOON_MS + at_s * 1000)
    return {"sensor": sensor, "sensor_model": model, "observed_at": at_ms, **place, **channels}


def fix(at_s, lon_deg=100.5, lat_deg=13.7, vehicle="0" * 32):
    at_ms = round(NOON_MS + at_s * 1000)
    place = {"lon_deg": lon_deg, "lat_deg": lat_deg}
    return {"provider": "p", "vehicle": vehicle, "observed_at": at_ms, **place}


def flagged(rows, contract=AIR_READING, *, sizes=(), checks=None):
    """Return the flags of each row, checked in chunks of these sizes."""
    checks = checks or Checks()
    result, sizes, start = [], list(sizes), 0
    while start < len(rows):
        size = sizes.pop(0) if sizes else len(rows)
        part = [Reading(contract="", values=row) for row in rows[start : start + size]]
        start += size
        flags = Flags()
        checks.flag(contract, columns_of(part, contract.columns), flags)
        result += [sorted(flags.by_row.get(row, [])) for row in range(len(part))]
    return result


# ---------------------------------------------------------------- laws

channels = st.dictionaries(
    st.sampled_from([A, B, ATM, "no2_ppb", "humidity_pct", "temperature_c"]),
    st.sampled_from([0.0, 1.0, 8.0, 75.0, 99.0, 400.0, 9000.0]),
)
readings = st.builds(
    lambda at, sensor, model, lon, values: air(
        at, sensor=sensor, model=model, lon_deg=lon, **values
    ),
    st.integers(0, 30_000),
    st.sampled_from(["s1", "s2"]),
    st.sampled_from(["pms5003", "sds011", "reference"]),
    st.sampled_from([100.5, 101.0]),
    channels,
)
fixes = st.builds(
    fix,
    st.integers(0, 2000),
    st.floats(-180, 180) | st.sampled_from([100.5, 100.501, 179.9999, -179.9999]),
    st.floats(-90, 90) | st.just(13.7),
    st.sampled_from(["0" * 32, "1" * 32]),
)
sizes = st.lists(st.integers(1, 10), max_size=20)


@pytest.mark.parametrize(("contract", "row"), [(AIR_READING, readings), (GPS_PING, fixes)])
@settings(max_examples=60, deadline=None)
@given(data=st.data(), cuts=sizes)
def test_flags_do_not_depend_on_how_readings_are_cut(contract, row, data, cuts):
    rows = data.draw(st.lists(row, max_size=40))
    assert flagged(rows, contract, sizes=cuts) == flagged(rows, contract)


@pytest.mark.parametrize(("contract", "row"), [(AIR_READING, readings), (GPS_PING, fixes)])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_values_and_their_order_stay_as_they_were(contract, row, data):
    rows = [Reading(contract="", values=each) for each in data.draw(st.lists(row, max_size=20))]
    columns = columns_of(rows, contract.columns)
    before = copy.deepcopy(columns)
    Checks().flag(contract, columns, Flags())
    assert columns == before


@settings(max_examples=40, deadline=None)
@given(st.lists(readings, max_size=30), st.lists(readings, max_size=30), st.randoms())
def test_one_sensor_says_nothing_about_another_at_another_place(mine, others, order):
    mine = [row | {"sensor": "mine", "lon_deg": 50.0} for row in mine]
    together = [("mine", row) for row in mine]
    for row in others:
        together.insert(order.randint(0, len(together)), ("other", row))
    found = flagged([row for _, row in together])
    kept = [flags for (whose, _), flags in zip(together, found, strict=True) if whose == "mine"]
    assert kept == flagged(mine)


# ---------------------------------------------------------------- stuck


def test_channel_that_says_the_same_for_six_hours_is_flagged_from_then_on():
    rows = [
        air(minute * 60, **{ATM: 12.0, "humidity_pct": 50.0 + minute % 2}) for minute in range(362)
    ]
    found = flagged(rows)
    assert found[:360] == [[]] * 360
    assert found[360:] == [[ATM + "_stuck"]] * 2


def test_few_equal_hourly_values_and_another_value_between_are_not_stuck():
    assert flagged([air(hour * 3600, no2_ppb=20.0) for hour in range(20)]) == [[]] * 20
    rows = [air(minute * 60, **{ATM: 12.0}) for minute in range(400)]
    rows[200][ATM] = 13.0
    assert flagged(rows) == [[]] * 400


def test_equal_values_around_a_silence_are_no_run():
    rows = [air(minute * 60, no2_ppb=7.0) for minute in range(180)]
    rows += [air(4 * 3600 + minute * 60 + 3601, no2_ppb=7.0) for minute in range(180)]
    assert flagged(rows) == [[]] * 360


# ---------------------------------------------------------------- spike


def test_spike_is_flagged_and_what_follows_is_not():
    values = [10, 12, 11, 13, 12, 11, 180, 12, 11]
    found = flagged([air(i, **{ATM: float(value)}) for i, value in enumerate(values)])
    assert [bool(flags) for flags in found] == [False] * 6 + [True, False, False]
    assert found[6] == [ATM + "_spike"]


def test_smoke_that_stays_stops_being_a_spike():
    values = [10.0, 11.0] * 6 + [180.0, 185.0] * 6
    found = flagged([air(i, **{ATM: value}) for i, value in enumerate(values)])
    assert found[12] == [ATM + "_spike"]
    assert found[-4:] == [[]] * 4


def test_noisy_air_a_small_jump_and_a_reference_instrument_are_no_spikes():
    noisy = [0.0, 60.0, 20.0, 80.0, 40.0, 0.0, 150.0]
    assert flagged([air(i, **{ATM: value}) for i, value in enumerate(noisy)])[-1] == []
    small = [10.0] * 6 + [59.0]
    assert flagged([air(i, **{ATM: value}) for i, value in enumerate(small)])[-1] == []
    big = [air(i, model="reference", pm2_5_ugm3=v) for i, v in enumerate([10.0] * 6 + [400.0])]
    assert flagged(big)[-1] == []


# ---------------------------------------------------------------- two channels


@pytest.mark.parametrize(
    ("a", "b", "apart"),
    # Verification values of the methods, section 2, and none of both
    [(10, 14, False), (10, 30, True), (2, 6, False), (100, 120, False), (0, 0, False)],
)
def test_channels_that_contradict_each_other_are_flagged(a, b, apart):
    expected = [["ab_disagreement"]] if apart else [[]]
    assert flagged([air(0, **{A: float(a), B: float(b)})]) == expected


def test_sensors_of_a_pair_that_speak_by_turns_are_compared_within_a_minute():
    rows = [air(0, **{A: 10.0}), air(60, **{B: 30.0}), air(121, **{A: 10.0}), air(130, **{A: 11.0})]
    assert flagged(rows) == [[], ["ab_disagreement"], [], []]


# ---------------------------------------------------------------- humidity


def test_particles_measured_in_more_humidity_than_the_sensor_is_made_for_are_flagged():
    rows = [
        air(0, model="sds011", **{ATM: 9.0, "humidity_pct": 71.0}),
        air(1, model="sds011", **{ATM: 9.0, "humidity_pct": 70.0}),
        air(2, model="pms5003", **{ATM: 9.0, "humidity_pct": 95.0}),
        air(3, model="pms5003", **{ATM: 9.0, "humidity_pct": 95.5}),
        air(4, model="reference", pm2_5_ugm3=9.0, humidity_pct=99.0),
        air(5, model="bme280", humidity_pct=99.0),
    ]
    damp = ["humidity_out_of_sensor_range"]
    assert flagged(rows) == [damp, [], [], damp, [], []]


def test_humidity_of_another_sensor_of_the_place_counts_for_ten_minutes():
    rows = [
        air(0, sensor="weather", model="bme280", humidity_pct=80.0),
        air(600, model="sds011", **{ATM: 9.0}),
        air(601, model="sds011", **{ATM: 9.0}),
        air(10, model="sds011", lon_deg=100.6, **{ATM: 9.0}),
    ]
    assert flagged(rows) == [[], ["humidity_out_of_sensor_range"], [], []]


# ---------------------------------------------------------------- jumps


def test_stray_fix_is_flagged_and_the_way_back_is_not():
    rows = [fix(0), fix(1), fix(2, lon_deg=100.6), fix(3), fix(4)]
    assert flagged(rows, GPS_PING) == [[], [], ["impossible_jump"], [], []]


def test_vehicle_that_stays_where_it_jumped_to_is_flagged_once():
    rows = [fix(0), fix(10, lon_deg=100.7), fix(20, lon_deg=100.701), fix(30, lon_deg=100.702)]
    assert flagged(rows, GPS_PING) == [[], ["impossible_jump"], [], []]


def test_fast_trains_of_thought_are_no_jumps():
    # 10 s at 200 km/h are 556 m: 0.005° of longitude here
    assert (
        flagged([fix(i * 10, lon_deg=100.5 + i * 0.005) for i in range(20)], GPS_PING) == [[]] * 20
    )
    # and the same at 60° north, where a degree of longitude is half as long
    north = [fix(i * 10, lon_deg=25 + i * 0.01, lat_deg=60.0) for i in range(20)]
    assert flagged(north, GPS_PING) == [[]] * 20
    # noise of 50 m twice in one second; the date line; ten minutes of silence; late fixes
    assert flagged([fix(0), fix(0.2, lat_deg=13.7009)], GPS_PING) == [[], []]
    line = [fix(0, lon_deg=179.99995), fix(1, lon_deg=-179.99995)]
    assert flagged(line, GPS_PING) == [[], []]
    assert flagged([fix(0), fix(601, lon_deg=101.5)], GPS_PING) == [[], []]
    assert flagged([fix(10, lon_deg=100.501), fix(0)], GPS_PING) == [[], []]


def test_jumps_are_told_by_vehicle():
    rows = [fix(i, lon_deg=100 + i % 2, vehicle=str(i % 2) * 32) for i in range(20)]
    assert flagged(rows, GPS_PING) == [[]] * 20


# ---------------------------------------------------------------- bounds and parameters


def test_memory_is_bounded_whatever_comes():
    limits = check_parameters()
    vehicles, sensors = VehicleChecks(limits), SensorChecks(limits)
    draw = random.Random(4)
    for start in range(0, 30_000, 1000):
        names = [f"{draw.getrandbits(128):032x}" for _ in range(1000)]
        fix_rows = [Reading(contract="", values=fix(0, vehicle=name)) for name in names]
        vehicles.flag(columns_of(fix_rows, GPS_PING.columns), Flags())
        air_rows = [
            Reading(
                contract="",
                values=air(0, sensor=name, lon_deg=start / 1000 + i / 500, humidity_pct=50.0),
            )
            for i, name in enumerate(names[:100])
        ]
        sensors.flag(columns_of(air_rows, AIR_READING.columns), Flags())
    assert len(vehicles._last) == limits.max_vehicles
    assert len(sensors._sensors) <= limits.max_sensors
    assert len(sensors._humidity) <= limits.max_sensors


def test_vehicles_of_long_ago_are_forgotten():
    checks = VehicleChecks(check_parameters())
    for i in range(100):
        rows = [Reading(contract="", values=fix(i * 601, vehicle=f"{i:032x}"))]
        checks.flag(columns_of(rows, GPS_PING.columns), Flags())
    assert len(checks._last) == 1


def test_every_threshold_has_its_source_and_the_pair_rule_is_that_of_the_lake():
    limits = check_parameters()
    assert isinstance(limits, CheckParameters)
    assert (limits.ab_difference_ugm3, limits.ab_relative_difference) == (5.0, 0.70)
    assert (limits.stuck_s, limits.spike_mad, limits.spike_ugm3) == (21_600.0, 10.0, 50.0)


def test_flags_travel_with_the_readings_and_are_counted(tmp_path):
    clock = TurnableClock()
    batcher = Batcher(
        "gw-1",
        1,
        pseudonyms=Pseudonymiser(KeyRing(tmp_path, clock), ZoneInfo("Asia/Bangkok")),
        clock=clock,
        clock_state=ClockState(clock),
    )
    rows = [fix(0, vehicle="taxi 7"), fix(1, lon_deg=100.7, vehicle="taxi 7")]
    first, second = (
        batcher.parcels(gathered([Reading(contract=GPS_PING.identifier, values=row)]))
        for row in rows
    )
    assert "flags" not in decode(first[0].payload).columns  # nothing but nulls
    batch = decode(second[0].payload)
    assert batch.columns["flags"] == ["impossible_jump"]
    assert batch.columns["lon_deg"] == [100.7]
    assert second[0].notes["flagged.impossible_jump"] == 1


def gathered(readings):
    found = Gathered()
    found.add(Intake(readings=list(readings)))
    return found
