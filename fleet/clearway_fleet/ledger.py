"""The table `gateway_alarms`: what was decided to be said, and what became of saying it.

A notice is written down before it is sent (step ``decided``), in a commit that only one of several
watchers can make; afterwards what was sent and what failed is added. So no alarm is lost with a
watcher that dies, and two watchers do not send the same. What was decided and neither sent nor
given back is taken up by the next look after `LEASE`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from clearway_core.errors import OffsetRegression, TableConflict
from clearway_core.lake import Lake
from clearway_core.lake_upkeep import compact_if_crowded, sweep
from clearway_fleet.alarms import Kind, OpenAlarm

LEASE = timedelta(minutes=5)
"""Longer than any sending takes: until then another watcher may be at it."""

_TABLE = "gateway_alarms"
_WRITER = "clearway_fleet.watch"
_MANY_FILES = 100
"""Each notice makes two small files; a year of them would take seconds to read."""

_ATTEMPTS = 20
"""To write down what was sent, beside other watchers that write theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing to say, and where.

    Parameters
    ----------
    alarm_id, kind
        Its identity.
    cause, about, since_at
        What it is about.
    subject, words
        What people are told.
    channels
        Where it is still to be sent.
    narrows
        Whether it only says that an open alarm is about fewer places from now on.
    """

    alarm_id: str
    kind: Kind
    cause: str
    about: tuple[str, ...]
    since_at: datetime
    subject: str
    words: str
    channels: tuple[str, ...]
    narrows: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Its identity."""
        return self.alarm_id, self.kind.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of sending one notice.

    Parameters
    ----------
    notice
        Which.
    sent
        Channels that took it.
    error
        Why the others did not; None if all did.
    """

    notice: Notice
    sent: tuple[str, ...]
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The table at one moment.

    Parameters
    ----------
    version
        Of the table when it was read.
    open
        Alarms without all-clear.
    unsent
        Notices with channels to which nobody is sending them now, oldest first.
    known
        Identity of everything that was ever decided.
    since_yesterday
        Alarms and all-clears that were decided within a day.
    """

    version: int | None
    open: tuple[OpenAlarm, ...]
    unsent: tuple[Notice, ...]
    known: frozenset[tuple[str, str]]
    since_yesterday: tuple[Notice, ...]


def read_ledger(lake: Lake, now: datetime) -> Ledger:
    """Return what was decided and sent until now."""
    table = lake.table(_TABLE)
    version = table.transaction_version(_WRITER)
    rows = table.scan().collect().sort("number", maintain_order=True).to_dicts()
    histories: dict[tuple[str, str], list[dict[str, object]]] = {}
    for row in rows:
        histories.setdefault((row["alarm_id"], row["kind"]), []).append(row)
    stories = [_Story(history) for history in histories.values()]
    ended = {story.notice.alarm_id for story in stories if story.notice.kind is Kind.ALL_CLEAR}
    return Ledger(
        version=version,
        open=tuple(
            OpenAlarm(
                alarm_id=story.notice.alarm_id,
                cause=story.notice.cause,
                about=story.about_now,
                named=frozenset(story.notice.about),
                since_at=story.notice.since_at,
            )
            for story in stories
            if story.notice.kind is Kind.ALARM and story.notice.alarm_id not in ended
        ),
        unsent=tuple(
            story.notice for story in stories if story.notice.channels and story.is_free(now)
        ),
        known=frozenset(histories),
        since_yesterday=tuple(
            story.notice
            for story in stories
            if now - story.first_at <= timedelta(days=1) and story.notice.kind is not Kind.DIGEST
        ),
    )


class _Story:
    """All rows of one notice, in order."""

    def __init__(self, rows: Sequence[dict[str, object]]) -> None:
        first = rows[0]
        wanted = str(first["channels"]).split()
        sent = {
            channel
            for row in rows
            if row["step"] == "sent"
            for channel in str(row["channels"]).split()
        }
        self.first_at = _instant(first)
        narrowed = [row for row in rows if row["step"] == "narrowed"]
        self.about_now = _about(narrowed[-1] if narrowed else first)
        self._last = [row for row in rows if row["step"] != "narrowed"][-1]
        self._decided_at = max(_instant(row) for row in rows if row["step"] == "decided")
        self.notice = Notice(
            alarm_id=str(first["alarm_id"]),
            kind=Kind(str(first["kind"])),
            cause=str(first["cause"]),
            about=tuple(sorted(_about(first))),
            since_at=_instant(first, "since_at"),
            subject=str(first["subject"]),
            words=str(first["words"]),
            channels=tuple(channel for channel in wanted if channel not in sent),
        )

    def is_free(self, now: datetime) -> bool:
        """Return whether nobody is sending it: it was given back, or its watcher is gone."""
        return self._last["step"] != "decided" or now - self._decided_at >= LEASE


def _about(row: dict[str, object]) -> frozenset[str]:
    return frozenset(json.loads(str(row["about_json"])))


def _instant(row: dict[str, object], name: str = "written_at") -> datetime:
    value = row[name]
    if not isinstance(value, datetime):
        message = f"{_TABLE}.{name} must be an instant, got {value!r}"
        raise TypeError(message)
    return value


def claim(
    lake: Lake, notices: Sequence[Notice], ledger: Ledger, *, watcher: str, now: datetime
) -> bool:
    """Write down that these notices are about to be sent, unless somebody else wrote meanwhile.

    Returns
    -------
    bool
        False if another watcher was faster: then nothing was written, and nothing may be sent.
    """
    rows = [
        _row(notice, "narrowed" if notice.narrows else "decided", watcher, now)
        for notice in notices
    ]
    try:
        _append(lake, rows, ledger.version)
    except (OffsetRegression, TableConflict):
        return False
    return True


def settle(lake: Lake, outcome: Outcome, *, watcher: str, now: datetime) -> None:
    """Write down what became of sending a notice.

    Raises
    ------
    TableConflict, OffsetRegression
        If it could not be written beside others; then the notice is sent again.
    """
    row = _row(outcome.notice, "failed" if outcome.error else "sent", watcher, now)
    row |= {"channels": " ".join(outcome.sent), "error": outcome.error}
    rows = [row]
    if outcome.error and outcome.sent:
        rows.insert(0, row | {"step": "sent", "error": None})
    for attempt in range(_ATTEMPTS):
        try:
            _append(lake, rows, lake.table(_TABLE).transaction_version(_WRITER))
        except (OffsetRegression, TableConflict):
            if attempt == _ATTEMPTS - 1:
                raise
        else:
            return


def tidy(lake: Lake) -> None:
    """Join the small files that single notices leave, once there are many."""
    table = lake.table(_TABLE)
    if compact_if_crowded(table, many=_MANY_FILES):
        sweep(table)


def _append(lake: Lake, rows: Sequence[dict[str, object]], version: int | None) -> None:
    number = (version or 0) + 1
    frame = pl.DataFrame(rows, schema_overrides={"error": pl.String})
    lake.table(_TABLE).append(
        frame.with_columns(number=pl.lit(number)),
        transactions={_WRITER: number},
        committed={_WRITER: version},
    )


def _row(notice: Notice, step: str, watcher: str, now: datetime) -> dict[str, object]:
    return {
        "alarm_id": notice.alarm_id,
        "kind": notice.kind.value,
        "step": step,
        "cause": notice.cause,
        "about_json": json.dumps(list(notice.about), ensure_ascii=False),
        "since_at": notice.since_at,
        "subject": notice.subject,
        "words": notice.words,
        "channels": " ".join(notice.channels),
        "watcher": watcher,
        "error": None,
        "written_at": now,
    }
