"""Making a kafka-python client; part of `clearway_core.stream.kafka`."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from kafka import errors as kafka_errors
from kafka.net.compat import KafkaNetClient
from kafka.net.connection import KafkaConnection
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from kafka.net.transport import KafkaTCPTransport

from clearway_core.stream.kafka_refusal import refusal_of
from clearway_core.stream.security import KafkaSecurity

# It writes several errors per second while a broker is away. What matters reaches the caller as an
# exception, with its cause.
logging.getLogger("kafka").setLevel(logging.CRITICAL)

CONNECT_TIMEOUT_S = 3.0
"""kafka-python's own bound on the first contact is 30 s, which would freeze a start."""

_Client = TypeVar("_Client")


class _BoundedTls(ssl.SSLSocket):
    """A socket whose handshake ends: kafka-python waits for ever for a broker that says nothing."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 -- as inherited
        """Shake hands within `CONNECT_TIMEOUT_S`, or raise."""
        before_s = self.gettimeout()
        self.settimeout(CONNECT_TIMEOUT_S)
        try:
            super().do_handshake(block)
        finally:
            self.settimeout(before_s)

    def __del__(self) -> None:
        """Close what kafka-python forgets after a failed attempt."""
        self.close()


class _Manager(KafkaConnectionManager):  # type: ignore[misc]  # kafka-python has no types
    """Remembers why connections failed: kafka-python only says that time is over."""

    def __init__(self, net: NetworkSelector, **configs: object) -> None:
        super().__init__(net, **configs)
        self.failures: list[BaseException] = []

    def get_connection(self, *arguments: object, **more: object) -> KafkaConnection:
        """Return a connection that tells when it fails; refuse to knock again where it is told no.

        Raises
        ------
        KafkaError
            If the broker has refused this client for a reason that does not pass.
        """
        for failure in self.failures:
            if refusal_of(failure) is not None:
                raise failure
        connection = super().get_connection(*arguments, **more)
        if not connection.init_future.is_done:
            connection.init_future.add_errback(self.failures.append)
        return connection

    async def _build_transport(
        self, node: object, timeout_at: float | None = None
    ) -> KafkaTCPTransport:
        transport = await super()._build_transport(node, timeout_at=timeout_at)
        transport._sock_recv = partial(_data_first, transport._sock_recv, [])  # noqa: SLF001
        return transport


def _data_first(
    receive: Callable[[], tuple[bytes, BaseException | None]], ended: list[BaseException]
) -> tuple[bytes, BaseException | None]:
    """Return what was received before the end of a connection, and the end only the next time.

    kafka-python throws away what came together with the end: a broker's reason for hanging up.
    """
    if ended:
        return b"", ended[0]
    data, end = receive()
    if data and end is not None:
        ended.append(end)
        return data, None
    return data, end


def connection_settings(security: KafkaSecurity, timeout_s: float) -> dict[str, object]:
    """Return what all clients are told alike."""
    password = security.password
    context = security.tls_context()
    if context is not None:
        context.sslsocket_class = _BoundedTls
    return {
        "bootstrap_timeout_ms": round(CONNECT_TIMEOUT_S * 1000),
        "request_timeout_ms": round(timeout_s * 1000),
        "reconnect_backoff_max_ms": 1000,
        "client_id": "clearway",
        "security_protocol": security.protocol,
        "ssl_context": context,
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
    started: list[tuple[KafkaNetClient, _Manager]] = []

    def start(**given: object) -> KafkaNetClient:
        net = NetworkSelector(**given)
        manager = _Manager(net, **given)
        started.append((KafkaNetClient(net, manager, **given), manager))
        return started[-1][0]

    _check_reachable(bootstrap)
    try:
        return client(
            bootstrap_servers=list(bootstrap), **connection, **settings, kafka_client=start
        )
    except BaseException as error:
        for network, _ in started:
            network.close()
        failures = [failure for _, manager in started for failure in manager.failures]
        if failures and isinstance(error, kafka_errors.KafkaTimeoutError):
            raise kafka_errors.KafkaConnectionError(_words(failures[0])) from failures[0]
        raise


def _words(failure: BaseException) -> str:
    text = str(failure).rpartition("KafkaConnectionError: ")[2]
    if "disconnected" in text or "EOF" in text:
        return f"the broker hung up ({text}): does its port want TLS, or user and password?"
    return text


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
