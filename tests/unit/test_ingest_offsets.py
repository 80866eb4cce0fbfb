"""What is committed: where reading goes on, which numbers arrived, and where their messages lie."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from doubles.ingest_messages import AIR_TOPIC, GPS_TOPIC

from clearway_core.lake import Lake
from clearway_core.stream.log import TopicPartition
from clearway_ingest import offsets
from clearway_ingest.offsets import (
    app_id,
    committed_offsets,
    committed_places,
    committed_ranges,
    written_after,
)
from clearway_ingest.ranges import Counter, Received

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
GW = Counter("gps_ping/1", "gw-1", 1)


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake")


def commit(lake, log_id, topic, partition, next_offset, *, minute=0):
    counts = dict.fromkeys(
        ("n_messages", "n_rows", "n_stored", "n_quarantined", "n_duplicates", "n_dead_letters"), 0
    )
    row = {
        "topic": topic,
        "log_partition": partition,
        "next_offset": next_offset,
        **counts,
        "committed_at": NOON + timedelta(minutes=minute),
        "log_id": log_id,
    }
    lake.table("ingest_commits").append(pl.DataFrame([row]))


def arrived(lake, log_id, partition, log_offset, counter, numbers):
    first, last = numbers
    row = {
        **counter._asdict(),
        "seq_first": first,
        "seq_last": last,
        "topic": GPS_TOPIC,
        "log_partition": partition,
        "log_offset": log_offset,
        "log_id": log_id,
    }
    lake.table("received_ranges").append(pl.DataFrame([row]))


def test_reading_goes_on_at_the_last_commit_of_each_partition_of_this_log(lake):
    assert committed_offsets(lake, "a") == {}
    for log_id, topic, partition, end in (
        ("a", GPS_TOPIC, 0, 5),
        ("a", GPS_TOPIC, 0, 9),
        ("a", GPS_TOPIC, 1, 3),
        ("a", AIR_TOPIC, 0, 4),
        ("b", GPS_TOPIC, 0, 70),
    ):
        commit(lake, log_id, topic, partition, end)
    assert committed_offsets(lake, "a") == {
        TopicPartition(GPS_TOPIC, 0): 9,
        TopicPartition(GPS_TOPIC, 1): 3,
        TopicPartition(AIR_TOPIC, 0): 4,
    }
    assert committed_offsets(lake, "b") == {TopicPartition(GPS_TOPIC, 0): 70}


def test_each_log_topic_and_partition_has_a_name_of_its_own():
    places = [("a", GPS_TOPIC, 0), ("b", GPS_TOPIC, 0), ("a", AIR_TOPIC, 0), ("a", GPS_TOPIC, 1)]
    names = {app_id(log_id, TopicPartition(topic, at)) for log_id, topic, at in places}
    assert len(names) == len(places)


@pytest.mark.parametrize("rows_at_once", [1, 2, 1000])
def test_only_numbers_of_committed_messages_count_as_arrived_of_every_log(
    lake, monkeypatch, rows_at_once
):
    monkeypatch.setattr(offsets, "_ROWS_AT_ONCE", rows_at_once)
    assert committed_ranges(lake).is_empty()
    arrived(lake, "a", 0, 0, GW, (0, 9))
    arrived(lake, "a", 0, 4, GW, (10, 19))
    arrived(lake, "a", 0, 5, GW, (20, 29))  # behind what is committed: it will be read again
    arrived(lake, "b", 0, 1, GW, (40, 49))
    arrived(lake, "c", 0, 1, GW, (60, 69))  # nothing of that log was ever committed
    arrived(lake, "a", 0, 1, GW._replace(boot=2), (0, 3))
    commit(lake, "a", GPS_TOPIC, 0, 2)
    commit(lake, "a", GPS_TOPIC, 0, 5)
    commit(lake, "a", GPS_TOPIC, 1, 90)
    commit(lake, "b", GPS_TOPIC, 0, 2)
    received = Received(committed_ranges(lake))
    assert [tuple(span) for span in received.take(0, GW, range(70)).spans] == [
        (20, 39),
        (50, 69),
    ]
    assert [tuple(s) for s in received.take(0, GW._replace(boot=2), range(6)).spans] == [(4, 5)]


def test_places_are_those_of_the_counters_asked_for_from_the_lowest_number_on(lake):
    other = GW._replace(gateway="gw-2")
    arrived(lake, "a", 0, 0, GW, (0, 9))
    arrived(lake, "a", 0, 1, GW, (10, 19))
    arrived(lake, "a", 0, 2, GW, (20, 29))
    arrived(lake, "a", 0, 3, other, (0, 9))
    arrived(lake, "a", 0, 9, GW, (30, 39))
    commit(lake, "a", GPS_TOPIC, 0, 9)

    def found(floors):
        rows = committed_places(lake, floors).sort("log_offset")
        return rows.select("gateway", "seq_first", "log_offset").rows()

    assert found({GW: 19}) == [("gw-1", 10, 1), ("gw-1", 20, 2)]
    assert found({GW: 20, other: 9}) == [("gw-1", 20, 2), ("gw-2", 0, 3)]
    assert found({GW._replace(contract="air_reading/1"): 0}) == []
    assert found({}) == []


def test_rows_were_written_after_the_commit_before_the_one_that_covers_their_message(lake):
    commit(lake, "a", GPS_TOPIC, 0, 5, minute=1)
    commit(lake, "a", GPS_TOPIC, 0, 8, minute=2)
    commit(lake, "a", GPS_TOPIC, 0, 12, minute=3)
    commit(lake, "a", GPS_TOPIC, 1, 3, minute=5)
    commit(lake, "b", GPS_TOPIC, 0, 1, minute=0)

    def places(*rows):
        names = ("log_id", "topic", "log_partition", "offset_first")
        schema = dict(zip(names, (pl.String, pl.String, pl.Int32, pl.Int64), strict=True))
        rows = [(log_id, GPS_TOPIC, at, first) for log_id, at, first in rows]
        return pl.DataFrame(rows, schema=schema, orient="row")

    minute = timedelta(minutes=1)
    assert written_after(lake, places(("a", 0, 7))) == NOON + minute
    assert written_after(lake, places(("a", 0, 8))) == NOON + 2 * minute
    assert written_after(lake, places(("a", 0, 30), ("a", 1, 3))) == NOON + 3 * minute
    # Of a message before the first commit nobody knows: its rows may be of any time.
    assert written_after(lake, places(("a", 0, 4))) is None
    assert written_after(lake, places(("a", 0, 30), ("a", 1, 2))) is None
