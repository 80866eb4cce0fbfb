"""How the fleet is told to people: a table of sites, and what to repair where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from rich.text import Text

from clearway_cli.output import say_rows
from clearway_fleet.finding import bytes_words, duration_words
from clearway_fleet.looking import Repair, SiteStatus

_STYLES = {1: "bold red", 2: "yellow", 3: "cyan"}


def say_fleet(statuses: Sequence[SiteStatus], now: datetime) -> None:
    """Print a line for each site, most urgent first."""
    say_rows(
        None,
        ("site", "device", "state", "last seen", "waiting", "clock", "sensors", "to do"),
        (
            (
                status.site,
                status.gateway or "none",
                status.state,
                _ago(status.last_seen_at, now),
                _waiting(status),
                "" if status.skew_s is None else f"{status.skew_s:+.1f} s",
                _sensors(status),
                Text(
                    ", ".join(repair.title for repair in status.repairs),
                    style=_STYLES.get(status.urgency, ""),
                ),
            )
            for status in statuses
        ),
    )


def site_rows(status: SiteStatus, now: datetime) -> Mapping[str, object]:
    """Return everything known of a site, by name; None where the device does not tell."""
    certificate = status.certificate_expires_at
    temperature = status.cpu_temperature_c
    return {
        "device": status.gateway or "none",
        "state": status.state,
        "last seen": _ago(status.last_seen_at, now),
        "reports take": None if status.lag_s is None else duration_words(status.lag_s),
        "forwarder": status.forwarder_state,
        "waiting": _waiting(status) or None,
        "clock off by": None if status.skew_s is None else f"{status.skew_s:+.2f} s",
        "lost since yesterday": dict(status.losses) or None,
        "sensors": _sensors(status) or None,
        "disk free": None
        if status.disk_free_bytes is None
        else bytes_words(status.disk_free_bytes),
        "processor": None if temperature is None else f"{temperature:.0f} °C",
        "certificate until": None if certificate is None else f"{certificate:%Y-%m-%d}",
        "version": status.version,
    }


def repair_lines(
    statuses: Sequence[SiteStatus], elsewhere: Sequence[Repair], now: datetime
) -> list[str]:
    """Return what to repair, by site, most urgent first."""
    lines = []
    for status in statuses:
        if status.repairs:
            lines.append(f"{status.site_name} ({status.site}, {status.gateway or 'no device'})")
            lines += _lines(status.repairs, now)
    if elsewhere:
        lines.append("Elsewhere")
        lines += _lines(elsewhere, now)
    return lines or ["Nothing to do."]


def _lines(repairs: Sequence[Repair], now: datetime) -> list[str]:
    lines = []
    for repair in repairs:
        since = duration_words(max(0.0, (now - repair.since_at).total_seconds()))
        lines += [
            f"  {repair.title}, for {since}: {repair.detail}",
            f"    bring: {repair.bring}",
            f"    first: {repair.first}",
        ]
    return lines


def _ago(instant: datetime | None, now: datetime) -> str:
    if instant is None:
        return "never"
    return f"{duration_words(max(0.0, (now - instant).total_seconds()))} ago"


def _waiting(status: SiteStatus) -> str:
    if not status.n_spooled:
        return "" if status.n_spooled is None else "0"
    words = f"{status.n_spooled:,}"
    if status.spooled_bytes:
        words += f", {bytes_words(status.spooled_bytes)}"
    if status.oldest_spooled_age_s is not None:
        words += f", {duration_words(status.oldest_spooled_age_s)} old"
    return words


def _sensors(status: SiteStatus) -> str:
    if status.lost_sensors:
        return f"lost: {', '.join(status.lost_sensors)}"
    age_s = status.oldest_sensor_age_s
    return "" if age_s is None else f"all read within {duration_words(max(1.0, age_s))}"
