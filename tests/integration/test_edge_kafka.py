"""A replay into real Apache Kafka."""

from __future__ import annotations

import pytest
from doubles.edge_doubles import profile_file, write_csv

from clearway_core.stream.address import open_log
from clearway_core.stream.batch import decode
from clearway_core.stream.log import TopicPartition
from clearway_edge import jobs

pytestmark = pytest.mark.kafka


def test_replay_delivers_every_record_to_kafka_under_one_identity(kafka, tmp_path):
    rows = [f"v{i % 40},{1_768_440_000 + i},100.5,13.7" for i in range(12_345)]
    file = write_csv(tmp_path / "f.csv", rows)
    account = jobs.replay(
        [file], profile_file(tmp_path), data_dir=tmp_path, log_address=kafka, gateway="gw-kafka"
    )
    assert (account.read, account.delivered, account.spooled) == (12_345, 12_345, 0)
    [boot] = account.boots.values()
    log = open_log(kafka, tmp_path)
    topic = "clearway.gps_ping.v1"
    positions = dict(log.first_offsets(topic))
    ends = log.end_offsets(topic)
    seqs: list[int] = []
    while any(positions[where] < end for where, end in ends.items()):
        for stored in log.read(positions, timeout_s=5.0):
            positions[TopicPartition(stored.topic, stored.partition)] = stored.offset + 1
            if stored.key == b"gw-kafka":
                batch = decode(stored.value)
                assert batch.boot == boot
                seqs += batch.seq
    log.close()
    assert seqs == list(range(12_345))
