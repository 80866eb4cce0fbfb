"""A broker that dies, hangs or comes back must cost time, never a confirmed message."""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from clearway_broker.artifacts import default_folder
from clearway_broker.java import find_java
from clearway_broker.server import Broker, running_broker
from clearway_core.errors import ClearwayError, DeliveryFailed, SourceUnavailable
from clearway_core.stream.kafka import KafkaLog
from clearway_core.stream.log import Message, TopicPartition

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

KILLS = 3


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Return a private broker for tests that leave it well; each has a topic of its own."""
    try:
        with running_broker(tmp_path_factory.mktemp("shared-kafka")) as started:
            yield started
    except ClearwayError as error:
        if os.environ.get("CLEARWAY_REQUIRE_KAFKA") == "1":
            pytest.fail(f"no real Kafka: {error}")
        pytest.skip(f"no real Kafka: {error}")


def read_values(log: KafkaLog, topic: str) -> list[bytes]:
    ends = log.end_offsets(topic)
    positions = dict.fromkeys(ends, 0)
    values: list[bytes] = []
    while positions != ends:
        for message in log.read(positions, timeout_s=5):
            values.append(message.value)
            positions[TopicPartition(message.topic, message.partition)] = message.offset + 1
    return values


def read_often(log: KafkaLog, where: TopicPartition) -> None:
    for _ in range(50):
        log.read({where: 2}, timeout_s=0.2)


def test_kill_at_random_moments_loses_nothing_confirmed_and_keeps_the_order(broker):
    log = KafkaLog([broker.bootstrap], timeout_s=5)
    confirmed: list[int] = []
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            try:
                log.append("killed", [Message(key=b"one", value=str(number).encode())])
            except DeliveryFailed:
                time.sleep(0.2)  # the same number again, as the gateway's outbox does
            else:
                confirmed.append(number)
                number += 1

    writer = threading.Thread(target=write)
    writer.start()
    moments = random.Random(7)
    for _ in range(KILLS):
        had = len(confirmed)
        while len(confirmed) < had + 20:
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.3))
        broker.kill()
        broker.start()
    stop.set()
    writer.join()
    stored = [int(value) for value in read_values(log, "killed")]
    log.close()
    assert set(confirmed) <= set(stored)
    # Repeats are allowed, going back behind what was confirmed is not.
    first_seen = list(dict.fromkeys(stored))
    assert first_seen == sorted(first_seen)


def test_reader_sits_out_a_restart_but_not_a_broker_that_stays_away(broker_process, monkeypatch):
    broker = broker_process()
    log = KafkaLog([broker.bootstrap])
    log.append("t", [Message(key=b"k", value=b"before")])
    where = next(where for where, end in log.end_offsets("t").items() if end)
    assert [m.value for m in log.read({where: 0}, timeout_s=5)] == [b"before"]
    broker.kill()
    assert list(log.read({where: 1}, timeout_s=0.5)) == []
    broker.start()
    writer = KafkaLog([broker.bootstrap])
    writer.append("t", [Message(key=b"k", value=b"after")])
    give_up_at_s = time.monotonic() + 30
    found: list[bytes] = []
    while not found and time.monotonic() < give_up_at_s:
        found = [m.value for m in log.read({where: 1}, timeout_s=1)]
    assert found == [b"after"]
    writer.close()
    broker.kill()
    monkeypatch.setattr("clearway_core.stream.kafka_reader._UNREACHABLE_AFTER_S", 2.0)
    monkeypatch.setattr("clearway_core.stream.kafka_reader._ALIVE_CHECK_S", 0.1)
    with pytest.raises(SourceUnavailable, match="no answer for 2 s"):
        read_often(log, where)
    log.close()


def test_broker_that_hangs_delays_an_append_only_for_the_timeout(broker):
    log = KafkaLog([broker.bootstrap], timeout_s=2)
    log.append("hung", [Message(key=b"k", value=b"1")])
    os.kill(broker.pid, signal.SIGSTOP)  # accepts connections, answers nothing
    try:
        started_s = time.monotonic()
        with pytest.raises(DeliveryFailed):
            log.append("hung", [Message(key=b"k", value=b"2")])
        assert time.monotonic() - started_s < 8
        started_s = time.monotonic()
        with pytest.raises(SourceUnavailable):
            log.end_offsets("t")
        assert time.monotonic() - started_s < 8
    finally:
        os.kill(broker.pid, signal.SIGCONT)
    give_up_at_s = time.monotonic() + 30
    while True:
        try:
            log.append("hung", [Message(key=b"k", value=b"3")])
            break
        except DeliveryFailed:
            assert time.monotonic() < give_up_at_s
    assert read_values(log, "hung")[-1] == b"3"
    log.close()


def test_failed_attempts_leave_no_threads_behind():
    log = KafkaLog(["127.0.0.1:1"])
    before = threading.active_count()
    for _ in range(5):
        with pytest.raises(DeliveryFailed):
            log.append("t", [Message(key=b"k", value=b"1")])
        with pytest.raises(SourceUnavailable):
            log.end_offsets("t")
    assert threading.active_count() == before


def test_failed_attempts_at_a_port_that_is_no_kafka_leave_no_threads_behind():
    before = threading.active_count()
    with socket.create_server(("127.0.0.1", 0)) as mute:
        log = KafkaLog([f"127.0.0.1:{mute.getsockname()[1]}"], timeout_s=1)
        for _ in range(2):
            with pytest.raises(SourceUnavailable):
                log.end_offsets("t")
    assert threading.active_count() == before


def test_second_broker_on_the_same_folder_is_refused_and_the_first_goes_on(broker):
    log = KafkaLog([broker.bootstrap])
    log.append("refused", [Message(key=b"k", value=b"1")])
    second = Broker(broker.data_dir, default_folder(), find_java(os.environ))
    with pytest.raises(ClearwayError, match=f"process {broker.pid}"):
        second.start()
    log.append("refused", [Message(key=b"k", value=b"2")])
    assert read_values(log, "refused") == [b"1", b"2"]
    log.close()
