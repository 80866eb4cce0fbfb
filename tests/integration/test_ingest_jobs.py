"""Whole runs over the embedded log: shares, other logs, upkeep and the command."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from doubles.ingest_lake import committed_sums, places
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
from typer.testing import CliRunner

from clearway_cli.commands.ingest import register
from clearway_core import lake_upkeep
from clearway_core.data_dir import DataDir
from clearway_core.errors import SourceUnavailable, TableConflict, UsageError
from clearway_core.lake import Lake
from clearway_core.lake_upkeep import compact, most_files
from clearway_core.stream.embedded import EmbeddedLog
from clearway_ingest import jobs, upkeep
from clearway_ingest.jobs import Settings, ingest
from clearway_ingest.share import Share
from clearway_ingest.sink import Sink

CLEARWAY = Path(sys.executable).with_name("clearway")


@pytest.fixture
def log(tmp_path):
    log = EmbeddedLog(DataDir(tmp_path).log_file)
    yield log
    log.close()


@pytest.fixture
def lake(tmp_path):
    return Lake(DataDir(tmp_path).lake)


def _fill(log, gateways=8, batches=3):
    for number in range(batches):
        for gateway in range(gateways):
            seqs = range(number * 8, number * 8 + 10)  # the last two come again
            log.append(GPS_TOPIC, [gps(f"gw-{gateway}", 1, seqs)])
            log.append(AIR_TOPIC, [air(f"gw-{gateway}", 1, seqs)])
            log.append(HEALTH_TOPIC, [health(f"gw-{gateway}", 1, [number])])


def test_two_halves_cover_everything_exactly_once(lake, log):
    _fill(log)
    first = ingest(lake, log, share=Share(1, 2))
    second = ingest(lake, log, share=Share(2, 2))
    wanted = expected(everything(log))
    assert places(lake) == wanted.sorted_rows()
    assert first.read + second.read == wanted.read
    assert first.read > 0
    assert second.read > 0
    assert ingest(lake, log).messages == 0


def test_shares_that_run_at_the_same_time_do_not_disturb_each_other(tmp_path, lake, log):
    _fill(log, batches=6)
    code = (
        "import sys; from pathlib import Path; from clearway_core.lake import Lake;"
        "from clearway_core.stream.embedded import EmbeddedLog;"
        "from clearway_core.data_dir import DataDir; from clearway_ingest.jobs import *;"
        "d = DataDir(Path(sys.argv[1]));"
        "ingest(Lake(d.lake), EmbeddedLog(d.log_file), share=Share(int(sys.argv[2]), 3),"
        " settings=Settings(rows=40))"
    )
    shares = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(number)])
        for number in (1, 2, 3)
    ]
    assert [share.wait(timeout=120) for share in shares] == [0, 0, 0]
    assert places(lake) == expected(everything(log)).sorted_rows()


def test_a_lake_that_moves_to_another_log_misses_and_doubles_nothing(tmp_path, lake, log):
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(10)), gps("gw-1", 1, range(10, 20))])
    ingest(lake, log)
    other = EmbeddedLog(tmp_path / "other.sqlite")
    # Its offsets begin at 0 again; its first batch is new, its second one had arrived.
    other.append(GPS_TOPIC, [gps("gw-1", 2, range(5)), gps("gw-1", 1, range(15, 25))])
    account = ingest(lake, other)
    other.close()
    assert account.stored == {"gps_pings": 10}
    assert account.duplicates == 5
    assert ingest(lake, log).messages == 0


def test_a_gateway_whose_partition_changes_is_still_known_after_a_restart(lake, log):
    batch = gps("gw-1", 1, range(10))
    log.append(GPS_TOPIC, [batch])
    ingest(lake, log)
    (partition,) = {row[1] for row in places(lake)["gps_pings"]}
    elsewhere = next(
        key
        for key in (b"a", b"b", b"c", b"d", b"e", b"f")
        if (log.append(GPS_TOPIC, [raw(batch.value, key=key)]), _last_partition(log))[1]
        != partition
    )
    account = ingest(lake, log)
    assert account.stored == {}
    assert account.duplicates >= 10
    assert elsewhere


def _last_partition(log):
    ends = log.end_offsets(GPS_TOPIC)
    newest = [log.read({where: end - 1})[-1] for where, end in ends.items() if end]
    return max(newest, key=lambda message: message.appended_at).partition


def test_third_parties_are_known_by_key_across_messages_and_partitions(lake, log):
    records = [fix("tp", 1, number) for number in range(6)]
    log.append(GPS_TOPIC, [third_party(records[:4], key=b"a")])
    ingest(lake, log)
    log.append(GPS_TOPIC, [third_party(records, key=key) for key in (b"b", b"c", b"d")])
    account = ingest(lake, log)
    assert account.stored == {"gps_pings": 2}
    assert account.duplicates == 16
    assert account.is_closed()


def test_sensor_records_of_third_parties_are_known_by_sensor_and_time(lake, log):
    record = {
        "sensor": "station-1",
        "sensor_model": "reference",
        "observed_at": "2026-01-15T00:00:00+07:00",
        "lon_deg": 100.5,
        "lat_deg": 13.75,
        "pm2_5_ugm3": 35.5,
    }
    same_moment = {**record, "observed_at": "2026-01-14T17:00:00Z", "pm2_5_ugm3": 36.0}
    later = {**record, "observed_at": "2026-01-15T01:00:00+07:00"}
    log.append(AIR_TOPIC, [third_party(record, contract="air_reading/1")])
    assert ingest(lake, log).stored == {"air_readings": 1}
    log.append(AIR_TOPIC, [third_party([same_moment, later], contract="air_reading/1")])
    account = ingest(lake, log)
    assert account.stored == {"air_readings": 1}
    assert account.duplicates == 1


def test_a_fix_by_gateway_and_by_third_party_is_stored_by_whoever_comes_first(lake, log):
    log.append(GPS_TOPIC, [gps("gw-1", 1, [0]), third_party(fix("gw-1", 1, 0), key=b"gw-1")])
    account = ingest(lake, log)
    assert account.stored == {"gps_pings": 1}
    assert account.duplicates == 1


def test_many_small_commits_are_joined_and_nothing_changes(tmp_path, lake, log, monkeypatch):
    monkeypatch.setattr(jobs, "CHECK_EVERY_COMMITS", 4)
    monkeypatch.setattr(upkeep, "MANY_FILES", 6)
    for number in range(24):
        log.append(GPS_TOPIC, [gps("gw-1", 1, range(number * 5, number * 5 + 5))])
    ingest(lake, log, settings=Settings(rows=5))
    assert most_files(lake.table("gps_pings")) < 6 + 4
    assert places(lake) == expected(everything(log)).sorted_rows()
    # Offsets survive: reading again adds nothing, and a crash would find its place.
    sink = Sink(lake, log.identity(), {})
    ends = log.end_offsets(GPS_TOPIC)
    assert {sink.held("gps_pings", where) for where in ends} == {0, 24}
    assert ingest(lake, log).messages == 0


def test_a_compaction_that_meets_another_process_is_left_for_later(lake, log, monkeypatch):
    for seqs in (range(5), range(5, 10)):
        log.append(GPS_TOPIC, [gps("gw-1", 1, seqs)])
        ingest(lake, log)
    before = most_files(lake.table("gps_pings"))

    def compact_but_one(table):
        if table.contract.name == "gps_pings":
            message = "another process rewrote the same files"
            raise TableConflict(message)
        compact(table)

    monkeypatch.setattr(lake_upkeep, "compact", compact_but_one)
    monkeypatch.setattr(upkeep, "MANY_FILES", 2)
    upkeep.compact_tables(Sink(lake, log.identity(), {}))
    assert most_files(lake.table("gps_pings")) == before >= 2
    assert most_files(lake.table("received_ranges")) == 1


def test_an_empty_log_is_no_fault(lake, log):
    account = ingest(lake, log)
    assert (account.messages, account.read, account.stored) == (0, 0, {})
    assert lake.table("ingest_commits").version() is None


@pytest.fixture
def clearway(tmp_path):
    """Return a function that runs `clearway ingest …` on the data folder, in this process."""
    app = typer.Typer()
    register(app)
    app.command()(lambda: None)  # a single group would lose its name

    def run(*arguments):
        return CliRunner().invoke(app, ["ingest", *arguments, "--data-dir", str(tmp_path)])

    return run


def test_the_command_accounts_for_everything_it_read(clearway, log):
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(10)), gps("gw-1", 1, range(5, 12))])
    log.append(GPS_TOPIC, [gps("gw-1", 2, range(3), lat_deg=99.0), raw(b"poison")])
    ran = clearway("run", "--until-idle", "--json")
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout) == {
        "messages": 4,
        "read": 20,
        "stored": {"gps_pings": 12},
        "quarantined": {"lat_deg_range": 3},
        "dead_letters": {"undecodable_payload": 1},
        "duplicates": 5,
        "lost_messages": 0,
        "receipts_not_sent": 0,
        "closed": True,
    }


def test_the_command_says_in_one_line_that_nothing_is_missing(clearway, log):
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(10)), raw(b"poison"), gps("gw-1", 1, [0, 99])])
    ran = clearway("run", "--until-idle")
    assert "read 12 = stored 11 + quarantined 0 + duplicates 1" in ran.stdout


def test_dead_letters_are_listed_shown_and_replayed_by_command(clearway, log):
    log.append(GPS_TOPIC, [raw(b"poison", key=b"gw-1")])
    clearway("run", "--until-idle", "--json")
    (found,) = json.loads(clearway("dead-letters", "list", "--json").stdout)
    assert found["cause"] == "undecodable_payload"
    shown = json.loads(clearway("dead-letters", "show", found["place"], "--json").stdout)
    assert shown["payload_bytes"] == 6
    sent = clearway("dead-letters", "replay", "--cause", "undecodable_payload", "--json")
    assert json.loads(sent.stdout) == {"sent": 1, "gone": 0}


def test_a_share_that_means_nothing_is_wrong_use(clearway):
    ran = clearway("run", "--share", "3/2")
    assert isinstance(ran.exception, UsageError)
    assert "3/2" in str(ran.exception)


def test_a_stop_writes_what_was_read(lake, log):
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(10))])
    asked = iter([False, True])
    account = ingest(
        lake, log, until_idle=False, settings=Settings(latency_s=3600), stop=lambda: next(asked)
    )
    assert account.stored == {"gps_pings": 10}
    assert committed_sums(lake)["n_stored"] == 10


class UnreachableLog:
    """Not there for a few reads, as while a broker restarts."""

    def __init__(self, log, times):
        self.log = log
        self.times = times

    def read(self, positions, *, timeout_s=1.0):
        if self.times > 0:
            self.times -= 1
            message = "no answer"
            raise SourceUnavailable(message)
        return self.log.read(positions, timeout_s=timeout_s)

    def __getattr__(self, name):
        return getattr(self.log, name)


def test_a_running_ingest_waits_for_a_log_that_is_away(lake, log, monkeypatch):
    monkeypatch.setattr(jobs, "_SHORTEST_WAIT_S", 0.01)
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(10))])
    asked = iter([*([False] * 20), True])
    away = UnreachableLog(log, 3)
    account = ingest(
        lake, away, until_idle=False, settings=Settings(latency_s=0), stop=lambda: next(asked, True)
    )
    assert away.times == 0
    assert account.stored == {"gps_pings": 10}


def test_a_run_until_idle_says_at_once_that_the_log_is_away(lake, log):
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(10))])
    with pytest.raises(SourceUnavailable):
        ingest(lake, UnreachableLog(log, 1))


def test_as_a_service_it_says_what_happens_and_sigterm_ends_it_cleanly(tmp_path, lake, log):
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(10))])
    running = subprocess.Popen(
        [CLEARWAY, "ingest", "run", "--json", "--data-dir", tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # When it has committed once, its signal handlers are in place.
    give_up_at_s = time.monotonic() + 60
    while lake.table("ingest_commits").version() is None and time.monotonic() < give_up_at_s:
        time.sleep(0.1)
    running.send_signal(signal.SIGTERM)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    assert json.loads(out)["stored"] == {"gps_pings": 10}
    said = [json.loads(line)["event"] for line in err.splitlines()]
    assert said == ["ingest_started", "ingest_stopped"]
