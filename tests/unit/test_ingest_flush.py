"""When what was read is written (by number, size or age), and what one step comes to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from doubles.edge_doubles import TurnableClock
from doubles.ingest_messages import AIR_TOPIC, GPS_TOPIC, air, columnar, fix, gps, raw, third_party

from clearway_core.clock import to_ms
from clearway_core.contracts.columns import text
from clearway_core.contracts.wire import GPS_PING
from clearway_core.lake import Lake
from clearway_core.stream.embedded import EmbeddedLog
from clearway_core.stream.log import StoredMessage, TopicPartition
from clearway_ingest.flush import Flush
from clearway_ingest.intake import Intake
from clearway_ingest.jobs import Settings, ingest
from clearway_ingest.offsets import committed_offsets, committed_ranges
from clearway_ingest.ranges import Received
from clearway_ingest.sink import Sink

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)


class PromptLog:
    """Never waits: with a clock that stands, the time to wait would be the machine's."""

    def __init__(self, log):
        self.log = log
        self.waits_s = []

    def read(self, positions, *, timeout_s=1.0):
        self.waits_s.append(timeout_s)
        return self.log.read(positions, timeout_s=0.0)

    def __getattr__(self, name):
        return getattr(self.log, name)


@pytest.fixture
def log(tmp_path):
    log = EmbeddedLog(tmp_path / "log.sqlite")
    log.ensure_topic(GPS_TOPIC, 1)
    yield log
    log.close()


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake")


def _commits(lake):
    return lake.table("ingest_commits").scan().sort("next_offset").collect()


def test_what_trickles_in_is_written_when_its_time_is_over(lake, log):
    clock, prompt = TurnableClock(), PromptLog(log)
    log.append(GPS_TOPIC, [gps("gw-1", 1, [0])])
    steps_s = iter([0.0, 4.5, 0.5])
    written = []

    def stop():
        written.append((clock.elapsed_s, _commits(lake).height))
        step_s = next(steps_s, None)
        if step_s is not None:
            clock.forward(step_s)
        return step_s is None

    ingest(lake, prompt, until_idle=False, settings=Settings(latency_s=5.0), stop=stop, clock=clock)
    assert written == [(0.0, 0), (0.0, 0), (4.5, 0), (5.0, 1)]
    # It waits for more no longer than until then, and a second where nothing waits.
    assert prompt.waits_s == [1.0, 0.5, 0.0]
    assert _commits(lake)["committed_at"].to_list() == [clock.now()]


@pytest.mark.parametrize(
    ("limits", "n_messages"),
    [
        (Settings(rows=4), [2, 2, 1]),
        (Settings(rows=5), [3, 2]),
        (Settings(rows=1000, payload_bytes=1), [1, 1, 1, 1, 1]),
        (Settings(), [5]),
    ],
    ids=["rows", "rows_of_a_message_stay_together", "bytes", "everything"],
)
def test_so_many_records_or_bytes_are_written_together(lake, log, limits, n_messages):
    log.append(GPS_TOPIC, [gps("gw-1", 1, [number, number + 1]) for number in range(0, 10, 2)])
    account = ingest(lake, log, settings=limits)
    commits = _commits(lake)
    assert commits["n_messages"].to_list() == n_messages
    assert all(later > before for before, later in pairwise(commits["next_offset"]))
    assert account.stored == {"gps_pings": 10}


def _stored(message, offset, *, topic=GPS_TOPIC, partition=0):
    return StoredMessage(
        topic=topic,
        partition=partition,
        offset=offset,
        key=message.key,
        value=message.value,
        headers=message.headers,
        appended_at=NOON,
    )


