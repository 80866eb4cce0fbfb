"""Prepares all devices of a list of sites: settings, first start, labels, and the register."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from pathlib import Path

from clearway_core.errors import SettingsError, UsageError
from clearway_core.lake import Lake
from clearway_core.whole_file import replace_whole
from clearway_fleet.device_settings import Central, Compose, Device, settings_text
from clearway_fleet.sheets import checklist_html, labels_html, template
from clearway_fleet.site_file import Box, PlannedSite, read_site_file
from clearway_fleet.sites import Site, State, read_register, write_sites

SETTINGS_FILE = "gateway.toml"
CA_FILE = "ca.crt"
_PRINTED = frozenset({"labels.html", "checklist.html"})
"""About all devices together, so made anew whenever one is added."""

_MOST_SHOWN = 8
_READABLE = 0o666
"""Nothing secret is in these files, and who copies them to cards may be somebody else; what the
system forbids by its umask stays forbidden."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What the gateway's own component lends: only it knows its settings.

    Parameters
    ----------
    kinds
        Kinds of source.
    compose
        Writes the sample of a device.
    check
        Reads a settings file; raises `SettingsError` with every fault.
    """

    kinds: Collection[str]
    compose: Compose
    check: Callable[[Path], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be prepared.

    Parameters
    ----------
    site_file
        The list.
    out
        Folder for everything that is written.
    central
        What all devices have in common.
    ca_file
        Certificate of the authority that has signed the broker's; None: without encryption.
    area_deg
        Service area of the city, if known. [°]
    decided_by
        Who prepares them.
    replace
        Whether settings that differ are written over, and changed names and places registered.
    """

    site_file: Path
    out: Path
    central: Central
    ca_file: Path | None
    area_deg: Box | None
    decided_by: str
    replace: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioned:
    """What was prepared.

    Parameters
    ----------
    devices
        Site and device, in the order of the list.
    written, unchanged
        Files, by their path below the folder.
    registered
        Sites that are new to the register, or changed there.
    """

    devices: Mapping[str, str]
    written: tuple[str, ...]
    unchanged: int
    registered: tuple[str, ...]


def provision(lake: Lake, order: Order, workshop: Workshop, now: datetime) -> Provisioned:
    """Prepare every device of a list; a second time changes nothing that is the same.

    Parameters
    ----------
    lake
        Holds the register of sites.
    order
        What is to be prepared.
    workshop
        What the gateway's component lends.
    now
        From when on new sites are registered.

    Raises
    ------
    SettingsError
        With every fault of the list or of the settings made from it; nothing is written.
    UsageError
        If files that differ are there already; nothing is written.
    """
    plans = read_site_file(order.site_file, workshop.kinds, order.area_deg)
    register = read_register(lake)
    known = register.at(now)
    devices = _devices(plans, known, order)
    files = _files(devices, order, workshop)
    changed = _to_write(order, files)
    rows = _rows(devices, known, order, now)
    for name in changed:
        file = order.out / name
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_whole(file, files[name], mode=_READABLE)
    write_sites(lake, rows, register)
    return Provisioned(
        devices={device.plan.site: device.gateway for device in devices},
        written=tuple(changed),
        unchanged=len(files) - len(changed),
        registered=tuple(row.site for row in rows),
    )


def _devices(plans: Sequence[PlannedSite], known: Mapping[str, Site], order: Order) -> list[Device]:
    """Return the device of each site: as listed, as registered, or the next free name."""
    faults = [
        f"{order.site_file}, line {plan.line}: {problem}"
        for plan in plans
        for problem in _conflicts(plan, known, order)
    ]
    if faults:
        raise SettingsError(faults)
    taken = {site.gateway for site in known.values()} | {plan.gateway for plan in plans}
    free = (name for number in count(1) if (name := f"gw-{number:03}") not in taken)
    return [
        Device(
            gateway=plan.gateway
            or (known[plan.site].gateway if plan.site in known else None)
            or next(free),
            plan=plan,
        )
        for plan in plans
    ]


def _conflicts(plan: PlannedSite, known: Mapping[str, Site], order: Order) -> Iterable[str]:
    site = known.get(plan.site)
    if plan.gateway is not None:
        for other in known.values():
            if other.gateway == plan.gateway and other.site != plan.site:
                yield (
                    f"gateway = {plan.gateway!r} serves {other.site} ({other.state}) already: "
                    "name another device, or leave it empty"
                )
    if site is None:
        return
    if site.state is State.DECOMMISSIONED:
        yield (
            f"{plan.site} was decommissioned on {site.valid_from_at:%Y-%m-%d} ({site.reason}): "
            "give the new site a name of its own"
        )
    elif plan.gateway is not None and site.gateway not in {None, plan.gateway}:
        yield (
            f"{plan.site} is served by {site.gateway}, not by {plan.gateway}: for a swap, clearway "
            f"gateway site set {plan.site} --gateway {plan.gateway} --reason … --by …"
        )
    differing = [
        f"{name} = {mine!r} (registered: {theirs!r})"
        for name, mine, theirs in (
            ("site_name", plan.site_name, site.site_name),
            ("lon_deg", plan.lon_deg, site.lon_deg),
            ("lat_deg", plan.lat_deg, site.lat_deg),
        )
        if mine != theirs
    ]
    if differing and not order.replace:
        yield f"{', '.join(differing)}: correct the line, or accept it with --replace"


