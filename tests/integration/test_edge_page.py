"""The page's server on real sockets: who is let in, how much is answered, what figures say."""

from __future__ import annotations

import json
import select
import socket
import stat
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from doubles.edge_doubles import TurnableClock
from doubles.edge_pole import asked, free_port, until
from doubles.edge_snapshot import GOOD
from prometheus_client.parser import text_string_to_metric_families

from clearway_core.errors import SettingsError
from clearway_core.stream.embedded import EmbeddedLog
from clearway_core.stream.receipts import RECEIPTS_TOPIC, Receipt, message_of
from clearway_edge.page.lake_receipts import NEWEST, WANTED_S, LakeReceipts
from clearway_edge.page.page_access import WRONG_A_MINUTE, WRONG_A_MINUTE_OF_ALL, Access, device_pin
from clearway_edge.page.page_server import AT_ONCE, PageServer
from clearway_edge.settings.settings import PageSettings

EVERYWHERE = "0.0.0.0"  # noqa: S104 -- what a technician's phone can reach


@contextmanager
def page(folder: Path, *, host="127.0.0.1", look=lambda: GOOD, clock=None, port=None):
    server = PageServer(
        PageSettings(host=host, port=port or free_port()), folder / "page.pin",
        look=look, clock=clock or TurnableClock(),
    )  # fmt: skip
    stop = threading.Event()
    thread = threading.Thread(target=server.run, args=(stop,))
    thread.start()
    try:
        yield server, f"http://127.0.0.1:{server._settings.port}"
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def local(tmp_path):
    with page(tmp_path) as (server, origin):
        until(lambda: server.address)
        yield origin


@pytest.fixture
def open_page(tmp_path):
    with page(tmp_path, host=EVERYWHERE) as (server, origin):
        until(lambda: server.address)
        yield origin, (tmp_path / "page.pin").read_text().strip()


def test_every_answer_forbids_foreign_code_and_keeping(local):
    for path in ("/", "/page.js", "/page.css", "/status.json", "/metrics", "/nothing"):
        code, headers, _ = asked(local, path)
        assert code == (404 if path == "/nothing" else 200)
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_status_tells_go_with_every_check_and_the_confirmed_reading(local):
    told = json.loads(asked(local, "/status.json")[2])
    assert told["go"] is True
    assert told["headline"] == "reading 1042 confirmed after 14 s"
    assert {check["verdict"] for check in told["checks"]} == {"ok"}
    assert told["books"]["air_reading/1"]["read"] == 1100


def test_a_web_page_of_somebody_else_cannot_read_the_local_page_by_a_name_of_its_own(local):
    port = local.rpartition(":")[2]
    for host in ("evil.example", f"evil.example:{port}", "localhost.evil.example"):
        assert asked(local, "/status.json", headers={"Host": host})[0] == 421
    for host in (f"localhost:{port}", "127.0.0.1", f"[::1]:{port}"):
        assert asked(local, "/status.json", headers={"Host": host})[0] == 200


def test_nothing_can_be_written(local):
    assert asked(local, "/status.json", body=b"{}")[0] == 404
    assert asked(local, "/login", body=b"1234")[0] == 404


def test_off_loopback_everything_but_the_empty_page_needs_the_pin(open_page):
    origin, pin = open_page
    assert asked(origin, "/")[0] == 200
    for path in ("/status.json", "/metrics"):
        assert asked(origin, path)[0] == 401
        assert asked(origin, path, headers={"Authorization": f"Bearer {pin}"})[0] == 200
        assert asked(origin, path, headers={"Cookie": "clearway_gateway=guessed"})[0] == 401
    code, headers, body = asked(origin, "/login", body=pin.encode())
    cookie = headers["Set-Cookie"]
    assert (code, body) == (204, b"")
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert pin not in cookie
    assert asked(origin, "/status.json", headers={"Cookie": cookie.partition(";")[0]})[0] == 200
    assert asked(origin, "/login", body=b"x" * 5000)[0] == 413


@pytest.mark.parametrize(
    "request_line", ["HEAD / HTTP/1.1", "TRACE /x HTTP/1.1", "GET", "\x00\x01", "G" * 70_000]
)
def test_what_is_no_request_of_ours_is_refused_under_the_same_policy(local, request_line):
    host, port = local.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as line:
        line.sendall(request_line.encode() + b"\r\n\r\n")
        answer = b""
        try:
            while part := line.recv(65_536):
                answer += part
        except ConnectionResetError:
            pass  # more was sent than was read
    assert b"G" * 70 not in answer
    if answer.startswith(b"HTTP/"):
        assert answer.split()[1][:1] in {b"4", b"5"}
        assert b"default-src 'none'" in answer
    assert asked(local, "/status.json")[0] == 200


