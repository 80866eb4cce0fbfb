"""The power goes between any two commits, or in the middle of one: no loss, no duplicate."""

from __future__ import annotations

import errno
import itertools
import os

import pytest
from doubles.ingest_lake import FailingLake, committed_sums, places
from doubles.ingest_messages import (
    AIR_TOPIC,
    GPS_TOPIC,
    HEALTH_TOPIC,
    air,
    fix,
    gps,
    health,
    raw,
    third_party,
)
from doubles.ingest_oracle import everything, expected
from doubles.power_cut import PowerCut

from clearway_core.lake import Lake
from clearway_core.stream.embedded import EmbeddedLog
from clearway_ingest.jobs import Settings, ingest

MESSAGES = (
    (GPS_TOPIC, gps("gw-1", 1, range(10))),
    (GPS_TOPIC, gps("gw-2", 1, range(10))),
    (AIR_TOPIC, air("gw-1", 1, range(5))),
    (GPS_TOPIC, gps("gw-1", 1, range(5, 15))),  # overlaps
    (HEALTH_TOPIC, health("gw-1", 1, [0, 1])),
    (GPS_TOPIC, raw(b"no batch at all", key=b"gw-1")),
    (GPS_TOPIC, gps("gw-1", 1, [20, 22, 21, 22])),  # gaps, out of order, one twice
    (GPS_TOPIC, gps("gw-1", 2, range(5), lon_deg=200.0)),  # all broken
    (GPS_TOPIC, third_party([fix("tp", 1, n) for n in (0, 1, 1)], key=b"gw-1")),
    (GPS_TOPIC, gps("gw-1", 1, range(15))),  # resent as a whole
    (AIR_TOPIC, air("gw-1", 1, range(3, 8), pm2_5_cf1_a_ugm3=-1.0)),
    (GPS_TOPIC, third_party(fix("tp", 1, 1), key=b"gw-1")),
    (GPS_TOPIC, gps("gw-2", 1, range(8, 12))),
    (HEALTH_TOPIC, health("gw-1", 1, [1, 2])),
    (GPS_TOPIC, gps("gw-1", 2, range(5))),  # had arrived, though broken
    (GPS_TOPIC, gps("gw-1", 1, range(13, 25))),
)


@pytest.fixture
def log(tmp_path, monkeypatch):
    # A process that ends leaves what it wrote to the system; the disk plays no part here.
    monkeypatch.setattr(os, "sync", lambda: None)
    log = EmbeddedLog(tmp_path / "log.sqlite")
    for topic, message in MESSAGES:
        log.append(topic, [message])
    yield log
    log.close()


def _is_as_expected(lake, log):
    wanted = expected(everything(log))
    assert places(lake) == wanted.sorted_rows()
    sums = committed_sums(lake)
    assert sums["n_messages"] == len(MESSAGES)
    assert sums["n_rows"] == wanted.read
    assert sums["n_stored"] == sum(
        len(wanted.rows[name]) for name in ("gps_pings", "air_readings", "gateway_health")
    )
    assert sums["n_quarantined"] == len(wanted.rows["quarantine"])
    assert sums["n_duplicates"] == wanted.duplicates
    assert sums["n_dead_letters"] == len(wanted.rows["dead_letters"])


def _commits(tmp_path, log, rows):
    lake = FailingLake(tmp_path / "measured")
    ingest(lake, log, settings=Settings(rows=rows))
    _is_as_expected(lake, log)
    return lake.commits


def test_a_run_that_nothing_disturbs_agrees_with_the_plain_one(tmp_path, log):
    commits = _commits(tmp_path, log, 12)
    # Several steps, each with its tables first and the offsets last.
    assert commits.count("ingest_commits") >= 3
    assert commits[-1] == "ingest_commits"
    assert {"received_ranges", "gps_pings", "air_readings", "quarantine"} < set(commits)


@pytest.mark.parametrize(
    ("torn", "rows_after"),
    [(False, 3), (True, 1000)],
    ids=["before_it_then_smaller_steps", "after_it_then_one_step"],
)
def test_power_cut_at_every_single_commit_neither_loses_nor_doubles(
    tmp_path, log, torn, rows_after
):
    n_commits = len(_commits(tmp_path, log, 12))
    for cut_at in range(n_commits):
        root = tmp_path / f"cut-{cut_at}"
        with pytest.raises(PowerCut):
            ingest(FailingLake(root, cut_at=cut_at, torn=torn), log, settings=Settings(rows=12))
        # The next run reads in other portions, as a restart does.
        ingest(Lake(root), log, settings=Settings(rows=rows_after))
        _is_as_expected(Lake(root), log)


@pytest.mark.parametrize("table", ["received_ranges", "gps_pings", "ingest_commits"])
def test_disk_that_is_full_stops_the_run_with_its_error_and_the_next_run_takes_all(
    tmp_path, log, table
):
    cut_at = _commits(tmp_path, log, 12).index(table)
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="No space left"):
        ingest(
            FailingLake(tmp_path / "l", cut_at=cut_at, fault=full), log, settings=Settings(rows=12)
        )
    ingest(Lake(tmp_path / "l"), log)
    _is_as_expected(Lake(tmp_path / "l"), log)


@pytest.mark.parametrize("torn", [False, True], ids=["before", "after"])
def test_power_that_goes_again_and_again_still_ends_with_every_record_once(tmp_path, log, torn):
    portions = itertools.cycle([1, 30, 7])
    for attempt in range(200):
        lake = FailingLake(tmp_path / "lake", cut_at=3 + attempt % 4, torn=torn)
        try:
            ingest(lake, log, settings=Settings(rows=next(portions)))
        except PowerCut:
            continue
        break
    _is_as_expected(Lake(tmp_path / "lake"), log)
