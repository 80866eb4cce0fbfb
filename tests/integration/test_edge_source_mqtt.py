"""Readings from an MQTT broker: a real Mosquitto, the real agent, the real outbox."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from doubles.edge_agents import live_agent
from doubles.edge_certificates import self_signed
from doubles.edge_doubles import rows_in
from hypothesis import given, settings
from hypothesis import strategies as st

from clearway_core.clock import SystemClock
from clearway_core.errors import SettingsError, SourceUnavailable
from clearway_edge.outbox.memory_outbox import MemoryOutbox
from clearway_edge.outbox.outbox import Bounds, WhenFull
from clearway_edge.outbox.sqlite_outbox import SqliteOutbox
from clearway_edge.settings.settings import read_settings
from clearway_edge.sources.kinds import Tools, kind
from clearway_edge.sources.subscribed.mqtt import TopicPattern
from clearway_edge.sources.subscribed.mqtt_deliveries import REMEMBERED, Arrival, Deliveries
from clearway_edge.sources.subscribed.mqtt_session import Delivery

pytestmark = pytest.mark.mosquitto

NOON_S = 1_770_000_000


def mqtt_settings(folder: Path, port: int, *, more: str = "", profile: str = "mqtt_fixes"):
    file = folder / "gateway.toml"
    file.write_text(
        '[gateway]\nname = "gw"\ntime_zone = "Asia/Bangkok"\ndata_dir = "data"\n'
        f'[[source]]\nkind = "mqtt"\nbroker = "127.0.0.1:{port}"\nprofile = "{profile}"\n{more}\n'
        + ("" if "topic" in more else 'topic = "fleet/{provider}/{vehicle}"\n')
    )
    return read_settings(file)


def opened(about):
    [source] = about.sources
    tools = Tools(clock=SystemClock(), gateway=about.name)
    return kind("mqtt").open_source(source.about, tools)


def fix(number, **more):
    at = f"2026-02-02T{number // 3600:02d}:{number // 60 % 60:02d}:{number % 60:02d}Z"
    values = {"observed_at": at, "lon_deg": 100.5, "lat_deg": 13.75, "speed_kmh": 36, **more}
    return f"fleet/cabs/veh-{number % 7}", json.dumps(values).encode()


def gathered(source, n, *, patience_s=15.0, stored=True):
    """Read until n records came; settle each intake if asked to."""
    readings, dropped, ends_s = [], {}, time.monotonic() + patience_s
    while len(readings) + sum(dropped.values()) < n and time.monotonic() < ends_s:
        try:
            intake = source.read(0.1)
        except SourceUnavailable:
            time.sleep(0.05)
            continue
        readings += intake.readings
        for (_, reason), count in intake.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + count
        if intake.settle is not None and stored is not None:
            intake.settle(stored)
    return readings, dropped


def subscribed(source):
    """Read until the session stands, so that what is published next is kept for it."""
    ends_s = time.monotonic() + 10
    while not source._session._client or not source._session._client.is_connected():
        assert time.monotonic() < ends_s
        try:
            source.read(0.05)
        except SourceUnavailable:
            time.sleep(0.05)
    source.read(0.2)
    return source


def problem(source):
    """Return what a source says once it cannot be read."""
    for _ in range(100):
        try:
            source.read(0.1)
        except SourceUnavailable as error:
            return str(error)
    return "it can be read"


def test_published_fixes_become_readings_named_by_their_topic(mosquitto, tmp_path):
    broker = mosquitto()
    source = subscribed(opened(mqtt_settings(tmp_path, broker.port, more='trip_ends = "keep"')))
    broker.publish([fix(5, heading_deg=90, occupied=True), ("fleet/cabs/deep/er", b"{}")])
    readings, dropped = gathered(source, 1)
    source.close()
    [reading] = readings
    assert dropped == {}
    assert not reading.cut_trip_ends
    assert reading.values | {
        "provider": "cabs", "vehicle": "veh-5", "observed_at": 1_769_990_405_000, "lon_deg": 100.5,
        "lat_deg": 13.75, "speed_kmh": 36.0, "heading_deg": 90.0, "occupied": True,
    } == reading.values  # fmt: skip


def test_vehicles_that_are_no_taxi_or_bus_lose_their_trip_ends(mosquitto, tmp_path):
    broker = mosquitto()
    source = subscribed(opened(mqtt_settings(tmp_path, broker.port)))
    broker.publish([fix(5)])
    [reading], _ = gathered(source, 1)
    assert reading.cut_trip_ends
    source.close()


def test_sensor_without_a_clock_gets_the_gateways_time(mosquitto, tmp_path):
    profile = tmp_path / "air.toml"
    profile.write_text(
        'contract = "air_reading/1"\ntime_zone = "UTC"\n[format]\nkind = "json"\nrecords = "list"\n'
        '[time]\ncolumn = "received_at"\nformat = "unix_ms"\n'
        '[position]\nlon_deg = 100.5\nlat_deg = 13.7\ndatum = "wgs84"\n'
        '[sensor]\nid_column = "topic.device"\nmodel = "pms5003"\n'
        '[channels.temperature_c]\ncolumn = "env.t_f"\nscale = 0.5555555556\noffset = -17.7777778\n'
    )
    broker = mosquitto()
    about = mqtt_settings(
        tmp_path, broker.port, profile="air.toml", more='topic = "air/{device}/#"'
    )
    source = subscribed(opened(about))
    before_ms = time.time() * 1000
    broker.publish([("air/s-1/state", b'{"list": [{"env": {"t_f": 212}}, {"env": {}}]}')])
    readings, _ = gathered(source, 2)
    source.close()
    assert [r.values["temperature_c"] for r in readings] == [pytest.approx(100, abs=0.001), None]
    assert {r.values["sensor"] for r in readings} == {"s-1"}
    assert all(before_ms - 1000 < r.values["observed_at"] < before_ms + 9000 for r in readings)
    assert all(r.values["monotonic_ms"] > 0 for r in readings)


def test_retained_malformed_and_oversized_payloads_are_counted_by_reason(mosquitto, tmp_path):
    broker = mosquitto()
    broker.publish([fix(0)], retain=True)
    source = opened(mqtt_settings(tmp_path, broker.port, more="max_payload_kib = 1"))
    assert gathered(source, 1) == ([], {"retained_message": 1})
    topic, good = fix(1)
    broker.publish(
        [(topic, b"\xff{"), (topic, b"x" * 1025), (topic, b"7"), (topic, good), (topic, b"{}")]
    )
    readings, dropped = gathered(source, 5)
    source.close()
    assert len(readings) == 1
    assert dropped == {
        "malformed_payload": 1, "oversized_payload": 1,
        "unparsable_line": 1, "unparsable_observed_at": 1,
    }  # fmt: skip


def test_agent_spools_what_is_published_and_the_broker_is_told_afterwards(mosquitto, tmp_path):
    broker = mosquitto()
    about = mqtt_settings(tmp_path, broker.port, more='vehicle_class = "taxi"')
    source = subscribed(opened(about))
    box = SqliteOutbox(tmp_path / "outbox.sqlite", Bounds(), SystemClock())
    running = live_agent(about, box, {"mqtt": source}, tmp_path / "keys")
    broker.publish([fix(i) for i in range(500)])
    ends_s = time.monotonic() + 15
    while sum(box.account(s).spooled for s in box.streams() if s.contract == "gps_ping/1") < 500:
        assert time.monotonic() < ends_s
        time.sleep(0.05)
    time.sleep(0.2)  # the last acknowledgements travel
    running.stop()
    assert sum(len(batch) for batch in running.sent()) == 500
    again = subscribed(opened(about))
    assert gathered(again, 1, patience_s=0.5) == ([], {})
    again.close()
    box.close()


def test_stop_in_the_middle_loses_nothing_and_doubles_nothing(mosquitto, tmp_path):
    broker = mosquitto()
    about = mqtt_settings(tmp_path, broker.port, more='vehicle_class = "taxi"')
    subscribed(opened(about)).close()  # the session exists
    box = SqliteOutbox(tmp_path / "outbox.sqlite", Bounds(), SystemClock())
    publisher = threading.Thread(
        target=lambda: [broker.publish([fix(i + k) for k in range(20)]) for i in range(0, 600, 20)]
    )
    publisher.start()
    rows: list[object] = []
    while publisher.is_alive() or len(rows) < 600:
        running = live_agent(about, box, {"mqtt": opened(about)}, tmp_path / "keys")
        time.sleep(0.5)
        running.stop()
        rows += [at for batch in running.sent() for at in batch.columns["observed_at"]]
        assert len(rows) <= 600
    assert len(set(rows)) == 600
    box.close()


RECEIVER = """
import sys, time
from pathlib import Path
sys.path[:0] = {path!r}
from test_edge_source_mqtt import opened
from clearway_edge.settings.settings import read_settings
from clearway_core.errors import SourceUnavailable
source = opened(read_settings(Path({file!r})))
count = 0
print("ready", flush=True)
while True:
    intake = source.read(0.1)
    count += len(intake.readings)
    if count:
        print(count, flush=True)
