"""The settings of one device, from what the sample of a gateway and the list of sites say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import tomlkit
from tomlkit.items import AoT, Table

from clearway_core.errors import SettingsError
from clearway_fleet.site_file import PlannedSite, SourceWish

_ADDRESS_KEYS = ("serial", "tcp", "file", "url", "broker")
_STATE_FOLDER = "/var/lib/clearway"
_PARTICLES = frozenset({"pmsx003", "sds011", "sps30"})
"""Kinds that measure particles: their series are called ``SITE.pm``."""

Compose = Callable[["Device", Sequence[str]], str]
"""Writes the sample of a device with these kinds of source; handed in by the command line, since
only the gateway knows its settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device and the site that it will serve.

    Parameters
    ----------
    gateway
        Its name.
    plan
        The site.
    """

    gateway: str
    plan: PlannedSite


@dataclass(frozen=True, slots=True, kw_only=True)
class Central:
    """What all devices have in common.

    Parameters
    ----------
    time_zone
        IANA name of the city's.
    broker
        ``kafka://host:port``, or None for the device's embedded log.
    with_ca
        Whether the connection is encrypted, by a certificate authority whose certificate is put
        beside the settings.
    """

    time_zone: str
    broker: str | None
    with_ca: bool


def settings_text(device: Device, central: Central, compose: Compose) -> str:
    """Return the settings file of a device.

    Sensors are named after the site, which outlives devices: ``asok-north.pm``.

    Raises
    ------
    SettingsError
        If a source cannot have such an address.
    """
    document = tomlkit.parse(compose(device, [wish.kind for wish in device.plan.sources]))
    log = document["log"]
    page = document["page"]
    sources = document["source"]
    if not isinstance(log, Table) or not isinstance(page, Table) or not isinstance(sources, AoT):
        message = "the sample of a gateway needs [log], [page] and [[source]]"
        raise TypeError(message)
    page["host"] = "0.0.0.0"  # noqa: S104 -- the technician's phone; the page asks for a PIN
    if central.broker is not None:
        log["address"] = central.broker
    if central.with_ca:
        log["tls"] = True
        log["ca_file"] = "ca.crt"
        log["key_file"] = f"{_STATE_FOLDER}/tls/gateway.key"
        log["certificate_file"] = f"{_STATE_FOLDER}/tls/gateway.crt"
    seen: Counter[str] = Counter()
    faults: list[str] = []
    for wish, source in zip(device.plan.sources, sources, strict=True):
        name = wish.name or ("pm" if wish.kind in _PARTICLES else str(source["name"]))
        name = name.rstrip("-0123456789") or name if wish.name is None else name
        seen[name] += 1
        name = name if seen[name] == 1 else f"{name}-{seen[name]}"
        _place(source, wish, device.plan, name, faults)
    if faults:
        raise SettingsError(faults)
    return tomlkit.dumps(document)


def _place(
    source: Table, wish: SourceWish, plan: PlannedSite, name: str, faults: list[str]
) -> None:
    source["name"] = name
    if "sensor" in source:
        source["sensor"] = f"{plan.site}.{name}"
    if "vehicle" in source:
        source["vehicle"] = f"{plan.site}.{name}"
    if wish.key is None or wish.address is None:
        return
    taken = [key for key in _ADDRESS_KEYS if key in source]
    lines = {"serial", "tcp", "file"}
    if wish.key not in taken and not (wish.key in lines and lines.intersection(taken)):
        faults.append(
            f"sources: {wish.kind} takes {' or '.join(taken) or 'no address'}, got {wish.address!r}"
        )
        return
    for key in taken:
        if key != wish.key:
            del source[key]
    source[wish.key] = wish.address
