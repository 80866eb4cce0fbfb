"""What only a broker can do to us: retention, its own limits, foreign messages, TLS and SASL."""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka import TopicPartition as KafkaPartition

from clearway_broker import server
from clearway_broker.artifacts import default_folder
from clearway_broker.java import find_java
from clearway_core.errors import DeliveryFailed, MessageTooLarge, SourceUnavailable
from clearway_core.settings import Secret
from clearway_core.stream.kafka import KafkaLog, answers
from clearway_core.stream.log import Message, TopicPartition
from clearway_core.stream.security import KafkaSecurity

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


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Path:
    """Return a folder with a CA and a certificate for localhost and 127.0.0.1, both new."""
    folder = tmp_path_factory.mktemp("certificates")
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    (folder / "names").write_text(names)
    for command in (
        "req -x509 -newkey rsa:2048 -nodes -subj /CN=ca -days 2 -keyout ca.key -out ca.pem",
        "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout broker.key -out broker.csr",
        (
            "x509 -req -in broker.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
            "-extfile names -out broker.pem"
        ),
    ):
        try:
            subprocess.run(
                ["openssl", *command.split()], cwd=folder, check=True, capture_output=True
            )
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"openssl cannot make certificates here: {error}")
    # Kafka takes one PEM file with the key (PKCS 8) before the certificates.
    keystore = (folder / "broker.key").read_text() + (folder / "broker.pem").read_text()
    (folder / "keystore.pem").write_text(keystore)
    return folder


class GuardedBroker(server.Broker):
    """A real broker that lets nobody in without TLS and password."""

    certificates: Path

    def _write_settings(self) -> Path:
        settings = super()._write_settings()
        text = settings.read_text().replace("PLAINTEXT://", "SASL_SSL://")
        text = text.replace("PLAINTEXT:PLAINTEXT", "SASL_SSL:SASL_SSL")
        jaas = (
            "org.apache.kafka.common.security.plain.PlainLoginModule required "
            'username="broker" password="b" user_broker="b" user_gateway="hunter2";'
        )
        settings.write_text(
            text
            + "inter.broker.listener.name=SASL_SSL\nsasl.enabled.mechanisms=PLAIN\n"
            + "sasl.mechanism.inter.broker.protocol=PLAIN\n"
            + f"listener.name.sasl_ssl.plain.sasl.jaas.config={jaas}\n"
            + f"ssl.keystore.type=PEM\nssl.keystore.location={self.certificates}/keystore.pem\n"
            + f"ssl.truststore.type=PEM\nssl.truststore.location={self.certificates}/ca.pem\n"
        )
        return settings

    def _wait(self) -> None:
        give_up_at_s = time.monotonic() + 60
        while time.monotonic() < give_up_at_s:
            if answers([self.bootstrap], security=self.security()):
                return
            time.sleep(0.2)
        pytest.fail(self.log_file.read_text())

    def security(self, password: str = "hunter2") -> KafkaSecurity:  # noqa: S107
        return KafkaSecurity(
            tls=True,
            ca_file=self.certificates / "ca.pem",
            sasl_mechanism="PLAIN",
            username="gateway",
            password=Secret(password),
        )


@pytest.mark.slow
def test_guarded_broker_takes_the_right_password_over_tls_and_nothing_else(
    kafka, certificates, tmp_path
):
    del kafka  # skips where there is none
    broker = GuardedBroker(tmp_path, default_folder(), find_java(os.environ))
    broker.certificates = certificates
    broker.start()
    try:
        log = KafkaLog([broker.bootstrap], security=broker.security())
        log.append("t", [Message(key=b"k", value=b"secret")])
        where = next(where for where, end in log.end_offsets("t").items() if end)
        assert [m.value for m in log.read({where: 0}, timeout_s=10)] == [b"secret"]
        log.close()
        untrusting = KafkaSecurity(
            tls=True, sasl_mechanism="PLAIN", username="gateway", password=Secret("hunter2")
        )
        for refused in (broker.security("wrong"), untrusting, KafkaSecurity()):
            stranger = KafkaLog([broker.bootstrap], security=refused, timeout_s=3)
            with pytest.raises(DeliveryFailed) as failed:
                stranger.append("t", [Message(key=b"k", value=b"v")])
            assert "hunter2" not in str(failed.value)
            stranger.close()
    finally:
        broker.kill()