def test_who_guesses_is_slowed_down_and_others_are_not(open_page):
    origin, pin = open_page
    codes = [asked(origin, "/login", body=b"00000000x")[0] for _ in range(WRONG_A_MINUTE + 1)]
    assert codes == [401] * WRONG_A_MINUTE + [429]
    # The right PIN does not help the one who guessed, so that a guess cannot be told from it.
    code, headers, _ = asked(origin, "/login", body=pin.encode())
    assert (code, headers["Retry-After"]) == (429, "60")


def test_limits_end_after_a_minute_and_hold_for_all_addresses_together(tmp_path):
    clock = TurnableClock()
    access = Access(device_pin(tmp_path / "pin"), clock)
    right = (tmp_path / "pin").read_text().strip()
    guesses = [access.try_pin("wrong-one", f"10.0.0.{i}") for i in range(WRONG_A_MINUTE_OF_ALL)]
    assert guesses == [False] * WRONG_A_MINUTE_OF_ALL
    assert access.try_pin(right, "10.0.1.1") is None
    clock.forward(61)
    assert access.try_pin(right, "10.0.1.1") is True
    assert access._wrong == {}


def test_a_session_ends_after_a_working_day_and_only_the_newest_are_kept(tmp_path):
    clock = TurnableClock()
    access = Access(device_pin(tmp_path / "pin"), clock)
    tokens = [access.open_session() for _ in range(40)]
    assert not access.has_session(tokens[0])
    assert access.has_session(tokens[-1])
    clock.forward(12 * 3600)
    assert not access.has_session(tokens[-1])


def test_the_pin_is_made_once_for_its_owner_only(tmp_path):
    file = tmp_path / "pin"
    first = device_pin(file).reveal()
    assert device_pin(file).reveal() == first
    assert len(first) == 8
    assert first.isdigit()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "12", "has space", "é12345678", "a" * 65])
def test_a_file_that_holds_no_pin_is_told_without_its_content(tmp_path, content):
    file = tmp_path / "pin"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        device_pin(file)
    assert str(file) in str(caught.value)
    assert not content or content not in str(caught.value)


def test_a_port_in_use_is_told_in_one_line_and_taken_as_soon_as_it_is_free(tmp_path, monkeypatch):
    monkeypatch.setattr("clearway_edge.page.page_server.RETRY_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with page(tmp_path, port=port) as (server, origin):
            until(lambda: server.fault)
            assert server.fault.startswith(
                f"the page cannot be opened on 127.0.0.1:{port}: Address already in use. Take"
            )
            assert "\n" not in server.fault
            other.close()
            until(lambda: asked(origin, "/status.json")[0] == 200)
            assert server.fault == ""


def test_lines_that_say_nothing_take_no_more_than_their_places(local, monkeypatch):
    host, port = local.removeprefix("http://").split(":")
    idle = [socket.create_connection((host, int(port))) for _ in range(AT_ONCE * 3)]
    # A line that was turned away is at its end, which can be read.
    until(lambda: len(select.select(idle, [], [], 0)[0]) == AT_ONCE * 2)
    for line in idle:
        line.close()
    until(lambda: asked(local, "/status.json")[0] == 200)


def test_ten_looks_a_second_cost_one(tmp_path):
    looks = []
    clock = TurnableClock()
    with page(tmp_path, look=lambda: looks.append(1) or GOOD, clock=clock) as (server, origin):
        until(lambda: server.address)
        for _ in range(10):
            asked(origin, "/status.json")
        assert len(looks) == 1
        clock.forward(1.5)
        asked(origin, "/metrics")
        assert len(looks) == 2


def test_figures_are_what_the_parser_of_prometheus_reads(tmp_path):
    seen = replace(
        GOOD,
        accounts={
            "air_reading/1": replace(
                GOOD.accounts["air_reading/1"], read=1110, dropped={"bad_checksum": 10}
            )
        },
    )
    with page(tmp_path, look=lambda: seen) as (server, origin):
        until(lambda: server.address)
        _, headers, body = asked(origin, "/metrics")
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    families = {f.name: f for f in text_string_to_metric_families(body.decode())}
    values = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in families.values()
        for sample in family.samples
    }
    assert values["clearway_gateway_readings_read_total", "air_reading/1"] == 1110
    assert values["clearway_gateway_readings_delivered_total", "air_reading/1"] == 1090
    dropped = "clearway_gateway_readings_dropped_total", "air_reading/1", "bad_checksum"
    assert values[dropped] == 10
    assert values["clearway_gateway_spooled_readings", "air_reading/1"] == 10
    assert values["clearway_gateway_forwarder_state", "up to date"] == 1
    assert values["clearway_gateway_forwarder_state", "refused"] == 0
    assert values["clearway_gateway_clock_synchronised",] == 1
    assert values["clearway_gateway_source_last_reading_age_seconds", "air", "pmsx003"] == 1
    assert values["clearway_gateway_resident_memory_bytes",] == 35 << 20
    for name, family in families.items():
        assert name.startswith("clearway_gateway_")
        assert family.documentation.endswith(".")
        for sample in family.samples:
            assert set(sample.labels) <= {
                "contract", "reason", "source", "kind", "state", "gateway", "site", "version",
            }  # fmt: skip


