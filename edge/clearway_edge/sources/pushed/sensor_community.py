"""Sensors with the firmware of Sensor.Community, which push their values to "own API" servers."""

from __future__ import annotations

import base64
import binascii
import hmac
import queue
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clearway_core.clock import Clock
from clearway_core.settings import Secret, Section
from clearway_edge.sources.channels import (
    PA_TO_HPA,
    Channel,
    air_intake,
    channels_of,
    json_object,
)
from clearway_edge.sources.kinds import Tools
from clearway_edge.sources.place import PlaceSettings, place_settings
from clearway_edge.sources.pushed.push_server import (
    Answer,
    Head,
    ListenSettings,
    PushServer,
    listen_settings,
    refusal,
)
from clearway_edge.sources.source import Intake
from clearway_edge.sources.tokens import read_token, same

PATH = "/data.php"
"""What the firmware offers as path of an own API."""

_PORT = 8472
_MAX_BODY_KIB = 16
_WAITING = 64
_COMMIT_S = 10.0

_PARTICLES = (("P0", "pm1_atm_ugm3"), ("P2", "pm2_5_atm_ugm3"), ("P1", "pm10_atm_ugm3"))
"""P1 is PM10 and P2 is PM2.5. The firmware takes a Plantower's "atmospheric" words, and the others
have one calibration only."""
_MODELS = {"SDS": "sds011", "PMS": "pms5003", "SPS30": "sps30", "HPM": "hpm", "NPM": "npm"}
_WEATHER = ("BME280", "BMP280", "BMP", "SHT3X", "HTU21D", "DHT", "SCD30", "DS18B20")
_OTHER = "sensor.community"

