"""Whether a provider that sends nothing normally would: its own gaps at this time of day."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import polars as pl

from clearway_core.lake import Lake
from clearway_fleet.causes import PROVIDER_SILENT
from clearway_fleet.finding import Finding, duration_words
from clearway_fleet.thresholds import Thresholds

_BEFORE = timedelta(hours=2)
_AFTER = timedelta(hours=1)
"""The same time of day: from two hours before it to one after."""

_WEEK_D = 7
_LAST_SENT = timedelta(days=2)
_OUTAGES_LEFT_OUT = 1
"""Of the days before, so that one earlier outage does not make an outage usual."""

Days = Mapping[int, Collection[datetime]]
"""Minutes in which a provider sent, by how many days ago they were; days without any are absent."""


def usual_gap_s(days: Days, now: datetime, limits: Thresholds) -> float | None:
    """Return how long a provider pauses at most at this time of such a day, None if it cannot tell.

    Parameters
    ----------
    days
        What it sent around this time of the days before.
    now
        The moment of the look.
    limits
        How many days make a habit.

    Returns
    -------
    float or None
        The longest gap within the hours around this time: of the second worst day, or of the same
        day of the week if that is longer. None where it did not send on that day of the week, or
        is too new. [s]
    """
    gaps = {
        ago: _longest_gap_s(minutes, now - timedelta(days=ago)) for ago, minutes in days.items()
    }
    weekly = [gap for ago, gap in gaps.items() if ago % _WEEK_D == 0]
    sends_daily = list(gaps) and sorted(gaps) == list(range(1, max(gaps) + 1))
    is_new = max(gaps, default=0) < _WEEK_D
    if len(gaps) < limits.provider_least_days_d or not (weekly or (is_new and sends_daily)):
        return None
    longest = sorted(gaps.values())[-1 - _OUTAGES_LEFT_OUT]
    return max(longest, min(weekly, default=0.0))


def _longest_gap_s(minutes: Collection[datetime], centre: datetime) -> float:
    marks = [centre - _BEFORE, *sorted(minutes), centre + _AFTER]
    return max((later - earlier).total_seconds() for earlier, later in pairwise(marks))


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """How providers are looked at.

    Parameters
    ----------
    now
        The moment of the look.
    limits
        When a provider is missed.
    delay
        How long readings take to the lake.
    blind
        Whether no gateway is heard: then nobody can tell, and no alarm is raised.
    silent_gateways
        Gateways that are not heard: what comes through them only is told with them.
    missed
        Providers with an open alarm: they are missed until they send, however long that takes.
    """

    now: datetime
    limits: Thresholds
    delay: timedelta = timedelta(0)
    blind: bool = False
    silent_gateways: Collection[str] = ()
    missed: Collection[str] = ()


def provider_findings(lake: Lake, situation: Situation) -> list[Finding]:
    """Return the providers that send nothing although they normally would.

    Of `gps_pings`, only provider and time of three hours of each of the last days are read.
    """
    now = situation.now
    sent = _minutes(lake, now, range(round(situation.limits.provider_history_d) + 1))
    unheard = {name for name in {*sent, *situation.missed} if not sent.get(name, {}).get(0)}
    last = _last_sent(lake, now, unheard)
    found = []
    for name in sorted({*sent, *situation.missed}):
        days = dict(sent.get(name, {}))
        today = sorted(days.pop(0, ()))
        last_at = today[-1] if today else last.get(name)
        finding = _finding(
            name, today, last_at, situation, usual_gap_s(days, now, situation.limits)
        )
        if finding is not None:
            found.append(finding)
    if found and situation.silent_gateways:
        behind = _only_through(lake, now, situation.silent_gateways)
        found = [replace(one, active=one.active and one.about not in behind) for one in found]
    return found


def _finding(
    name: str,
    today: list[datetime],
    last_at: datetime | None,
    situation: Situation,
    usual_s: float | None,
) -> Finding | None:
    limits, now = situation.limits, situation.now
    silent_s = (now - situation.delay - (last_at or now - _LAST_SENT)).total_seconds()
    is_usual = usual_s is not None and usual_s <= limits.provider_longest_gap_s
    longest_s = max(limits.provider_silent_s, limits.provider_usual_gap_factor * (usual_s or 0.0))
    active = is_usual and silent_s > longest_s
    is_missed = name in situation.missed and (
        silent_s > limits.provider_silent_s or _was_silent(today, now, longest_s, limits)
    )
    if not (active or is_missed):
        return None
    detail = f"nothing for {duration_words(silent_s)}"
    if usual_s is not None:
        detail += f"; at this time of day it pauses for {duration_words(usual_s)} at most"
    return Finding(
        cause=PROVIDER_SILENT,
        about=name,
        since_at=last_at or now - _LAST_SENT,
        detail=detail,
        active=active and not situation.blind,
    )


def _was_silent(today: list[datetime], now: datetime, longest_s: float, limits: Thresholds) -> bool:
    """Return whether a silence ended less than a calm period ago."""
    marks = [now - _BEFORE, *today]
    return any(
        (later - earlier).total_seconds() > longest_s
        and (now - later).total_seconds() < limits.calm_period_s
        for earlier, later in pairwise(marks)
    )


def _minutes(
    lake: Lake, now: datetime, days_ago: Collection[int]
) -> dict[str, dict[int, list[datetime]]]:
    """Return the minutes in which each provider sent, by provider and days ago."""
    table = lake.table("gps_pings")
    found: dict[str, dict[int, list[datetime]]] = {}
    for ago in days_ago:
        centre = now - timedelta(days=ago)
        first, last = centre - _BEFORE, centre + (_AFTER if ago else timedelta(0))
        rows = (
            table.scan(
                [
                    ("observed_date", ">=", first.date().isoformat()),
                    ("observed_date", "<=", last.date().isoformat()),
                ]
            )
            .filter(pl.col("observed_at").is_between(first, last))
            .select("provider", pl.col("observed_at").dt.truncate("1m"))
            .unique()
            .collect()
        )
        for provider, minute in rows.sort("provider", "observed_at").iter_rows():
            found.setdefault(provider, {}).setdefault(ago, []).append(minute)
    return found


def _only_through(lake: Lake, now: datetime, gateways: Collection[str]) -> set[str]:
    """Return the providers whose fixes of the last two days came through these gateways only."""
    since = (now - _LAST_SENT).date().isoformat()
    rows = (
        lake.table("gps_pings")
        .scan([("observed_date", ">=", since)])
        .group_by("provider")
        .agg(pl.col("gateway").is_in(list(gateways)).all())
        .filter(pl.col("gateway"))
        .collect()
    )
    return set(rows["provider"].to_list())


def _last_sent(lake: Lake, now: datetime, providers: Collection[str]) -> dict[str, datetime]:
    """Return when each of some providers sent last, up to two days ago."""
    if not providers:
        return {}
    since = now - _LAST_SENT
    rows = (
        lake.table("gps_pings")
        .scan([("observed_date", ">=", since.astimezone(UTC).date().isoformat())])
        .filter(pl.col("provider").is_in(list(providers)), pl.col("observed_at") <= now)
        .group_by("provider")
        .agg(pl.col("observed_at").max())
        .collect()
    )
    return dict(rows.iter_rows())
