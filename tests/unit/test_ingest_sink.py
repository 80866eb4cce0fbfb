"""Two processes on the same partitions, two on the same tables, and tables that are behind."""

from __future__ import annotations

import os

import polars as pl
import pytest
from doubles.ingest_lake import FailingLake, places
from doubles.ingest_messages import AIR_TOPIC, GPS_TOPIC, gps

from clearway_core.contracts.raw_tables import RECEIVED_RANGES
from clearway_core.errors import OffsetRegression, TableConflict
from clearway_core.lake import Lake
from clearway_core.schema import polars_schema
from clearway_core.stream.embedded import EmbeddedLog
from clearway_core.stream.log import TopicPartition
from clearway_ingest.flush import Flush
from clearway_ingest.intake import Intake
from clearway_ingest.jobs import ingest
from clearway_ingest.offsets import committed_offsets, committed_ranges
from clearway_ingest.ranges import Received
from clearway_ingest.sink import Sink

P0 = TopicPartition(GPS_TOPIC, 0)


class StandingClock:
    def __init__(self):
        self.slept = []

    def sleep(self, duration_s):
        self.slept.append(duration_s)


@pytest.fixture
def log(tmp_path):
    log = EmbeddedLog(tmp_path / "log.sqlite")
    log.ensure_topic(GPS_TOPIC, 1)
    yield log
    log.close()


def _owner(lake, log, clock=None):
    """A process that has started and taken the first five messages, but not written them."""
    log_id = log.identity()
    committed = committed_offsets(lake, log_id)
    intake = Intake(Received(committed_ranges(lake)), log_id)
    for message in log.read({P0: committed.get(P0, 0)}):
        intake.add(message)
    return Flush(Sink(lake, log_id, committed, clock=clock)), intake


@pytest.mark.parametrize("more", [0, 3], ids=["the_same_messages", "more_messages"])
def test_a_second_owner_of_a_partition_cannot_commit(tmp_path, log, more):
    lake = Lake(tmp_path / "lake")
    log.append(GPS_TOPIC, [gps("gw-1", 1, [number]) for number in range(5)])
    first, first_intake = _owner(lake, log)
    log.append(GPS_TOPIC, [gps("gw-1", 1, [5 + number]) for number in range(more)])
    second, second_intake = _owner(Lake(tmp_path / "lake"), log)
    first.write(first_intake)
    with pytest.raises(OffsetRegression, match="second process"):
        second.write(second_intake)
    ingest(lake, log)
    assert [row[-1] for row in places(lake)["gps_pings"]] == list(range(5 + more))


def test_a_second_owner_that_comes_in_between_two_tables_is_found_out(tmp_path, log):
    lake = Lake(tmp_path / "lake")
    log.append(GPS_TOPIC, [gps("gw-1", 1, [0])])
    first, first_intake = _owner(lake, log)
    twin, twin_intake = _owner(Lake(tmp_path / "lake"), log)
    twin._sink.finish = lambda *_: None  # stopped before its offsets
    twin.write(twin_intake)
    # It read what the tables hold before its twin wrote.
    first._sink._held.update(dict.fromkeys([("received_ranges", P0), ("gps_pings", P0)]))
    with pytest.raises(OffsetRegression):
        first.write(first_intake)
    ingest(lake, log)
    assert len(places(lake)["gps_pings"]) == 1


class BusyTable:
    """Another share is always a moment earlier, so many times."""

    def __init__(self, table, times):
        self.table = table
        self.times = times

    def append(self, *arguments, **options):
        if self.times > 0:
            self.times -= 1
            message = "someone else was first"
            raise TableConflict(message)
        return self.table.append(*arguments, **options)

    def __getattr__(self, name):
        return getattr(self.table, name)


def test_a_commit_that_lost_the_race_to_another_share_is_tried_again(tmp_path, log):
    lake, clock = Lake(tmp_path / "lake"), StandingClock()
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(4))])
    flush, intake = _owner(lake, log, clock)
    flush._sink._tables["gps_pings"] = BusyTable(lake.table("gps_pings"), 3)
    flush.write(intake)
    assert len(clock.slept) == 3
    assert len(places(lake)["gps_pings"]) == 4


