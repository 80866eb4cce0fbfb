"""The log on Apache Kafka. Only this module and its two parts know kafka-python.

Clients are made when they are first needed and thrown away after a failure: kafka-python waits for
a broker while it constructs one, and a producer that gave up on a batch may still hold it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence

from kafka import KafkaAdminClient, KafkaProducer
from kafka import errors as kafka_errors

from clearway_core.errors import (
    DeliveryFailed,
    LogRefused,
    MessageTooLarge,
    SourceUnavailable,
)
from clearway_core.stream.kafka_connection import (
    CONNECT_TIMEOUT_S,
    connected,
    connection_settings,
)
from clearway_core.stream.kafka_reader import KafkaReader, reading_consumer
from clearway_core.stream.kafka_refusal import refusal_of
from clearway_core.stream.log import (
    DEFAULT_PARTITIONS,
    Message,
    StoredMessage,
    TopicPartition,
    check_sizes,
)
from clearway_core.stream.security import KafkaSecurity

DEFAULT_TIMEOUT_S = 10.0
"""How long one append or one question to the broker may take.

A broker that restarts needs 3 to 8 s on a small machine; a gateway that waited much longer would
delay its other topics.
"""

_RETRY_AFTER_S = 2.0

_UNKNOWN_TOPIC = 3
"""Kafka's error code for a topic that does not exist."""

_TOPIC_SETTINGS = {
    # A gateway's clock may be years off after a power cut: with the producer's time Kafka would
    # refuse its messages (future) or delete them at once (1970).
    "message.timestamp.type": "LogAppendTime",
}


