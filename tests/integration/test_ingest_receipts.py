"""After each commit the lake tells gateways what it holds; ingest never suffers from telling."""

from __future__ import annotations

import logging
import uuid

import pytest
from doubles.edge_doubles import TurnableClock
from doubles.ingest_messages import AIR_TOPIC, GPS_TOPIC, air, fix, gps, raw, third_party

from clearway_core.errors import DeliveryFailed
from clearway_core.lake import Lake
from clearway_core.stream.address import open_log
from clearway_core.stream.embedded import EmbeddedLog
from clearway_core.stream.log import TopicPartition
from clearway_core.stream.receipts import RECEIPTS_TOPIC, Receipt, message_of, receipt_of
from clearway_ingest.jobs import Settings, ingest
from clearway_ingest.receipts import SILENT_AFTER_FAILURE_S, Receipts


@pytest.fixture
def log(tmp_path):
    log = EmbeddedLog(tmp_path / "log.sqlite")
    yield log
    log.close()


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake")


def receipts(log, *gateways):
    """Return the receipts of these gateways, in the order of the log."""
    found = []
    for where, end in log.end_offsets(RECEIPTS_TOPIC).items():
        at = log.first_offsets(RECEIPTS_TOPIC)[where]
        while at < end:
            messages = log.read({where: at}, timeout_s=5)
            found += [receipt_of(message) for message in messages]
            at = messages[-1].offset + 1
    return [receipt for receipt in found if receipt.gateway in gateways]


def facts(receipt: Receipt):
    return receipt.contract, receipt.boot, receipt.seq_last, receipt.n_stored


def fill(log, name):
    log.append(GPS_TOPIC, [gps(name, 1, range(10)), gps(name, 2, range(3), lat_deg=99.0)])
    log.append(AIR_TOPIC, [air(name, 1, range(4))])
    log.append(GPS_TOPIC, [raw(b"poison", key=name.encode()), third_party(fix("tp", 1, 0))])


def test_each_stream_of_a_commit_gets_one_receipt(lake, log):
    fill(log, "gw-1")
    account = ingest(lake, log)
    assert [facts(receipt) for receipt in receipts(log, "gw-1")] == [
        ("air_reading/1", 1, 3, 4),
        ("gps_ping/1", 1, 9, 10),
        ("gps_ping/1", 2, 2, 0),  # arrived, and went to quarantine
    ]
    assert account.receipts_not_sent == 0
    assert receipts(log, "") == []  # third parties have no gateway that would wait


def test_a_batch_that_comes_again_is_confirmed_again(lake, log):
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(10))])
    ingest(lake, log)
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(10))])
    ingest(lake, log)
    told = [facts(receipt) for receipt in receipts(log, "gw-1")]
    assert told == [("gps_ping/1", 1, 9, 10), ("gps_ping/1", 1, 9, 0)]


def test_a_receipt_follows_each_commit_and_names_its_time(lake, log):
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(n, n + 5)) for n in (0, 5, 10)])
    ingest(lake, log, settings=Settings(rows=5))
    told = receipts(log, "gw-1")
    assert [receipt.seq_last for receipt in told] == [4, 9, 14]
    commits = lake.table("ingest_commits").scan().sort("committed_at").collect()
    times = [round(at.timestamp() * 1000) for at in commits["committed_at"]]
    assert [receipt.committed_at_ms for receipt in told] == pytest.approx(times, abs=1)


class NoReceiptsLog:
    """Refuses the topic of receipts, as a broker does whose rights were forgotten."""

    def __init__(self, log):
        self.log = log
        self.asked = 0

    def append(self, topic, messages):
        if topic == RECEIPTS_TOPIC:
            self.asked += 1
            message = "Topic authorization failed"
            raise DeliveryFailed(message)
        self.log.append(topic, messages)

    def __getattr__(self, name):
        return getattr(self.log, name)


def test_a_log_that_takes_no_receipts_disturbs_nothing_and_is_told_of_once(lake, log, caplog):
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(n, n + 5)) for n in range(0, 25, 5)])
    refusing = NoReceiptsLog(log)
    with caplog.at_level(logging.WARNING):
        account = ingest(lake, refusing, settings=Settings(rows=5))
    assert account.stored == {"gps_pings": 25}
    assert account.receipts_not_sent == 5
    assert refusing.asked == 1
    assert [record.message for record in caplog.records].count("receipts_not_sent") == 1


def test_receipts_are_tried_again_after_a_while(log):
    clock = TurnableClock()
    refusing = NoReceiptsLog(log)
    teller = Receipts(refusing, clock=clock)
    one = Receipt(
        gateway="gw-1", boot=1, contract="gps_ping/1", seq_last=1, n_stored=2, committed_at_ms=3
    )
    for later_s in (0.0, 1.0, SILENT_AFTER_FAILURE_S - 2, 1.0):
        clock.forward(later_s)
        teller.send([one])
    assert (refusing.asked, teller.n_not_sent, teller.n_sent) == (2, 4, 0)
    refusing.append = log.append
    clock.forward(2 * SILENT_AFTER_FAILURE_S)
    teller.send([one])
    assert (teller.n_not_sent, teller.n_sent) == (4, 1)
    assert receipts(log, "gw-1") == [one]


@pytest.mark.kafka
def test_receipts_go_through_a_real_kafka(kafka, lake, tmp_path):
    name = f"gw-{uuid.uuid4().hex[:8]}"
    log = open_log(kafka, tmp_path)
    try:
        fill(log, name)
        ingest(lake, log)
        told = {facts(receipt) for receipt in receipts(log, name)}
    finally:
        log.close()
    assert told == {
        ("air_reading/1", 1, 3, 4),
        ("gps_ping/1", 1, 9, 10),
        ("gps_ping/1", 2, 2, 0),
    }


def test_a_gateways_receipts_lie_in_the_partition_of_its_own_messages(lake, log):
    log.append(GPS_TOPIC, [gps("gw-1", 1, range(3))])
    ingest(lake, log)
    (at,) = [where for where, end in log.end_offsets(GPS_TOPIC).items() if end]
    ends = log.end_offsets(RECEIPTS_TOPIC)
    assert ends[TopicPartition(RECEIPTS_TOPIC, at.partition)] == 1
    assert message_of(receipts(log, "gw-1")[0]).key == b"gw-1"
