"""What only a broker can do to us: retention, its own limits, foreign messages."""

from __future__ import annotations

import os
import uuid

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka import TopicPartition as KafkaPartition

from clearway_core.errors import MessageTooLarge, SourceUnavailable
from clearway_core.stream.kafka import KafkaLog
from clearway_core.stream.log import Message, TopicPartition

pytestmark = pytest.mark.kafka


@pytest.fixture
def bootstrap(kafka: str) -> str:
    return kafka.removeprefix("kafka://")


@pytest.fixture
def log(bootstrap):
    log = KafkaLog([bootstrap])
    yield log
    log.close()


@pytest.fixture
def admin(bootstrap):
    with KafkaAdminClient(bootstrap_servers=[bootstrap]) as admin:
        yield admin


@pytest.fixture
def topic() -> str:
    return f"only.{uuid.uuid4().hex}"


def test_reading_goes_on_at_the_oldest_that_retention_has_left(log, admin, topic):
    log.ensure_topic(topic, 1)
    log.append(topic, [Message(key=b"k", value=b"%d" % n) for n in range(10)])
    admin.delete_records({KafkaPartition(topic, 0): 6})
    where = TopicPartition(topic, 0)
    assert log.first_offsets(topic) == {where: 6}
    found: list[int] = []
    for _ in range(10):
        found += [message.offset for message in log.read({where: 2}, timeout_s=2)]
        if found:
            break
    assert found == [6, 7, 8, 9]


def test_limit_of_the_topic_below_ours_is_message_too_large_not_try_again(log, admin, topic):
    admin.create_topics({topic: {"num_partitions": 1, "configs": {"max.message.bytes": "1000"}}})
    with pytest.raises(MessageTooLarge, match="size"):
        log.append(topic, [Message(key=b"k", value=os.urandom(5000))])
    log.append(topic, [Message(key=b"k", value=b"small")])
    assert sum(log.end_offsets(topic).values()) == 1


def test_new_topics_carry_the_brokers_time_and_not_the_gateways(log, admin, topic):
    log.ensure_topic(topic, 1)
    producer = KafkaProducer(bootstrap_servers=admin.config["bootstrap_servers"])
    producer.send(topic, key=b"k", value=b"v", timestamp_ms=1000).get(10)  # 1970
    producer.close()
    message = log.read({TopicPartition(topic, 0): 0}, timeout_s=10)[0]
    assert message.appended_at.year > 2000


def test_message_of_a_foreign_sender_is_read_as_far_as_it_goes(log, admin, topic):
    log.ensure_topic(topic, 1)
    producer = KafkaProducer(bootstrap_servers=admin.config["bootstrap_servers"])
    producer.send(topic, value=b"no key").get(10)
    producer.send(topic, key=b"tombstone", headers=[("h", b"\xff"), ("h2", b"ok")]).get(10)
    producer.close()
    found = list(log.read({TopicPartition(topic, 0): 0}, timeout_s=10))
    if len(found) == 1:
        found += log.read({TopicPartition(topic, 0): 1}, timeout_s=10)
    assert [(m.key, m.value) for m in found] == [(b"", b"no key"), (b"tombstone", b"")]
    assert found[1].headers == {"h": "\\xff", "h2": "ok"}


def test_topic_that_was_deleted_and_made_anew_is_noticed(log, admin, topic):
    log.ensure_topic(topic, 1)
    log.append(topic, [Message(key=b"k", value=b"%d" % n) for n in range(5)])
    where = TopicPartition(topic, 0)
    assert len(log.read({where: 0}, timeout_s=10)) == 5
    admin.delete_topics([topic])
    again = KafkaLog(admin.config["bootstrap_servers"])
    for _ in range(50):
        if again.end_offsets(topic) == {}:
            break
    again.ensure_topic(topic, 1)
    with pytest.raises(SourceUnavailable, match="deleted and made anew"):
        again.read({where: 5}, timeout_s=20)
    again.close()
