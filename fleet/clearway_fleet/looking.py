"""One look at the lake: every site with its device, and everything that needs a hand."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain

from clearway_core.lake import Lake
from clearway_fleet.causes import NOTHING_HEARD, causes
from clearway_fleet.centre import books_findings, ingest_words, quarantine_findings
from clearway_fleet.devices import device_findings, losses_of, worst_sensor
from clearway_fleet.finding import Finding
from clearway_fleet.habits import Situation, provider_findings
from clearway_fleet.reports import RECENT, Heard, last_heard, read_heard
from clearway_fleet.silence import Listening, silences
from clearway_fleet.sites import Site, State, read_register
from clearway_fleet.thresholds import Thresholds, thresholds
from clearway_fleet.words import bring_words

_FINE = 9
"""Urgency of a site that needs nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What to do, and about what."""

    cause: str
    about: str
    title: str
    detail: str
    since_at: datetime
    bring: str
    first: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteStatus:
    """One site and its device as the lake knows them; None is "not told".

    Parameters
    ----------
    site, site_name, gateway, state
        From the register.
    urgency
        From 1 (readings are being lost) to 3 (plan a visit); 9 for nothing to do.
    last_seen_at
        When the log took its last report.
    lag_s
        How long that report was on its way. [s]
    n_spooled, spooled_bytes, oldest_spooled_age_s
        What waits on the device.
    skew_s
        Its clock minus the reference. [s]
    losses
        Readings given up since yesterday, by reason; those given up by design are left out.
    oldest_sensor_age_s, lost_sensors
        Since the last reading of the sensor that is silent longest; names of those that give
        nothing.
    version, forwarder_state, disk_free_bytes, cpu_temperature_c, certificate_expires_at
        As the device told last.
    repairs
        What to do, most urgent first; for active sites only.
    """

    site: str
    site_name: str
    gateway: str | None
    state: str
    urgency: int
    last_seen_at: datetime | None
    lag_s: float | None = None
    n_spooled: int | None = None
    spooled_bytes: int | None = None
    oldest_spooled_age_s: float | None = None
    skew_s: float | None = None
    losses: Mapping[str, int] = field(default_factory=dict)
    oldest_sensor_age_s: float | None = None
    lost_sensors: tuple[str, ...] = ()
    version: str | None = None
    forwarder_state: str | None = None
    disk_free_bytes: int | None = None
    cpu_temperature_c: float | None = None
    certificate_expires_at: datetime | None = None
    repairs: tuple[Repair, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look has found.

    Parameters
    ----------
    at
        When.
    sites
        Every site as it is, decommissioned ones too.
    statuses
        Every site but decommissioned ones, most urgent first.
    findings
        Everything that needs a hand, or did a moment ago.
    unknown
        Devices that were heard lately and serve no site.
    """

    at: datetime
    sites: Mapping[str, Site]
    statuses: tuple[SiteStatus, ...]
    findings: tuple[Finding, ...]
    unknown: tuple[str, ...]

    @property
    def elsewhere(self) -> tuple[Repair, ...]:
        """What needs a hand and is about no single site."""
        sites = {status.site for status in self.statuses}
        return tuple(
            _repair(finding)
            for finding in self.findings
            if finding.active and finding.site not in sites
        )


def look(
    lake: Lake,
    now: datetime,
    *,
    delay: timedelta = timedelta(0),
    missed: Collection[str] = (),
) -> Look:
    """Look at the lake once; nothing is written.

    Parameters
    ----------
    lake
        The lake.
    now
        The moment of the look.
    delay
        How long readings take to the lake where ingest does not run all the time.
    missed
        Providers with an open alarm.
    """
    limits = thresholds()
    sites = read_register(lake).at(now)
    heard = read_heard(lake, now)
    watched = {name: site for name, site in sites.items() if site.state is State.ACTIVE}
    last = _last(lake, sites, heard, now)
    listening = {name: _listening(site, heard, last, now) for name, site in watched.items()}
    silent = silences(listening, now, limits=limits, delay=delay, centre=ingest_words(lake, now))
    blind = any(finding.cause == NOTHING_HEARD for finding in silent)
    quiet = {finding.about for finding in silent} & watched.keys()
    cut_off = {gateway for name in quiet if (gateway := sites[name].gateway)}
    providers = Situation(
        now=now, limits=limits, delay=delay, blind=blind, silent_gateways=cut_off, missed=missed
    )
    found = chain(
        silent,
        _told_by_devices(watched, heard, watched.keys() if blind else quiet, now, limits),
        books_findings(lake, {site.gateway: name for name, site in sites.items() if site.gateway}),
        quarantine_findings(lake, now, limits),
        provider_findings(lake, providers),
    )
    findings = tuple(finding for finding in found if _is_watched(finding, sites))
    return Look(
        at=now,
        sites=sites,
        statuses=_statuses(sites, heard, last, findings, limits),
        findings=findings,
        unknown=tuple(sorted(heard.keys() - {site.gateway for site in sites.values()})),
    )


