"""Air sensors in the local network: PurpleAir, AirGradient, Sensor.Community's firmware."""

from __future__ import annotations

import base64
import http.client
import json
import threading
import time
from contextlib import suppress

import pytest
from doubles.document_server import DocumentServer
from doubles.edge_agents import live_agent
from doubles.edge_doubles import NOON, TurnableClock
from hypothesis import given, settings
from hypothesis import strategies as st

from clearway_core.clock import SystemClock, to_ms
from clearway_core.contracts.field import broken_rules
from clearway_core.contracts.wire import AIR_READING
from clearway_core.errors import SettingsError, SourceUnavailable
from clearway_edge.outbox.memory_outbox import MemoryOutbox
from clearway_edge.outbox.outbox import Bounds, WhenFull
from clearway_edge.settings.settings import read_settings
from clearway_edge.sources.kinds import Tools, kind
from clearway_edge.sources.place import PlaceSettings
from clearway_edge.sources.polled import airgradient
from clearway_edge.sources.polled.purpleair import PurpleAirDecoder

PLACE = PlaceSettings(sensor="asok-air-1", position_deg=(100.56, 13.73))

PURPLEAIR = {
    "SensorId": "84:f3:eb:7b:a2:56", "DateTime": "2026/02/02T09:47:42z", "lat": 1.0, "lon": 2.0,
    "current_temp_f": 86, "current_humidity": 45, "pressure": 1010.19,
    "pm1_0_cf_1": 6.05, "pm2_5_cf_1": 15.27, "pm10_0_cf_1": 16.84, "pm1_0_atm": 6.05,
    "pm2_5_atm": 14.27, "pm10_0_atm": 15.84, "p_0_3_um": 1488.12, "p_2_5_um": 2.5,
    "pm2_5_cf_1_b": 15.93, "pm2_5_atm_b": 14.93, "wlstate": "Connected",
}  # fmt: skip
"""Keys and shape of a device with firmware 7.02; the values are ours."""

AIRGRADIENT = {
    "wifi": -46, "serialno": "ecda3b1eaaaf", "rco2": 447, "pm01": 3, "pm02": 7, "pm10": 8,
    "pm01Standard": 4, "pm02Standard": 9, "pm10Standard": 11, "pm003Count": 442, "pm02Count": 12,
    "pm02Compensated": 5, "atmp": 25.87, "atmpCompensated": 24.47, "rhum": 43,
    "rhumCompensated": 49, "noxIndex": 1, "boot": 6, "firmware": "3.1.3", "model": "I-9PSL",
}  # fmt: skip

PUSHED = {
    "esp8266id": "12345678", "software_version": "NRZ-2020-133",
    "sensordatavalues": [
        {"value_type": "SDS_P1", "value": "66.04"}, {"value_type": "SDS_P2", "value": "53.32"},
        {"value_type": "BME280_temperature", "value": "22.50"},
        {"value_type": "BME280_pressure", "value": "99012.34"},
        {"value_type": "BME280_humidity", "value": "48.00"},
        {"value_type": "signal", "value": "-67"},
    ],
}  # fmt: skip


def channels(reading):
    skipped = {
        "sensor",
        "observed_at",
        "lon_deg",
        "lat_deg",
        "sensor_model",
        "flags",
        "monotonic_ms",
    }
    assert broken_rules(AIR_READING, reading.values) == []
    return {name: value for name, value in reading.values.items() if name not in skipped}


