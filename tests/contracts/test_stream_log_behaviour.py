"""What every log must do; one suite over Kafka and the embedded log."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from clearway_core.errors import DeliveryFailed, MessageTooLarge, SourceUnavailable
from clearway_core.stream.address import open_log
from clearway_core.stream.log import (
    DEFAULT_PARTITIONS,
    MAX_MESSAGE_BYTES,
    Log,
    Message,
    StoredMessage,
    TopicPartition,
)

OpenLog = Callable[[], Log]


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def opened(request: pytest.FixtureRequest, tmp_path) -> Iterator[OpenLog]:
    """Return a function that opens the same log anew, as another process would."""
    address = request.getfixturevalue("kafka") if request.param == "kafka" else None
    logs: list[Log] = []

    def open_again() -> Log:
        logs.append(open_log(address, tmp_path))
        return logs[-1]

    yield open_again
    for each in logs:
        each.close()


@pytest.fixture
def log(opened: OpenLog) -> Log:
    return opened()


@pytest.fixture
def topic() -> str:
    return f"behaviour.{uuid.uuid4().hex}"


def numbered(count: int, *, key: bytes = b"vehicle", first: int = 0) -> list[Message]:
    return [Message(key=key, value=str(n).encode()) for n in range(first, first + count)]


def read_all(log: Log, topic: str, *, start: dict[TopicPartition, int] | None = None):
    """Read from the start to the end offsets as they are now."""
    ends = log.end_offsets(topic)
    positions = dict.fromkeys(ends, 0) | (start or {})
    found: list[StoredMessage] = []
    give_up_at_s = time.monotonic() + 30
    while positions != ends and time.monotonic() < give_up_at_s:
        for message in log.read(positions):
            found.append(message)
            positions[TopicPartition(message.topic, message.partition)] = message.offset + 1
    assert positions == ends
    return found


def test_messages_of_one_key_keep_their_order(log, topic):
    for first in range(0, 60, 20):
        log.append(
            topic,
            [
                m
                for n in range(first, first + 20)
                for k in (b"a", b"b")
                for m in numbered(1, key=k, first=n)
            ],
        )
    found = read_all(log, topic)
    for key in (b"a", b"b"):
        mine = [m for m in found if m.key == key]
        assert [int(m.value) for m in mine] == list(range(60))
        assert len({m.partition for m in mine}) == 1


def test_offsets_of_a_partition_count_up_without_gaps_or_repeats(log, topic):
    log.append(topic, [m for k in (b"a", b"b", b"c", b"d") for m in numbered(25, key=k)])
    found = read_all(log, topic)
    for where, end in log.end_offsets(topic).items():
        assert [m.offset for m in found if m.partition == where.partition] == list(range(end))
    assert len(found) == 100


def test_what_was_appended_is_there_for_another_reader_after_close(opened, topic):
    writer = opened()
    writer.append(topic, numbered(10))
    writer.close()
    assert [m.value for m in read_all(opened(), topic)] == [str(n).encode() for n in range(10)]


def test_reading_from_the_same_offset_gives_the_same_messages(log, topic):
    log.append(topic, numbered(10))
    where = TopicPartition(topic, read_all(log, topic)[0].partition)
    first = log.read({where: 4})
    again = log.read({where: 4})
    assert first == again
    assert [m.offset for m in first] == [4, 5, 6, 7, 8, 9]


def test_two_readers_do_not_disturb_each_other(opened, topic):
    opened().append(topic, numbered(50))
    one, two = opened(), opened()
    assert read_all(one, topic) == read_all(two, topic)
    assert len(read_all(one, topic)) == 50


def test_unnamed_partitions_are_not_read(log, topic):
    log.append(topic, [m for n in range(30) for m in numbered(1, key=str(n).encode())])
    where = next(where for where, end in log.end_offsets(topic).items() if end > 0)
    assert {m.partition for m in log.read({where: 0})} == {where.partition}


def test_headers_key_value_and_time_come_back_as_they_went_in(log, topic):
    headers = {"content-type": "application/json", "note": "Zürich 東京", "empty": ""}
    before = datetime.now(UTC)
    log.append(topic, [Message(key=b"\x00\xff", value=bytes(range(256)), headers=headers)])
    found = read_all(log, topic)[0]
    assert (found.key, found.value, found.headers) == (b"\x00\xff", bytes(range(256)), headers)
    assert found.topic == topic
    assert before - timedelta(seconds=1) <= found.appended_at <= datetime.now(UTC)
    assert found.appended_at.tzinfo is UTC


def test_empty_value_and_empty_key_are_messages_too(log, topic):
    log.append(topic, [Message(key=b"", value=b"")])
    assert [(m.key, m.value) for m in read_all(log, topic)] == [(b"", b"")]


def test_appending_nothing_changes_nothing(log, topic):
    log.append(topic, numbered(3))
    ends = log.end_offsets(topic)
    log.append(topic, [])
    assert log.end_offsets(topic) == ends


def test_message_over_the_limit_is_refused_and_nothing_of_its_batch_is_stored(log, topic):
    log.append(topic, numbered(1))
    ends = log.end_offsets(topic)
    with pytest.raises(MessageTooLarge, match="split the batch"):
        log.append(topic, [*numbered(2), Message(key=b"k", value=bytes(MAX_MESSAGE_BYTES))])
    assert log.end_offsets(topic) == ends


def test_message_at_the_limit_is_taken(log, topic):
    log.append(topic, [Message(key=b"", value=bytes(MAX_MESSAGE_BYTES))])
    assert len(read_all(log, topic)[0].value) == MAX_MESSAGE_BYTES


def test_many_large_messages_are_all_read_in_bounded_parts(log, topic):
    log.append(topic, [Message(key=b"k", value=bytes(900_000)) for _ in range(20)])
    where = next(where for where, end in log.end_offsets(topic).items() if end)
    part = log.read({where: 0}, timeout_s=10)
    assert 0 < len(part) < 20  # 16 MiB, and what is over it by the last message
    assert len(read_all(log, topic)) == 20


def test_read_at_the_end_answers_empty_after_the_timeout(log, topic):
    log.append(topic, numbered(3))
    ends = log.end_offsets(topic)
    log.read(ends, timeout_s=0.1)  # the first read also connects
    started_s = time.monotonic()
    assert list(log.read(ends, timeout_s=0.3)) == []
    assert 0.25 <= time.monotonic() - started_s < 3


def test_read_wakes_up_when_something_comes(opened, topic):
    reader, writer = opened(), opened()
    writer.append(topic, numbered(1))
    ends = reader.end_offsets(topic)
    assert list(reader.read(ends, timeout_s=0.1)) == []
    writer.append(topic, numbered(1, first=1))
    assert [m.value for m in reader.read(ends, timeout_s=20)] == [b"1"]


def test_ensure_topic_leaves_an_existing_one_as_it_is(log, topic):
    log.ensure_topic(topic, 5)
    log.append(topic, numbered(3))
    ends = log.end_offsets(topic)
    log.ensure_topic(topic, 2)
    assert log.end_offsets(topic) == ends
    assert [where.partition for where in ends] == [0, 1, 2, 3, 4]


def test_topic_that_is_appended_to_comes_into_being(log, topic):
    log.append(topic, numbered(1))
    assert len(log.end_offsets(topic)) == DEFAULT_PARTITIONS


def test_offsets_of_a_topic_that_is_not_there_are_empty(log, topic):
    assert log.end_offsets(topic) == {}
    assert log.first_offsets(topic) == {}


def test_asking_about_a_topic_does_not_create_it(log, topic):
    log.end_offsets(topic)
    assert list(log.read({TopicPartition(topic, 0): 0}, timeout_s=0.2)) == []
    assert log.end_offsets(topic) == {}


def test_first_and_end_offsets_span_what_is_held(log, topic):
    log.append(topic, numbered(7))
    firsts, ends = log.first_offsets(topic), log.end_offsets(topic)
    assert set(firsts) == set(ends)
    assert set(firsts.values()) == {0}
    assert sum(ends.values()) == 7


def test_position_behind_the_end_is_an_error_and_not_silence(log, topic):
    log.append(topic, numbered(2))
    where = read_all(log, topic)[0]
    with pytest.raises(SourceUnavailable, match="deleted and made anew"):
        log.read({TopicPartition(topic, where.partition): 1000}, timeout_s=10)


def test_identity_is_the_same_for_all_who_open_the_log(opened):
    assert opened().identity() == opened().identity() != ""


def test_close_may_be_called_twice(log):
    log.close()
    log.close()


def test_broken_log_says_delivery_failed_to_writers_and_source_unavailable_to_readers(
    topic, tmp_path
):
    closed = open_log(None, tmp_path)
    closed.close()
    unreachable = open_log("kafka://127.0.0.1:1", tmp_path)  # nobody listens on port 1
    for broken in (closed, unreachable):
        with pytest.raises(DeliveryFailed) as failed:
            broken.append(topic, numbered(1))
        assert failed.value.retry_after_s > 0
        with pytest.raises(SourceUnavailable):
            broken.end_offsets(topic)
        with pytest.raises(SourceUnavailable):
            broken.read({TopicPartition(topic, 0): 0})
