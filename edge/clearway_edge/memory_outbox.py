"""An outbox without a disk: for a card that must not be written, and for tests."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clearway_core.clock import Clock, SystemClock, to_ms
from clearway_core.errors import OutboxFull
from clearway_edge.outbox import (
    EVICTED_AGE,
    EVICTED_SIZE,
    Account,
    Bounds,
    Parcel,
    Stream,
    Waiting,
    WhenFull,
)


@dataclass(slots=True)
class _Books:
    read: int = 0
    delivered: int = 0
    next_seq: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)


class MemoryOutbox:
    """Keep batches in memory: a crash or power cut loses what waits.

    Parameters
    ----------
    bounds
        How much may wait.
    clock
        Tells the age of batches.
    """

    def __init__(self, bounds: Bounds | None = None, clock: Clock | None = None) -> None:
        self._bounds = bounds or Bounds()
        self._clock = clock or SystemClock()
        self._lock = threading.RLock()
        self._batches: dict[int, Waiting] = {}
        self._books: defaultdict[Stream, _Books] = defaultdict(_Books)
        self._next_id = 1

    @property
    def unclean_stops(self) -> int:
        """Return 0: memory does not remember."""
        return 0

    @property
    def set_aside(self) -> int:
        """Return 0: there is no file that could be damaged."""
        return 0

    @property
    def folder(self) -> Path | None:
        """Return None: nothing is on disk."""
        return None

    @property
    def waiting_bytes(self) -> int:
        """Payload bytes that wait [B]."""
        with self._lock:
            return sum(len(batch.payload) for batch in self._batches.values())

    def oldest_created_at_ms(self) -> int | None:
        """Return when the oldest waiting batch was put, or None if none waits [ms since 1970]."""
        with self._lock:
            return min((batch.created_at_ms for batch in self._batches.values()), default=None)

    def put(self, *parcels: Parcel) -> None:
        """Keep batches and their counts."""
        with self._lock:
            self._make_room(sum(len(parcel.payload) for parcel in parcels))
            for parcel in parcels:
                self._put(parcel)

    def _put(self, parcel: Parcel) -> None:
        if parcel.payload:
            self._batches[self._next_id] = Waiting(
                id=self._next_id,
                stream=parcel.stream,
                n_records=parcel.n_records,
                created_at_ms=to_ms(self._clock.now()),
                payload=parcel.payload,
            )
            self._next_id += 1
        books = self._books[parcel.stream]
        books.read += parcel.n_read
        books.next_seq = max(books.next_seq, parcel.next_seq)
        books.dropped.update(parcel.dropped)
        books.notes.update(parcel.notes)

    def waiting(self, limit: int) -> Sequence[Waiting]:
        """Return the oldest batches, at most `limit`."""
        with self._lock:
            return list(self._batches.values())[:limit]

    def accept(self, ids: Sequence[int]) -> None:
        """Count batches as delivered and forget them."""
        with self._lock:
            for batch in self._take(ids):
                self._books[batch.stream].delivered += batch.n_records

    def reject(self, ids: Sequence[int], reason: str) -> None:
        """Count batches as dropped for good and forget them."""
        with self._lock:
            for batch in self._take(ids):
                self._books[batch.stream].dropped[reason] += batch.n_records

    def settle(self, batch: int, *, n_dropped: int, reason: str) -> None:
        """Forget a batch of which some records were dropped and the others delivered."""
        with self._lock:
            for found in self._take([batch]):
                books = self._books[found.stream]
                books.delivered += found.n_records - n_dropped
                if n_dropped:
                    books.dropped[reason] += n_dropped

    def account(self, stream: Stream) -> Account:
        """Return the books of one stream."""
        with self._lock:
            books = self._books.get(stream, _Books())
            waiting = [b.n_records for b in self._batches.values() if b.stream == stream]
            return Account(
                read=books.read,
                delivered=books.delivered,
                spooled=sum(waiting),
                dropped=dict(books.dropped),
                notes=dict(books.notes),
            )

    def streams(self) -> list[Stream]:
        """Return every stream that has books here."""
        with self._lock:
            return list(self._books)

    def next_seq(self, stream: Stream) -> int:
        """Return the first number that a stream has not given yet."""
        with self._lock:
            return self._books.get(stream, _Books()).next_seq

    def forget(self, stream: Stream) -> None:
        """Close the books of a stream, if nothing of it waits any more."""
        with self._lock:
            if not any(batch.stream == stream for batch in self._batches.values()):
                self._books.pop(stream, None)

    def expire(self) -> int:
        """Drop batches that are older than the bound; return how many records."""
        if self._bounds.max_age_s is None:
            return 0
        with self._lock:
            oldest_ms = to_ms(self._clock.now()) - round(self._bounds.max_age_s * 1000)
            old = [b for b in self._batches.values() if b.created_at_ms < oldest_ms]
            self.reject([batch.id for batch in old], EVICTED_AGE)
            return sum(batch.n_records for batch in old)

    def close(self) -> None:
        """Do nothing: what waits is gone with the process."""

    def _take(self, ids: Sequence[int]) -> list[Waiting]:
        return [batch for number in ids if (batch := self._batches.pop(number, None)) is not None]

    def _make_room(self, size: int) -> None:
        over = self.waiting_bytes + size - self._bounds.max_bytes
        if over <= 0 or size == 0:
            return
        if self._bounds.when_full is WhenFull.REFUSE or size > self._bounds.max_bytes:
            message = (
                f"the outbox in memory may hold {self._bounds.max_bytes} bytes: "
                "bring the log back, or raise outbox.max_bytes"
            )
            raise OutboxFull(message)
        while over > 0 and self._batches:
            oldest = next(iter(self._batches.values()))
            over -= len(oldest.payload)
            self.reject([oldest.id], EVICTED_SIZE)
