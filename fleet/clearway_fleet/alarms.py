"""Which alarms and all-clears are due: one alarm for a cause until its all-clear, without I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from clearway_fleet.causes import NO_ALARM, TAKES_OVER
from clearway_fleet.finding import Finding


class Kind(StrEnum):
    """What is said."""

    ALARM = "alarm"
    ALL_CLEAR = "all_clear"
    DIGEST = "digest"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAlarm:
    """An alarm without all-clear.

    Parameters
    ----------
    alarm_id
        Its identity.
    cause
        Name of the cause.
    about
        Sites, ``site/sensor``, providers or contracts.
    since_at
        Since when the cause holds.
    """

    alarm_id: str
    cause: str
    about: frozenset[str]
    since_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """Something that has to be said.

    Parameters
    ----------
    kind, alarm_id, cause, about, since_at
        As the table holds them.
    findings
        What an alarm is about.
    quiet
        Whether nobody needs to be told, since another alarm says it.
    """

    kind: Kind
    alarm_id: str
    cause: str
    about: tuple[str, ...]
    since_at: datetime
    findings: tuple[Finding, ...] = ()
    quiet: bool = False


def decide(
    findings: Iterable[Finding],
    alarms: Sequence[OpenAlarm],
    *,
    roll_up: float,
    new_id: Callable[[str, Sequence[str]], str],
) -> list[Due]:
    """Return the alarms and all-clears that are due.

    Parameters
    ----------
    findings
        What this look has found.
    alarms
        What is open.
    roll_up
        So many findings of one cause, new in one look, make one alarm.
    new_id
        Names an alarm by its cause and what it is about.

    Notes
    -----
    After what comes back was said, every active finding is covered by exactly one open alarm, and
    no open alarm is without a finding.
    """
    found = [finding for finding in findings if finding.cause not in NO_ALARM]
    active = [finding for finding in found if finding.active]
    present = {(finding.cause, finding.about) for finding in found}
    covered = {(alarm.cause, about) for alarm in alarms for about in alarm.about}
    taken_over = {(TAKES_OVER.get(finding.cause), finding.about) for finding in active}
    due = [
        Due(
            kind=Kind.ALL_CLEAR,
            alarm_id=alarm.alarm_id,
            cause=alarm.cause,
            about=tuple(sorted(alarm.about)),
            since_at=alarm.since_at,
            quiet=any((alarm.cause, about) in taken_over for about in alarm.about),
        )
        for alarm in alarms
        if not any((alarm.cause, about) in present for about in alarm.about)
    ]
    new = [finding for finding in active if (finding.cause, finding.about) not in covered]
    return due + [_alarm(group, new_id) for group in _groups(new, roll_up)]


def _groups(new: Sequence[Finding], roll_up: float) -> list[list[Finding]]:
    by_cause: dict[str, dict[str, Finding]] = {}
    for finding in new:
        by_cause.setdefault(finding.cause, {})[finding.about] = finding
    groups: list[list[Finding]] = []
    for findings in by_cause.values():
        if len(findings) >= roll_up:
            groups.append(sorted(findings.values(), key=lambda finding: finding.about))
        else:
            groups += [[finding] for finding in findings.values()]
    return groups


def _alarm(group: Sequence[Finding], new_id: Callable[[str, Sequence[str]], str]) -> Due:
    about = tuple(finding.about for finding in group)
    return Due(
        kind=Kind.ALARM,
        alarm_id=new_id(group[0].cause, about),
        cause=group[0].cause,
        about=about,
        since_at=min(finding.since_at for finding in group),
        findings=tuple(group),
    )