def test_purpleair_keeps_both_counters_and_both_columns_raw():
    decoder = PurpleAirDecoder(PLACE, TurnableClock())
    [reading] = decoder.decode(json.dumps(PURPLEAIR).encode()).readings
    assert channels(reading) == {
        "pm1_cf1_ugm3": 6.05, "pm2_5_cf1_a_ugm3": 15.27, "pm2_5_cf1_b_ugm3": 15.93,
        "pm10_cf1_ugm3": 16.84, "pm1_atm_ugm3": 6.05, "pm2_5_atm_ugm3": 14.27,
        "pm2_5_atm_b_ugm3": 14.93, "pm10_atm_ugm3": 15.84, "particles_0_3_um_per_dl": 1488.12,
        "particles_2_5_um_per_dl": 2.5, "humidity_pct": 45.0, "temperature_c": 30.0,
        "pressure_hpa": 1010.19,
    }  # fmt: skip
    assert reading.values["observed_at"] == 1_770_025_662_000
    assert (reading.values["lon_deg"], reading.values["sensor"]) == (100.56, "asok-air-1")
    assert "monotonic_ms" not in reading.values


def test_purpleair_without_a_clock_gets_the_gateways_and_a_repeated_mean_is_counted():
    decoder = PurpleAirDecoder(PLACE, TurnableClock())
    body = json.dumps({**PURPLEAIR, "DateTime": "no idea", "pressure": "low"}).encode()
    [reading] = decoder.decode(body).readings
    assert reading.values["observed_at"] == to_ms(NOON)
    assert reading.values["monotonic_ms"] == 0
    assert reading.values["flags"] == "pressure_hpa_unparsable"
    timed = json.dumps(PURPLEAIR).encode()
    assert len(decoder.decode(timed).readings) == 1
    again = decoder.decode(timed)
    assert (again.readings, again.dropped) == ([], {("air_reading/1", "repeated_reading"): 1})
    assert decoder.decode(b'{"ok": 1}').dropped == {("air_reading/1", "no_channel"): 1}


def test_airgradient_takes_raw_values_not_compensated_ones():
    body = json.dumps(AIRGRADIENT).encode()
    [reading] = airgradient.decode(body, place=PLACE, clock=TurnableClock()).readings
    assert channels(reading) == {
        "pm1_cf1_ugm3": 4, "pm2_5_cf1_a_ugm3": 9, "pm10_cf1_ugm3": 11, "pm1_atm_ugm3": 3,
        "pm2_5_atm_ugm3": 7, "pm10_atm_ugm3": 8, "particles_0_3_um_per_dl": 442,
        "particles_2_5_um_per_dl": 12, "temperature_c": 25.87, "humidity_pct": 43,
    }  # fmt: skip
    assert reading.values["sensor_model"] == "airgradient-i-9psl"
    assert reading.values["observed_at"] == to_ms(NOON)


def test_airgradient_with_two_sensors_keeps_them_apart():
    document = {
        **AIRGRADIENT, "model": "O 1PP?",
        "channels": {"1": {"pm02": 6, "pm02Standard": 8}, "2": {"pm02": 8, "pm02Standard": 10}},
    }  # fmt: skip
    body = json.dumps(document).encode()
    [reading] = airgradient.decode(body, place=PLACE, clock=TurnableClock()).readings
    found = channels(reading)
    assert (found["pm2_5_cf1_a_ugm3"], found["pm2_5_cf1_b_ugm3"]) == (8, 10)
    assert (found["pm2_5_atm_ugm3"], found["pm2_5_atm_b_ugm3"]) == (6, 8)
    assert found["pm1_atm_ugm3"] == 3
    assert reading.values["sensor_model"] == "airgradient"
    empty = airgradient.decode(b"{}", place=PLACE, clock=TurnableClock())
    assert empty.dropped == {("air_reading/1", "no_channel"): 1}


def polled(tmp_path, name, url):
    file = tmp_path / "gateway.toml"
    file.write_text(
        '[gateway]\nname = "gw"\ntime_zone = "UTC"\n[[source]]\n'
        f'kind = "{name}"\nurl = "{url}"\nsensor = "s"\nlon_deg = 100.5\nlat_deg = 13.7\n'
    )
    about = read_settings(file)
    clock = TurnableClock()
    tools = Tools(clock=clock)
    return kind(name).open_source(about.sources[0].about, tools), clock


