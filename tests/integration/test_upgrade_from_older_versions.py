"""Every later version goes on with what an older one left: see tests/data/README.md.

The archives were written by the commands of their version and are never made again. What is true
of them today must stay true: nothing of theirs is lost, doubled or told otherwise.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from doubles.serving_client import Client
from polars.testing import assert_frame_equal

from clearway_cli import dag_tasks
from clearway_cli.cities import find_city
from clearway_core.city import City
from clearway_core.lake import Lake, open_lake
from clearway_core.stream.embedded import EmbeddedLog
from clearway_edge import jobs as edge
from clearway_edge.condition.gateway_status import read_status
from clearway_ingest.books.closing import close_books
from clearway_ingest.books.ledger import latest_rows
from clearway_ingest.jobs import ingest
from clearway_models.jobs import decisions, find_proposal
from clearway_serving.app import create_app

ARCHIVES = sorted((Path(__file__).parents[1] / "data").glob("data-folder-*.tar.xz"))


@dataclass(frozen=True)
class Installation:
    """An unpacked archive."""

    folder: Path
    expected: dict[str, Any]

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def lake(self) -> Lake:
        return open_lake(self.data)

    def rows(self, table: str) -> pl.DataFrame:
        return self.lake.table(table).scan().collect()

    def ingest(self) -> dict[str, int]:
        """Take what waits in the log; return the rows stored by table."""
        log = EmbeddedLog(self.data / "log.sqlite")
        try:
            account = ingest(self.lake, log)
        finally:
            log.close()
        assert account.is_closed()
        return dict(account.stored)


@pytest.fixture(params=ARCHIVES, ids=[file.name for file in ARCHIVES])
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Installation:
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path, filter="data")
    return Installation(tmp_path, json.loads((tmp_path / "expected.json").read_text()))


def test_there_is_an_archive_of_the_first_version():
    assert "data-folder-0.1.0.tar.xz" in [file.name for file in ARCHIVES]


def test_every_table_is_read_whole(installation):
    held = {name: installation.rows(name).height for name in installation.expected["rows"]}
    assert held == installation.expected["rows"]


def test_the_map_answers_as_before(installation):
    app = create_app(installation.lake, city=_city(installation))
    for path, answer in installation.expected["answers"].items():
        assert Client(app).get(path).json() == answer, path
    assert any(answer.get("cells") for answer in installation.expected["answers"].values())


def test_a_proposal_keeps_its_document_and_its_decisions(installation):
    kept = installation.expected["proposal"]
    del kept["created_at"]  # of its row, not of the document
    assert find_proposal(installation.lake, kept["proposal_id"]) == kept
    (decision,) = decisions(installation.lake, kept["proposal_id"])
    assert (decision.decision, decision.decided_by, decision.note) == ("approved", "Anna", "seen")


def test_what_waited_in_log_and_outbox_is_stored_once(installation):
    _send_what_waits(installation)
    stored = installation.ingest()
    assert installation.ingest() == {}

    fixes = installation.rows("gps_pings").filter(pl.col("gateway") == "gw-endpoint")
    taxis = fixes.filter(pl.col("provider") == "metro-hail")
    assert stored["gps_pings"] == fixes.height
    assert fixes.select("boot", "seq").is_unique().all()
    assert taxis.height == 399  # and one that breaks a rule
    assert taxis.select("vehicle", "observed_at").is_unique().all()
    refused = installation.rows("quarantine").filter(pl.col("rule").str.contains("speed_kmh"))
    assert refused.height >= 1


def test_the_books_close_over_the_upgrade(installation):
    _send_what_waits(installation)
    installation.ingest()
    log = EmbeddedLog(installation.data / "log.sqlite")
    try:
        account = close_books(installation.lake, log)
    finally:
        log.close()
    assert account.is_closed()

    books = latest_rows(installation.lake.table("books").scan()).collect()
    endpoint = books.filter(pl.col("gateway") == "gw-endpoint")
    assert endpoint["n_read"].sum() == sum(installation.expected["pushed"])
    assert endpoint["n_missing"].sum() == 0


def test_replaying_an_old_recording_adds_nothing(installation):
    for file, profile, gateway in (
        ("fleet.parquet", "demo_city", "gw-fleet"),
        ("air.csv.gz", "demo_city_air", "gw-air"),
    ):
        recording = installation.folder / "recordings" / file
        account = edge.replay(
            [recording], profile, data_dir=installation.data, log_address=None, gateway=gateway
        )
        assert account.read > 0
    stored = installation.ingest()
    assert set(stored) <= {"gateway_health", "gateway_books", "gps_pings"}
    from_replays = installation.rows("gps_pings").filter(pl.col("gateway") == "gw-fleet").height
    assert from_replays == installation.expected["rows"]["gps_pings"]


def test_building_again_gives_the_same_figures(installation, monkeypatch):
    tables = ("congestion", "free_flow", "reliability", "corridor_times", "air_hourly")
    before = {name: _figures(installation, name) for name in tables}
    monkeypatch.setenv("CLEARWAY_DATA_DIR", str(installation.data))
    monkeypatch.setenv("CLEARWAY_CITY", "demo_city")
    stretch = {"time_from": "2025-12-31T00:00Z", "time_to": "2026-01-16T00:00Z"}
    dag_tasks.build_congestion(**stretch)
    dag_tasks.build_air(**stretch)
    for name in tables:
        assert_frame_equal(_figures(installation, name), before[name])


def test_keys_of_a_past_day_are_destroyed(installation):
    keys = installation.data / "gateways" / "gw-endpoint" / "keys"
    # The archive may have been made today; its keys become those of a day long past.
    old = [key.rename(key.with_name("2026-01-02.key")) for key in keys.rglob("*.key")]
    assert old
    for key in old:
        os.utime(key, (0, 0))
    _send_what_waits(installation)
    assert not any(key.exists() for key in old)


def _send_what_waits(installation: Installation) -> None:
    """Run today's gateway in the old folder, with a log that can be reached, as a process."""
    settings = installation.folder / "gw.toml"
    text = settings.read_text()
    log = text[text.index("[log]") : text.index("[[source]]")]
    settings.write_text(text.replace(log, "").replace("port = ", "port = 0 # "))
    outbox = installation.data / "gateways" / "gw-endpoint" / "outbox.sqlite"
    command = [sys.executable, "-m", "clearway_edge.main", "run", "--settings", "gw.toml"]
    process = subprocess.Popen(command, cwd=installation.folder, stderr=subprocess.PIPE)
    ends_s = time.monotonic() + 60
    try:
        while (oldest := read_status(outbox)["oldest_spooled_age_s"]) is not None:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < ends_s, oldest
            time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        process.stderr.close()


def _figures(installation: Installation, table: str) -> pl.DataFrame:
    rows = installation.rows(table)
    return rows.sort(installation.lake.table(table).contract.key)


def _city(installation: Installation) -> City | None:
    return find_city("demo_city", installation.data)


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
