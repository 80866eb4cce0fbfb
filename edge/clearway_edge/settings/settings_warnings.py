"""What is allowed in a gateway's settings and yet probably not meant; only local files are read."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from pathlib import Path

from clearway_core.hosts import is_loopback
from clearway_core.toml_lines import line_numbers
from clearway_edge.certificate import validity_of
from clearway_edge.condition.device import disk_of
from clearway_edge.settings.settings import GatewaySettings
from clearway_edge.sources.devices.lines import LineSettings

EXPIRES_SOON = timedelta(days=30)

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_SECRET_FILES = ("password", "token", "key", "pin", "secret")
_IN_MEMORY = frozenset({"tmpfs", "ramfs", "overlay"})
_ZONES_OF_NO_CITY = ("UTC", "GMT", "Zulu", "Universal", "Etc/")


def warnings_of(settings: GatewaySettings, now: datetime) -> list[str]:
    """Return warnings, each with file, line, key, what was found and what to do.

    Parameters
    ----------
    now
        Certificates that end within 30 days of it are told.
    """
    lines = line_numbers(settings.file.read_text(encoding="utf-8"))

    def told(found: tuple[str, str]) -> str:
        key, problem = found
        line = lines.get(key) or lines.get(key.rpartition(".")[0])
        place = str(settings.file) if line is None else f"{settings.file}, line {line}"
        return f"{place}: {key}: {problem}"

    checks = (_zone, _log, _outbox, _page, _sources)
    found = [one for check in checks for one in check(settings)]
    return [told(one) for one in [*found, *_certificate(settings, now)]]


def _zone(settings: GatewaySettings) -> Iterator[tuple[str, str]]:
    zone = settings.time_zone.key
    if zone.startswith(_ZONES_OF_NO_CITY):
        yield (
            "gateway.time_zone",
            (
                f"{zone} is no city's: pseudonyms turn at 04:00 there, which may be the rush hour "
                "here. Give the city's, such as Asia/Bangkok"
            ),
        )


def _log(settings: GatewaySettings) -> Iterator[tuple[str, str]]:
    security = settings.security
    if settings.log_address and (security is None or not security.tls):
        hosts = [part.rpartition(":")[0] for part in settings.log_address[8:].split(",")]
        if not all(is_loopback(host) for host in hosts):
            yield (
                "log.address",
                (
                    "without tls = true in [log] readings travel in the clear, unless the "
                    "CLEARWAY_KAFKA_ variables say otherwise"
                ),
            )
    if security is None:
        return
    for name in ("key_file", "password_file"):
        yield from _secret_file(f"log.{name}", getattr(security, name))
    if security.ca_file is not None and not security.ca_file.exists():
        yield "log.ca_file", f"{security.ca_file} is not there: put the CA's certificate there"


def _secret_file(key: str, file: Path | None) -> Iterator[tuple[str, str]]:
    if file is None:
        return
    try:
        mode = file.stat().st_mode
    except OSError:
        remedy = "'enrol' makes it" if key == "log.key_file" else "put it there"
        yield key, f"{file} is not there or cannot be read: {remedy}"
        return
    if mode & _OTHERS:
        yield (
            key,
            f"{file} can be read by other users (mode {stat.S_IMODE(mode):04o}): chmod 600 {file}",
        )


def _certificate(settings: GatewaySettings, now: datetime) -> Iterator[tuple[str, str]]:
    file = None if settings.security is None else settings.security.certificate_file
    if file is None:
        return
    key = "log.certificate_file"
    try:
        validity = validity_of(file)
    except OSError:
        yield key, f"{file} is not there or cannot be read: 'enrol' says how to get it"
        return
    except ValueError as error:
        yield key, f"{error}: have the request signed again, see 'enrol'"
        return
    day = f"{validity.expires_at:%Y-%m-%d}"
    if validity.expires_at <= now:
        yield key, f"{file} expired on {day}: have a new one signed, see 'enrol'"
    elif validity.expires_at - now <= EXPIRES_SOON:
        yield key, f"{file} expires on {day}: have a new one signed now, see 'enrol'"


def _outbox(settings: GatewaySettings) -> Iterator[tuple[str, str]]:
    if settings.in_memory:
        yield "outbox.kind", "memory: a crash or a power cut loses what waits"
        return
    disk = disk_of(settings.data_dir)
    if disk is None:
        return
    if disk.kind in _IN_MEMORY:
        yield (
            "gateway.data_dir",
            (
                f"{settings.data_dir} lies on {disk.kind}, which a restart empties: take a folder "
                "on the card or the disk"
            ),
        )
    if disk.free_bytes < settings.bounds.max_bytes:
        yield (
            "outbox.max_mib",
            (
                f"{settings.bounds.max_bytes >> 20} MiB may wait, but only {disk.free_bytes >> 20} "
                f"MiB are free under {settings.data_dir}: make room or take less"
            ),
        )


def _page(settings: GatewaySettings) -> Iterator[tuple[str, str]]:
    page = settings.page
    if page is None or is_loopback(page.host):
        return
    if page.pin_file is not None and page.pin_file.exists():
        yield from _secret_file("page.pin_file", page.pin_file)


def _sources(settings: GatewaySettings) -> Iterator[tuple[str, str]]:
    for number, source in enumerate(settings.sources):
        yield from _within(f"source[{number}]", source.about)


def _within(place: str, about: object) -> Iterator[tuple[str, str]]:
    """Look at the serial ports and the files that a source's settings name, however deep."""
    if isinstance(about, LineSettings):
        serial = about.serial or ""
        if serial.startswith("/") and not Path(serial).exists():
            yield (
                f"{place}.serial",
                (
                    f"{serial} is not there: plug the sensor in, or take its name from "
                    "'ls /dev/serial/by-id'"
                ),
            )
        if about.file is not None and not about.file.exists():
            yield f"{place}.file", f"{about.file} is not there: check the path"
    elif is_dataclass(about) and not isinstance(about, type):
        for field in fields(about):
            value = getattr(about, field.name)
            if isinstance(value, Path) and field.name.startswith(_SECRET_FILES):
                yield from _secret_file(f"{place}.{field.name}", value)
            else:
                yield from _within(place, value)
    elif isinstance(about, tuple | list):
        for item in about:
            yield from _within(place, item)
