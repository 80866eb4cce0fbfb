"""Frames of air sensors: one suite over every decoder, then what sets each of them apart."""

from __future__ import annotations

import math
import struct

import pytest
from doubles.edge_frames import FAMILIES, NOISE_BYTES, Family, cut, decoded, pms, recorded, sds, sps
from hypothesis import given, settings
from hypothesis import strategies as st

from clearway_edge.sources.devices.air_sensor import FLAG_ERROR, Measured, Trouble
from clearway_edge.sources.devices.pmsx003 import (
    ACTIVE,
    FLAG_OTHER_MODEL,
    MEASURE,
    PASSIVE,
    PmsDecoder,
)
from clearway_edge.sources.devices.sds011 import SdsDecoder
from clearway_edge.sources.devices.sps30 import FLAG_BEYOND_COLUMN, SpsDecoder, command

every_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
numbers = st.lists(st.integers(0, 60_000), min_size=10, max_size=10)
garbage = st.lists(st.binary(max_size=20) | st.sampled_from(NOISE_BYTES), max_size=12).map(b"".join)
places = st.lists(st.integers(0, 10_000), max_size=30)


def good(found):
    return [each for each in found if isinstance(each, Measured)]


@every_family
@settings(max_examples=40, deadline=None)
@given(frames=st.lists(numbers, min_size=1, max_size=4), noise=garbage, at=places)
def test_any_cut_of_the_bytes_gives_the_same_readings(family: Family, frames, noise, at):
    data = noise + b"".join(family.frame(frame) for frame in frames) + noise
    whole = decoded(family.decoder(), [data])
    assert decoded(family.decoder(), cut(data, at)) == whole
    assert decoded(family.decoder(), [data[i : i + 1] for i in range(len(data))]) == whole


@every_family
@settings(max_examples=60, deadline=None)
@given(frame=numbers, noise=garbage)
def test_after_any_garbage_every_frame_is_read(family: Family, frame, noise):
    clean = good(decoded(family.decoder(), [family.frame(frame)]))
    assert len(clean) == 1
    # Garbage that announces a frame makes the decoder wait for its end, then it looks again: with
    # another frame behind them, all of these are found.
    found = good(decoded(family.decoder(), [noise, *[family.frame(frame)] * 3, b"\x7e" * 40]))
    assert found == clean * 3


