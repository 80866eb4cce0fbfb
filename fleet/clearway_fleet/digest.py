"""The daily digest: how the fleet is, what is open, what was said since yesterday."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from clearway_fleet.alarms import Kind
from clearway_fleet.causes import causes
from clearway_fleet.finding import Finding
from clearway_fleet.ledger import Ledger, Notice
from clearway_fleet.looking import Look
from clearway_fleet.words import Teller, bring_words

DIGEST = "digest"
_MOST_LINES = 40


def digest_due(ledger: Ledger, now: datetime, teller: Teller, hour: int | None) -> str | None:
    """Return the identity of the digest that is due, or None.

    Once for each local day, at the first look at or after the hour.
    """
    local = now.astimezone(teller.time_zone)
    name = f"{DIGEST}-{local:%Y-%m-%d}"
    is_due = hour is not None and local.hour >= hour and (name, Kind.DIGEST) not in ledger.known
    return name if is_due else None


def digest_notice(
    name: str,
    seen: Look,
    ledger: Ledger,
    *,
    teller: Teller,
    channels: tuple[str, ...],
    n_open: int,
) -> Notice:
    """Return the digest of a look."""
    states = Counter(status.state for status in seen.statuses)
    needing = [finding for finding in seen.findings if finding.active]
    places = {finding.site for finding in needing}
    words = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "no sites"
    lines = [
        f"Sites: {words}. Need a hand: {len(places)}. Open alarms: {n_open}.",
        "",
        *_section("Needs a hand", [_line(finding, teller) for finding in _sorted(needing)]),
        *_section("Said since yesterday", [notice.subject for notice in ledger.since_yesterday]),
        f"Look:  clearway gateway fleet{'' if teller.look_at is None else ', ' + teller.look_at}",
    ]
    day = f"{seen.at.astimezone(teller.time_zone):%Y-%m-%d}"
    return Notice(
        alarm_id=name,
        kind=Kind.DIGEST,
        cause=DIGEST,
        about=(),
        since_at=seen.at,
        subject=f"Fleet on {day}: {len(places) or 'nothing'} to do, {words}",
        words="\n".join(lines),
        channels=channels,
    )


def _sorted(findings: Sequence[Finding]) -> list[Finding]:
    known = causes()
    return sorted(findings, key=lambda one: (known[one.cause].urgency, one.cause, one.about))


def _line(finding: Finding, teller: Teller) -> str:
    title = causes()[finding.cause].title
    return f"{teller.name(finding.about)}: {title}: {finding.detail}. Bring: {bring_words(finding)}"


def _section(title: str, lines: Sequence[str]) -> list[str]:
    shown = [f"- {line}" for line in lines[:_MOST_LINES]]
    if len(lines) > _MOST_LINES:
        shown.append(f"- … and {len(lines) - _MOST_LINES} more")
    return [f"{title}:", *(shown or ["- nothing"]), ""]
