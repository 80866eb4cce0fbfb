"""The outbox on disk: one SQLite file, every batch fsynced, checksummed and bounded."""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from clearway_core.clock import Clock, SystemClock, to_ms
from clearway_core.errors import OutboxFull
from clearway_edge.outbox import (
    DAMAGED,
    EVICTED_AGE,
    EVICTED_SIZE,
    Account,
    Bounds,
    Parcel,
    Stream,
    Waiting,
    WhenFull,
)
from clearway_edge.outbox_file import SET_ASIDE, begin_anew, open_outbox

log = logging.getLogger(__name__)

Result = TypeVar("Result")

_DIGEST_BYTES = 16
_READ, _DELIVERED, _DROPPED, _NOTE = "read", "delivered", "dropped", "note"
_NEXT_SEQ, _RUNNING, _UNCLEAN = "next_seq", "running", "unclean_stops"


class SqliteOutbox:
    """Keep batches in a SQLite file (WAL, synchronous FULL).

    A file that cannot be opened as it should is renamed and a new one begun: a gateway that does
    not start helps nobody. `close` marks a clean stop; the next start counts its absence.

    Parameters
    ----------
    file
        The file; it and its folder are created.
    bounds
        How much may wait.
    clock
        Tells the age of batches.
    """

    def __init__(
        self, file: Path, bounds: Bounds | None = None, clock: Clock | None = None
    ) -> None:
        self._file = file
        self._bounds = bounds or Bounds()
        self._clock = clock or SystemClock()
        self._lock = threading.RLock()
        self._db = open_outbox(file, self._bounds)
        self._bytes = self._measure()
        was_running = self._state(_RUNNING) == 1
        with self._db:
            if was_running:
                self._add_state(_UNCLEAN, 1)
            self._set_state(_RUNNING, 1)

    @property
    def unclean_stops(self) -> int:
        """Starts that found the previous run not closed."""
        with self._lock:
            return self._state(_UNCLEAN)

    @property
    def set_aside(self) -> int:
        """Damaged files that were renamed and replaced."""
        with self._lock:
            return self._state(SET_ASIDE)

    @property
    def folder(self) -> Path:
        """Folder on whose disk the batches lie."""
        return self._file.parent

    @property
    def waiting_bytes(self) -> int:
        """Payload bytes that wait [B]."""
        with self._lock:
            return self._bytes

    def oldest_created_at_ms(self) -> int | None:
        """Return when the oldest waiting batch was put, or None if none waits [ms since 1970]."""
        with self._lock:
            row = self._db.execute("select min(created_at_ms) from batch").fetchone()
        return None if row[0] is None else int(row[0])

    def put(self, *parcels: Parcel) -> None:
        """Keep batches and their counts in one transaction, on disk when this returns."""
        self._guarded(lambda: self._put(parcels))

    def waiting(self, limit: int) -> Sequence[Waiting]:
        """Return the oldest batches; those whose bytes have changed are dropped as damaged."""
        return self._guarded(lambda: self._waiting(limit))

    def accept(self, ids: Sequence[int]) -> None:
        """Count batches as delivered and forget them.

        This alone is not fsynced: a power cut that undoes it sends the batch again, and ingest
        knows it by its identity. It saves every second fsync of an SD card.
        """
        self._guarded(lambda: self._finish_lazily(ids))

    def reject(self, ids: Sequence[int], reason: str) -> None:
        """Count batches as dropped for good and forget them."""
        self._guarded(lambda: self._finish(ids, _DROPPED, reason))

    def settle(self, batch: int, *, n_dropped: int, reason: str) -> None:
        """Forget a batch of which some records were dropped and the others delivered."""
        self._guarded(lambda: self._settle(batch, n_dropped, reason))

    def account(self, stream: Stream) -> Account:
        """Return the books of one stream."""
        where = (stream.contract, stream.boot, stream.run)
        with self._lock:
            (spooled,) = self._db.execute(
                "select coalesce(sum(n_records), 0) from batch"
                " where contract = ? and boot = ? and run = ?",
                where,
            ).fetchone()
            rows = self._db.execute(
                "select kind, name, value from count where contract = ? and boot = ? and run = ?",
                where,
            ).fetchall()
        values: dict[str, dict[str, int]] = {_READ: {}, _DELIVERED: {}, _DROPPED: {}, _NOTE: {}}
        for kind, name, value in rows:
            values.setdefault(kind, {})[name] = value
        return Account(
            read=sum(values[_READ].values()),
            delivered=sum(values[_DELIVERED].values()),
            spooled=spooled,
            dropped=values[_DROPPED],
            notes=values[_NOTE],
        )

    def streams(self) -> list[Stream]:
        """Return every stream that has books here."""
        with self._lock:
            rows = self._db.execute(
                "select contract, boot, run from batch union select contract, boot, run from count"
            ).fetchall()
        return [Stream(contract=contract, boot=boot, run=run) for contract, boot, run in rows]

    def next_seq(self, stream: Stream) -> int:
        """Return the first number that a stream has not given yet."""
        with self._lock:
            row = self._db.execute(
                "select value from count where contract = ? and boot = ? and run = ? and kind = ?",
                (stream.contract, stream.boot, stream.run, _NEXT_SEQ),
            ).fetchone()
        return 0 if row is None else int(row[0])

    def forget(self, stream: Stream) -> None:
        """Close the books of a stream, if nothing of it waits any more."""
        where = (stream.contract, stream.boot, stream.run)
        with self._lock, self._db:
            self._db.execute(
                "delete from count where contract = ? and boot = ? and run = ? and not exists"
                " (select 1 from batch where contract = ? and boot = ? and run = ?)",
                (*where, *where),
            )

    def expire(self) -> int:
        """Drop batches that are older than the bound; return how many records."""
        if self._bounds.max_age_s is None:
            return 0
        oldest_ms = to_ms(self._clock.now()) - round(self._bounds.max_age_s * 1000)
        with self._lock:
            rows = self._db.execute(
                "select id, n_records from batch where created_at_ms < ?", (oldest_ms,)
            ).fetchall()
        if rows:
            self.reject([row[0] for row in rows], EVICTED_AGE)
        return sum(row[1] for row in rows)

    def close(self) -> None:
        """Mark a clean stop and close the file."""
        with self._lock:
            with suppress(sqlite3.Error), self._db:
                self._set_state(_RUNNING, 0)
            self._db.close()

    def _put(self, parcels: Sequence[Parcel]) -> None:
        waiting_bytes = self._bytes
        try:
            with self._db:
                for parcel in parcels:
                    if parcel.payload:
                        self._make_room(len(parcel.payload))
                        self._insert(parcel)
                        self._bytes += len(parcel.payload)
                    self._put_counts(parcel)
        except BaseException:
            self._bytes = waiting_bytes
            raise

    def _put_counts(self, parcel: Parcel) -> None:
        self._count(parcel.stream, _READ, {"": parcel.n_read})
        self._count(parcel.stream, _DROPPED, parcel.dropped)
        self._count(parcel.stream, _NOTE, parcel.notes)
        self._db.execute(
            "insert into count values (?, ?, ?, ?, '', ?) on conflict do update"
            " set value = max(value, excluded.value)",
            (*_where(parcel.stream), _NEXT_SEQ, parcel.next_seq),
        )

    def _insert(self, parcel: Parcel) -> None:
        self._db.execute(
            "insert into batch (contract, boot, run, n_records, created_at_ms, digest, payload)"
            " values (?, ?, ?, ?, ?, ?, ?)",
            (
                *_where(parcel.stream),
                parcel.n_records,
                to_ms(self._clock.now()),
                _digest(parcel.payload),
                parcel.payload,
            ),
        )

    def _make_room(self, size: int) -> None:
        over = self._bytes + size - self._bounds.max_bytes
        if over <= 0:
            return
        if self._bounds.when_full is WhenFull.REFUSE or size > self._bounds.max_bytes:
            message = (
                f"the outbox {self._file} holds {self._bytes} bytes and may hold "
                f"{self._bounds.max_bytes}: bring the log back, or raise outbox.max_bytes"
            )
            raise OutboxFull(message)
        victims = []
        for row in self._db.execute("select id, length(payload) from batch order by id"):
            victims.append(row[0])
            over -= row[1]
            if over <= 0:
                break
        self._move(victims, _DROPPED, EVICTED_SIZE)
        self._bytes = self._measure()
        log.warning("outbox_full_dropped_oldest", extra={"n_batches": len(victims)})

    def _waiting(self, limit: int) -> Sequence[Waiting]:
        rows = self._db.execute(
            "select id, contract, boot, run, n_records, created_at_ms, digest, payload from batch"
            " order by id limit ?",
            (limit,),
        ).fetchall()
        damaged = [row[0] for row in rows if _digest(row[7]) != row[6]]
        if damaged:
            log.error("outbox_batches_damaged", extra={"n_batches": len(damaged)})
            self._finish(damaged, _DROPPED, DAMAGED)
        return [
            Waiting(
                id=row[0],
                stream=Stream(contract=row[1], boot=row[2], run=row[3]),
                n_records=row[4],
                created_at_ms=row[5],
                payload=row[7],
            )
            for row in rows
            if row[0] not in damaged
        ]

    def _finish(self, ids: Sequence[int], kind: str, name: str) -> None:
        with self._db:
            self._move(ids, kind, name)
        self._bytes = self._measure()

    def _finish_lazily(self, ids: Sequence[int]) -> None:
        self._db.execute("pragma synchronous=normal")
        try:
            self._finish(ids, _DELIVERED, "")
        finally:
            self._db.execute("pragma synchronous=full")

    def _settle(self, batch: int, n_dropped: int, reason: str) -> None:
        with self._db:
            row = self._db.execute(
                "select contract, boot, run from batch where id = ?", (batch,)
            ).fetchone()
            if row is None:
                return
            stream = Stream(contract=row[0], boot=row[1], run=row[2])
            self._move([batch], _DELIVERED, "")
            self._count(stream, _DELIVERED, {"": -n_dropped})
            self._count(stream, _DROPPED, {reason: n_dropped})
        self._bytes = self._measure()

    def _move(self, ids: Sequence[int], kind: str, name: str) -> None:
        marks = ",".join("?" * len(ids))
        self._db.execute(
            "insert into count select contract, boot, run, ?, ?, sum(n_records) from batch"  # noqa: S608 -- only question marks
            f" where id in ({marks}) group by contract, boot, run"
            " on conflict do update set value = value + excluded.value",
            (kind, name, *ids),
        )
        self._db.execute(f"delete from batch where id in ({marks})", tuple(ids))  # noqa: S608

    def _count(self, stream: Stream, kind: str, values: Mapping[str, int]) -> None:
        for name, value in values.items():
            self._db.execute(
                "insert into count values (?, ?, ?, ?, ?, ?) on conflict do update"
                " set value = value + excluded.value",
                (*_where(stream), kind, name, value),
            )

    def _measure(self) -> int:
        row = self._db.execute("select coalesce(sum(length(payload)), 0) from batch").fetchone()
        return int(row[0])

    def _state(self, name: str) -> int:
        row = self._db.execute("select value from state where name = ?", (name,)).fetchone()
        return 0 if row is None else int(row[0])

    def _set_state(self, name: str, value: int) -> None:
        self._db.execute("insert or replace into state values (?, ?)", (name, value))

    def _add_state(self, name: str, more: int) -> None:
        self._set_state(name, self._state(name) + more)

    def _guarded(self, work: Callable[[], Result]) -> Result:
        with self._lock:
            try:
                return work()
            except sqlite3.OperationalError as error:
                message = (
                    f"the outbox {self._file} could not be written: {error}. "
                    "Is the disk full? Nothing was kept of this batch."
                )
                raise OutboxFull(message) from error
            except sqlite3.DatabaseError:
                log.exception("outbox_damaged", extra={"file": str(self._file)})
                self._db.close()
                self._db = begin_anew(self._file, self._bounds)
                self._bytes = self._measure()
                return work()


def _where(stream: Stream) -> tuple[str, int, int]:
    return stream.contract, stream.boot, stream.run


def _digest(payload: bytes) -> bytes:
    return hashlib.blake2b(payload, digest_size=_DIGEST_BYTES).digest()