@pytest.mark.parametrize(
    ("name", "document"), [("purpleair", PURPLEAIR), ("airgradient", AIRGRADIENT)]
)
def test_devices_are_asked_by_their_settings_and_found_again(tmp_path, name, document):
    server = DocumentServer()
    try:
        source, clock = polled(tmp_path, name, server.url)
        server.body = json.dumps(document).encode()
        assert len(source.read(0).readings) == 1
        server.body = b"<html>"
        clock.forward(60)
        assert source.read(0).dropped.total() == 1
        with pytest.raises(SourceUnavailable, match="gives no JSON object: expected a"):
            source.read(0)
    finally:
        server.close()
    clock.forward(60)
    with pytest.raises(SourceUnavailable, match="cannot be asked"):
        source.read(0)


def listener_settings(tmp_path, more=""):
    file = tmp_path / "gateway.toml"
    file.write_text(
        '[gateway]\nname = "gw"\ntime_zone = "UTC"\n[[source]]\nkind = "sensor_community"\n'
        f'port = 0\n{more}\n[[source.device]]\nid = "esp8266-12345678"\nsensor = "asok-air-1"\n'
        "lon_deg = 100.56\nlat_deg = 13.73\n"
    )
    return read_settings(file)


@pytest.fixture
def listener(tmp_path):
    started = []

    def start(more="", outbox=None):
        about = listener_settings(tmp_path, more)
        tools = Tools(clock=SystemClock())
        source = kind("sensor_community").open_source(about.sources[0].about, tools)
        running = live_agent(
            about, outbox or MemoryOutbox(), {"sensor_community": source}, tmp_path / "keys"
        )
        started.append(running)
        ends_s = time.monotonic() + 5
        while source.port is None and time.monotonic() < ends_s:
            time.sleep(0.01)
        return running, source

    yield start
    for running in started:
        running.stop()


def push(source, document=PUSHED, *, path="/data.php", method="POST", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", source.port, timeout=20)
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    sent = {"Content-Type": "application/json", "X-PIN": "0", **headers}
    connection.request(method, path, body, sent)
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer


def test_sensor_community_push_becomes_a_reading_with_units_converted(listener):
    running, source = listener()
    assert push(source) == (200, {"accepted": 1})
    running.stop()
    [batch] = running.sent("air_reading/1")
    found = {name: column[0] for name, column in batch.columns.items() if column[0] is not None}
    assert found["pressure_hpa"] == 990.1234
    assert (found["pm10_atm_ugm3"], found["pm2_5_atm_ugm3"]) == (66.04, 53.32)
    assert (found["temperature_c"], found["humidity_pct"]) == (22.5, 48.0)
    assert (found["sensor"], found["sensor_model"]) == ("asok-air-1", "sds011")
    assert abs(found["observed_at"] - time.time() * 1000) < 60_000


def test_sensor_is_known_by_its_header_too_and_bare_names_are_understood(listener):
    running, source = listener()
    document = {
        "sensordatavalues": [
            {"value_type": "P2", "value": "nan"},
            {"value_type": "P1", "value": 12},
            "junk",
            {},
        ]
    }
    assert push(source, document, **{"X-Sensor": "esp8266-12345678"})[0] == 200
    running.stop()
    [batch] = running.sent("air_reading/1")
    assert batch.columns["pm10_atm_ugm3"] == [12.0]
    assert batch.columns["flags"] == ["pm2_5_atm_ugm3_unparsable"]


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        ({"document": {**PUSHED, "esp8266id": "1"}}, 403, "add a [[source.device]]"),
        ({"document": b"[]"}, 400, "expected sensordatavalues"),
        ({"document": b"{"}, 400, "expected sensordatavalues"),
        ({"document": {"esp8266id": "12345678", "sensordatavalues": 7}}, 400, "value_type"),
        ({"path": "/"}, 404, "/data.php"),
        ({"method": "GET"}, 405, "POST"),
        ({"Content-Type": "text/plain"}, 415, "application/json"),
        ({"document": b" " * 20_000}, 413, "16384"),
    ],
)
def test_wrong_pushes_are_refused_with_what_was_expected(listener, change, status, says):
    _, source = listener()
    found, answer = push(source, **change)
    assert found == status
    assert says in answer["error"]


