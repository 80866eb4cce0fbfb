"""Readings that vehicles or sensors publish at an MQTT broker.

A message is acknowledged once its readings are in the outbox, on the disk: what was on its way when
the gateway died is sent again by the broker, which keeps the session.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from clearway_core.clock import Clock
from clearway_core.contracts.wire import GPS_PING
from clearway_core.errors import MissingDependency, SourceUnavailable
from clearway_core.settings import Section
from clearway_edge.rows.json_files import dig, json_chunk
from clearway_edge.rows.profile import FileKind, SourceProfile
from clearway_edge.sources.kinds import Tools
from clearway_edge.sources.mapping import (
    RowMapping,
    belonging_to,
    profile_of,
)
from clearway_edge.sources.source import Intake
from clearway_edge.sources.stamps import stamp
from clearway_edge.sources.subscribed.mqtt_broker import BrokerSettings, broker_settings
from clearway_edge.sources.vehicle import optional_class, optional_trip_ends

if TYPE_CHECKING:
    from clearway_edge.sources.subscribed.mqtt_session import Delivery, MqttSession

log = logging.getLogger(__name__)

RETAINED = "retained_message"
OVERSIZED = "oversized_payload"
MALFORMED = "malformed_payload"
"""Why a message is not used; one of each is counted as one record."""

RECEIVED_AT = "received_at"
"""Time column of a profile for payloads without a time: when the gateway got the message."""

_MESSAGES = 256
_LEVEL = re.compile(r"\{([a-z_][a-z0-9_]*)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttSettings:
    """A broker, a topic, and what its payloads mean.

    Parameters
    ----------
    name
        The source's: with the gateway's it names the session.
    topic
        Such as ``fleet/{provider}/{vehicle}``.
    profile
        Maps payloads; ``topic.vehicle`` is a column too.
    """

    name: str
    broker: BrokerSettings
    topic: TopicPattern
    profile: SourceProfile


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicPattern:
    """A topic with named levels.

    Parameters
    ----------
    filter
        As brokers want it, ``+`` for every named level.
    names
        Name of each level, or None.
    """

    filter: str
    names: tuple[str | None, ...]

    def levels(self, topic: str) -> dict[str, str]:
        """Return the named levels of a topic."""
        return {
            name: text
            for name, text in zip(self.names, topic.split("/"), strict=False)
            if name is not None
        }


def settings_of(section: Section, folder: Path) -> MqttSettings | None:
    """Read the keys of a ``[[source]]`` of this kind."""
    broker = broker_settings(section, folder)
    topic = _topic(section)
    profile = profile_of(section, folder, kinds=(FileKind.JSON, FileKind.JSONL))
    vehicle_class = optional_class(section)
    trip_ends = optional_trip_ends(section)
    provider = None
    if "provider" in section:
        provider = section.matching("provider", GPS_PING.field("provider").pattern)
    name = section.text("name", "mqtt")
    if profile is None:
        return None
    _check_columns(section, profile, topic)
    return MqttSettings(
        name=name,
        broker=broker,
        topic=topic,
        profile=belonging_to(profile, provider, vehicle_class=vehicle_class, trip_ends=trip_ends),
    )


def _topic(section: Section) -> TopicPattern:
    text = section.text("topic")
    if text.startswith("$share/"):
        section.fault("topic", "shared subscriptions would split one vehicle over gateways")
    levels = text.split("/")
    names: list[str | None] = []
    for place, level in enumerate(levels):
        found = _LEVEL.fullmatch(level)
        names.append(found[1] if found is not None else None)
        last = place == len(levels) - 1
        if (
            found is None
            and level != "+"
            and not (last and level == "#")
            and re.search(r"[+#{}]", level)
        ):
            section.fault(
                "topic",
                f"expected levels such as fleet, {{vehicle}}, + or, at the end, #; got {level!r}",
            )
    named = [name for name in names if name is not None]
    if len(set(named)) != len(named):
        section.fault("topic", f"two levels have one name in {text!r}")
    return TopicPattern(filter=_LEVEL.sub("+", text), names=tuple(names))


def _check_columns(section: Section, profile: SourceProfile, topic: TopicPattern) -> None:
    for column in profile.source_columns:
        name = column.removeprefix("topic.")
        if name != column and name not in topic.names:
            section.fault("topic", f"lacks {{{name}}}, which {profile.file} maps as {column}")


def open_source(settings: MqttSettings, tools: Tools) -> MqttSource:
    """Return the subscription; it connects when it is first read."""
    try:
        from clearway_edge.sources.subscribed.mqtt_session import MqttSession  # noqa: PLC0415
    except ImportError as error:
        message = "an mqtt source needs paho-mqtt: install 'clearway[edge]'"
        raise MissingDependency(message) from error
    session = MqttSession(
        settings.broker,
        client=f"clearway-{tools.gateway}-{settings.name}",
        topic_filter=settings.topic.filter,
    )
    return MqttSource(session, settings, tools.clock)


class MqttSource:
    """Readings of one subscription.

    Parameters
    ----------
    session
        Brings the messages.
    settings
        What they mean.
    clock
        Gives the time to payloads without one.
    """

    def __init__(self, session: MqttSession, settings: MqttSettings, clock: Clock) -> None:
        self._session = session
        self._topic = settings.topic
        self._mapping = RowMapping(settings.profile)
        self._clock = clock
        self._refused = False
        self._lock = threading.Lock()
        self._unsettled = 0
        self._leaving = False
        self._told: set[str] = set()

    def read(self, timeout_s: float) -> Intake:
        """Return the readings of the messages that came within `timeout_s`."""
        if self._refused:
            # Only a session that is opened anew gets again what it has not acknowledged.
            self._refused = False
            self._session.close()
            message = f"the outbox is full: {self._session.where} keeps the messages"
            raise SourceUnavailable(message)
        deliveries = self._session.receive(timeout_s, _MESSAGES)
        try:
            intake = self._intake(deliveries)
        except Exception:
            self._session.given_up(deliveries)  # what nobody could read is not acknowledged
            self._refused = True
            raise
        waited_for = [each for each in deliveries if each.number]
        if waited_for:
            with self._lock:
                self._unsettled += 1
            intake.settle = partial(self._settle, waited_for)
        return intake

    def close(self) -> None:
        """Leave the broker, which keeps what comes meanwhile; once what was read is settled."""
        with self._lock:
            self._leaving = True
            busy = self._unsettled > 0
        if not busy:
            self._session.close()

    def _settle(self, deliveries: Sequence[Delivery], stored: bool) -> None:  # noqa: FBT001 -- as an intake calls it
        if stored:
            self._session.stored(deliveries)
        else:
            self._session.given_up(deliveries)
            self._refused = True
        with self._lock:
            self._unsettled -= 1
            done = self._leaving and self._unsettled == 0
        if done:
            self._session.close()

    def _intake(self, deliveries: Sequence[Delivery]) -> Intake:
        intake = Intake()
        if not deliveries:
            return intake
        contract = self._mapping.profile.contract
        now = stamp(self._clock)
        records: list[tuple[int, object]] = []
        for number, each in enumerate(deliveries, 1):
            found = self._records(each, now["observed_at"])
            if isinstance(found, str):
                intake.dropped[contract, found] += 1
            else:
                records += [(number, record) for record in found]
        chunk = json_chunk(records, self._mapping.profile, place="message")
        mapped = self._mapping.readings([chunk])
        if self._mapping.profile.time.column == RECEIVED_AT:
            mapped.readings = [
                replace(reading, values={**reading.values, **now}) for reading in mapped.readings
            ]
        intake.readings = mapped.readings
        intake.dropped.update(mapped.dropped)
        for fault in mapped.faults:
            self._tell(fault.reason, str(fault))
        return intake

    def _records(self, delivery: Delivery, now_ms: object) -> list[object] | str:
        """Return the records of a message, or why it has none."""
        if delivery.retained:
            return RETAINED
        if delivery.payload is None:
            return OVERSIZED
        try:
            document = orjson.loads(delivery.payload)
        except orjson.JSONDecodeError:
            self._tell(MALFORMED, "message: expected JSON")
            return MALFORMED
        where = self._mapping.profile.format.records
        found = dig(document, where.split(".") if where else [])
        beside = {"topic": self._topic.levels(delivery.topic), RECEIVED_AT: now_ms}
        return [
            {**record, **beside} if isinstance(record, dict) else record
            for record in (found if isinstance(found, list) else [found])
        ]

    def _tell(self, reason: str, text: str) -> None:
        # The first of each kind helps to mend a profile; the books count all of them.
        if reason not in self._told:
            self._told.add(reason)
            log.warning("mqtt_message_unusable", extra={"fault": text})