def test_a_table_that_is_never_free_stops_the_run_without_harm(tmp_path, log):
    lake, clock = Lake(tmp_path / "lake"), StandingClock()
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(4))])
    flush, intake = _owner(lake, log, clock)
    flush._sink._tables["gps_pings"] = BusyTable(lake.table("gps_pings"), 1_000)
    with pytest.raises(TableConflict):
        flush.write(intake)
    assert sum(clock.slept) < 15
    ingest(lake, log)
    assert len(places(lake)["gps_pings"]) == 4


def _ranges(*messages):
    """A row for each message: topic, partition, offset."""
    fixed = {"contract": "gps_ping/1", "gateway": "gw-1", "boot": 1, "seq_first": 0, "seq_last": 0}
    rows = [
        fixed | {"topic": topic, "log_partition": partition, "log_offset": offset, "log_id": "a"}
        for topic, partition, offset in messages
    ]
    return pl.DataFrame(rows, schema=polars_schema(RECEIVED_RANGES))


def _held_places(lake):
    rows = lake.table("received_ranges").scan().sort("topic", "log_partition", "log_offset")
    return rows.select("topic", "log_partition", "log_offset").collect().rows()


def test_a_table_that_is_ahead_in_one_partition_takes_only_what_it_lacks(tmp_path):
    lake = Lake(tmp_path / "lake")
    gps_0, gps_1 = P0, TopicPartition(GPS_TOPIC, 1)
    air_0, air_1 = TopicPartition(AIR_TOPIC, 0), TopicPartition(AIR_TOPIC, 1)
    first = [(*gps_0, 0), (*air_1, 0)]
    Sink(lake, "a", {}).write("received_ranges", _ranges(*first), {gps_0: 1, air_1: 1})
    # Read again after a crash, in a larger portion: of each partition something else is missing.
    again = [*first, (*gps_0, 1), (*gps_1, 0), (*air_0, 0)]
    ends = {gps_0: 2, gps_1: 1, air_0: 1, air_1: 1}
    sink = Sink(lake, "a", {})
    sink.write("received_ranges", _ranges(*again), ends)
    assert _held_places(lake) == sorted(again)
    for other in (sink, Sink(lake, "a", {})):
        other.write("received_ranges", _ranges(*again), ends)
        assert _held_places(lake) == sorted(again)
        assert {where: other.held("received_ranges", where) for where in ends} == ends


def test_offsets_of_another_log_are_none(tmp_path):
    lake = Lake(tmp_path / "lake")
    Sink(lake, "a", {}).write("received_ranges", _ranges((*P0, 0)), {P0: 1})
    assert Sink(lake, "a", {}).held("received_ranges", P0) == 1
    assert Sink(lake, "b", {}).held("received_ranges", P0) == 0
    assert Sink(lake, "a", {}).held("gps_pings", P0) == 0


def test_rows_are_on_the_disk_before_the_offsets(tmp_path, log, monkeypatch):
    lake = FailingLake(tmp_path / "lake")
    monkeypatch.setattr(os, "sync", lambda: lake.commits.append("sync"))
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(4))])
    ingest(lake, log)
    assert lake.commits == ["received_ranges", "gps_pings", "sync", "ingest_commits"]


def test_a_table_without_rows_is_not_committed(tmp_path, log):
    lake = Lake(tmp_path / "lake")
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(4))])
    ingest(lake, log)
    versions = {name: lake.table(name).version() for name in ("gps_pings", "air_readings")}
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(4))])
    account = ingest(lake, log)
    assert account.duplicates == 4
    assert lake.table("gps_pings").version() == versions["gps_pings"]
    assert lake.table("air_readings").version() is None
    # Nothing to read is nothing to commit, not even offsets.
    commits = lake.table("ingest_commits").version()
    ingest(lake, log)
    assert lake.table("ingest_commits").version() == commits
