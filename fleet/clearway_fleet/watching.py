"""One look of the watch: find, decide, write down, send, write down what became of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import uuid4

from clearway_core.clock import Clock
from clearway_core.errors import DeliveryFailed
from clearway_core.lake import Lake
from clearway_fleet.alarms import Due, Kind, decide
from clearway_fleet.alert_settings import AlertSettings
from clearway_fleet.causes import PROVIDER_SILENT
from clearway_fleet.channels import Channel
from clearway_fleet.digest import digest_due, digest_notice
from clearway_fleet.ledger import Ledger, Notice, Outcome, claim, read_ledger, settle, tidy
from clearway_fleet.looking import Look, look
from clearway_fleet.thresholds import thresholds
from clearway_fleet.words import Teller


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchAccount:
    """What one look of the watch did.

    Parameters
    ----------
    sites
        Sites that are watched.
    findings
        Everything that needs a hand now.
    open_alarms
        Alarms without all-clear, those of this look included.
    sent
        First lines of what was sent to all its channels.
    failed
        First lines of what some channel did not take, with the reason; tried again next time.
    beaten
        Whether another watcher was at the same work, so that this one sent nothing.
    """

    sites: int
    findings: int
    open_alarms: int
    sent: tuple[str, ...]
    failed: Mapping[str, str]
    beaten: bool


def watch_once(
    lake: Lake, settings: AlertSettings, channels: Mapping[str, Channel], clock: Clock
) -> WatchAccount:
    """Look at the fleet once, and tell people what they have not been told.

    Parameters
    ----------
    lake
        Holds everything that is looked at, and the table of what was said.
    settings
        Who is told, and when.
    channels
        By name; see `clearway_fleet.channels`.
    clock
        Tells now.
    """
    now = clock.now()
    # Read before looking: whoever writes meanwhile makes the claim below fail.
    ledger = read_ledger(lake, now)
    missed = {
        name for alarm in ledger.open if alarm.cause == PROVIDER_SILENT for name in alarm.about
    }
    seen = look(lake, now, delay=settings.delay, missed=missed)
    notices, n_open = _notices(ledger, seen, settings)
    watcher = uuid4().hex
    beaten = bool(notices) and not claim(lake, notices, ledger, watcher=watcher, now=now)
    outcomes = [] if beaten else _send_all(lake, notices, channels, clock=clock, watcher=watcher)
    if outcomes:
        tidy(lake)
    return WatchAccount(
        sites=sum(status.state == "active" for status in seen.statuses),
        findings=sum(finding.active for finding in seen.findings),
        open_alarms=len(ledger.open) if beaten else n_open,
        sent=tuple(outcome.notice.subject for outcome in outcomes if outcome.error is None),
        failed={
            outcome.notice.subject: outcome.error
            for outcome in outcomes
            if outcome.error is not None
        },
        beaten=beaten,
    )


def _notices(ledger: Ledger, seen: Look, settings: AlertSettings) -> tuple[list[Notice], int]:
    """Return everything that is to be said now, oldest first, and how many alarms are then open."""
    teller = Teller(
        sites=seen.sites, time_zone=settings.time_zone, look_at=settings.look_at, now=seen.at
    )
    due = decide(
        seen.findings,
        ledger.open,
        roll_up=thresholds().roll_up_sites,
        new_id=lambda cause, about: _alarm_id(cause, about, seen.at),
    )
    new = [_notice(one, teller, settings.channels) for one in due]
    n_ended = sum(one.kind is Kind.ALL_CLEAR for one in due)
    n_begun = sum(one.kind is Kind.ALARM and not one.narrows for one in due)
    n_open = len(ledger.open) + n_begun - n_ended
    digest = digest_due(ledger, seen.at, teller, settings.digest_hour)
    if digest is not None:
        new.append(
            digest_notice(
                digest, seen, ledger, teller=teller, channels=settings.channels, n_open=n_open
            )
        )
    return [*_still_wanted(ledger.unsent, settings), *new], n_open


def _still_wanted(unsent: Sequence[Notice], settings: AlertSettings) -> list[Notice]:
    """Return what was left unsent, but for channels that are no longer in the settings."""
    kept = []
    for notice in unsent:
        channels = tuple(name for name in notice.channels if name in settings.channels)
        if channels:
            kept.append(replace(notice, channels=channels))
    return kept


def _notice(due: Due, teller: Teller, channels: tuple[str, ...]) -> Notice:
    return Notice(
        alarm_id=due.alarm_id,
        kind=due.kind,
        cause=due.cause,
        about=due.about,
        since_at=due.since_at,
        subject=teller.subject(due),
        words=teller.text(due),
        channels=() if due.quiet else channels,
        narrows=due.narrows,
    )


def _alarm_id(cause: str, about: Sequence[str], now: datetime) -> str:
    name = "|".join((cause, *about, now.isoformat()))
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def _send_all(
    lake: Lake,
    notices: Sequence[Notice],
    channels: Mapping[str, Channel],
    *,
    clock: Clock,
    watcher: str,
) -> list[Outcome]:
    outcomes = []
    broken: dict[str, str] = {}
    for notice in notices:
        if not notice.channels:
            continue
        outcome = _send(notice, channels, broken, clock)
        settle(lake, outcome, watcher=watcher, now=clock.now())
        outcomes.append(outcome)
    return outcomes


def _send(
    notice: Notice, channels: Mapping[str, Channel], broken: dict[str, str], clock: Clock
) -> Outcome:
    """Send to each channel; one that has just failed is left alone, so that order is kept."""
    sent = []
    for name in notice.channels:
        if name in broken:
            continue
        try:
            channels[name].send(notice, clock.now())
        except DeliveryFailed as error:
            broken[name] = str(error)
        else:
            sent.append(name)
    failed = [f"{name}: {broken[name]}" for name in notice.channels if name not in sent]
    return Outcome(notice=notice, sent=tuple(sent), error="; ".join(failed) or None)
