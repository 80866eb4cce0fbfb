"""Certificates and passwords against real Apache Kafka: who is refused hears why, at once."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from doubles.stream_tls_broker import TlsBroker, tls_broker

from clearway_core.errors import ClearwayError, DeliveryFailed, LogRefused
from clearway_core.stream.kafka import KafkaLog
from clearway_core.stream.log import Message
from clearway_core.stream.security import KafkaSecurity

pytestmark = pytest.mark.kafka

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
    secured.allow_only_others("forbidden")
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
