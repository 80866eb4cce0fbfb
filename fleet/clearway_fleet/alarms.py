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
        Sites, ``site/sensor``, providers or contracts that still have the cause.
    named
        Those that people were told of.
    since_at
        Since when the cause holds.
    """

    alarm_id: str
    cause: str
    about: frozenset[str]
    named: frozenset[str]
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
    narrows
        Whether an open alarm is about fewer places from now on, so that one that is well again can
        have an alarm of its own later; nobody is told of that.
    """

    kind: Kind
    alarm_id: str
    cause: str
    about: tuple[str, ...]
    since_at: datetime
    findings: tuple[Finding, ...] = ()
    quiet: bool = False
    narrows: bool = False


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
    open alarms are about nothing that has no finding.
    """
    found = [finding for finding in findings if finding.cause not in NO_ALARM]
    active = [finding for finding in found if finding.active]
    present = {(finding.cause, finding.about) for finding in found}
    covered = {(alarm.cause, about) for alarm in alarms for about in alarm.about}
    taken_over = {(TAKES_OVER.get(finding.cause), finding.about) for finding in active}
    due = [
        changed for alarm in alarms if (changed := _changed(alarm, present, taken_over)) is not None
    ]
    new = [finding for finding in active if (finding.cause, finding.about) not in covered]
    return due + [_alarm(group, new_id) for group in _groups(new, roll_up)]


def _changed(
    alarm: OpenAlarm, present: set[tuple[str, str]], taken_over: set[tuple[str | None, str]]
) -> Due | None:
    """Return the end of an open alarm, or what is left of it; None if it stays as it is."""
    left = {about for about in alarm.about if (alarm.cause, about) in present}
    if left == alarm.about:
        return None
    gone = alarm.about - left
    return Due(
        kind=Kind.ALARM if left else Kind.ALL_CLEAR,
        alarm_id=alarm.alarm_id,
        cause=alarm.cause,
        about=tuple(sorted(left or alarm.named)),
        since_at=alarm.since_at,
        quiet=bool(left) or any((alarm.cause, about) in taken_over for about in gone),
        narrows=bool(left),
    )


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