def _files(devices: Sequence[Device], order: Order, workshop: Workshop) -> dict[str, bytes]:
    """Return every file by its path below the folder; all settings have been checked.

    Raises
    ------
    SettingsError
        With every fault, each with the line of its site.
    """
    texts: dict[str, str] = {}
    faults: list[str] = []
    for device in devices:
        where = f"{order.site_file}, line {device.plan.line}: {device.plan.site}"
        try:
            text = settings_text(device, order.central, workshop.compose)
            _check(text, workshop)
        except SettingsError as error:
            faults += [f"{where}: {fault}" for fault in error.faults]
            continue
        texts[f"{device.gateway}/{SETTINGS_FILE}"] = text
        texts[f"{device.gateway}/first-boot.sh"] = (
            template("first-boot.sh")
            .replace("@GATEWAY@", device.gateway)
            .replace("@SITE@", device.plan.site)
        )
    if faults:
        raise SettingsError(faults)
    texts["clearway-first-boot.service"] = template("clearway-first-boot.service")
    texts["labels.html"] = labels_html(devices)
    texts["checklist.html"] = checklist_html(devices)
    files = {name: text.encode() for name, text in texts.items()}
    if order.ca_file is not None:
        certificate = _certificate(order.ca_file)
        files |= {f"{device.gateway}/{CA_FILE}": certificate for device in devices}
    return files


def _check(text: str, workshop: Workshop) -> None:
    with tempfile.TemporaryDirectory(prefix="clearway-provision-") as folder:
        file = Path(folder) / SETTINGS_FILE
        file.write_text(text, encoding="utf-8")
        try:
            workshop.check(file)
        except SettingsError as error:
            named = [fault.replace(str(file), SETTINGS_FILE) for fault in error.faults]
            raise SettingsError(named) from error


def _certificate(file: Path) -> bytes:
    try:
        content = file.read_bytes()
    except OSError as error:
        fault = f"{file}: cannot be read ({error.strerror}); check --ca-file"
        raise SettingsError([fault]) from error
    if b"-----BEGIN CERTIFICATE-----" not in content or b"PRIVATE KEY" in content:
        fault = f"{file}: expected a certificate (PEM) and no private key; check --ca-file"
        raise SettingsError([fault])
    return content


def _to_write(order: Order, files: Mapping[str, bytes]) -> list[str]:
    """Return the files that are new or differ.

    Raises
    ------
    UsageError
        If some differ and may not be written over.
    """
    changed, differing = [], []
    for name, content in files.items():
        file = order.out / name
        if not file.exists():
            changed.append(name)
        elif file.read_bytes() != content:
            changed.append(name)
            if name not in _PRINTED:
                differing.append(name)
    if differing and not order.replace:
        shown = ", ".join(differing[:_MOST_SHOWN])
        more = f" and {len(differing) - _MOST_SHOWN} more" if len(differing) > _MOST_SHOWN else ""
        message = (
            f"{order.out} holds other contents of {shown}{more}; nothing was written. Compare "
            "them, then give another --out, or --replace to write over them"
        )
        raise UsageError(message)
    return changed


def _rows(
    devices: Sequence[Device], known: Mapping[str, Site], order: Order, now: datetime
) -> list[Site]:
    """Return what is new to the register; states that people have decided since stay."""
    rows = []
    for device in devices:
        plan = device.plan
        planned = Site(
            site=plan.site,
            site_name=plan.site_name,
            lon_deg=plan.lon_deg,
            lat_deg=plan.lat_deg,
            gateway=device.gateway,
            state=plan.state,
            valid_from_at=now,
            reason=f"prepared from {order.site_file.name}",
            decided_by=order.decided_by,
            decided_at=now,
        )
        site = known.get(plan.site)
        if site is not None:
            planned = replace(planned, state=site.state)
        if site is None or _facts(site) != _facts(planned):
            rows.append(planned)
    return rows


def _facts(site: Site) -> tuple[object, ...]:
    return site.site_name, site.lon_deg, site.lat_deg, site.gateway