def test_what_is_not_known_has_no_figure(tmp_path):
    seen = replace(GOOD, cpu_temperature_c=None, clock_offset_s=None, disk=None, certificate=None)
    with page(tmp_path, look=lambda: seen) as (server, origin):
        until(lambda: server.address)
        body = asked(origin, "/metrics")[2].decode()
    for name in ("celsius", "offset", "disk_free", "certificate"):
        assert name not in body


@pytest.fixture
def log_file(tmp_path):
    return tmp_path / "log.sqlite"


def receipt(seq, *, boot=7, gateway="gw-017", contract="air_reading/1", at_ms=0):
    return message_of(
        Receipt(
            gateway=gateway, boot=boot, contract=contract, seq_last=seq, n_stored=3,
            committed_at_ms=at_ms,
        )
    )  # fmt: skip


def test_only_receipts_of_this_start_count_and_the_newest_stands(log_file):
    clock = TurnableClock()
    log = EmbeddedLog(log_file)
    log.ensure_topic(RECEIPTS_TOPIC)
    reader = LakeReceipts(lambda: EmbeddedLog(log_file), gateway="gw-017", clock=clock)
    reader.committed(7, {"air_reading/1": 1043})
    clock.forward(16)
    at_ms = round(clock.now().timestamp() * 1000) - 2000
    log.append(
        RECEIPTS_TOPIC,
        [
            receipt(9999, boot=8), receipt(9999, gateway="gw-018"),
            *[receipt(i, at_ms=at_ms) for i in (1040, 1042, 1041)],
        ],
    )  # fmt: skip
    stop = threading.Event()
    thread = threading.Thread(target=reader.run, args=(stop,))
    thread.start()
    assert reader.confirmed() == {}, "nobody looks"
    reader.want()
    until(reader.confirmed)
    until(lambda: reader.confirmed()["air_reading/1"].seq == 1042)
    [confirmed] = reader.confirmed().values()
    assert confirmed.after_s == pytest.approx(14.0, abs=0.1)
    clock.forward(WANTED_S + 1)  # nobody looks any more
    until(lambda: not reader._is_wanted())
    stop.set()
    reader.want()  # ends its wait
    thread.join(10)
    assert not thread.is_alive()


def test_a_look_reads_the_newest_receipts_only(log_file):
    log = EmbeddedLog(log_file)
    log.ensure_topic(RECEIPTS_TOPIC)
    log.append(RECEIPTS_TOPIC, [receipt(i) for i in range(NEWEST * 2)])
    read = []

    class Counting(EmbeddedLog):
        def read(self, positions, *, timeout_s=1.0):
            found = super().read(positions, timeout_s=timeout_s)
            read.extend(found)
            return found

    clock = TurnableClock()
    reader = LakeReceipts(lambda: Counting(log_file), gateway="gw-017", clock=clock)
    reader.committed(7, {})
    stop = threading.Event()
    thread = threading.Thread(target=reader.run, args=(stop,))
    reader.want()
    thread.start()
    until(lambda: reader.confirmed() and reader.confirmed()["air_reading/1"].seq == NEWEST * 2 - 1)
    stop.set()
    reader.want()  # ends its wait
    thread.join(10)
    assert len(read) == NEWEST
