"""Where reading starts, and what is said when the log no longer has it."""

from __future__ import annotations

import pytest
from doubles.ingest_messages import GPS_TOPIC, gps

from clearway_core.errors import MessagesLost, SourceUnavailable, UsageError
from clearway_core.stream.embedded import EmbeddedLog
from clearway_core.stream.log import Message, TopicPartition
from clearway_ingest import consumer as module
from clearway_ingest.consumer import Consumer, Lost
from clearway_ingest.share import WHOLE, Share, parse_share

P0 = TopicPartition(GPS_TOPIC, 0)


class ExpiringLog:
    """A log whose oldest messages are gone, as after Kafka's retention."""

    def __init__(self, log, first):
        self.log = log
        self.first = first

    def first_offsets(self, topic):
        ends = self.log.end_offsets(topic)
        return {where: min(self.first, end) for where, end in ends.items()}

    def end_offsets(self, topic):
        return self.log.end_offsets(topic)

    def read(self, positions, *, timeout_s=1.0):
        firsts = {where: max(at, self.first) for where, at in positions.items()}
        return self.log.read(firsts, timeout_s=timeout_s)


class SilentLog(ExpiringLog):
    """Says that there are messages, and gives none."""

    def read(self, positions, *, timeout_s=1.0):
        return ()


@pytest.fixture
def log(tmp_path):
    log = EmbeddedLog(tmp_path / "log.sqlite")
    log.ensure_topic(GPS_TOPIC, 1)
    log.append(GPS_TOPIC, [gps("gw-1", 1, [number]) for number in range(6)])
    yield log
    log.close()


def test_reading_starts_at_the_oldest_message_and_goes_on_from_the_committed_one(log):
    consumer = Consumer(log, WHOLE, committed={})
    ends = consumer.assign()
    assert [m.offset for m in consumer.read(ends)] == list(range(6))
    later = Consumer(log, WHOLE, committed={P0: 4})
    assert [m.offset for m in later.read(later.assign())] == [4, 5]


def test_messages_after_the_end_found_at_the_start_are_left(log):
    consumer = Consumer(log, WHOLE, committed={})
    ends = consumer.assign()
    log.append(GPS_TOPIC, [Message(key=b"gw-1", value=b"later")])
    assert [m.offset for m in consumer.read(ends)] == list(range(6))
    assert consumer.read(ends) == ()


def test_without_any_partition_the_log_is_waited_for():
    # Before the first gateway sends there is no topic, and ingest must not spin.
    asked = []
    empty = ExpiringLog(None, 0)
    empty.end_offsets = lambda topic: {}
    empty.read = lambda positions, timeout_s: asked.append((dict(positions), timeout_s)) or []
    consumer = Consumer(empty, WHOLE, committed={})
    assert consumer.assign() == {}
    consumer.read(timeout_s=0.7)
    assert asked == [({}, 0.7)]


def test_expired_messages_stop_the_run_and_are_counted(log):
    consumer = Consumer(ExpiringLog(log, 5), WHOLE, committed={P0: 2})
    with pytest.raises(MessagesLost, match="3 messages expired"):
        consumer.assign()


def test_expired_messages_can_be_skipped_on_purpose(log):
    consumer = Consumer(ExpiringLog(log, 5), WHOLE, committed={P0: 2}, lost=Lost.SKIP)
    ends = consumer.assign()
    assert [m.offset for m in consumer.read(ends)] == [5]
    assert consumer.n_lost == 3


def test_a_new_lake_takes_an_old_log_as_it_is(log):
    consumer = Consumer(ExpiringLog(log, 5), WHOLE, committed={})
    assert [m.offset for m in consumer.read(consumer.assign())] == [5]
    assert consumer.n_lost == 0


def test_messages_that_expire_while_reading_are_noticed(log):
    expiring = ExpiringLog(log, 0)
    consumer = Consumer(expiring, WHOLE, committed={})
    ends = consumer.assign()
    expiring.first = 4
    with pytest.raises(MessagesLost, match="4 messages expired"):
        consumer.read(ends)


def test_a_log_that_fails_while_a_gap_is_looked_into_gives_the_messages_again(log):
    gappy = ExpiringLog(log, 0)
    gappy.read = lambda positions, timeout_s=1.0: [
        m for m in log.read(positions) if m.offset not in {1, 2}
    ]
    consumer = Consumer(gappy, WHOLE, committed={})
    ends = consumer.assign()
    answer, gappy.first_offsets = gappy.first_offsets, _no_answer
    with pytest.raises(SourceUnavailable):
        consumer.read(ends)
    gappy.first_offsets = answer
    assert [m.offset for m in consumer.read(ends)] == [0, 3, 4, 5]


def _no_answer(topic):
    message = "no answer"
    raise SourceUnavailable(message)


def test_unused_offsets_are_no_loss(log):
    # A broker that leaves numbers out (markers of transactions) still has its oldest message.
    gappy = ExpiringLog(log, 0)
    gappy.read = lambda positions, timeout_s=1.0: [
        m for m in log.read(positions) if m.offset not in {1, 2}
    ]
    consumer = Consumer(gappy, WHOLE, committed={})
    assert [m.offset for m in consumer.read(consumer.assign())] == [0, 3, 4, 5]
    assert consumer.n_lost == 0


def test_a_log_that_is_shorter_than_what_was_read_is_refused(log):
    with pytest.raises(MessagesLost, match="deleted and made again"):
        Consumer(log, WHOLE, committed={P0: 7}).assign()


def test_a_topic_that_is_made_anew_while_reading_is_noticed(log):
    shrinking = ExpiringLog(log, 0)
    consumer = Consumer(shrinking, WHOLE, committed={})
    consumer.read(consumer.assign())
    shrinking.end_offsets = lambda topic: dict.fromkeys(log.end_offsets(topic), 2)
    with pytest.raises(MessagesLost, match="deleted and made again"):
        consumer.assign()


def test_a_log_that_gives_nothing_is_reported_and_not_waited_for(log, monkeypatch):
    monkeypatch.setattr(module, "STALLED_AFTER_S", -1.0)
    consumer = Consumer(SilentLog(log, 0), WHOLE, committed={})
    ends = consumer.assign()
    with pytest.raises(SourceUnavailable, match="gave none"):
        consumer.read(ends)


def test_a_partition_that_appears_later_is_read_from_its_start(tmp_path):
    log = EmbeddedLog(tmp_path / "log.sqlite")
    consumer = Consumer(log, WHOLE, committed={})
    assert consumer.assign() == {}
    log.append(GPS_TOPIC, [gps("gw-1", 1, [0])])
    consumer.assign()
    assert len(consumer.read()) == 1
    log.close()


def test_shares_cover_every_partition_once():
    partitions = [TopicPartition(GPS_TOPIC, number) for number in range(7)]
    for count in (1, 2, 3, 9):
        owners = [[p in Share(k, count) for k in range(1, count + 1)] for p in partitions]
        assert all(sum(row) == 1 for row in owners)
    assert all(partition in WHOLE for partition in partitions)


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "1/0", "a/b", "1/2/3", "-1/2"])
def test_a_share_that_means_nothing_is_refused(text):
    with pytest.raises(UsageError):
        parse_share(text)


def test_a_share_is_read_as_written():
    assert parse_share(" 2/3 ") == Share(2, 3)
