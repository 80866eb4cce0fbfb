"""From sensors and files to closed books: what a real gateway read is what the lake stored."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from doubles.edge_doubles import profile_file, write_csv

from clearway_core.data_dir import DataDir
from clearway_core.lake import Lake
from clearway_core.stream.address import open_log
from clearway_core.stream.embedded import EmbeddedLog
from clearway_edge import jobs as edge
from clearway_ingest.books.closing import close_books
from clearway_ingest.books.ledger import latest_rows
from clearway_ingest.books.month import statement
from clearway_ingest.jobs import ingest

N_SENTENCES = 400
NOW_S = int(time.time())
GATEWAY = (sys.executable, "-c", "from clearway_edge.main import main; main()")

SETTINGS = """
[gateway]
name = "gw-7"
data_dir = "."
time_zone = "UTC"
commit_every_s = 1
health_every_s = 10

[[source]]
kind = "nmea"
name = "receiver"
file = "drive.nmea"
provider = "buses"
vehicle = "bus-7"
vehicle_class = "bus"
"""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(DataDir(tmp_path).lake)


@pytest.fixture
def log(tmp_path: Path):
    log = EmbeddedLog(DataDir(tmp_path).log_file)
    yield log
    log.close()


def sentence(second: int) -> str:
    """Return one RMC sentence of today."""
    body = (
        f"GPRMC,{second // 3600:02d}{second // 60 % 60:02d}{second % 60:02d}.00,A,"
        f"1345.{second:04d},N,10030.{second:04d},E,10.0,90.0,"
        f"{datetime.now(UTC):%d%m%y},,,A"
    )
    checksum = 0
    for byte in body.encode():
        checksum ^= byte
    return f"${body}*{checksum:02X}\r\n"


def until(condition: Callable[[], bool], *, within_s: float = 60) -> None:
    give_up_at_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < give_up_at_s
        time.sleep(0.1)


def books(lake: Lake) -> list[dict]:
    return (
        latest_rows(lake.table("books").scan()).sort("gateway", "about_boot").collect().to_dicts()
    )


def test_a_replayed_file_closes_its_books_and_a_second_replay_changes_nothing(tmp_path, lake, log):
    rows = [f"v{n % 9},{1_768_440_000 + n},100.{n:04d},13.7" for n in range(500)]
    file = write_csv(tmp_path / "taxis.csv", [*rows, "v1,never,100.1,13.7", "v2,17,200.0,13.7"])
    profile = str(profile_file(tmp_path))
    account = edge.replay([file], profile, data_dir=tmp_path, log_address=None)
    ingest(lake, log)
    assert close_books(lake, log).is_closed()
    (row,) = books(lake)
    assert row["state"] == "closed"
    assert row["n_read"] == account.read == 502
    assert row["n_stored"] == lake.table("gps_pings").scan().collect().height
    assert row["n_read"] == row["n_stored"] + row["n_quarantined"] + row["n_dropped"]

    edge.replay([file], profile, data_dir=tmp_path, log_address=None)
    ingest(lake, log)
    assert close_books(lake, log).changed == 0


@pytest.mark.kafka
def test_books_close_through_a_real_kafka(tmp_path, lake, kafka):
    file = write_csv(tmp_path / "f.csv", [f"v{n % 9},{NOW_S + n},100.2,13.7" for n in range(200)])
    profile = str(profile_file(tmp_path))
    name = f"gw-{NOW_S}"
    edge.replay([file], profile, data_dir=tmp_path, log_address=kafka, gateway=name)
    log = open_log(kafka, tmp_path)
    try:
        ingest(lake, log)
        account = close_books(lake, log)
    finally:
        log.close()
    [row] = [row for row in books(lake) if row["gateway"] == name]
    assert (row["state"], row["n_read"], row["n_stored"]) == ("closed", 200, 200)
    assert account.log_was_asked


def test_a_live_gateway_that_is_killed_and_started_again_closes_its_books(tmp_path, lake, log):
    (tmp_path / "gw.toml").write_text(SETTINGS)
    (tmp_path / "drive.nmea").write_text("".join(map(sentence, range(N_SENTENCES))))

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen([*GATEWAY, "run", "--settings", str(tmp_path / "gw.toml")])

    def stored() -> int:
        ingest(lake, log)
        return lake.table("gps_pings").scan().collect().height

    running = start()
    until(lambda: stored() > 0)
    running.kill()
    running.wait()
    killed = stored()

    # It says of the first start, too, what became of its readings, and reads the file once more.
    running = start()
    until(lambda: stored() >= killed + N_SENTENCES)
    running.send_signal(signal.SIGTERM)
    assert running.wait(timeout=30) == 0
    ingest(lake, log)

    account = close_books(lake, log)
    assert account.is_closed(), json.dumps(account.differences, default=str)
    assert account.sums["n_read"] == account.sums["n_stored"] == stored()
    assert account.sums["n_unclean_stops"] >= 1
    [killed_boot] = {row["about_boot"] for row in books(lake) if row["n_unclean_stops"]}
    of_killed = [row for row in books(lake) if row["about_boot"] == killed_boot]
    assert {row["state"] for row in of_killed} == {"closed"}
    assert all(row["n_stored"] == row["n_read"] for row in of_killed)
    assert {(row["n_missing"], row["n_spooled"]) for row in books(lake)} == {(0, 0)}
    made = statement(lake, f"{datetime.now(UTC):%Y-%m}")
    assert made.total()["n_read"] == account.sums["n_read"]
