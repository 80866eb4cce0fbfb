"""Certificates and passwords against real Apache Kafka: who is refused hears why, at once."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Self

import pytest
from doubles.stream_tls_broker import PASSWORD, USER, TlsBroker, tls_broker

from clearway_broker.server import free_port
from clearway_core.contracts.field import Contract
from clearway_core.contracts.wire import AIR_READING, GPS_PING, TOPICS
from clearway_core.errors import ClearwayError, DeliveryFailed, LogRefused
from clearway_core.stream.batch import Batch, decode, encode
from clearway_core.stream.kafka import KafkaLog
from clearway_core.stream.log import Message, TopicPartition
from clearway_core.stream.security import KafkaSecurity
from clearway_edge.forwarding.forwarder import Forwarder
from clearway_edge.forwarding.log_opening import log_opener
from clearway_edge.outbox.outbox import Parcel, Stream
from clearway_edge.outbox.sqlite_outbox import SqliteOutbox
from clearway_edge.settings.settings import read_settings

pytestmark = pytest.mark.kafka

AIR_TOPIC = TOPICS[AIR_READING.identifier]
YESTERDAY = timedelta(days=-1)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsBroker]:
    try:
        started = tls_broker(tmp_path_factory.mktemp("tls-kafka"))
    except ClearwayError as error:
        reason = f"no real Kafka: {error}"
        if os.environ.get("CLEARWAY_REQUIRE_KAFKA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    yield started
    started.broker.kill()


def append(address: str, security: KafkaSecurity, topic: str = "t") -> int:
    log = KafkaLog([address], security=security, timeout_s=5)
    try:
        log.append(topic, [Message(key=b"k", value=b"v")])
        return sum(log.end_offsets(topic).values())
    finally:
        log.close()


def refusal(address: str, security: KafkaSecurity, topic: str = "t") -> str:
    before = threading.active_count()
    with pytest.raises(LogRefused) as raised:
        append(address, security, topic)
    assert threading.active_count() == before
    assert raised.value.cause in str(raised.value)
    return raised.value.cause


def test_certificate_of_the_gateway_opens_the_door(secured):
    assert append(secured.by_certificate, secured.with_certificate(), "by-certificate") == 1


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
def test_password_opens_the_door(secured, mechanism):
    security = secured.with_password(mechanism=mechanism)
    assert append(secured.by_password, security, f"by-{mechanism}") == 1


def test_missing_certificate_is_asked_for(secured):
    security = KafkaSecurity(tls=True, ca_file=secured.authority.file)
    assert "log.certificate_file" in refusal(secured.by_certificate, security)


def test_expired_certificate_and_one_of_a_stranger_are_refused(secured):
    expired = secured.with_certificate("gw-old", valid_for=YESTERDAY)
    assert "has it expired" in refusal(secured.by_certificate, expired)
    foreign = secured.with_certificate("gw-foreign", by=secured.stranger)
    assert "signed by an authority" in refusal(secured.by_certificate, foreign)


def test_broker_whose_authority_is_not_known_here_is_not_talked_to(secured):
    security = replace(secured.with_certificate("gw-2"), ca_file=secured.stranger.file)
    assert "log.ca_file" in refusal(secured.by_certificate, security)


def test_broker_with_a_certificate_of_another_name_is_not_talked_to(secured):
    assert "another name" in refusal(secured.elsewhere, secured.with_certificate("gw-3"))


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
def test_wrong_password_is_told_as_such_and_never_shown(secured, mechanism):
    security = secured.with_password("battery staple", mechanism=mechanism)
    with pytest.raises(LogRefused, match="user or password") as raised:
        append(secured.by_password, security)
    chain: list[BaseException | None] = [raised.value]
    while chain[-1] is not None:
        assert "battery" not in str(chain[-1])
        chain.append(chain[-1].__cause__)
    assert "battery" not in repr(security)


def test_topic_that_is_not_allowed_is_told_as_such(secured):
    append(secured.by_password, secured.with_password(), "forbidden")
    secured.allow("forbidden", "somebody-else")
    time.sleep(0.5)  # the broker answers before its own listeners know the rule
    assert "topic not allowed" in refusal(secured.by_password, secured.with_password(), "forbidden")


def test_port_that_wants_tls_and_port_that_wants_none_give_a_hint(secured):
    assert "log.tls" in refusal(secured.by_certificate, KafkaSecurity())
    security = KafkaSecurity(tls=True, ca_file=secured.authority.file)
    with pytest.raises(DeliveryFailed, match="does its port want TLS"):
        append(secured.broker.bootstrap, security)


@pytest.mark.parametrize("tls", [True, False])
def test_broker_that_accepts_and_says_nothing_costs_seconds_not_for_ever(secured, tls):
    before = threading.active_count()
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        started_s = time.monotonic()
        with pytest.raises(DeliveryFailed, match="timed out") as raised:
            append(address, KafkaSecurity(tls=tls))
    assert time.monotonic() - started_s < 8
    assert not isinstance(raised.value, LogRefused)
    assert threading.active_count() == before


class Gateway:
    """A forwarder on an outbox on disk, as the settings file of a gateway makes them."""

    def __init__(self, folder: Path, address: str, log_lines: str) -> None:
        file = folder / "gateway.toml"
        file.write_text(
            '[gateway]\nname = "gw-017"\ntime_zone = "Asia/Bangkok"\ndata_dir = "data"\n'
            f'[log]\naddress = "kafka://{address}"\n{log_lines}\n'
            "[forward]\nlatency_s = 0.1\n"
            '[[source]]\nkind = "nmea"\nserial = "/dev/null"\nprovider = "p"\nvehicle = "v"\n'
        )
        settings = read_settings(file)
        self.outbox = SqliteOutbox(folder / "outbox.sqlite")
        security = settings.security
        self.forwarder = Forwarder(
            self.outbox,
            log_opener(settings, None),
            gateway=settings.name,
            settings=settings.forward,
            certificate_file=None if security is None else security.certificate_file,
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.forwarder.run, args=(self._stop,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self.forwarder.wake()
        self._thread.join()
        self.outbox.close()

    def put(self, first: int, n: int = 50, *, contract: Contract = GPS_PING) -> None:
        batch = Batch(
            contract=contract.identifier,
            gateway="gw-017",
            boot=7,
            seq=range(first, first + n),
            columns={"lon_deg": [100.5] * n},
        )
        payload = encode(batch, contract)
        stream = Stream(contract=contract.identifier, boot=7, run=7)
        self.outbox.put(
            Parcel(stream=stream, payload=payload, n_read=n, n_records=n, next_seq=first + n)
        )
        self.forwarder.wake()

    def reaches(self, state: str, within_s: float = 30.0) -> str:
        """Return the state as soon as it begins with some words."""
        deadline_s = time.monotonic() + within_s
        while not self.forwarder.state.startswith(state):
            assert time.monotonic() < deadline_s, self.forwarder.state
            time.sleep(0.02)
        return self.forwarder.state

    def delivered(self, contract: Contract = GPS_PING) -> int:
        stream = Stream(contract=contract.identifier, boot=7, run=7)
        return self.outbox.account(stream).delivered


CERTIFICATE_LINES = (
    'tls = true\nca_file = "ca.pem"\ncertificate_file = "gw.pem"\nkey_file = "gw.key"\n'
)


def install(security: KafkaSecurity, folder: Path) -> None:
    """Put certificates where the settings of a gateway look for them, as a technician does."""
    for file, name in (
        (security.ca_file, "ca.pem"),
        (security.key_file, "gw.key"),
        (security.certificate_file, "gw.pem"),
    ):
        shutil.copy(file, folder / name)


def test_gateway_with_an_expired_certificate_says_so_once_and_goes_on_with_a_new_one(
    secured, tmp_path, caplog
):
    caplog.set_level(logging.INFO, logger="clearway_edge")
    install(secured.with_certificate("gw-expired", valid_for=YESTERDAY), tmp_path)
    with Gateway(tmp_path, secured.by_certificate, CERTIFICATE_LINES) as gateway:
        gateway.put(0)
        state = gateway.reaches("refused: ")
        assert state.startswith("refused: certificate expired on 20")
        assert str(tmp_path / "gw.pem") in state
        gateway.put(50)
        time.sleep(3)  # another attempt after two seconds, the next after four
        assert (gateway.delivered(), gateway.forwarder.state) == (0, state)
        install(secured.with_certificate("gw-renewed"), tmp_path)
        gateway.reaches("up to date")
        assert gateway.delivered() == 100
    said = [record.state for record in caplog.records if record.msg == "forwarder_state"]
    assert said == [state, "up to date"]


def test_gateway_with_a_wrong_password_says_so_and_goes_on_with_the_right_one(
    secured, tmp_path, caplog
):
    (tmp_path / "ca.pem").write_bytes(secured.authority.file.read_bytes())
    password = tmp_path / "password"
    lines = (
        f'tls = true\nca_file = "ca.pem"\nsasl_mechanism = "SCRAM-SHA-512"\nusername = "{USER}"\n'
        'password_file = "password"\n'
    )
    with Gateway(tmp_path, secured.by_password, lines) as gateway:
        gateway.put(0)
        assert "password_file cannot be read" in gateway.reaches("refused: ")
        password.write_text("battery staple\n")
        assert "check log.username" in gateway.reaches("refused: user or password")
        password.write_text(f"{PASSWORD}\n")
        gateway.reaches("up to date")
        assert gateway.delivered() == 50
    assert "battery" not in caplog.text
    assert PASSWORD not in caplog.text


def test_gateway_that_may_not_write_a_topic_says_so_and_goes_on_when_it_may(secured, tmp_path):
    install(secured.with_certificate("gw-air"), tmp_path)
    append(secured.by_certificate, secured.with_certificate("gw-first"), AIR_TOPIC)
    secured.allow(AIR_TOPIC, "somebody-else")
    time.sleep(0.5)
    with Gateway(tmp_path, secured.by_certificate, CERTIFICATE_LINES) as gateway:
        gateway.put(0, contract=AIR_READING)
        assert "let this user write" in gateway.reaches("refused: topic not allowed")
        secured.allow(AIR_TOPIC, "CN=gw-air")
        gateway.reaches("up to date")
        assert gateway.delivered(AIR_READING) == 50


@pytest.mark.slow
def test_broker_that_comes_back_at_another_address_gets_everything_once_more_at_most(
    broker_process, tmp_path
):
    broker = broker_process()
    other_port = free_port()
    addresses = f"{broker.bootstrap},127.0.0.1:{other_port}"
    with Gateway(tmp_path, addresses, "") as gateway:
        gateway.put(0)
        gateway.reaches("up to date")
        broker.kill()
        gateway.put(50)
        gateway.reaches("connecting: ")
        broker.port = other_port
        broker.start()
        gateway.reaches("up to date", within_s=60)
        assert gateway.delivered() == 100
    log = KafkaLog([f"127.0.0.1:{other_port}"])
    positions = dict(log.first_offsets("clearway.gps_ping.v1"))
    ends = log.end_offsets("clearway.gps_ping.v1")
    seqs: list[int] = []
    while positions != ends:
        for stored in log.read(positions, timeout_s=5):
            positions[TopicPartition(stored.topic, stored.partition)] = stored.offset + 1
            seqs += decode(stored.value).seq
    log.close()
    assert sorted(set(seqs)) == list(range(100))