def test_one_step_accounts_for_every_record_of_every_partition(lake):
    """Three good fixes, two of them again, one broken, a poison, air, and a third party twice."""
    clock = TurnableClock(NOON)
    intake = Intake(Received(committed_ranges(lake)), "log-1")
    third = third_party([fix("t", 1, 8), fix("t", 1, 8)])
    messages = [
        _stored(gps("gw-1", 1, [0, 1, 2]), 4),
        _stored(gps("gw-1", 1, [1, 2]), 5),
        _stored(gps("gw-2", 7, [9], lat_deg=-91.0), 6, partition=1),
        _stored(raw(b"poison"), 7, partition=1),
        _stored(air("gw-1", 1, [3, 4]), 0, topic=AIR_TOPIC),
        _stored(third, 8, partition=1),
    ]
    for message in messages:
        intake.add(message)
    assert intake.n_rows == 3 + 1 + 2 + 2
    assert intake.n_bytes == sum(len(message.value) for message in messages)
    assert intake.ends == {
        TopicPartition(GPS_TOPIC, 0): 6,
        TopicPartition(GPS_TOPIC, 1): 9,
        TopicPartition(AIR_TOPIC, 0): 1,
    }

    outcome = Flush(Sink(lake, "log-1", {}), clock=clock).write(intake)
    assert outcome.stored == {"gps_pings": 4, "air_readings": 2}
    assert outcome.quarantined == {"lat_deg_range": 1}
    assert outcome.dead_letters == {"undecodable_payload": 1}
    assert outcome.duplicates == 3
    facts = [(r.gateway, r.boot, r.contract, r.seq_last, r.n_stored) for r in outcome.receipts]
    assert facts == [
        ("gw-1", 1, "air_reading/1", 4, 2),
        ("gw-1", 1, "gps_ping/1", 2, 3),
        ("gw-2", 7, "gps_ping/1", 9, 0),
    ]
    assert {receipt.committed_at_ms for receipt in outcome.receipts} == {to_ms(NOON)}

    counts = ("n_messages", "n_rows", "n_stored", "n_quarantined", "n_duplicates", "n_dead_letters")
    commits = _commits(lake).sort("topic", "log_partition").drop("committed_at")
    assert commits.select("topic", "log_partition", "next_offset", *counts, "log_id").rows() == [
        (AIR_TOPIC, 0, 1, 1, 2, 2, 0, 0, 0, "log-1"),
        (GPS_TOPIC, 0, 6, 2, 5, 3, 0, 2, 0, "log-1"),
        (GPS_TOPIC, 1, 9, 3, 3, 1, 1, 1, 1, "log-1"),
    ]
    ranges = lake.table("received_ranges").scan().sort("gateway", "contract", "log_offset")
    names = ("contract", "gateway", "boot", "seq_first", "seq_last", "log_partition", "log_offset")
    assert ranges.select(names).collect().rows() == [
        ("air_reading/1", "gw-1", 1, 3, 4, 0, 0),
        ("gps_ping/1", "gw-1", 1, 0, 2, 0, 4),
        ("gps_ping/1", "gw-2", 7, 9, 9, 1, 6),
    ]
    (letter,) = lake.table("dead_letters").scan().collect().to_dicts()
    assert (letter["payload_bytes"], letter["log_offset"]) == (6, 7)
    # What is new depends on what came before, also before the commit.
    intake.clear()
    assert (intake.ends, intake.n_rows, intake.n_bytes, intake.read.total()) == ({}, 0, 0, 0)
    intake.add(_stored(gps("gw-1", 1, [2, 3]), 6))
    assert (intake.n_rows, intake.duplicates.total()) == (1, 1)
    assert intake.ranges().select("seq_first", "seq_last").rows() == [(3, 3)]


def test_an_unknown_field_goes_with_its_own_record_when_others_had_arrived(lake):
    newer = replace(GPS_PING, fields=(*GPS_PING.fields, text("mood", "Of the driver.")))
    records = [fix("gw-1", 1, seq) | {"mood": "good"} for seq in range(3)]
    intake = Intake(Received(committed_ranges(lake)), "log-1")
    intake.add(_stored(gps("gw-1", 1, [0]), 0))
    intake.add(_stored(columnar(newer, "gw-1", 1, range(3), records), 1))
    outcome = Flush(Sink(lake, "log-1", {})).write(intake)
    assert (outcome.stored, outcome.quarantined) == ({"gps_pings": 1}, {"mood_unknown": 2})
    assert outcome.duplicates == 1


def test_a_receipt_for_the_first_record_alone_says_number_0(lake):
    intake = Intake(Received(committed_ranges(lake)), "log-1")
    intake.add(_stored(gps("gw-1", 1, [0]), 0))
    (receipt,) = Flush(Sink(lake, "log-1", {})).write(intake).receipts
    assert (receipt.seq_last, receipt.n_stored) == (0, 1)


def test_records_without_number_are_told_nothing_and_known_by_key_the_next_time(lake):
    for attempt in (0, 1):
        intake = Intake(Received(committed_ranges(lake)), "log-1")
        intake.add(_stored(third_party(fix("t", 1, 8)), attempt))
        sink = Sink(lake, "log-1", committed_offsets(lake, "log-1"))
        outcome = Flush(sink).write(intake)
        assert (outcome.stored.total(), outcome.duplicates) == (1 - attempt, attempt)
        assert outcome.receipts == []
        assert intake.ranges().is_empty()
