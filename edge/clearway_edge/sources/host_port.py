"""Addresses of servers as settings give them."""

from __future__ import annotations

from clearway_core.settings import Section

MAX_PORT = 65_535


def host_port(section: Section, key: str, text: str) -> tuple[str, int]:
    """Return ``host:port`` apart; a fault if it is none."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) <= MAX_PORT:
        section.fault(key, f"expected host:port, got {text!r}")
        return "localhost", 1
    return host.strip("[]"), int(port)