def _told_by_devices(
    watched: Mapping[str, Site],
    heard: Mapping[str, Heard],
    unheard: Collection[str],
    now: datetime,
    limits: Thresholds,
) -> Iterator[Finding]:
    for name, site in watched.items():
        device = _since_valid(heard.get(site.gateway or "", Heard()), site)
        yield from device_findings(name, device, now, limits=limits, silent=name in unheard)


def _since_valid(heard: Heard, site: Site) -> Heard:
    """Return what a device said since it serves the site: not what it said on the bench."""
    if heard.latest is None or heard.latest.received_at < site.valid_from_at:
        return Heard()
    recent = [report for report in heard.recent if report.received_at >= site.valid_from_at]
    return replace(heard, recent=recent)


def _is_watched(finding: Finding, sites: Mapping[str, Site]) -> bool:
    """Return whether alarms may be sent: of a site only while it is active."""
    site = sites.get(finding.site)
    return site is None or site.state is State.ACTIVE


def _last(
    lake: Lake, sites: Mapping[str, Site], heard: Mapping[str, Heard], now: datetime
) -> dict[str, datetime]:
    """Return when each device of a site was heard last; absent: never, or more than 35 days ago."""
    last = {
        gateway: each.latest.received_at
        for gateway, each in heard.items()
        if each.latest is not None
    }
    missing = [
        site.gateway
        for site in sites.values()
        if site.gateway is not None
        and site.gateway not in last
        and site.state is not State.DECOMMISSIONED
    ]
    return last | last_heard(lake, missing, now)


def _listening(
    site: Site, heard: Mapping[str, Heard], last: Mapping[str, datetime], now: datetime
) -> Listening:
    device = heard.get(site.gateway or "", Heard())
    # A device that has just been put up, or comes back from maintenance, gets its time.
    last_at = max(site.valid_from_at, last.get(site.gateway or "", site.valid_from_at))
    return Listening(
        last_at=last_at,
        first_at=max(site.valid_from_at, now - RECENT),
        times=[
            report.received_at
            for report in device.recent
            if report.received_at >= site.valid_from_at
        ],
    )


def _statuses(
    sites: Mapping[str, Site],
    heard: Mapping[str, Heard],
    last: Mapping[str, datetime],
    findings: Collection[Finding],
    limits: Thresholds,
) -> tuple[SiteStatus, ...]:
    repairs: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.active:
            repairs.setdefault(finding.site, []).append(finding)
    statuses = [
        _status(site, heard.get(site.gateway or "", Heard()), last, repairs.get(name, []), limits)
        for name, site in sites.items()
        if site.state is not State.DECOMMISSIONED
    ]
    return tuple(sorted(statuses, key=lambda status: (status.urgency, status.site)))


def _status(
    site: Site,
    heard: Heard,
    last: Mapping[str, datetime],
    findings: Collection[Finding],
    limits: Thresholds,
) -> SiteStatus:
    known = causes()
    ordered = sorted(findings, key=lambda finding: (known[finding.cause].urgency, finding.cause))
    report = heard.latest
    status = SiteStatus(
        site=site.site,
        site_name=site.site_name,
        gateway=site.gateway,
        state=site.state.value,
        urgency=min((known[finding.cause].urgency for finding in ordered), default=_FINE),
        last_seen_at=last.get(site.gateway or ""),
        repairs=tuple(_repair(finding) for finding in ordered),
    )
    if report is None:
        return status
    return replace(
        status,
        lag_s=report.delay_s,
        n_spooled=report.n_spooled,
        spooled_bytes=report.spooled_bytes,
        oldest_spooled_age_s=report.oldest_spooled_age_s,
        skew_s=report.skew_s,
        losses=losses_of(heard, limits),
        oldest_sensor_age_s=worst_sensor(report.sensors),
        lost_sensors=tuple(n for n, s in report.sensors.items() if s.state == "lost"),
        version=report.version,
        forwarder_state=report.forwarder_state,
        disk_free_bytes=report.disk_free_bytes,
        cpu_temperature_c=report.cpu_temperature_c,
        certificate_expires_at=report.certificate_expires_at,
    )


def _repair(finding: Finding) -> Repair:
    cause = causes()[finding.cause]
    _, _, part = finding.about.partition("/")
    return Repair(
        cause=finding.cause,
        about=finding.about,
        title=cause.title,
        detail=f"{part}: {finding.detail}" if part else finding.detail,
        since_at=finding.since_at,
        bring=bring_words(finding),
        first=cause.first,
    )