@every_family
@settings(max_examples=60, deadline=None)
@given(frame=numbers, where=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_no_frame_with_a_turned_bit_is_accepted(family: Family, frame, where, bit):
    whole = family.frame(frame)
    broken = bytearray(whole)
    broken[where % len(whole)] ^= 1 << bit
    # What a turned mark or escape leaves may hold the same answer once more, never another one.
    same = good(decoded(family.decoder(), [whole]))
    assert good(decoded(family.decoder(), [bytes(broken)])) in ([], same)


@every_family
@settings(max_examples=60, deadline=None)
@given(
    parts=st.lists(
        st.tuples(garbage, numbers, st.integers(0, 10_000), st.sampled_from([0, 0, 1, 0xFF])),
        max_size=4,
    )
)
def test_every_reading_stands_in_the_bytes_with_a_right_checksum(family: Family, parts):
    data = b""
    for noise, frame, where, turned in parts:
        bytes_of_frame = bytearray(family.frame(frame))
        bytes_of_frame[where % len(bytes_of_frame)] ^= turned
        data += noise + bytes_of_frame
    ends = range(1, len(data) + 1)
    whole = {
        data[a:b]
        for b in ends
        for a in range(max(0, b - family.max_frame_bytes), b)
        if family.is_whole(data[a:b])
    }
    allowed = [found for frame in whole for found in good(decoded(family.decoder(), [frame]))]
    for found in good(decoded(family.decoder(), [data])):
        assert found in allowed


@every_family
@settings(max_examples=40, deadline=None)
@given(data=garbage | st.binary(max_size=3000), at=places)
def test_arbitrary_bytes_never_raise_and_never_pile_up(family: Family, data, at):
    decoder = family.decoder()
    for piece in cut(data, at):
        decoded(decoder, [piece])
        assert len(decoder._rest) <= 2 * 260 + 1


@every_family
def test_a_megabyte_without_a_frame_leaves_nothing_behind(family: Family):
    decoder = family.decoder()
    start = family.frame([1] * 10)[:1]
    assert good(decoded(decoder, [b"\x00" * 500_000, b"\x55" * 500_000, start])) == []
    assert len(decoder._rest) <= 2 * 260 + 1


@every_family
def test_a_damaged_frame_counts_as_one_lost_reading(family: Family):
    whole = family.frame([3] * 10)
    broken = bytearray(whole)
    broken[-3] ^= 0x01
    found = decoded(family.decoder(), [bytes(broken), whole])
    assert found.count(Trouble.DAMAGED) == 1
    assert len(good(found)) == 1


@every_family
def test_half_a_frame_is_forgotten_when_the_device_went_away(family: Family):
    decoder, whole = family.decoder(), family.frame([3] * 10)
    assert decoded(decoder, [whole[:-2]]) == []
    decoder.forget()
    assert len(good(decoded(decoder, [whole]))) == 1


# ---------------------------------------------------------------- recordings of real devices


@pytest.mark.real_data
@pytest.mark.parametrize("piece", [1, 7, 4096])
def test_plantower_recording_gives_its_table(real_data, piece):
    data, truth = recorded(real_data / "sensors/pypms_captured", "PMSx003")
    found = decoded(PmsDecoder(), [data[i : i + piece] for i in range(0, len(data), piece)])
    assert len(found) == len(truth) == 10
    for measured, row in zip(found, truth, strict=True):
        # Every column of the table that the wire has; the table counts per cm3, the wire per dL,
        # with two decimals of its own, which are exact.
        assert measured == Measured(
            {
                "pm1_cf1_ugm3": float(row["raw01"]),
                "pm2_5_cf1_a_ugm3": float(row["raw25"]),
                "pm10_cf1_ugm3": float(row["raw10"]),
                "pm1_atm_ugm3": float(row["pm01"]),
                "pm2_5_atm_ugm3": float(row["pm25"]),
                "pm10_atm_ugm3": float(row["pm10"]),
                "particles_0_3_um_per_dl": round(float(row["n0_3"]) * 100),
                "particles_2_5_um_per_dl": round(float(row["n2_5"]) * 100),
            }
        )


@pytest.mark.real_data
def test_nova_recording_gives_its_table(real_data):
    data, truth = recorded(real_data / "sensors/pypms_captured", "SDS01x")
    found = decoded(SdsDecoder(), [data])
    assert len(found) == len(truth) == 10
    for measured, row in zip(found, truth, strict=True):
        assert measured == Measured(
            {"pm2_5_atm_ugm3": float(row["pm25"]), "pm10_atm_ugm3": float(row["pm10"])}
        )


@pytest.mark.real_data
def test_sensirion_recording_gives_its_table(real_data):
    data, truth = recorded(real_data / "sensors/pypms_captured", "SPS30")
    found = decoded(SpsDecoder(), [data])
    assert len(found) == len(truth) == 10
    for measured, row in zip(found, truth, strict=True):
        # The table's own rounding: one decimal for masses, two for counts.
        values = measured.values
        assert round(values["pm1_atm_ugm3"], 1) == float(row["pm01"])
        assert round(values["pm2_5_atm_ugm3"], 1) == float(row["pm25"])
        assert round(values["pm10_atm_ugm3"], 1) == float(row["pm10"])
        assert round(values["particles_0_3_um_per_dl"] / 100, 2) == float(row["n10_0"])
        coarse = float(row["n10_0"]) - float(row["n2_5"])
        assert values["particles_2_5_um_per_dl"] / 100 == pytest.approx(coarse, abs=0.0101)


# ---------------------------------------------------------------- Plantower


def test_published_plantower_frame_is_read():
    frame = bytes.fromhex(
        "424d001c00050009000b00050009000b04b0015e003c000800020001970002ce"
    )  # METHODS, verification values of section 2
    [measured] = decoded(PmsDecoder(), [frame])
    assert measured.values["pm2_5_cf1_a_ugm3"] == 9
    assert measured.values["pm10_atm_ugm3"] == 11
    assert measured.values["particles_0_3_um_per_dl"] == 1200


def test_commands_are_those_of_the_manual():
    assert PASSIVE.hex(" ") == "42 4d e1 00 00 01 70"
    assert ACTIVE.hex(" ") == "42 4d e1 00 01 01 71"
    assert MEASURE.hex(" ") == "42 4d e2 00 00 01 71"


def test_answer_to_a_command_is_no_reading_and_no_error():
    answer = pms([0xE101])
    assert decoded(PmsDecoder(), [answer + pms(range(13))])[0].values["pm1_cf1_ugm3"] == 0
    assert len(decoded(PmsDecoder(), [answer])) == 0


def test_frame_below_zero_celsius_keeps_its_sign():
    words = [5] * 10 + [0x10000 - 57, 434, 0]
    [measured] = decoded(PmsDecoder("pms5003t"), [pms(words)])
    assert (measured.values["temperature_c"], measured.values["humidity_pct"]) == (-5.7, 43.4)
    words = [5] * 12 + [31, 0x10000 - 1, 999, 0, 0]
    [measured] = decoded(PmsDecoder("pms5003st"), [pms(words)])
    assert (measured.values["temperature_c"], measured.values["humidity_pct"]) == (-0.1, 99.9)


@pytest.mark.parametrize(
    ("model", "words", "flags"),
    [
        ("pms5003", [1] * 12 + [0x9702], (FLAG_ERROR,)),
        ("pms5003", [1] * 12 + [0x9700], ()),
        ("pms5003s", [1] * 12 + [45], ()),  # formaldehyde stands where others have errors
        ("pms5003st", [1] * 16 + [0x9101], (FLAG_ERROR,)),
        ("pms3003", [1] * 9, ()),
    ],
)
def test_error_byte_is_flagged_where_a_model_has_one(model, words, flags):
    [measured] = decoded(PmsDecoder(model), [pms(words)])
    assert measured.flags == flags


@pytest.mark.parametrize("n_words", [9, 11, 13, 17])
def test_frame_of_another_length_keeps_the_masses_and_is_flagged(n_words):
    [measured] = decoded(PmsDecoder("pms5003"), [pms(range(n_words))])
    assert (measured.flags == (FLAG_OTHER_MODEL,)) is (n_words != 13)
    masses = {"pm1_cf1_ugm3": 0, "pm2_5_cf1_a_ugm3": 1, "pm10_cf1_ugm3": 2}
    assert measured.values.items() >= masses.items()
    assert ("particles_0_3_um_per_dl" in measured.values) is (n_words == 13)


def test_second_sensor_fills_the_columns_of_channel_b():
    [measured] = decoded(PmsDecoder(channel="b"), [pms(range(13))])
    assert measured.values == {"pm2_5_cf1_b_ugm3": 1.0, "pm2_5_atm_b_ugm3": 4.0}


# ---------------------------------------------------------------- Nova


def test_published_nova_frame_is_read():
    [measured] = decoded(SdsDecoder(), [bytes.fromhex("aac0d4043a0aa1601dab")])
    assert measured.values == {"pm2_5_atm_ugm3": 123.6, "pm10_atm_ugm3": 261.8}


def test_answer_of_a_nova_sensor_to_a_command_is_no_reading():
    assert decoded(SdsDecoder(), [sds(60, 60, command=0xC5)]) == []
    assert len(decoded(SdsDecoder(), [sds(1, 1, command=0xC5) + sds(60, 61)])) == 1


@pytest.mark.parametrize(
    ("pm2_5", "pm10", "flags"),
    [(9999, 19999, (FLAG_ERROR,)), (100, 19990, (FLAG_ERROR,)), (9990, 5, (FLAG_ERROR,)),
     (9989, 19989, ())],
)  # fmt: skip
def test_failure_of_the_fan_is_flagged_and_never_dropped(pm2_5, pm10, flags):
    [measured] = decoded(SdsDecoder(), [sds(pm2_5, pm10)])
    assert measured.flags == flags
    assert measured.values == {"pm2_5_atm_ugm3": pm2_5 / 10, "pm10_atm_ugm3": pm10 / 10}


# ---------------------------------------------------------------- Sensirion


def test_commands_are_those_of_the_data_sheet():
    assert command(0x00, b"\x01\x03").hex(" ") == "7e 00 00 02 01 03 f9 7e"
    assert command(0x01).hex(" ") == "7e 00 01 00 fe 7e"
    assert command(0x03).hex(" ") == "7e 00 03 00 fc 7e"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([0x7E, 0x7D, 0x11, 0x13, 0x00, 0x5E]), min_size=20, max_size=20))
