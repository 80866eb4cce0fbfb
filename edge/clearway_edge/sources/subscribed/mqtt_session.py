"""A lasting session at an MQTT 5 broker: connects by itself, acknowledges what is stored."""

from __future__ import annotations

import logging
import queue
import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from clearway_core.errors import SourceUnavailable
from clearway_edge.sources.subscribed.mqtt_broker import BrokerSettings
from clearway_edge.sources.subscribed.mqtt_deliveries import Arrival, Deliveries

log = logging.getLogger(__name__)

UNDER_WAY = 512
"""Messages that the broker may send before the first of them is acknowledged."""

LARGEST_PACKET_BYTES = 1024 * 1024
"""The broker drops larger packets itself: one of 256 MiB, which MQTT allows, would end a small
gateway, come again after its restart, and end it again. [B]"""

SESSION_S = 7 * 86_400
"""How long the broker keeps messages for a gateway that is away, if its own settings allow. [s]"""

_KEEP_ALIVE_S = 30
_CONNECT_S = 5.0
_LONGEST_WAIT_S = 30
_PUT_S = 0.2
_DRAIN_S = 1.0
_PIECE_BYTES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message.

    Parameters
    ----------
    topic
        Empty if it is no text.
    payload
        None if it is larger than allowed.
    retained
        Whether the broker kept it for newcomers: it may be of any age, and read already.
    number, session
        What it is acknowledged by; 0 if nobody waits for that.
    """

    topic: str
    payload: bytes | None
    retained: bool
    number: int
    session: int


class MqttSession:
    """One client's session.

    Parameters
    ----------
    settings
        Where the broker is.
    client
        The session's name at the broker; two clients of one name throw each other out.
    topic_filter
        What it wants to have.
    """

    def __init__(self, settings: BrokerSettings, *, client: str, topic_filter: str) -> None:
        self._settings = settings
        self._name = client
        self._filter = topic_filter
        self._deliveries = Deliveries()
        self._waiting: queue.Queue[Delivery] = queue.Queue(UNDER_WAY)
        self._client: Client | None = None
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._problem = ""

    @property
    def where(self) -> str:
        """The broker, for people."""
        return f"the MQTT broker {self._settings.host}:{self._settings.port}"

    def receive(self, timeout_s: float, limit: int) -> list[Delivery]:
        """Return what came within `timeout_s`, at most `limit` messages.

        Raises
        ------
        SourceUnavailable
            If the broker cannot be reached, refuses, or does not give the topic.
        """
        if self._client is None or self._thread is None or not self._thread.is_alive():
            self._open()
        try:
            found = [self._waiting.get(timeout=max(timeout_s, 0.001))]
        except queue.Empty:
            if self._problem:
                raise SourceUnavailable(self._problem) from None
            return []
        while len(found) < limit:
            try:
                found.append(self._waiting.get_nowait())
            except queue.Empty:
                break
        return found

    def stored(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge messages that are on the disk."""
        for each in deliveries:
            known = each.number and self._deliveries.stored(each.session, each.number)
            if known and self._client is not None:
                self._client.ack(each.number, 1)

    def given_up(self, deliveries: Sequence[Delivery]) -> None:
        """Let messages that could not be stored come again, once the session is opened anew."""
        for each in deliveries:
            self._deliveries.given_up(each.session, each.number)

    def close(self) -> None:
        """Go away; the broker keeps the session and what is not acknowledged."""
        self._closing.set()
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()
            self._client = None
        while not self._waiting.empty():
            self.given_up([self._waiting.get_nowait()])

    def _open(self) -> None:
        self.close()
        self._closing.clear()
        self._problem = ""
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._name,
            protocol=MQTTProtocolVersion.MQTTv5,
            manual_ack=True,
        )
        self._identify(client)
        client.connect_timeout = _CONNECT_S
        client.reconnect_delay_set(1, _LONGEST_WAIT_S)
        client.on_connect = self._connected
        client.on_connect_fail = self._not_connected
        client.on_disconnect = self._disconnected
        client.on_subscribe = self._subscribed
        client.on_message = self._arrived
        client.on_socket_close = _drain
        lasting = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        lasting.SessionExpiryInterval = SESSION_S
        lasting.ReceiveMaximum = UNDER_WAY
        lasting.MaximumPacketSize = LARGEST_PACKET_BYTES
        client.connect_async(
            self._settings.host,
            self._settings.port,
            keepalive=_KEEP_ALIVE_S,
            clean_start=False,
            properties=lasting,
        )
        before = set(threading.enumerate())
        client.loop_start()
        self._client = client
        self._thread = next(
            each for each in set(threading.enumerate()) - before if "paho" in each.name
        )

    def _identify(self, client: Client) -> None:
        about = self._settings
        try:
            if about.username is not None:
                file = about.password_file
                password = None if file is None else file.read_text(encoding="utf-8").strip()
                client.username_pw_set(about.username, password)
            if about.tls:
                client.tls_set(
                    ca_certs=_text(about.ca_file),
                    certfile=_text(about.certificate_file),
                    keyfile=_text(about.key_file),
                )
        except (OSError, UnicodeDecodeError, ValueError) as error:
            message = (
                f"a file for {self.where} cannot be used: {error}. Check password_file, ca_file, "
                "certificate_file and key_file."
            )
            raise SourceUnavailable(message) from error

    def _connected(
        self,
        client: Client,
        userdata: Any,
        flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        del userdata, properties
        if reason.is_failure:
            self._problem = f"{self.where} refuses: {reason}. Check username and password_file."
            return
        if not flags.session_present:
            self._deliveries.new_session()
        # Retained messages come with a new subscription only, not after every broken connection.
        client.subscribe(self._filter, options=SubscribeOptions(qos=1, retainHandling=1))

    def _subscribed(
        self,
        client: Client,
        userdata: Any,
        mid: int,
        reasons: list[ReasonCode],
        properties: Properties | None,
    ) -> None:
        del client, userdata, mid, properties
        refused = [reason for reason in reasons if reason.is_failure]
        self._problem = (
            f"{self.where} does not give {self._filter}: {refused[0]}. Check its access rules."
            if refused
            else ""
        )

    def _not_connected(self, client: Client, userdata: Any) -> None:
        del client, userdata
        error = sys.exc_info()[1]
        self._problem = (
            f"{self.where} cannot be reached: {error}. Check the address, the network and, with "
            "tls, the certificates."
        )

    def _disconnected(
        self,
        client: Client,
        userdata: Any,
        flags: DisconnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        del client, userdata, flags, properties
        if not self._closing.is_set() and not self._problem:
            self._problem = f"the connection to {self.where} is lost: {reason}. It is tried again."

    def _arrived(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        del userdata
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        number = message.mid if message.qos else 0
        if number:
            content = hash((topic, bytes(message.payload)))
            known = self._deliveries.arrived(number, content, again=message.dup)
            if known is Arrival.STORED:
                client.ack(number, 1)
            if known is not Arrival.NEW:
                return
        fits = len(message.payload) <= self._settings.max_payload_bytes
        delivery = Delivery(
            topic=topic,
            payload=bytes(message.payload) if fits else None,
            retained=message.retain,
            number=number,
            session=self._deliveries.session,
        )
        while not self._closing.is_set():
            try:
                self._waiting.put(delivery, timeout=_PUT_S)
            except queue.Full:
                continue
            return
        self.given_up([delivery])


def _drain(client: Client, userdata: Any, connection: Any) -> None:
    """Take what the broker still sends before the connection is closed.

    A connection that is closed with something unread is reset, and the broker may lose the
    acknowledgements that it has not read yet: it would send again what is stored.
    """
    del client, userdata
    ends_s = time.monotonic() + _DRAIN_S
    with suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        while (left_s := ends_s - time.monotonic()) > 0:
            connection.settimeout(left_s)
            if not connection.recv(_PIECE_BYTES):
                return


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
