"""Settings of a gateway: one TOML file, all faults reported together with line and remedy."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

from clearway_core.settings import Section, open_toml, raise_faults
from clearway_core.stream.security import KafkaSecurity, security_from_section
from clearway_edge.gateway_dir import GATEWAY_NAME
from clearway_edge.outbox.outbox import Bounds, WhenFull
from clearway_edge.sources.host_port import MAX_PORT
from clearway_edge.sources.kinds import KINDS, kind

Text = TypeVar("Text", str, str | None)

_DAY_S = 86_400
_MEBIBYTE = 1024 * 1024
_KBIT_BYTES = 125.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """One source.

    Parameters
    ----------
    name
        Unique on the gateway.
    kind
        One of `clearway_edge.sources.kinds.KINDS`.
    about
        What the kind's module has read of its keys.
    """

    name: str
    kind: str
    about: object


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardSettings:
    """How what waits is sent.

    Parameters
    ----------
    latency_s
        How long a reading may wait for others to share a message with. [s]
    max_records
        Records of one message, at most.
    max_bytes_s
        Payload a second, on average; None: no limit. [B/s]
    """

    latency_s: float = 5.0
    max_records: int = 5000
    max_bytes_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSettings:
    """The gateway's own page and its figures for Prometheus.

    Parameters
    ----------
    host, port
        Where it listens; loopback unless the settings say otherwise.
    pin_file
        Holds the PIN that is asked for where others than this machine can reach the page; None:
        one is made in the gateway's folder.
    """

    host: str
    port: int
    pin_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """Everything that a gateway needs to run.

    Parameters
    ----------
    file
        Where the settings came from.
    name
        The device's name, unique in the city.
    site
        The site that it serves; None for a gateway without one, such as a fleet's endpoint.
    position_deg
        (lon, lat) of the site, which a receiver on the pole is compared with; None: not known. [°]
    data_dir
        Folder of outbox, keys and, without `log_address`, the embedded log.
    time_zone
        Whose 04:00 turns the pseudonym epoch.
    log_address
        ``kafka://host:port``, or None for the embedded log.
    security
        TLS and SASL for Kafka; None: as the environment says.
    in_memory
        Whether the outbox stays off the disk, and a crash loses what waits.
    commit_every_s
        How long readings may stay in memory before they are spooled; what a power cut can cost. [s]
    health_every_s
        How often the gateway reports. [s]
    synchronised_file
        A file whose existence says that the clock is synchronised; None: ask the system.
    page
        The gateway's own page; None: it listens nowhere.
    fingerprint
        SHA-256 of the settings file.
    """

    file: Path
    name: str
    site: str | None
    position_deg: tuple[float, float] | None
    data_dir: Path
    time_zone: ZoneInfo
    log_address: str | None
    security: KafkaSecurity | None
    bounds: Bounds
    in_memory: bool
    forward: ForwardSettings
    commit_every_s: float
    health_every_s: float
    synchronised_file: Path | None
    page: PageSettings | None
    sources: tuple[SourceSettings, ...]
    fingerprint: str


def read_settings(file: Path) -> GatewaySettings:
    """Return the settings of a gateway; nothing is opened but the file.

    Raises
    ------
    SettingsError
        With every fault: file, line and key, what was expected, what came.
    """
    top, faults = open_toml(file)
    folder = file.parent
    gateway = top.section("gateway")
    bounds, in_memory = _outbox(top.section("outbox"))
    address, security = _log(top.section("log"), folder)
    settings = GatewaySettings(
        file=file,
        name=_name(gateway, "name", gateway.text("name")),
        site=_name(gateway, "site", gateway.optional_text("site")),
        position_deg=_position(gateway),
        data_dir=folder / gateway.text("data_dir", ".clearway"),
        time_zone=gateway.time_zone("time_zone"),
        log_address=address,
        security=security,
        bounds=bounds,
        in_memory=in_memory,
        forward=_forward(top.section("forward")),
        commit_every_s=gateway.number("commit_every_s", 1.0, minimum=0.05, maximum=10.0),
        health_every_s=gateway.number("health_every_s", 60.0, minimum=1.0, maximum=_DAY_S),
        synchronised_file=_clock(top.section("clock"), folder),
        page=_page(top.section("page"), folder) if "page" in top else None,
        sources=_sources(top, folder),
        fingerprint=hashlib.sha256(file.read_bytes()).hexdigest(),
    )
    gateway.finish()
    top.finish()
    raise_faults(faults)
    return settings


def _name(section: Section, key: str, text: Text) -> Text:
    if text and GATEWAY_NAME.fullmatch(text) is None:
        section.fault(key, f"expected small letters, digits, . _ or -, at most 64, got {text!r}")
    return text


def _outbox(section: Section) -> tuple[Bounds, bool]:
    in_memory = section.text("kind", "disk", allowed=("disk", "memory")) == "memory"
    bounds = Bounds(
        max_bytes=round(section.number("max_mib", 512.0, minimum=1.0) * _MEBIBYTE),
        max_age_s=section.number("max_age_days", 30.0, minimum=0.001) * _DAY_S,
        when_full=section.choice("when_full", WhenFull, WhenFull.DROP_OLDEST),
    )
    section.finish()
    return bounds, in_memory


def _log(section: Section, folder: Path) -> tuple[str | None, KafkaSecurity | None]:
    address = section.text("address", "")
    if address and not re.fullmatch(r"kafka://[^\s/]+", address):
        section.fault("address", f"expected kafka://host:port, got {address!r}")
    security = security_from_section(section, folder)
    section.finish()
    return address or None, security


def _forward(section: Section) -> ForwardSettings:
    max_kbit_s = section.optional_number("max_kbit_s")
    if max_kbit_s is not None and max_kbit_s < 1:
        section.fault("max_kbit_s", f"expected at least 1, got {max_kbit_s}")
    settings = ForwardSettings(
        latency_s=section.number("latency_s", 5.0, minimum=0.0, maximum=600.0),
        max_records=section.whole("max_records", 5000, minimum=1),
        max_bytes_s=None if max_kbit_s is None else max_kbit_s * _KBIT_BYTES,
    )
    section.finish()
    return settings


def _clock(section: Section, folder: Path) -> Path | None:
    file = section.optional_text("synchronised_file")
    section.finish()
    return None if file is None else folder / file


def _position(section: Section) -> tuple[float, float] | None:
    if "lon_deg" not in section and "lat_deg" not in section:
        return None
    return (
        section.number("lon_deg", minimum=-180, maximum=180),
        section.number("lat_deg", minimum=-90, maximum=90),
    )


def _page(section: Section, folder: Path) -> PageSettings:
    pin_file = section.optional_text("pin_file")
    settings = PageSettings(
        host=section.text("host", "127.0.0.1"),
        port=section.whole("port", 8470, maximum=MAX_PORT),
        pin_file=None if pin_file is None else folder / pin_file,
    )
    section.finish()
    return settings


def _sources(top: Section, folder: Path) -> tuple[SourceSettings, ...]:
    tables = top.sections("source")
    if not tables:
        top.fault("source", "missing; expected at least one [[source]] table")
    found = [_source(table, folder) for table in tables]
    sources = tuple(source for source in found if source is not None)
    names = [source.name for source in sources]
    if len(set(names)) != len(names):
        top.fault("source", f"every source needs a name of its own, got {', '.join(names)}")
    return sources


def _source(section: Section, folder: Path) -> SourceSettings | None:
    name = section.text("kind", allowed=tuple(KINDS))
    if name not in KINDS:
        return None
    source = SourceSettings(
        name=section.text("name", name), kind=name, about=kind(name).settings_of(section, folder)
    )
    section.finish()
    return source
