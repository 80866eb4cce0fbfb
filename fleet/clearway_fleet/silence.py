"""Which gateways are silent, and whether that has one common cause.

A single gateway is judged by the others: it is silent if it was not heard for a while before the
moment at which any gateway was heard last. So neither a lake that is filled once an hour nor an
outage of the broker makes single alarms. All together are judged by the clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from clearway_fleet.causes import GATEWAY_SILENT, NOTHING_HEARD
from clearway_fleet.finding import Finding, duration_words
from clearway_fleet.thresholds import Thresholds

EVERYWHERE = "*"
"""What the common cause is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """When the gateway of one watched site was heard.

    Parameters
    ----------
    last_at
        When it was heard last, or since when it should be heard.
    first_at
        From when on `times` are complete.
    times
        When the log took its reports lately, in order.
    """

    last_at: datetime
    first_at: datetime
    times: Sequence[datetime]


def silences(
    sites: Mapping[str, Listening],
    now: datetime,
    *,
    limits: Thresholds,
    delay: timedelta,
    centre: str = "",
) -> list[Finding]:
    """Return what is silent: everything as one finding, or single sites.

    Parameters
    ----------
    sites
        The sites that are watched.
    now
        The moment of the look.
    limits
        When silence counts.
    delay
        How long readings take to the lake where ingest does not run all the time.
    centre
        What is known of the centre, for the words about a common cause.
    """
    if not sites:
        return []
    longest = timedelta(seconds=limits.silence_gateway_s)
    by_clock = {name for name, one in sites.items() if now - delay - one.last_at > longest}
    calming = {name for name, one in sites.items() if _was_silent(one, now, limits)}
    is_fleet = len(sites) >= limits.silence_fleet_of
    horizon = max(one.last_at for one in sites.values()) if is_fleet else now - delay
    share = limits.silence_common_share * len(sites)
    is_common = is_fleet and len(by_clock) >= share
    was_common = is_fleet and len(by_clock | calming) >= share
    found = [
        Finding(
            cause=GATEWAY_SILENT,
            about=name,
            since_at=one.last_at,
            detail=f"not heard for {duration_words((now - one.last_at).total_seconds())}",
            active=not was_common and horizon - one.last_at > longest,
        )
        for name, one in sites.items()
        if name in by_clock | calming or horizon - one.last_at > longest
    ]
    if was_common:
        found.append(_common(sites, by_clock, now, active=is_common, centre=centre))
    return found


def _was_silent(one: Listening, now: datetime, limits: Thresholds) -> bool:
    """Return whether a silence ended less than a calm period ago."""
    before = one.first_at
    for heard_at in one.times:
        ended_lately = now - heard_at < timedelta(seconds=limits.calm_period_s)
        if heard_at - before > timedelta(seconds=limits.silence_gateway_s) and ended_lately:
            return True
        before = heard_at
    return False


def _common(
    sites: Mapping[str, Listening],
    silent: set[str],
    now: datetime,
    *,
    active: bool,
    centre: str,
) -> Finding:
    since_at = max((sites[name].last_at for name in silent), default=now)
    n_heard = len(sites) - len(silent)
    how_many = f"only {n_heard} of {len(sites)} gateways are" if n_heard else "no gateway is"
    detail = f"{how_many} heard since then: broker, network or ingest"
    return Finding(
        cause=NOTHING_HEARD,
        about=EVERYWHERE,
        since_at=since_at,
        detail=f"{detail}. {centre}".rstrip(". ") if centre else detail,
        active=active,
    )
