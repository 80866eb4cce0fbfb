"""What became of every record of the files that were replayed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clearway_edge.outbox.outbox import Account

MAX_FAULTS = 20
"""Examples of unusable records that an account shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileAccount:
    """What became of one file.

    Parameters
    ----------
    boot
        The identity under which its records travel.
    complete
        Whether the file was read to its end.
    faults
        The first few records that could not be used, and why.
    error
        What ended the reading early; empty otherwise.
    """

    file: Path
    boot: int
    account: Account
    complete: bool
    faults: tuple[str, ...]
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayAccount:
    """What became of every record; read = delivered + spooled + sum(dropped).

    Parameters
    ----------
    read
        Records in the files, good or not.
    delivered
        Records that the log has.
    spooled
        Records that wait in the outbox.
    dropped
        Records given up, by reason.
    nulled
        Single values that became null (sentinels, unknown units …), by ``<field>_<why>``; their
        records went on.
    flagged
        Records that carry a flag, by flag; their values are unchanged.
    faults
        The first few records that could not be used: place, shape of what was found, remedy.
    unfinished
        Files that were not read to their end, with the reason.
    boots
        Identity of each file's records.
    """

    read: int
    delivered: int
    spooled: int
    dropped: Mapping[str, int]
    nulled: Mapping[str, int] = field(default_factory=dict)
    flagged: Mapping[str, int] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    unfinished: Mapping[str, str] = field(default_factory=dict)
    boots: Mapping[str, int] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every file was read to its end and nothing waits."""
        return not self.unfinished and self.spooled == 0


def account_of(files: Sequence[FileAccount]) -> GatewayAccount:
    """Return the account of all files together."""
    total = Account()
    for each in files:
        total = total.plus(each.account)
    return GatewayAccount(
        read=total.read,
        delivered=total.delivered,
        spooled=total.spooled,
        dropped=dict(total.dropped),
        nulled=_notes(total.notes, "nulled."),
        flagged=_notes(total.notes, "flagged."),
        faults=tuple(fault for each in files for fault in each.faults)[:MAX_FAULTS],
        unfinished={str(each.file): each.error for each in files if not each.complete},
        boots={str(each.file): each.boot for each in files},
    )


def _notes(notes: Mapping[str, int], prefix: str) -> dict[str, int]:
    return {
        name.removeprefix(prefix): count
        for name, count in sorted(notes.items())
        if name.startswith(prefix)
    }