def test_password_of_the_settings_is_wanted(listener, tmp_path):
    (tmp_path / "password").write_text("pw-of-sensors\n")
    _, source = listener('username = "sensors"\npassword_file = "password"')

    def basic(text):
        return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}

    assert push(source)[0] == 401
    assert push(source, **basic("sensors:wrong"))[0] == 401
    assert push(source, **basic("others:pw-of-sensors"))[0] == 401
    assert push(source, Authorization="Basic !!")[0] == 401
    assert push(source, **basic("sensors:pw-of-sensors"))[0] == 200


def test_full_outbox_is_429(listener):
    box = MemoryOutbox(Bounds(max_bytes=10, when_full=WhenFull.REFUSE), SystemClock())
    _, source = listener(outbox=box)
    assert push(source) == (429, {"error": "the outbox is full"})


def test_stopping_gateway_answers_who_still_waits(tmp_path):
    about = listener_settings(tmp_path)
    tools = Tools(clock=SystemClock())
    source = kind("sensor_community").open_source(about.sources[0].about, tools)
    source.read(0)
    answers = []
    sender = threading.Thread(target=lambda: answers.append(push(source)))
    sender.start()
    ends_s = time.monotonic() + 5
    while source._pushes.empty() and time.monotonic() < ends_s:
        time.sleep(0.01)
    source.close()
    sender.join()
    assert answers[0][0] == 503


def test_faults_of_settings_name_line_and_remedy(tmp_path):
    file = tmp_path / "gateway.toml"
    file.write_text(
        '[gateway]\nname = "gw"\ntime_zone = "UTC"\n[[source]]\nkind = "sensor_community"\n'
        'name = "a"\nport = 70000\nusername = "u"\n[[source]]\nkind = "sensor_community"\n'
        'name = "b"\n' + '[[source.device]]\nid = "esp8266-1"\nsensor = "s"\nlon_deg = 1\n'
        "lat_deg = 1\n"
        '[[source.device]]\nid = "esp8266-1"\nsensor = "s !"\n'
    )
    with pytest.raises(SettingsError) as caught:
        read_settings(file)
    faults = "\n".join(caught.value.faults)
    for text in ("70000", "both or none", "source[0].device: missing", "given twice",
                 "source[1].device[1].sensor", "source[1].device[1].lon_deg"):  # fmt: skip
        assert text in faults, text


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(
        st.sampled_from(
            ["channels", "1", "2", "pm02", "pm2_5_cf_1", "current_temp_f", "DateTime", "model",
             "sensordatavalues", "value_type", "value", "atmp"]
        ),
        below, max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80) | JSON.map(lambda found: json.dumps(found).encode()))
def test_any_document_is_read_counted_or_refused(body):
    clock = TurnableClock()
    decoders = (
        PurpleAirDecoder(PLACE, clock).decode,
        lambda data: airgradient.decode(data, place=PLACE, clock=clock),
    )
    for decode in decoders:
        with suppress(ValueError):  # no JSON object
            intake = decode(body)
            assert len(intake.readings) + intake.dropped.total() == 1


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["sensordatavalues", "x"]), JSON, max_size=2))
def test_any_push_is_read_or_counted(document):
    from clearway_edge.sources.pushed.sensor_community import (  # noqa: PLC0415
        SensorCommunitySettings,
        SensorCommunitySource,
    )

    about = SensorCommunitySettings(listen=None, devices={}, username=None, password_file=None)
    intake = SensorCommunitySource(about, TurnableClock()).decode(document, PLACE)
    assert len(intake.readings) + intake.dropped.total() == 1
