"""The gateway under systemd, and what it says when something is in its way: one clear line."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from doubles.edge_agents import agent_of
from doubles.edge_doubles import TurnableClock, batches_in
from doubles.edge_pole import (
    air_frame,
    asked,
    free_port,
    receiver_line,
    resident_mib,
    running_gateway,
    sensor,
    status_of,
    until,
    write_settings,
)

from clearway_core.clock import SystemClock
from clearway_edge.condition.service_manager import ManagerSocket, ServiceManager, manager_socket
from clearway_edge.outbox.memory_outbox import MemoryOutbox
from clearway_edge.privacy.pseudonyms import KeyRing
from clearway_edge.settings.settings import read_settings

UNIT = Path(__file__).parents[2] / "edge/clearway-gateway.service"


@contextmanager
def manager(address: Path | str) -> Iterator[socket.socket]:
    """Listen as systemd does."""
    name = "\0" + address[1:] if isinstance(address, str) else str(address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(name)
        line.settimeout(0.2)
        yield line


def heard(line: socket.socket) -> list[str]:
    """Return what was said until now."""
    words: list[str] = []
    while True:
        try:
            words += line.recv(4096).decode().split("\n")
        except TimeoutError:
            return words


def test_a_running_gateway_is_ready_alive_and_says_how_it_does_until_it_stops(tmp_path):
    with manager(tmp_path / "notify") as line, sensor(air_frame) as air:
        settings = write_settings(tmp_path, air=air)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000000"}
        with running_gateway(settings, environment=environment) as process:
            words: list[str] = []
            until(lambda: words.extend(heard(line)) or words.count("WATCHDOG=1") >= 3)
            assert words[0] == "READY=1"
            assert any(re.match(r"STATUS=\d of 2 sources working; ", word) for word in words)
            os.kill(process.pid, signal.SIGSTOP)  # stuck as a process can be
            heard(line)
            stopped = [heard(line) for _ in range(8)]
            os.kill(process.pid, signal.SIGCONT)
            assert stopped == [[]] * 8, "more than its watchdog's time without a word"
            until(lambda: "WATCHDOG=1" in heard(line))
        assert "STOPPING=1" in heard(line)
        assert process.returncode == 0


class StuckOutbox(MemoryOutbox):
    """An outbox on a card that hangs as soon as it is told to."""

    def __init__(self, clock):
        super().__init__(clock=clock)
        self.hangs = threading.Event()
        self.goes_on = threading.Event()

    def put(self, *parcels):
        if self.hangs.is_set():
            self.goes_on.wait(20)
        super().put(*parcels)


def told_at(address, clock, watchdog_s=None):
    return ServiceManager(ManagerSocket(address=str(address), watchdog_s=watchdog_s), clock)


def test_an_agent_whose_disk_hangs_feeds_no_watchdog_until_it_commits_again(tmp_path):
    clock = SystemClock()
    box = StuckOutbox(clock)
    with manager(tmp_path / "notify") as line, sensor(air_frame, 0.05) as air:
        settings = read_settings(write_settings(tmp_path, air=air))
        told = ServiceManager(
            ManagerSocket(address=str(tmp_path / "notify"), watchdog_s=0.2), clock
        )

        class Beats:
            def beat(self, boot, next_seq):
                told.beat("works")

            def vitals(self):
                return {}

        from clearway_edge.sources.kinds import Tools, kind  # noqa: PLC0415

        tools = Tools(clock=clock)
        air_only = settings.sources[0]
        agent = agent_of(
            settings, box, clock=clock, keys=KeyRing(tmp_path / "keys", clock),
            sources={air_only.name: kind(air_only.kind).open_source(air_only.about, tools)},
            attendant=Beats(),
        )  # fmt: skip
        stop = threading.Event()
        thread = threading.Thread(target=agent.run, args=(stop,))
        thread.start()
        until(lambda: "WATCHDOG=1" in heard(line))
        box.hangs.set()
        until(lambda: heard(line) == [])
        assert [heard(line) for _ in range(5)] == [[]] * 5
        box.hangs.clear()
        box.goes_on.set()
        until(lambda: "WATCHDOG=1" in heard(line))
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def test_signs_of_life_come_twice_in_the_watchdogs_time_and_words_only_when_they_change(tmp_path):
    clock = TurnableClock()
    with manager(tmp_path / "notify") as line:
        told = told_at(tmp_path / "notify", clock, watchdog_s=60)
        for _ in range(120):
            told.beat("all\nis\nwell")
            clock.forward(1)
        words = heard(line)
    assert words.count("READY=1") == 1
    assert words.count("WATCHDOG=1") == 4
    assert words.count("STATUS=all is well") == 1


def test_an_abstract_socket_is_reached_and_a_missing_one_is_in_nobodys_way(tmp_path):
    name = f"@clearway-{os.getpid()}"
    with manager(name) as line:
        told_at(name, TurnableClock()).beat("works")
        assert heard(line) == ["READY=1", "STATUS=works"]
    ServiceManager(
        ManagerSocket(address=str(tmp_path / "gone"), watchdog_s=1), TurnableClock()
    ).beat("works")
    ServiceManager(ManagerSocket(), TurnableClock()).stopping()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ManagerSocket()),
        ({"NOTIFY_SOCKET": "/run/x"}, ManagerSocket(address="/run/x")),
        ({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "7"},
         ManagerSocket(address="@x", watchdog_s=60.0)),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "8"}, ManagerSocket()),
        ({"WATCHDOG_USEC": "soon"}, ManagerSocket()),
    ],
)  # fmt: skip
def test_what_systemd_puts_into_the_environment_is_understood(environment, expected):
    assert manager_socket(environment, 7) == expected


def unit() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        key, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def test_the_unit_watches_the_gateway_and_keeps_its_hardening():
    found = unit()
    assert found["Type"] == ["notify"]
    assert float(found["WatchdogSec"][0]) >= 30, "a card may hang for half a minute"
    assert found["Restart"] == ["always"]
    for key in ("NoNewPrivileges", "PrivateTmp", "ProtectHome", "MemoryDenyWriteExecute",
                "ProtectHostname", "ProtectKernelModules", "RestrictNamespaces"):  # fmt: skip
        assert found[key] == ["yes"], key
    assert found["ProtectSystem"] == ["strict"]
    assert found["CapabilityBoundingSet"] == [""]
    # The kernel is asked about its clock; refused calls must not kill.
    assert "adjtimex" in " ".join(found["SystemCallFilter"])
    assert "ProtectClock" not in found
    assert found["SystemCallErrorNumber"] == ["EPERM"]
    assert "AF_UNIX" in found["RestrictAddressFamilies"][0]
    assert configparser.ConfigParser(strict=False, interpolation=None).read(UNIT)


def test_systemd_finds_the_unit_hardly_exposed():
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not here")
    done = subprocess.run(
        [program, "security", "--offline=true", "--threshold=25", "--no-pager", str(UNIT)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "offline" in done.stderr:
        pytest.skip("this systemd-analyze is too old to look at a file")
    assert done.returncode == 0, done.stdout[-2000:]


def run_to_its_end(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "clearway_edge.main", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_wrong_settings_end_with_two_and_a_line_for_each_fault(tmp_path):
    file = write_settings(tmp_path)
    text = file.read_text().replace('site = "asok-north"', 'site = "Asok North"')
    file.write_text(text.replace("commit_every_s = 0.2", "commit_every_s = 99\nzone = 1"))
    for command in ("run", "check"):
        done = run_to_its_end(command, "--settings", file)
        assert done.returncode == 2
        lines = done.stderr.splitlines()
        assert len(lines) == 3, done.stderr
        assert all(re.search(r"gw\.toml, line \d+: gateway\.\w+: ", line) for line in lines)
    assert not (tmp_path / "data").exists(), "nothing is made before settings are good"
    gone = run_to_its_end("run", "--settings", tmp_path / "none.toml")
    assert (gone.returncode, gone.stderr.count("\n")) == (2, 1)
    assert "check the path" in gone.stderr


def test_a_second_gateway_of_the_same_name_ends_with_one_clear_line(tmp_path):
    port = free_port()
    settings = write_settings(tmp_path, port=port)
    with running_gateway(settings):
        until(lambda: status_of(f"http://127.0.0.1:{port}"))
        done = run_to_its_end("run", "--settings", settings)
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "another process runs the gateway 'gw-017'" in line
    assert "Traceback" not in done.stderr


def test_port_in_use_sensor_unplugged_and_broker_gone_lose_nothing_and_are_each_told_once(tmp_path):
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        sensor(air_frame, 0.05) as air,
    ):
        settings = write_settings(
            tmp_path, air=air, port=other.getsockname()[1],
            more=f'\n[log]\naddress = "kafka://127.0.0.1:{free_port()}"\n',
        )  # fmt: skip
        state = tmp_path / "data/gateways/gw-017/state.json"
        with running_gateway(settings) as process:
            until(lambda: ": " in json.loads(state.read_text())["forwarder_state"], 40)
            said = json.loads(state.read_text())
        assert process.returncode == 0
    assert "Take another page.port" in said["page"]
    told = [json.loads(line) for line in (tmp_path / "gateway.log").read_text().splitlines()]
    events = [line["event"] for line in told]
    assert events.count("page_not_opened") == 1
    assert events.count("source_lost") == 1
    assert not any("exception" in line for line in told)
    done = run_to_its_end("status", "--data-dir", tmp_path / "data", "--json")
    assert done.returncode == 0
    [status] = json.loads(done.stdout)
    assert status["running"] is False
    assert status["read"] == status["delivered"] + status["spooled"] + sum(
        status["dropped"].values()
    )
    assert status["spooled"] > 10
    words = run_to_its_end("status", "--data-dir", tmp_path / "data").stdout
    assert "gw-017: not running" in words
    assert re.search(r"forwarder +(connecting|refused): ", words)
    assert re.search(r"source +receiver \(nmea\): lost: ", words)
    assert re.search(r"page +the page cannot be opened on 127\.0\.0\.1:\d+: Address already", words)


SECRETS = {
    "password": "p4ss-W0RD-very-secret",
    "pin": "73519284",
    "key": "transit-key-4711",
    "url": "hunter2secret",
}


def test_no_secret_is_in_a_log_a_dump_a_status_or_the_page(tmp_path):
    port = free_port()
    (tmp_path / "password").write_text(SECRETS["password"])
    (tmp_path / "pin").write_text(SECRETS["pin"])
    (tmp_path / "key").write_text(SECRETS["key"])
    (tmp_path / "ca.crt").write_text("no certificate\n")
    more = f"""
