"""Disks that are full, or may only be read, under the outbox and under a whole gateway."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path

import pytest
from doubles.edge_agents import agent_of
from doubles.edge_doubles import MemoryLog, TurnableClock

from clearway_core.clock import SystemClock
from clearway_core.errors import OutboxFull
from clearway_edge.agent import NO_ROOM
from clearway_edge.condition.service_manager import ManagerSocket
from clearway_edge.outbox.outbox import Parcel, Stream
from clearway_edge.outbox.outbox_file import DiskTakesNothing
from clearway_edge.outbox.sqlite_outbox import SqliteOutbox
from clearway_edge.privacy.pseudonyms import KeyRing
from clearway_edge.running import run_gateway
from clearway_edge.settings.settings import read_settings
from clearway_edge.sources.source import Intake, Reading

STREAM = Stream(contract="gps_ping/1", boot=7, run=7)


@pytest.fixture
def disk(tmp_path):
    """A real file system of 2 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("a small disk needs the right to mount one")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(disk: Path) -> Path:
    """Take all the room there is."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(b"\0" * 4096)
        except OSError:
            pass
    return ballast


def remount(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", disk], check=True)


def put_many(box: SqliteOutbox) -> None:
    for _ in range(1000):
        box.put(parcel(b"x" * 2000))


def parcel(payload: bytes, n: int = 10) -> Parcel:
    return Parcel(stream=STREAM, payload=payload, n_read=n, n_records=n, next_seq=n)


def test_full_disk_refuses_and_what_the_log_took_is_not_sent_again(disk):
    box = SqliteOutbox(disk / "outbox.sqlite", None, TurnableClock())
    for number in range(3):
        box.put(parcel(bytes([number]) * 2000))
    ballast = fill(disk)
    with pytest.raises(OutboxFull, match="disk"):
        put_many(box)
    waiting = box.waiting(2000)
    box.accept([batch.id for batch in waiting])
    assert box.waiting(2000) == []
    ballast.unlink()
    box.put(parcel(b"y" * 2000))
    assert [batch.payload[:1] for batch in box.waiting(9)] == [b"y"]
    account = box.account(STREAM)
    assert (account.missing, account.delivered) == (0, 10 * len(waiting))
    box.close()


def test_agent_on_a_full_disk_counts_what_it_drops_and_goes_on_by_itself(disk, tmp_path):
    clock = TurnableClock()
    settings_file = tmp_path / "gateway.toml"
    settings_file.write_text(LIVE.format(data_dir=disk / "data"), encoding="utf-8")
    box = SqliteOutbox(disk / "outbox.sqlite", None, clock)
    keys = KeyRing(disk / "keys", clock)
    agent = agent_of(read_settings(settings_file), box, clock=clock, keys=keys)
    answers: list[bool] = []
    ballast = fill(disk)
    n_read = 0
    for _ in range(60):
        agent.commit([Intake(readings=[reading(clock) for _ in range(200)])])
        n_read += 200
    agent.commit([Intake(readings=[reading(clock)], settle=answers.append)])
    assert answers == [False]
    ballast.unlink()
    agent.commit([Intake(readings=[reading(clock)])])
    stream = Stream(contract="air_reading/1", boot=agent.boot, run=agent.boot)
    account = box.account(stream)
    assert account.read == n_read + 1
    assert account.dropped[NO_ROOM] > 0
    assert account.missing == 0
    box.close()


def test_what_a_full_disk_did_not_take_is_counted_even_if_the_process_dies_of_it(disk):
    box = SqliteOutbox(disk / "outbox.sqlite", None, TurnableClock())
    box.put(parcel(b"a" * 2000))
    ballast = fill(disk)
    box.remember(STREAM, {NO_ROOM: 30})
    box.remember(STREAM, {NO_ROOM: 50})  # all of them, each time
    box._db.close()
    ballast.unlink()
    after = SqliteOutbox(disk / "outbox.sqlite", None, TurnableClock())
    account = after.account(STREAM)
    assert (account.read, account.spooled, account.dropped) == (60, 10, {NO_ROOM: 50})
    after.put(parcel(b"b" * 2000))
    assert after.account(STREAM).missing == 0
    after.close()


def test_a_disk_that_is_full_before_the_first_commit_costs_no_count(disk):
    streams = [Stream(contract=name, boot=7, run=7) for name in ("gps_ping/1", "air_reading/1")]
    box = SqliteOutbox(disk / "outbox.sqlite", None, TurnableClock())
    ballast = fill(disk)
    for stream in streams:
        box.remember(stream, {NO_ROOM: 30})
    assert [page.account.read for page in box.pages()] == [0, 0]
    box._db.close()
    ballast.unlink()
    after = SqliteOutbox(disk / "outbox.sqlite", None, TurnableClock())
    for stream in streams:
        account = after.account(stream)
        assert (account.read, account.dropped, account.missing) == (30, {NO_ROOM: 30}, 0)
    after.close()


def test_what_a_full_disk_did_not_take_is_counted_once_also_by_the_next_hour(tmp_path):
    clock = TurnableClock()
    box = SqliteOutbox(tmp_path / "outbox.sqlite", None, clock)
    box.put(parcel(b"a" * 2000))
    box.remember(STREAM, {NO_ROOM: 30})
    clock.forward(3600)
    assert len(box.pages()) == 1
    box.remember(STREAM, {NO_ROOM: 50})
    box.put(parcel(b"b" * 2000).also_dropped({NO_ROOM: 50}))
    box._db.close()
    after = SqliteOutbox(tmp_path / "outbox.sqlite", None, clock)
    account = after.account(STREAM)
    assert (account.read, account.spooled, account.dropped) == (70, 20, {NO_ROOM: 50})
    after.close()


def test_read_only_disk_is_told_once_and_the_gateway_starts_when_it_can(disk, tmp_path, caplog):
    settings_file = tmp_path / "gateway.toml"
    settings_file.write_text(LIVE.format(data_dir=disk / "data"), encoding="utf-8")
    remount(disk, "ro")
    log, stop = MemoryLog(), threading.Event()
    gateway = threading.Thread(
        target=run_gateway,
        args=(read_settings(settings_file), lambda: log, stop),
        kwargs={"clock": SystemClock(), "manager": ManagerSocket()},
    )
    gateway.start()
    try:
        wait_for(lambda: "disk_takes_nothing" in caplog.text)
        assert gateway.is_alive()
        remount(disk, "rw")
        wait_for(lambda: "gateway_started" in caplog.text or log.messages)
    finally:
        stop.set()
        gateway.join()
    assert caplog.text.count("disk_takes_nothing") == 1


def test_outbox_that_becomes_read_only_refuses_and_recovers(disk):
    box = SqliteOutbox(disk / "outbox.sqlite", None, TurnableClock())
    box.put(parcel(b"a" * 2000))
    box.close()
    remount(disk, "ro")
    with pytest.raises(DiskTakesNothing, match=r"outbox\.sqlite cannot be opened"):
        SqliteOutbox(disk / "outbox.sqlite", None, TurnableClock())
    remount(disk, "rw")
    after = SqliteOutbox(disk / "outbox.sqlite", None, TurnableClock())
    assert after.set_aside == 0
    assert [batch.payload[:1] for batch in after.waiting(9)] == [b"a"]
    after.close()


LIVE = """
[gateway]
name = "gw-test"
data_dir = "{data_dir}"
time_zone = "Europe/London"

[[source]]
kind = "nmea"
file = "none.nmea"
provider = "fleet"
vehicle = "service-car-7"
"""


def reading(clock: TurnableClock) -> Reading:
    values = {
        "sensor": "air-1",
        "sensor_model": "pms5003",
        "observed_at": int(clock.now().timestamp() * 1000),
        "lon_deg": 100.5,
        "lat_deg": 13.7,
    }
    return Reading(contract="air_reading/1", values=values)


def wait_for(condition, timeout_s: float = 20.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, "it did not happen in time"
        time.sleep(0.05)
