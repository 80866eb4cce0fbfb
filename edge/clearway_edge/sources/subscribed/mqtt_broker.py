"""Where an MQTT broker is, and how one proves to it who one is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clearway_core.hosts import is_loopback
from clearway_core.settings import Section
from clearway_edge.sources.host_port import host_port


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """A broker, and how one proves to it who one is.

    Parameters
    ----------
    tls
        Encrypt and check the broker's certificate.
    ca_file
        Certificates that may sign the broker's; None for those that the system trusts.
    certificate_file, key_file
        The gateway's own, for brokers that ask for one.
    username, password_file
        The password is read when the connection is made.
    max_payload_bytes
        Larger payloads are counted and not read. [B]
    """

    host: str
    port: int
    tls: bool = False
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    username: str | None = None
    password_file: Path | None = None
    max_payload_bytes: int = 65_536


def broker_settings(section: Section, folder: Path) -> BrokerSettings:
    """Read ``broker``, ``tls``, certificates, ``username`` and the like; faults go to it."""
    host, port = host_port(section, "broker", section.text("broker"))
    tls = section.flag("tls", default=False)
    username = section.optional_text("username")
    files = {
        name: None if (text := section.optional_text(name)) is None else folder / text
        for name in ("ca_file", "certificate_file", "key_file", "password_file")
    }
    if username is None and files["password_file"] is not None:
        section.fault("username", "missing; expected whose password it is")
    if not tls:
        for name in ("ca_file", "certificate_file", "key_file"):
            if files[name] is not None:
                section.fault(name, "certificates need tls = true")
        if username is not None and not is_loopback(host):
            section.fault("tls", "expected true: a password would travel in the clear")
    return BrokerSettings(
        host=host,
        port=port,
        tls=tls,
        username=username,
        max_payload_bytes=section.whole("max_payload_kib", 64, minimum=1) * 1024,
        **files,
    )