def test_bytes_that_look_like_marks_survive_the_stuffing(data):
    [measured] = decoded(SpsDecoder(), [sps(bytes(data))])
    pm1, pm2_5, _, pm10, *_ = struct.unpack(">10H", bytes(data))
    assert measured.values.items() >= {"pm1_atm_ugm3": pm1, "pm10_atm_ugm3": pm10}.items()
    assert measured.values["pm2_5_atm_ugm3"] == pm2_5


def test_sensor_that_does_not_measure_says_so():
    assert decoded(SpsDecoder(), [sps(b"", state=0x43)]) == [Trouble.NOT_MEASURING]


def test_device_error_is_flagged_beside_the_values():
    [measured] = decoded(SpsDecoder(), [sps(struct.pack(">10f", *range(10)), state=0x80)])
    assert measured.flags == (FLAG_ERROR,)
    assert measured.values["pm10_atm_ugm3"] == 3.0


def test_answer_without_new_values_and_answers_to_other_commands_are_no_readings():
    assert decoded(SpsDecoder(), [sps(b""), sps(b"", command=0), sps(b"0041", command=0xD0)]) == []


def test_number_that_is_none_is_left_out_and_flagged():
    values = [1.0, math.nan, 1.0, math.inf, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    [measured] = decoded(SpsDecoder(), [sps(struct.pack(">10f", *values))])
    assert measured.flags == (FLAG_ERROR,)
    assert set(measured.values) == {
        "pm1_atm_ugm3", "particles_0_3_um_per_dl", "particles_2_5_um_per_dl",
    }  # fmt: skip


def test_count_beyond_its_column_is_left_out_so_that_the_masses_are_kept():
    values = [90.0, 150.0, 180.0, 200.0, 600.0, 900.0, 990.0, 999.0, 1000.0, 0.5]
    [measured] = decoded(SpsDecoder(), [sps(struct.pack(">10f", *values))])
    assert measured.flags == (FLAG_BEYOND_COLUMN,)
    assert measured.values == {
        "pm1_atm_ugm3": 90.0, "pm2_5_atm_ugm3": 150.0, "pm10_atm_ugm3": 200.0,
        "particles_2_5_um_per_dl": 1000.0,
    }  # fmt: skip
