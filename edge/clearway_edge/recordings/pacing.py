"""How fast a replay goes: at once, so many rows a second, or in the rhythm of the data."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Protocol

import orjson

from clearway_core.clock import Clock
from clearway_core.errors import UsageError
from clearway_edge.rows.convert import Converted
from clearway_edge.rows.files import CHUNK_ROWS

SLICE_S = 1.0
"""Records of so much waiting time leave together: one message a second, not one a record. [s]"""

MAX_FAULTS = 20

NOTHING = Converted(
    seq=(), columns={}, read=0, dropped=Counter(), nulled=Counter(), flagged=Counter(), faults=()
)


class Pace(Protocol):
    """Lets chunks through at their time."""

    def paced(self, chunks: Iterator[Converted]) -> Iterator[Converted]:
        """Yield the chunks' records, each when it is due."""
        ...


class AtOnce:
    """As fast as the outbox takes it."""

    def paced(self, chunks: Iterator[Converted]) -> Iterator[Converted]:
        """Yield the chunks as they come."""
        return chunks


class RowsPerSecond:
    """So many records a second on average.

    Parameters
    ----------
    rows_per_s
        [1/s], > 0
    clock
        Waits.
    """

    def __init__(self, rows_per_s: float, clock: Clock) -> None:
        self._rows_per_s = rows_per_s
        self._clock = clock

    def paced(self, chunks: Iterator[Converted]) -> Iterator[Converted]:
        """Yield each chunk when the records before it had their time."""
        start_s = self._clock.monotonic_s()
        done = 0
        rows = max(1, int(self._rows_per_s * SLICE_S))
        for chunk in chain.from_iterable(_sliced(each, rows) for each in chunks):
            wait_s = start_s + done / self._rows_per_s - self._clock.monotonic_s()
            if wait_s > 0:
                self._clock.sleep(wait_s)
            yield chunk
            done += chunk.read


class InTime:
    """In the rhythm of the data, or a multiple of it.

    Files come by vehicle or in no order at all, so that the records are first sorted by time in a
    scratch file, which holds pseudonyms only and is deleted at the end.

    Parameters
    ----------
    speed
        How many times faster than it happened. [1], > 0
    scratch
        The scratch file.
    clock
        Waits.
    """

    def __init__(self, speed: float, scratch: Path, clock: Clock) -> None:
        self._speed = speed
        self._scratch = scratch
        self._clock = clock

    def paced(self, chunks: Iterator[Converted]) -> Iterator[Converted]:
        """Yield records second by second, then the counts of what was dropped."""
        self._scratch.parent.mkdir(parents=True, exist_ok=True)
        self._scratch.unlink(missing_ok=True)
        with closing(sqlite3.connect(self._scratch)) as db:
            db.execute("pragma journal_mode=off")
            db.execute("pragma synchronous=off")
            names, rest = self._sort(db, chunks)
            yield rest
            yield from self._in_order(db, names)
        self._scratch.unlink(missing_ok=True)

    def _sort(
        self, db: sqlite3.Connection, chunks: Iterator[Converted]
    ) -> tuple[list[str], Converted]:
        db.execute("create table row (at integer, seq integer, wire blob)")
        names: dict[str, None] = {}
        rest = NOTHING
        for chunk in chunks:
            rest = _with_counts(rest, chunk)
            if not chunk.seq:
                continue
            names.update(dict.fromkeys(chunk.columns))
            labels = list(chunk.columns)
            rows = zip(*chunk.columns.values(), strict=True)
            db.executemany(
                "insert into row values (?, ?, ?)",
                (
                    (at, seq, orjson.dumps(dict(zip(labels, row, strict=True))))
                    for at, seq, row in zip(
                        chunk.columns["observed_at"], chunk.seq, rows, strict=True
                    )
                ),
            )
        db.execute("create index row_at on row (at, seq)")
        db.commit()
        return list(names), rest

    def _in_order(self, db: sqlite3.Connection, names: list[str]) -> Iterator[Converted]:
        start_s = self._clock.monotonic_s()
        first_ms: int | None = None
        slice_ms = max(1, round(SLICE_S * 1000 * self._speed))
        rows = db.execute("select at, seq, wire from row order by at, seq")
        for number, group in groupby(rows, key=lambda row: row[0] // slice_ms):
            due_ms = number * slice_ms
            first_ms = due_ms if first_ms is None else first_ms
            wait_s = start_s + (due_ms - first_ms) / 1000 / self._speed - self._clock.monotonic_s()
            if wait_s > 0:
                self._clock.sleep(wait_s)
            while part := list(islice(group, CHUNK_ROWS)):
                yield _chunk(part, names)


def pace_of(*, rows_per_s: float | None, speed: float | None, scratch: Path, clock: Clock) -> Pace:
    """Return the pace that the arguments of a replay ask for.

    Raises
    ------
    UsageError
        If a number is not above 0, or both are given.
    """
    if rows_per_s is not None and speed is not None:
        message = "give either speed or rows_per_s: a replay has one pace"
        raise UsageError(message)
    for name, number in (("rows_per_s", rows_per_s), ("speed", speed)):
        if number is not None and not number > 0:
            message = f"expected {name} above 0, or max, got {number}"
            raise UsageError(message)
    if speed is not None:
        return InTime(speed, scratch, clock)
    return AtOnce() if rows_per_s is None else RowsPerSecond(rows_per_s, clock)


def speed_of(text: str) -> float | None:
    """Return the speed that a person wrote: None for ``max``, else how many times real time.

    Raises
    ------
    UsageError
        If it is neither.
    """
    if text == "max":
        return None
    try:
        return float(text)
    except ValueError:
        message = f"--speed is max or a number of times real time, got {text!r}"
        raise UsageError(message) from None


def _sliced(chunk: Converted, rows: int) -> Iterator[Converted]:
    """Yield a chunk in parts of at most `rows` records; the first carries the counts."""
    rest = _with_counts(NOTHING, chunk)
    for start in range(0, max(len(chunk.seq), 1), rows):
        part = slice(start, start + rows)
        seq = chunk.seq[part]
        counts = rest if start == 0 else NOTHING
        yield Converted(
            seq=seq,
            columns={name: values[part] for name, values in chunk.columns.items()},
            read=len(seq) + counts.read,
            dropped=counts.dropped,
            nulled=counts.nulled,
            flagged=counts.flagged,
            faults=counts.faults,
        )


def _with_counts(rest: Converted, chunk: Converted) -> Converted:
    return Converted(
        seq=(),
        columns={},
        read=rest.read + chunk.read - len(chunk.seq),
        dropped=rest.dropped + chunk.dropped,
        nulled=rest.nulled + chunk.nulled,
        flagged=rest.flagged + chunk.flagged,
        faults=[*rest.faults, *chunk.faults][:MAX_FAULTS],
    )


def _chunk(rows: list[tuple[int, int, bytes]], names: list[str]) -> Converted:
    rows.sort(key=lambda row: row[1])
    records = [orjson.loads(wire) for _, _, wire in rows]
    return Converted(
        seq=[seq for _, seq, _ in rows],
        columns={name: [record.get(name) for record in records] for name in names},
        read=len(rows),
        dropped=Counter(),
        nulled=Counter(),
        flagged=Counter(),
        faults=[],
    )