TABLE = (
    *(Channel(f"{prefix}_{name}", column) for prefix in _MODELS for name, column in _PARTICLES),
    *(Channel(name, column) for name, column in _PARTICLES),
    *(Channel(f"{prefix}_temperature", "temperature_c") for prefix in _WEATHER),
    Channel("temperature", "temperature_c"),
    *(Channel(f"{prefix}_humidity", "humidity_pct") for prefix in _WEATHER),
    Channel("humidity", "humidity_pct"),
    *(Channel(f"{prefix}_pressure", "pressure_hpa", *PA_TO_HPA) for prefix in _WEATHER),
    Channel("pressure", "pressure_hpa", *PA_TO_HPA),
)
"""Names of ``value_type``. Sensor.Community, airrohr firmware NRZ-2020-133 and later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorCommunitySettings:
    """Where sensors push to, and which they are.

    Parameters
    ----------
    devices
        Where each stands, by its number such as ``esp8266-12345678``.
    username, password_file
        What the sensors have in their settings, or None.
    """

    listen: ListenSettings
    devices: Mapping[str, PlaceSettings]
    username: str | None
    password_file: Path | None


def settings_of(section: Section, folder: Path) -> SensorCommunitySettings:
    """Read the keys of a ``[[source]]`` of this kind."""
    devices: dict[str, PlaceSettings] = {}
    for table in section.sections("device"):
        number = table.matching("id", r"[a-z0-9]+-[A-Za-z0-9]+")
        if number in devices:
            table.fault("id", f"{number} is given twice")
        devices[number] = place_settings(table)
        table.finish()
    if not devices:
        section.fault("device", "missing; expected at least one [[source.device]] table")
    username, password = section.optional_text("username"), section.optional_text("password_file")
    if (username is None) != (password is None):
        section.fault("password_file", "expected username and password_file, both or none")
    return SensorCommunitySettings(
        listen=listen_settings(section, folder, port=_PORT, max_body_kib=_MAX_BODY_KIB),
        devices=devices,
        username=username,
        password_file=None if password is None else folder / password,
    )


def open_source(settings: SensorCommunitySettings, tools: Tools) -> SensorCommunitySource:
    """Return the listener; it listens once it is first read."""
    return SensorCommunitySource(settings, tools.clock)


@dataclass(slots=True)
class _Push:
    intake: Intake
    stored: bool | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def settle(self, stored: bool) -> None:  # noqa: FBT001 -- as an intake calls it
        self.stored = stored
        self.done.set()


class SensorCommunitySource:
    """Readings that sensors push; also the desk that answers them.

    Parameters
    ----------
    settings
        Which sensors.
    clock
        Gives ``observed_at``: what they send has no time.
    """

    def __init__(self, settings: SensorCommunitySettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._password: Secret | None = None
        self._server: PushServer | None = None
        self._pushes: queue.Queue[_Push] = queue.Queue(_WAITING)

    @property
    def port(self) -> int | None:
        """Port on which it listens, or None while it does not."""
        return None if self._server is None else self._server.port

    def read(self, timeout_s: float) -> Intake:
        """Return the readings of one push."""
        if self._server is None:
            file = self._settings.password_file
            self._password = None if file is None else read_token(file, shortest=1)
            self._server = PushServer(self._settings.listen, self)
        try:
            push = self._pushes.get(timeout=max(timeout_s, 0.001))
        except queue.Empty:
            return Intake()
        push.intake.settle = push.settle
        return push.intake

    def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            self._server = None
        while not self._pushes.empty():
            self._pushes.get_nowait().done.set()

    def refused(self, head: Head) -> Answer | None:
        """Return why a request is not even read, or None."""
        if head.path != PATH:
            return refusal(404, f"expected {PATH}")
        if head.method != "POST":
            return refusal(405, "expected POST", Allow="POST")
        if self._password is not None and not self._is_known(head):
            error = "expected the user name and password of the settings"
            return refusal(401, error, WWW_Authenticate="Basic")
        if not head.headers.get("content-type", "").lower().startswith("application/json"):
            return refusal(415, "expected Content-Type application/json")
        return None

    def take(self, head: Head, body: bytes) -> Answer:
        """Return the answer once the reading is on the disk, or cannot be."""
        try:
            document = json_object(body, expected="sensordatavalues")
        except ValueError as error:
            return refusal(400, f"the sensor {error}")
        place = self._place(head, document)
        if place is None:
            return refusal(403, "this sensor is not in the settings: add a [[source.device]]")
        push = _Push(self.decode(document, place))
        try:
            self._pushes.put_nowait(push)
        except queue.Full:
            return refusal(429, "too many sensors wait", Retry_After="5")
        push.done.wait(_COMMIT_S)
        return _answer(push)

    def decode(self, document: Mapping[str, object], place: PlaceSettings) -> Intake:
        """Return the reading of a push; a sensor of that firmware sends all values in one."""
        given = document.get("sensordatavalues")
        pairs = (
            [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []
        )
        named: dict[str, object] = {}
        for each in pairs:
            named.setdefault(str(each.get("value_type")), each.get("value"))
        values, flags = channels_of(named, TABLE)
        return air_intake(values, place=place, model=_model(named), clock=self._clock, flags=flags)

    def _place(self, head: Head, document: Mapping[str, object]) -> PlaceSettings | None:
        names = [head.headers.get("x-sensor", "")]
        names += [f"{chip}-{document.get(f'{chip}id')}" for chip in ("esp8266", "esp32")]
        found = [self._settings.devices[name] for name in names if name in self._settings.devices]
        return found[0] if found else None

    def _is_known(self, head: Head) -> bool:
        scheme, _, text = head.headers.get("authorization", "").partition(" ")
        try:
            given = base64.b64decode(text.strip(), validate=True).decode()
        except (binascii.Error, ValueError):
            given = ""
        user, _, password = given.partition(":")
        right_user = hmac.compare_digest(user.encode(), (self._settings.username or "").encode())
        right = self._password is not None and same(self._password, password)
        return scheme.lower() == "basic" and right_user and right


def _answer(push: _Push) -> Answer:
    if push.stored is None:
        return refusal(503, "the reading is not on the disk yet", Retry_After="10")
    if not push.stored:
        return refusal(429, "the outbox is full", Retry_After="30")
    if not push.intake.readings:
        return refusal(400, "expected sensordatavalues with at least one known value_type")
    return Answer(status=200, body={"accepted": len(push.intake.readings)})


def _model(named: Mapping[str, object]) -> str:
    for prefix, model in _MODELS.items():
        if any(name.startswith(f"{prefix}_") for name in named):
            return model
    return _OTHER