[log]
address = "kafka://127.0.0.1:{free_port()}"
tls = true
ca_file = "ca.crt"
sasl_mechanism = "SCRAM-SHA-512"
username = "gw-017"
password_file = "password"

[[source]]
kind = "gtfs_realtime"
name = "buses"
url = "http://city:{SECRETS["url"]}@127.0.0.1:9/positions.pb?token={SECRETS["url"]}"
provider = "city-buses"
key_header = "X-Api-Key"
key_file = "key"
"""
    settings = write_settings(tmp_path, port=port, more=more, host="0.0.0.0")  # noqa: S104
    text = settings.read_text().replace("[page]\n", '[page]\npin_file = "pin"\n')
    settings.write_text(text)
    origin = f"http://127.0.0.1:{port}"
    headers = {"Authorization": f"Bearer {SECRETS['pin']}"}
    with running_gateway(settings):
        until(lambda: asked(origin, "/status.json", headers=headers)[0] == 200)
        state = tmp_path / "data/gateways/gw-017/state.json"
        until(lambda: "refused" in json.loads(state.read_text())["forwarder_state"], 40)
        told = [asked(origin, path, headers=headers)[2].decode()
                for path in ("/status.json", "/metrics", "/")]  # fmt: skip
        asked(origin, "/login", body=SECRETS["pin"].encode())
    for command in (
        ("check", "--settings", settings), ("check", "--settings", settings, "--json"),
        ("status", "--data-dir", tmp_path / "data"),
        ("status", "--data-dir", tmp_path / "data", "--json"),
    ):  # fmt: skip
        done = run_to_its_end(*command)
        assert done.returncode == 0, done.stderr
        told += [done.stdout, done.stderr]
    told.append((tmp_path / "gateway.log").read_text())
    told.append(state.read_text())
    everything = "\n".join(told)
    for secret in SECRETS.values():
        found = [part for part in told if secret in part]
        assert found == []
    assert "can be read by other users" in everything
    # The vehicle of the settings is no secret, but neither is it anybody's business.
    assert "PLATE" not in "\n".join(told[:3])


NO_32_BIT_WHEEL = ("cryptography", "cffi", "google", "crc32c", "pyarrow", "numpy", "polars", "h3")
"""What has no wheel for 32-bit ARM, or only a slow one (protobuf)."""

ONLY_FOR_SOME = ("paho", "prometheus_client", "segno", "gtfs_realtime_bindings")


def test_sensors_reach_the_log_where_only_32_bit_wheels_exist(tmp_path):
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    with sensor(air_frame) as air, sensor(receiver_line) as receiver:
        settings = write_settings(tmp_path, air=air, receiver=receiver, port=port)
        with running_gateway(settings, without=NO_32_BIT_WHEEL + ONLY_FOR_SOME):
            until(lambda: {"air_reading/1", "gps_ping/1"} <= set(status_of(origin)["books"]))
            until(lambda: status_of(origin)["forwarder_state"] == "up to date")
            code, _, body = asked(origin, "/metrics")
    assert (code, b"prometheus-client" in body) == (501, True)
    assert {batch.contract for batch in batches_in(tmp_path / "data")} == {"gps_ping/1"}
    told = (tmp_path / "gateway.log").read_text()
    assert "exception" not in told
    assert "Traceback" not in told


def test_an_idle_gateway_with_its_page_and_figures_open_takes_little_memory(tmp_path):
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    with sensor(air_frame) as air, sensor(receiver_line) as receiver:
        settings = write_settings(tmp_path, air=air, receiver=receiver, port=port)
        with running_gateway(settings) as process:
            until(lambda: "gps_ping/1" in str(status_of(origin)["books"]))
            before_mib = resident_mib(process.pid)
            for _ in range(30):
                assert asked(origin, "/metrics")[0] == 200
                status_of(origin)
            after_mib = resident_mib(process.pid)
    print(f"{before_mib:.1f} MiB resident, {after_mib:.1f} with figures")  # noqa: T201
    assert after_mib <= 64
