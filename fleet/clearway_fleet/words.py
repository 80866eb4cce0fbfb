"""What people are told: short, plain, with what to bring; no coordinates, no secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from clearway_fleet.alarms import Due, Kind
from clearway_fleet.causes import causes
from clearway_fleet.finding import Finding, duration_words
from clearway_fleet.silence import EVERYWHERE
from clearway_fleet.sites import Site, State

_MOST_LINES = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Teller:
    """Turns what is due into words.

    Parameters
    ----------
    sites
        Every site as it is now.
    time_zone
        In which people read times.
    look_at
        Where people look further: an address, or None.
    now
        The moment of the look.
    """

    sites: Mapping[str, Site]
    time_zone: ZoneInfo
    look_at: str | None
    now: datetime

    def subject(self, due: Due) -> str:
        """Return the first line."""
        what = _small(causes()[due.cause].title)
        place = self._place(due.about)
        if due.kind is Kind.ALL_CLEAR:
            line = f"All clear{': ' + place if place else ''}, was: {what}"
        else:
            since = self._time(due.since_at)
            line = f"Alarm: {place + ': ' if place else ''}{what}, since {since}"
        return " ".join(line.split())

    def text(self, due: Due) -> str:
        """Return everything."""
        return self._over(due) if due.kind is Kind.ALL_CLEAR else self._alarm(due)

    def name(self, about: str) -> str:
        """Return what something is about, by the name that people use."""
        place, _, part = about.partition("/")
        site = self.sites.get(place)
        named = f"{site.site_name} ({place})" if site is not None else place
        return f"{named}, {part}" if part else named

    def _alarm(self, due: Due) -> str:
        cause = causes()[due.cause]
        lines = [f"{cause.title}, since {self._time(due.since_at)}.", ""]
        if due.about == (EVERYWHERE,):
            lines.append(_sentence(due.findings[0].detail))
        else:
            lines += self._each(due.findings, lambda one: f"{self.name(one.about)}: {one.detail}")
        lines += [
            "",
            f"Bring: {'; '.join(_brings(due.findings))}",
            f"First: {cause.first}",
            f"Look:  {self._look(due)}",
            f"Help:  docs/runbooks/alarms.md, section {due.cause}",
            "",
            "You are told once; an all-clear follows.",
        ]
        return "\n".join(lines)

    def _over(self, due: Due) -> str:
        cause = causes()[due.cause]
        lasted = duration_words(max(0.0, (self.now - due.since_at).total_seconds()))
        lines = [
            f"Over: {_small(cause.title)}, since {self._time(due.since_at)}, for {lasted}.",
            "",
        ]
        if due.about != (EVERYWHERE,):
            lines += [f"{self.name(about)}{self._unwatched(about)}" for about in due.about]
        lines += ["", f"Look:  {self._look(due)}"]
        return "\n".join(lines)

    def _unwatched(self, about: str) -> str:
        site = self.sites.get(about.partition("/")[0])
        if site is None or site.state is State.ACTIVE:
            return ""
        return (
            f": no longer watched, {site.state} since {self._time(site.valid_from_at)} "
            f"({site.decided_by}: {site.reason})"
        )

    def _each(self, findings: Sequence[Finding], line: Callable[[Finding], str]) -> list[str]:
        lines = [line(finding) for finding in findings[:_MOST_LINES]]
        if len(findings) > _MOST_LINES:
            lines.append(f"… and {len(findings) - _MOST_LINES} more")
        return lines

    def _look(self, due: Due) -> str:
        command = "clearway gateway fleet"
        if len(due.about) == 1 and due.about[0].partition("/")[0] in self.sites:
            command += f" --site {due.about[0].partition('/')[0]}"
        return command if self.look_at is None else f"{command}, {self.look_at}"

    def _place(self, about: Sequence[str]) -> str:
        if about == (EVERYWHERE,):
            return ""
        if len(about) == 1:
            return self.name(about[0])
        places = list(dict.fromkeys(each.partition("/")[0] for each in about))
        known = all(place in self.sites for place in places)
        return f"{len(places)} {'sites' if known else 'sources of data'}"

    def _time(self, instant: datetime) -> str:
        local = instant.astimezone(self.time_zone)
        same_day = local.date() == self.now.astimezone(self.time_zone).date()
        return f"{local:%H:%M}" if same_day else f"{local:%Y-%m-%d %H:%M}"


def bring_words(finding: Finding) -> str:
    """Return what to take along for a finding."""
    return finding.bring or causes()[finding.cause].bring


def _brings(findings: Sequence[Finding]) -> list[str]:
    return list(dict.fromkeys(bring_words(finding) for finding in findings))


def _small(title: str) -> str:
    return title[:1].lower() + title[1:]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
