"""Sites and the devices that serve them: a register of rows, of which the latest counts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum

import polars as pl

from clearway_core.errors import UsageError
from clearway_core.lake import Lake

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
"""What a site or device may be called: it becomes part of file names, sensor ids and log keys."""

_TABLE = "gateway_sites"
_WRITER = "clearway_fleet.sites"
"""Application id of the register's commits: two people who decide at once do not overtake."""


class State(StrEnum):
    """What a site is waiting for."""

    PLANNED = "planned"
    """Not put up yet."""
    ACTIVE = "active"
    """At work; the only state in which alarms are sent."""
    MAINTENANCE = "maintenance"
    """Somebody is at it."""
    DECOMMISSIONED = "decommissioned"
    """Gone for good; its series stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A place at the street as it is from some moment on.

    Parameters
    ----------
    site, site_name
        Short name and name for people.
    lon_deg, lat_deg
        WGS84. [°]
    gateway
        The device that serves it, or None.
    state
        See `State`.
    valid_from_at
        From when on.
    reason, decided_by, decided_at
        Why, who, and when it was written down.
    """

    site: str
    site_name: str
    lon_deg: float
    lat_deg: float
    gateway: str | None
    state: State
    valid_from_at: datetime
    reason: str
    decided_by: str
    decided_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """All rows of the register at one moment.

    Parameters
    ----------
    rows
        In the order in which they were written.
    version
        Of the register when they were read; None: nothing was ever written.
    """

    rows: tuple[Site, ...]
    version: int | None

    def at(self, now: datetime) -> dict[str, Site]:
        """Return each site as it is at a moment, by its name."""
        found: dict[str, Site] = {}
        for row in sorted(self.rows, key=lambda row: (row.valid_from_at, row.decided_at)):
            if row.valid_from_at <= now:
                found[row.site] = row
        return dict(sorted(found.items()))


def read_register(lake: Lake) -> Register:
    """Return the register of sites."""
    table = lake.table(_TABLE)
    version = table.transaction_version(_WRITER)
    rows = table.scan().collect().sort("decided_at", maintain_order=True)
    return Register(
        rows=tuple(Site(**(row | {"state": State(row["state"])})) for row in rows.to_dicts()),
        version=version,
    )


def write_sites(lake: Lake, sites: Iterable[Site], register: Register) -> None:
    """Add rows to the register that was read.

    Raises
    ------
    OffsetRegression, TableConflict
        If somebody else has written meanwhile; then nothing is written.
    """
    rows = [asdict(site) | {"state": site.state.value} for site in sites]
    if rows:
        lake.table(_TABLE).append(
            pl.DataFrame(rows, infer_schema_length=None),
            transactions={_WRITER: (register.version or 0) + 1},
            committed={_WRITER: register.version},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a person decides about a site.

    Parameters
    ----------
    state
        The new state; None: as it is.
    gateway
        The device from now on; None: as it is.
    reason, decided_by
        In that person's words.
    """

    state: State | None
    gateway: str | None
    reason: str
    decided_by: str


def changed(sites: Mapping[str, Site], name: str, change: Change, now: datetime) -> Site:
    """Return the site after a decision; nothing is written.

    Raises
    ------
    UsageError
        If there is no such site, nobody says why, the device serves another site, or nothing
        would change.
    """
    if name not in sites:
        message = f"no site {name!r} is known{_similar(name, sites)}: `clearway gateway site list`"
        raise UsageError(message)
    _require_words(change)
    site = sites[name]
    state = change.state or site.state
    gateway = change.gateway or site.gateway
    _require_free(sites.values(), name, gateway, state)
    if state is State.ACTIVE and gateway is None:
        message = f"{name} has no device, so that it cannot be active: add --gateway NAME"
        raise UsageError(message)
    if (state, gateway) == (site.state, site.gateway):
        message = (
            f"{name} is {site.state} with {site.gateway or 'no device'} already, since "
            f"{site.valid_from_at:%Y-%m-%d %H:%M}Z: nothing was written"
        )
        raise UsageError(message)
    return replace(
        site,
        state=state,
        # Who takes a site down takes the device with them: it is free for another site.
        gateway=None if state is State.DECOMMISSIONED else gateway,
        valid_from_at=now,
        reason=change.reason.strip(),
        decided_by=change.decided_by.strip(),
        decided_at=now,
    )


def _require_words(change: Change) -> None:
    missing = [
        option
        for option, words in (("--reason", change.reason), ("--by", change.decided_by))
        if not words.strip()
    ]
    if missing:
        message = (
            f"expected words after {' and '.join(missing)}, got none: say why, and who you are"
        )
        raise UsageError(message)
    if change.gateway is not None and NAME.fullmatch(change.gateway) is None:
        message = (
            f"expected a device name of small letters, digits, . _ or -, got {change.gateway!r}"
        )
        raise UsageError(message)


def _require_free(sites: Iterable[Site], name: str, gateway: str | None, state: State) -> None:
    if gateway is None or state is State.DECOMMISSIONED:
        return
    for other in sites:
        if other.gateway == gateway and other.site != name:
            message = (
                f"{gateway} serves {other.site} ({other.site_name}, {other.state}): a device "
                f"serves one site. Give {other.site} another device first, or decommission it: "
                f"clearway gateway site set {other.site} --state decommissioned --reason … --by …"
            )
            raise UsageError(message)


def _similar(name: str, sites: Mapping[str, Site] | Sequence[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 -- only for a typing error

    close = get_close_matches(name, list(sites), n=1)
    return f"; did you mean {close[0]}?" if close else ""
