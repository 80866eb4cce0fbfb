"""Settings of a gateway: one TOML file, all faults reported together."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from clearway_core.contracts.field import Field
from clearway_core.contracts.wire import AIR_READING, GPS_PING, VEHICLE_CLASSES
from clearway_core.settings import Section, open_toml, raise_faults
from clearway_edge.gateway_dir import GATEWAY_NAME
from clearway_edge.outbox import Bounds, WhenFull

_DAY_S = 86_400
_MEBIBYTE = 1024 * 1024
_LINES = ("serial", "tcp", "file")
_MAX_PORT = 65_535
_NMEA_BAUD = 9600


@dataclass(frozen=True, slots=True, kw_only=True)
class LineSettings:
    """Where a source's bytes come from: exactly one of serial port, TCP server and file.

    Parameters
    ----------
    baud
        Symbol rate of a serial port. [1/s]
    """

    serial: str | None = None
    tcp: tuple[str, int] | None = None
    file: Path | None = None
    baud: int = _NMEA_BAUD


@dataclass(frozen=True, slots=True, kw_only=True)
class NmeaSettings:
    """A GPS receiver."""

    name: str
    line: LineSettings
    provider: str
    vehicle: str
    vehicle_class: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pms5003Settings:
    """A particle sensor."""

    name: str
    line: LineSettings
    sensor: str
    position_deg: tuple[float, float]


SourceSettings = NmeaSettings | Pms5003Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """Everything that a gateway needs to run.

    Parameters
    ----------
    file
        Where the settings came from.
    name
        The gateway's name, unique in the city.
    data_dir
        Folder of outbox, keys and, without `log_address`, the embedded log.
    time_zone
        Whose 04:00 turns the pseudonym epoch.
    log_address
        ``kafka://host:port``, or None for the embedded log.
    in_memory
        Whether the outbox stays off the disk, and a crash loses what waits.
    commit_every_s
        How long readings may stay in memory before they are spooled; what a power cut can cost. [s]
    health_every_s
        How often the gateway reports. [s]
    fingerprint
        SHA-256 of the settings file.
    """

    file: Path
    name: str
    data_dir: Path
    time_zone: ZoneInfo
    log_address: str | None
    bounds: Bounds
    in_memory: bool
    commit_every_s: float
    health_every_s: float
    sources: tuple[SourceSettings, ...]
    fingerprint: str


def read_settings(file: Path) -> GatewaySettings:
    """Return the settings of a gateway; nothing is opened but the file.

    Raises
    ------
    SettingsError
        With every fault, file and key named.
    """
    top, faults = open_toml(file)
    gateway = top.section("gateway")
    name = gateway.text("name")
    if name and GATEWAY_NAME.fullmatch(name) is None:
        gateway.fault("name", f"expected small letters, digits, . _ or -, got {name!r}")
    data_dir = Path(gateway.text("data_dir", ".clearway"))
    zone = gateway.time_zone("time_zone")
    commit_every_s = gateway.number("commit_every_s", 1.0, minimum=0.05, maximum=10.0)
    health_every_s = gateway.number("health_every_s", 60.0, minimum=1.0, maximum=_DAY_S)
    gateway.finish()
    bounds, in_memory = _outbox(top.section("outbox"))
    address = _log(top.section("log"))
    sources = tuple(_source(section) for section in top.sections("source"))
    names = [source.name for source in sources if source is not None]
    if not names:
        top.fault("source", "missing; expected at least one [[source]] table")
    if len(set(names)) != len(names):
        top.fault("source", f"every source needs a name of its own, got {', '.join(names)}")
    top.finish()
    raise_faults(faults)
    return GatewaySettings(
        file=file,
        name=name,
        data_dir=data_dir if data_dir.is_absolute() else file.parent / data_dir,
        time_zone=zone,
        log_address=address,
        bounds=bounds,
        in_memory=in_memory,
        commit_every_s=commit_every_s,
        health_every_s=health_every_s,
        sources=tuple(source for source in sources if source is not None),
        fingerprint=hashlib.sha256(file.read_bytes()).hexdigest(),
    )


def _outbox(section: Section) -> tuple[Bounds, bool]:
    kind = section.text("kind", "disk", allowed=("disk", "memory"))
    when_full = section.text("when_full", WhenFull.DROP_OLDEST, allowed=tuple(WhenFull))
    max_mib = section.number("max_mib", 512.0, minimum=1.0)
    max_age_days = section.number("max_age_days", 30.0, minimum=0.001)
    bounds = Bounds(
        max_bytes=round(max_mib * _MEBIBYTE),
        max_age_s=max_age_days * _DAY_S,
        when_full=WhenFull(when_full) if when_full in tuple(WhenFull) else WhenFull.DROP_OLDEST,
    )
    section.finish()
    return bounds, kind == "memory"


def _log(section: Section) -> str | None:
    address = section.text("address", "")
    if address and not re.fullmatch(r"kafka://[^\s/]+", address):
        section.fault("address", f"expected kafka://host:port, got {address!r}")
    section.finish()
    return address or None


def _source(section: Section) -> SourceSettings | None:
    kind = section.text("kind", allowed=("nmea", "pms5003"))
    name = section.text("name", kind)
    source: SourceSettings | None = None
    if kind == "nmea":
        source = NmeaSettings(
            name=name,
            line=_line(section),
            provider=_matching(section, "provider", GPS_PING.field("provider")),
            vehicle=section.text("vehicle"),
            vehicle_class=section.text("vehicle_class", allowed=VEHICLE_CLASSES)
            if "vehicle_class" in section
            else None,
        )
        if not source.vehicle.strip():
            section.fault("vehicle", "expected the vehicle's own name; it is masked")
    elif kind == "pms5003":
        source = Pms5003Settings(
            name=name,
            line=_line(section),
            sensor=_matching(section, "sensor", AIR_READING.field("sensor")),
            position_deg=(
                section.number("lon_deg", minimum=-180, maximum=180),
                section.number("lat_deg", minimum=-90, maximum=90),
            ),
        )
    section.finish()
    return source


def _matching(section: Section, key: str, fact: Field) -> str:
    text = section.text(key)
    if text and re.fullmatch(fact.pattern or ".*", text) is None:
        section.fault(key, f"expected a text that matches {fact.pattern}, got {text!r}")
    return text


def _line(section: Section) -> LineSettings:
    given = [key for key in _LINES if key in section]
    if len(given) != 1:
        section.fault("serial", f"expected exactly one of serial, tcp and file, got {given}")
    tcp = section.optional_text("tcp")
    file = section.optional_text("file")
    return LineSettings(
        serial=section.optional_text("serial"),
        tcp=None if tcp is None else _host_port(section, tcp),
        file=None if file is None else Path(file),
        baud=section.whole("baud", _NMEA_BAUD, minimum=300),
    )


def _host_port(section: Section, text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) <= _MAX_PORT:
        section.fault("tcp", f"expected host:port, got {text!r}")
        return "localhost", 1
    return host.strip("[]"), int(port)
