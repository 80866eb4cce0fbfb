"""Batches that wait for the log: what is put here survives a crash and a power cut.

Every batch ends in one of three ways: accepted (the log has it), rejected for good (counted under
a reason), or kept for another attempt. Two implementations pass the same suite: `SqliteOutbox` on
disk, `MemoryOutbox` for a gateway whose card must not be written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from clearway_core.contracts.wire import AIR_READING, GATEWAY_BOOKS, GATEWAY_HEALTH, GPS_PING

EVICTED_SIZE = "outbox_full"
EVICTED_AGE = "outbox_too_old"
DAMAGED = "outbox_damaged"
MESSAGE_TOO_LARGE = "message_too_large"
"""Reasons by which a batch is dropped after it was spooled."""

OWN_REPORTS = frozenset({GATEWAY_HEALTH.identifier, GATEWAY_BOOKS.identifier})
"""What a gateway says of itself: counted, but not told by its books, which would never end."""

PRIORITIES = {
    **dict.fromkeys(OWN_REPORTS, 0),
    AIR_READING.identifier: 1,
    GPS_PING.identifier: 2,
}
LOWEST_PRIORITY = 2
"""What is sent first and dropped last: without health and books nobody knows that something is
wrong; an air sensor gives one reading a minute, a receiver sixty fixes."""


class WhenFull(StrEnum):
    """What happens when a new batch does not fit."""

    DROP_OLDEST = "drop_oldest"
    """For sensors: what is new matters more, and a sensor does not wait."""
    REFUSE = "refuse"
    """For files: the reader waits, nothing is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much may wait.

    Parameters
    ----------
    max_bytes
        Payload bytes. [B]
    max_age_s
        Age of the oldest batch; None keeps it for ever. [s]
    """

    max_bytes: int = 512 * 1024 * 1024
    max_age_s: float | None = None
    when_full: WhenFull = WhenFull.DROP_OLDEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Whose records are counted together.

    Parameters
    ----------
    contract, boot
        Seq space of the records.
    run
        The start of the process that read them; for a live gateway the same as `boot`.
    """

    contract: str
    boot: int
    run: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A batch to be put into the outbox, with what was read for it.

    Parameters
    ----------
    payload
        Message bytes; empty if nothing of what was read goes on.
    n_read
        Records that were read from the source for this parcel.
    n_records
        Records in the payload; ``n_read == n_records + sum(dropped)``.
    next_seq
        First number that the stream has not given yet.
    dropped, notes
        What was given up on the way, and other counts worth keeping.
    clock
        Tag of `clearway_edge.clock.clock_state.ClockState` if it was read while the clock was not
        synchronised, else None.
    held
        Whether it waits for trip ends to be cut before it may be sent.
    from_devices
        Whether it was read from devices that do not wait to be told, such as a serial line: what
        they gave since the last commit is lost in a crash.
    page
        `Waiting.page` of the batch that its records were in, in an exchange; else 0.
    tells
        Pages that it tells about: `PageAccount.id` -> `PageAccount.revision`.
    """

    stream: Stream
    payload: bytes
    n_read: int
    n_records: int
    next_seq: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)
    clock: str | None = None
    held: bool = False
    from_devices: bool = False
    page: int = 0
    tells: Mapping[int, int] = field(default_factory=dict)

    def also_dropped(self, more: Mapping[str, int]) -> Parcel:
        """Return the parcel with further records that were read and given up."""
        return replace(
            self, n_read=self.n_read + sum(more.values()), dropped=sum_of(self.dropped, more)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A batch that waits.

    Parameters
    ----------
    clock
        As in `Parcel`.
    page
        Page that its records are counted on.
    """

    id: int
    stream: Stream
    n_records: int
    created_at_ms: int
    payload: bytes
    clock: str | None = None
    page: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The books of one stream; read = delivered + spooled + sum(dropped), always.

    All of them are counted on their own, so that `missing` can show a mistake.
    """

    read: int = 0
    delivered: int = 0
    spooled: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)

    @property
    def n_dropped(self) -> int:
        """Records that were given up, for whatever reason."""
        return sum(self.dropped.values())

    @property
    def missing(self) -> int:
        """Records that nobody can tell what became of: 0, or the books are wrong."""
        return self.read - self.delivered - self.spooled - self.n_dropped

    def plus(self, other: Account) -> Account:
        """Return the sum of two accounts."""
        return Account(
            read=self.read + other.read,
            delivered=self.delivered + other.delivered,
            spooled=self.spooled + other.spooled,
            dropped=sum_of(self.dropped, other.dropped),
            notes=sum_of(self.notes, other.notes),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PageAccount:
    """The books of one stream and hour.

    Parameters
    ----------
    id
        Of the outbox; for `Parcel.tells`.
    revision
        Grows with each change.
    number
        Page within contract and boot, from 0.
    hour_start_ms
        Hour by the gateway's clock. [ms since 1970]
    seq_first, seq_next
        Its record numbers are in [seq_first, seq_next); pages never overlap.
    n_unclean_stops, n_unclean_at_most
        Crashes while it was open, and the records from devices that they can have cost.
    closed
        Whether the hour is over and nothing of it waits.
    changed
        Whether it says something that no parcel in the outbox or the log says yet.
    """

    id: int
    revision: int
    stream: Stream
    number: int
    hour_start_ms: int
    seq_first: int
    seq_next: int
    account: Account
    n_unclean_stops: int
    n_unclean_at_most: int
    closed: bool
    changed: bool


def total_of(accounts: Iterable[Account]) -> Account:
    """Return the sum of accounts."""
    total = Account()
    for account in accounts:
        total = total.plus(account)
    return total


def priority_of(contract: str) -> int:
    """Return when records of a contract are sent; 0 first."""
    return PRIORITIES.get(contract, LOWEST_PRIORITY)


def sum_of(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, int]:
    """Return counts by name, added up; none of them is 0."""
    total = Counter(left)
    total.update(right)
    return {name: count for name, count in sorted(total.items()) if count}


class Outbox(Protocol):
    """Where batches wait; safe to use from several threads."""

    @property
    def unclean_stops(self) -> int:
        """Starts that found the previous run not closed."""
        ...

    @property
    def set_aside(self) -> int:
        """Damaged files that were renamed and replaced."""
        ...

    @property
    def folder(self) -> Path | None:
        """Folder on whose disk the batches lie, or None."""
        ...

    @property
    def waiting_bytes(self) -> int:
        """Payload bytes that wait [B]."""
        ...

    def oldest_created_at_ms(self) -> int | None:
        """Return when the oldest batch that may be sent was put, or None [ms since 1970]."""
        ...

    def put(self, *parcels: Parcel) -> None:
        """Keep batches and their counts, durably and together: all of them or none.

        Raises
        ------
        OutboxFull
            If it does not fit (`WhenFull.REFUSE`) or the disk is full; nothing was kept.
        """
        ...

    def remember(self, stream: Stream, dropped: Mapping[str, int]) -> None:
        """Note records that were given up while nothing could be put, in case of a crash.

        Parameters
        ----------
        stream
            Whose.
        dropped
            All that no parcel has counted yet; the next parcel counts them.
        """
        ...

    def waiting(self, limit: int, *, skip_clock: str | None = None) -> Sequence[Waiting]:
        """Return batches that may be sent, by priority and age; damaged ones are counted.

        Parameters
        ----------
        limit
            Batches, at most; fewer are returned if they are large.
        skip_clock
            Batches with this `Parcel.clock` stay.
        """
        ...

    def held(self) -> Sequence[Waiting]:
        """Return the batches that wait for an exchange, oldest first."""
        ...

    def exchange(
        self,
        ids: Sequence[int],
        *parcels: Parcel,
        dropped: Mapping[Stream, Mapping[str, int]] | None = None,
        note: bytes | None = None,
    ) -> bool:
        """Replace batches by parcels of the same records, all of it or nothing.

        Parameters
        ----------
        ids
            Batches that go.
        parcels
            What takes their place, with `Parcel.page`; their `n_read` is not counted again.
        dropped
            Records that were in the batches and are in no parcel.
        note
            Kept for `note`.

        Returns
        -------
        bool
            False if one of the batches is gone (evicted meanwhile): nothing was done.
        """
        ...

    def note(self) -> bytes | None:
        """Return what the last exchange has noted, or None."""
        ...

    def accept(self, ids: Sequence[int]) -> None:
        """Count batches as delivered and forget them.

        Those that were given up while they were on their way to the log count as delivered too.
        """
        ...

    def reject(self, ids: Sequence[int], reason: str) -> None:
        """Count batches as dropped for good and forget them."""
        ...

    def settle(self, batch: int, *, n_dropped: int, reason: str) -> None:
        """Forget a batch of which some records were dropped and the others delivered."""
        ...

    def account(self, stream: Stream) -> Account:
        """Return the books of one stream."""
        ...

    def pages(self) -> Sequence[PageAccount]:
        """Return the pages of all streams but the gateway's own reports, oldest first.

        A page that is closed leaves once a parcel that tells so was delivered.
        """
        ...

    def clock_tags(self) -> set[str]:
        """Return the starts of the machine of which pages wait for their true hour."""
        ...

    def set_hours(self, tag: str, base_ms: int) -> None:
        """Correct the hours of pages that were opened while the clock could not be believed.

        Parameters
        ----------
        tag
            Start of the machine, as in `clearway_edge.clock.clock_state.ClockState`.
        base_ms
            Wall time minus monotonic time of that start. [ms]
        """
        ...

    def streams(self) -> Sequence[Stream]:
        """Return every stream that has books here."""
        ...

    def forget(self, stream: Stream) -> None:
        """Close the books of a stream, told or not, if nothing of it waits any more."""
        ...

    def expire(self) -> int:
        """Drop batches that are older than the bound; return how many records."""
        ...

    def close(self) -> None:
        """Mark a clean stop."""
        ...