"""


def test_kill_between_receipt_and_commit_loses_nothing(mosquitto, tmp_path):
    broker = mosquitto()
    about = mqtt_settings(tmp_path, broker.port)
    subscribed(opened(about)).close()  # the session exists
    broker.publish([fix(i) for i in range(40)])
    path = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    program = textwrap.dedent(RECEIVER).format(path=path, file=str(about.file))
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == "ready\n"
        assert int(victim.stdout.readline()) > 0  # received, not committed
        victim.kill()
    source = opened(about)
    readings, _ = gathered(source, 40)
    source.close()
    assert {r.values["observed_at"] for r in readings} == {
        1_769_990_400_000 + i * 1000 for i in range(40)
    }


def gateway_process(about):
    return subprocess.Popen(
        [sys.executable, "-m", "clearway_edge.main", "run", "--settings", str(about.file)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_gateway_killed_again_and_again_loses_no_published_fix(mosquitto, tmp_path):
    broker = mosquitto()
    about = mqtt_settings(tmp_path, broker.port, more='vehicle_class = "taxi"')
    subscribed(opened(about)).close()
    n_messages = 1500
    publisher = threading.Thread(
        target=lambda: [
            broker.publish([fix(i) for i in range(start, start + 50)])
            for start in range(0, n_messages, 50)
        ]
    )
    publisher.start()
    for lived_s in (1.0, 1.3, 0.9):
        gateway = gateway_process(about)
        time.sleep(lived_s)
        gateway.send_signal(signal.SIGKILL)
        gateway.wait()
    publisher.join()
    gateway = gateway_process(about)
    ends_s = time.monotonic() + 40
    found: set[object] = set()
    while len(found) < n_messages and time.monotonic() < ends_s:
        time.sleep(0.5)
        if (tmp_path / "data").exists():
            found = {row["observed_at"] for row in rows_in(tmp_path / "data")}
    gateway.send_signal(signal.SIGTERM)
    gateway.wait()
    assert len(found) == n_messages


def test_full_outbox_leaves_the_messages_with_the_broker(mosquitto, tmp_path):
    broker = mosquitto()
    source = subscribed(opened(mqtt_settings(tmp_path, broker.port)))
    broker.publish([fix(i) for i in range(10)])
    refused, _ = gathered(source, 10, stored=False, patience_s=1)
    assert refused
    readings, _ = gathered(source, 10)
    source.close()
    assert len({r.values["observed_at"] for r in readings}) == 10


def test_agent_with_a_full_outbox_gets_the_messages_again_once_there_is_room(mosquitto, tmp_path):
    broker = mosquitto()
    about = mqtt_settings(tmp_path, broker.port, more='vehicle_class = "taxi"')
    source = subscribed(opened(about))
    box = MemoryOutbox(Bounds(max_bytes=100, when_full=WhenFull.REFUSE), SystemClock())
    running = live_agent(about, box, {"mqtt": source}, tmp_path / "keys")
    broker.publish([fix(i) for i in range(10)])
    ends_s = time.monotonic() + 10
    while running.states.all()["mqtt"].word != "lost":
        assert time.monotonic() < ends_s
        time.sleep(0.05)
    assert "outbox is full" in running.states.all()["mqtt"].error
    box._bounds = Bounds()
    while sum(box.account(s).spooled for s in box.streams() if s.contract == "gps_ping/1") < 10:
        assert time.monotonic() < ends_s + 10
        time.sleep(0.05)
    running.stop()
    assert sum(len(batch) for batch in running.sent()) == 10


def test_restart_of_the_broker_between_receipt_and_commit_doubles_nothing(mosquitto, tmp_path):
    broker = mosquitto()
    source = subscribed(opened(mqtt_settings(tmp_path, broker.port)))
    broker.publish([fix(i) for i in range(15)])
    intakes, ends_s = [], time.monotonic() + 10
    while sum(len(i.readings) for i in intakes) < 15 and time.monotonic() < ends_s:
        intakes.append(source.read(0.1))
    broker.stop()
    for intake in intakes[:1]:
        intake.settle(True)  # noqa: FBT003 -- as the agent calls it; the broker cannot hear it
    assert re.search("connection to the MQTT broker .* is lost|reached", problem(source))
    broker.start()
    subscribed(source)
    for intake in intakes[1:]:
        if intake.settle is not None:
            intake.settle(True)  # noqa: FBT003
    broker.publish([fix(100)])
    readings, dropped = gathered(source, 1)
    source.read(0.3)
    assert [r.values["observed_at"] for r in readings] == [1_769_990_500_000]
    assert dropped == {}
    source.close()


def test_absent_broker_is_one_clear_line_and_is_found_once_it_is_there(mosquitto, tmp_path):
    broker = mosquitto()
    broker.stop()
    source = opened(mqtt_settings(tmp_path, broker.port))
    assert re.search(r"127\.0\.0\.1:\d+ cannot be reached.*Check", problem(source))
    broker.start()
    subscribed(source)
    broker.publish([fix(1)])
    assert len(gathered(source, 1)[0]) == 1
    source.close()


def test_tls_and_password_are_used_and_wrong_ones_named(mosquitto, tmp_path):
    certificate, key = self_signed(tmp_path)
    passwords = tmp_path / "passwords"
    subprocess.run(
        ["mosquitto_passwd", "-b", "-c", str(passwords), "clearway", "right-password"],
        check=True, capture_output=True,
    )  # fmt: skip
    os.chmod(passwords, 0o600)  # noqa: PTH101 -- as the broker wants it
    broker = mosquitto(
        "allow_anonymous false", f"password_file {passwords}", f"certfile {certificate}",
        f"keyfile {key}",
    )  # fmt: skip
    (tmp_path / "right").write_text("right-password\n")
    (tmp_path / "wrong").write_text("wrong-password\n")
    secure = f'tls = true\nca_file = "{certificate}"\nusername = "clearway"\n'

    def source_with(more):
        return opened(mqtt_settings(tmp_path, broker.port, more=more))

    def fails(more, says):
        source = source_with(more)
        said = problem(source)
        source.close()
        assert re.search(says, said), said
        assert "-password" not in said

    subscribed(source_with(f'{secure}password_file = "right"')).close()
    fails(f'{secure}password_file = "wrong"', "refuses: .*[Nn]ot authorized.*Check username")
    fails(f'{secure}password_file = "absent"', "password_file")
    fails('tls = true\nusername = "clearway"\npassword_file = "right"', "certificate")
    fails("", "cannot be reached|lost")


def test_server_that_speaks_something_else_is_survived(mosquitto, tmp_path):
    answers = [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\x03\x00\x00\x7f"]
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def serve():
            for answer in answers:
                connection, _ = server.accept()
                connection.recv(500)
                connection.sendall(answer)
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        source = opened(mqtt_settings(tmp_path, server.getsockname()[1]))
        ends_s, seen = time.monotonic() + 12, set()
        while thread.is_alive() and time.monotonic() < ends_s:
            try:
                source.read(0.05)
            except SourceUnavailable as error:
                seen.add(str(error)[:40])
        thread.join()
        source.close()
    assert seen


def test_faults_of_settings_name_line_and_remedy(tmp_path):
    with pytest.raises(SettingsError) as caught:
        mqtt_settings(
            tmp_path, 0,
            more='topic = "a/{x}/b+/{x}"\nca_file = "c"\npassword_file = "p"\nmax_payload_kib = 0\n'
            'provider = "Not Good"\n',
        )  # fmt: skip
    faults = "\n".join(caught.value.faults)
    for text in ("host:port", "one name", "tls = true", "whose password", "max_payload_kib",
                 "lacks {vehicle}", "b+", "provider", "gateway.toml, line"):  # fmt: skip
        assert text in faults, text


def test_shared_subscription_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="split one vehicle over gateways"):
        mqtt_settings(tmp_path, 1, more='topic = "$share/g/{provider}/{vehicle}"')


def test_password_beyond_this_machine_needs_tls(tmp_path):
    file = tmp_path / "g.toml"
    file.write_text(
        '[gateway]\nname = "gw"\ntime_zone = "UTC"\n[[source]]\nkind = "mqtt"\n'
        'broker = "mqtt.example:1883"\nusername = "u"\ntopic = "fleet/{provider}/{vehicle}"\n'
        'profile = "mqtt_fixes"\n'
    )
    with pytest.raises(SettingsError, match="password would travel in the clear"):
        read_settings(file)


def test_numbers_of_messages_mean_what_they_did_within_one_session_only():
    known = Deliveries()
    known.new_session()
    assert known.arrived(1, 11, again=False) is Arrival.NEW
    assert known.arrived(1, 11, again=True) is Arrival.UNDER_WAY
    assert known.stored(known.session, 1)
    assert known.arrived(1, 11, again=True) is Arrival.STORED
    assert known.arrived(1, 12, again=True) is Arrival.NEW  # the number means another message
    before = known.session
    known.new_session()
    assert not known.stored(before, 1)
    assert known.arrived(1, 12, again=True) is Arrival.NEW
    known.given_up(known.session, 1)
    assert known.arrived(1, 12, again=True) is Arrival.NEW
    for number in range(REMEMBERED * 2):
        known.arrived(number, 0, again=False)
    assert len(known._known) == REMEMBERED


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(
        st.sampled_from(["observed_at", "lon_deg", "lat_deg", "speed_kmh", "topic", "x"]), below,
        max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip


class Session:
    where = "nowhere"


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text(alphabet="ab/é", max_size=12),
            st.binary(max_size=60) | JSON.map(lambda v: json.dumps(v).encode()),
        ),
        max_size=6,
    )
)
def test_any_payload_is_read_or_counted(tmp_path_factory, messages):
    about = _fuzzed(tmp_path_factory)
    deliveries = [
        Delivery(topic=topic, payload=payload, retained=False, number=0, session=0)
        for topic, payload in messages
    ]
    intake = about._intake(deliveries)
    assert len(intake.readings) + intake.dropped.total() >= sum(
        payload[:1] != b"[" for _, payload in messages
    )


_SOURCES: dict[str, object] = {}


def _fuzzed(tmp_path_factory):
    if "mqtt" not in _SOURCES:
        _SOURCES["mqtt"] = opened(mqtt_settings(tmp_path_factory.mktemp("fuzz"), 1))
    return _SOURCES["mqtt"]


def test_levels_of_a_topic():
    pattern = TopicPattern(filter="a/+/#", names=(None, "x", None))
    assert pattern.levels("a/b/c/d") == {"x": "b"}
    assert pattern.levels("a") == {}
