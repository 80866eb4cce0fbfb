"""Making a kafka-python client; part of `clearway_core.stream.kafka`."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from kafka import errors as kafka_errors
from kafka.net.compat import KafkaNetClient

from clearway_core.stream.security import KafkaSecurity

# It writes several errors per second while a broker is away. What matters reaches the caller as an
# exception, with its cause.
logging.getLogger("kafka").setLevel(logging.CRITICAL)

CONNECT_TIMEOUT_S = 3.0
"""kafka-python's own bound on the first contact is 30 s, which would freeze a start."""

_Client = TypeVar("_Client")


def connection_settings(security: KafkaSecurity, timeout_s: float) -> dict[str, object]:
    """Return what all clients are told alike."""
    password = security.password
    return {
        "bootstrap_timeout_ms": round(CONNECT_TIMEOUT_S * 1000),
        "request_timeout_ms": round(timeout_s * 1000),
        "reconnect_backoff_max_ms": 1000,
        "client_id": "clearway",
        "security_protocol": security.protocol,
        "ssl_context": security.tls_context(),
        "sasl_mechanism": security.sasl_mechanism,
        "sasl_plain_username": security.username,
        "sasl_plain_password": None if password is None else password.reveal(),
    }


def connected(
    client: Callable[..., _Client],
    bootstrap: Sequence[str],
    connection: Mapping[str, object],
    **settings: object,
) -> _Client:
    """Return a connected client, and leave no thread behind when there is no broker.

    kafka-python starts a thread before its first contact and forgets it when that fails: a gateway
    without network would collect one thread per attempt.
    """
    started: list[KafkaNetClient] = []

    def start(**given: object) -> KafkaNetClient:
        started.append(KafkaNetClient(**given))
        return started[-1]

    _check_reachable(bootstrap)
    try:
        return client(
            bootstrap_servers=list(bootstrap), **connection, **settings, kafka_client=start
        )
    except BaseException:
        for network in started:
            network.close()
        raise


def _check_reachable(bootstrap: Sequence[str]) -> None:
    """Refuse at once, with the system's reason, when nobody listens at any of the addresses.

    kafka-python would try again for the whole timeout and leave a socket open per attempt.
    """
    reasons: list[str] = []
    for address in bootstrap:
        host, _, port = address.rpartition(":")
        try:
            where = (host.strip("[]"), int(port))
            socket.create_connection(where, timeout=CONNECT_TIMEOUT_S).close()
        except (OSError, ValueError) as error:
            reasons.append(f"{address}: {error}")
        else:
            return
    raise kafka_errors.KafkaConnectionError("; ".join(reasons))