class KafkaLog:
    """Append to and read from Kafka topics; partitions are assigned, no consumer group.

    One object may be used by several threads: appends exclude each other, and so do reads.

    Parameters
    ----------
    bootstrap
        ``host:port`` of one or more brokers.
    security
        TLS and SASL.
    timeout_s
        How long the broker may take to answer. [s] An append that fails may take twice as long: the
        producer is given time to settle what is on its way.
    """

    def __init__(
        self,
        bootstrap: Sequence[str],
        *,
        security: KafkaSecurity | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        self._bootstrap = list(bootstrap)
        self._security = security or KafkaSecurity()
        self._timeout_s = timeout_s
        self._producer: KafkaProducer | None = None
        self._reader: KafkaReader | None = None
        self._identity: str | None = None
        self._ensured: set[str] = set()
        self._partitions: dict[str, list[TopicPartition]] = {}
        self._append_lock = threading.Lock()
        self._read_lock = threading.Lock()

    def identity(self) -> str:
        """Return the cluster's id; it never changes while the cluster's data lives.

        Raises
        ------
        SourceUnavailable
            If the broker cannot be reached.
        """
        if self._identity is None:
            with self._unreadable(), self._admin() as admin:
                self._identity = f"kafka-{admin.describe_cluster()['cluster_id']}"
        return self._identity

    def ensure_topic(self, topic: str, partitions: int = DEFAULT_PARTITIONS) -> None:
        """Create the topic if it is not there; an existing one stays as it is.

        Raises
        ------
        DeliveryFailed
            If the broker cannot be reached; `LogRefused` if it turns this client away.
        """
        try:
            with self._admin() as admin:
                if _partition_numbers(admin, topic):
                    return
                wanted = {topic: {"num_partitions": partitions, "configs": _TOPIC_SETTINGS}}
                with contextlib.suppress(kafka_errors.TopicAlreadyExistsError):
                    admin.create_topics(wanted, timeout_ms=self._timeout_ms)
                admin.wait_for_topics([topic], timeout_ms=self._timeout_ms)
        except kafka_errors.KafkaError as error:
            message = f"Kafka at {self._where} did not create topic {topic}: {_text(error)}"
            raise _failed(message, error) from error

    def append(self, topic: str, messages: Sequence[Message]) -> None:
        """Store all messages durably: all in-sync replicas have confirmed each.

        Raises
        ------
        DeliveryFailed
            If the broker cannot be reached or did not confirm in time; some may be stored.
            `LogRefused` if it turns this client away.
        MessageTooLarge
            If a message is over the limit; none is stored where this process knows the limit.
        """
        check_sizes(messages)
        if not messages:
            return
        with self._append_lock:
            if topic not in self._ensured:
                self.ensure_topic(topic)
                self._ensured.add(topic)
            try:
                self._deliver(topic, messages)
            except kafka_errors.MessageSizeTooLargeError as error:
                # This producer would refuse the next message too, of whatever size.
                self._drop_producer()
                reason = _text(error)
                text = f"Kafka at {self._where} takes no message of this size ({reason}): split it"
                raise MessageTooLarge(text) from error
            except kafka_errors.KafkaError as error:
                self._ensured.discard(topic)
                self._drop_producer()
                text = (
                    f"Kafka at {self._where} did not confirm {len(messages)} messages for {topic} "
                    f"within {self._timeout_s:g} s: {_text(error)}. They stay with the sender."
                )
                raise _failed(text, error) from error

    def first_offsets(self, topic: str) -> Mapping[TopicPartition, int]:
        """Return the oldest offset that each partition still holds; empty without the topic."""
        with self._reading() as reader:
            return reader.first_offsets(self._partitions_of(topic))

    def end_offsets(self, topic: str) -> Mapping[TopicPartition, int]:
        """Return the offset after the last message of each partition; empty without the topic."""
        with self._reading() as reader:
            return reader.end_offsets(self._partitions_of(topic))

    def read(
        self, positions: Mapping[TopicPartition, int], *, timeout_s: float = 1.0
    ) -> Sequence[StoredMessage]:
        """Return some next messages at or after the positions, in order within a partition.

        Raises
        ------
        SourceUnavailable
            If the broker has been out of reach for half a minute, or if a position lies behind the
            end of its partition: the topic was deleted and made anew, or lost its newest part.
        """
        with self._reading() as reader:
            return reader.read(positions, timeout_s)

    def close(self) -> None:
        """Close the connections; safe to call twice."""
        with self._append_lock:
            self._drop_producer()
        with self._read_lock:
            self._drop_reader()

    @property
    def _where(self) -> str:
        return ",".join(self._bootstrap)

    @property
    def _timeout_ms(self) -> int:
        return round(self._timeout_s * 1000)

    def _deliver(self, topic: str, messages: Sequence[Message]) -> None:
        if self._producer is None:
            self._producer = connected(
                KafkaProducer,
                self._bootstrap,
                self._connection(),
                acks="all",
                enable_idempotence=True,
                allow_auto_create_topics=False,
                delivery_timeout_ms=self._timeout_ms,
                max_block_ms=self._timeout_ms,
            )
        confirmations = [
            self._producer.send(
                topic,
                key=message.key,
                value=message.value,
                headers=[(name, text.encode()) for name, text in message.headers.items()],
            )
            for message in messages
        ]
        self._producer.flush(self._timeout_s + 1)  # the producer's own deadline comes first
        for confirmation in confirmations:
            confirmation.get(0)

    def _connection(self) -> dict[str, object]:
        return connection_settings(self._security, self._timeout_s)

    @contextlib.contextmanager
    def _admin(self) -> Iterator[KafkaAdminClient]:
        admin = connected(KafkaAdminClient, self._bootstrap, self._connection())
        try:
            yield admin
        finally:
            admin.close()

    def _partitions_of(self, topic: str) -> list[TopicPartition]:
        if topic not in self._partitions:
            with self._admin() as admin:
                numbers = _partition_numbers(admin, topic)
            if not numbers:
                return []
            self._partitions[topic] = [TopicPartition(topic, number) for number in numbers]
        return self._partitions[topic]

    @contextlib.contextmanager
    def _reading(self) -> Iterator[KafkaReader]:
        """Give the one reader to one thread, and throw it away when it fails."""
        with self._read_lock, self._unreadable():
            try:
                if self._reader is None:
                    consumer = reading_consumer(self._bootstrap, self._connection())
                    self._reader = KafkaReader(consumer, self._timeout_s, self._is_alive)
                yield self._reader
            except kafka_errors.KafkaError:
                self._drop_reader()
                raise

    @contextlib.contextmanager
    def _unreadable(self) -> Iterator[None]:
        try:
            yield
        except kafka_errors.KafkaError as error:
            message = (
                f"Kafka at {self._where} cannot be read: {_text(error)}. "
                "Is the broker running and the address right?"
            )
            raise SourceUnavailable(message) from error

    def _is_alive(self) -> bool:
        return answers(self._bootstrap, security=self._security)

    def _drop_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            # What it still holds must not be sent later, between newer messages of the same key.
            # By then every batch is confirmed or past its own deadline, so this does not wait long.
            with contextlib.suppress(kafka_errors.KafkaError):
                producer.close(timeout=self._timeout_s)

    def _drop_reader(self) -> None:
        reader, self._reader = self._reader, None
        self._partitions.clear()
        if reader is not None:
            reader.close()


def answers(bootstrap: Sequence[str], *, security: KafkaSecurity | None = None) -> bool:
    """Return whether a broker at one of the addresses takes requests now."""
    connection = connection_settings(security or KafkaSecurity(), CONNECT_TIMEOUT_S)
    try:
        admin = connected(KafkaAdminClient, bootstrap, connection)
    except kafka_errors.KafkaError:
        return False
    try:
        return bool(admin.describe_cluster()["brokers"])
    except kafka_errors.KafkaError:
        return False
    finally:
        admin.close()


def _partition_numbers(admin: KafkaAdminClient, topic: str) -> list[int]:
    """Return the partitions of a topic, none if it does not exist."""
    described = admin.describe_topics([topic])[0]
    if described["error_code"] == _UNKNOWN_TOPIC:
        return []
    if described["error_code"]:
        raise kafka_errors.for_code(described["error_code"])
    return sorted(part["partition_index"] for part in described["partitions"])


def _failed(text: str, error: Exception) -> DeliveryFailed:
    cause = refusal_of(error)
    if cause is None:
        return DeliveryFailed(text, retry_after_s=_RETRY_AFTER_S)
    return LogRefused(text, cause=cause, retry_after_s=_RETRY_AFTER_S)


def _text(error: Exception) -> str:
    text = str(error).strip().removeprefix("KafkaConnectionError: ")
    return refusal_of(error) or text or type(error).__name__
