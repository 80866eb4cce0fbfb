"""Rows that hold a whole trip as a list of positions, unrolled to one row per position."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import cast

import orjson

from clearway_edge.rows.chunk import Fault, RawChunk, shape
from clearway_edge.rows.profile import PositionRule

LON = "\0lon"
LAT = "\0lat"
OFFSET_MS = "\0offset_ms"
"""Columns that unrolling adds; no file can have such names."""

EMPTY = "empty_polyline"
UNPARSABLE = "unparsable_polyline"

_POSITION_LENGTH = 2


def unroll(chunks: Iterator[RawChunk], rule: PositionRule, rows: int) -> Iterator[RawChunk]:
    """Yield the chunks with one row per position, numbered anew.

    A row without any position counts as one record, dropped as `EMPTY`; one whose list cannot be
    read, as `UNPARSABLE`.
    """
    next_seq = 0
    for chunk in chunks:
        for part in _slices(chunk, rule, rows):
            count = len(part.lines) + len(part.faults)
            seq = range(next_seq, next_seq + len(part.lines))
            next_seq += count
            yield RawChunk(
                seq=seq,
                lines=part.lines,
                columns=part.columns,
                faults=part.faults,
                place=part.place,
            )


def _slices(chunk: RawChunk, rule: PositionRule, rows: int) -> Iterator[RawChunk]:
    faults = list(chunk.faults)
    lengths: list[int] = []
    positions: list[list[tuple[object, object]]] = []
    for line, text in zip(chunk.lines, chunk.columns[rule.polyline], strict=True):
        found = _positions(text)
        if not found:
            faults.append(_fault(chunk, line, rule, text, EMPTY if found == [] else UNPARSABLE))
        positions.append(found or [])
        lengths.append(len(found or []))
    index = list(chain.from_iterable([row] * length for row, length in enumerate(lengths)))
    pairs = list(chain.from_iterable(positions))
    steps = list(chain.from_iterable(range(length) for length in lengths))
    lon_place, lat_place = (1, 0) if rule.lat_first else (0, 1)
    for start in range(0, max(len(index), 1), rows):
        of_row = index[start : start + rows]
        columns: dict[str, list[object]] = {
            name: [values[row] for row in of_row]
            for name, values in chunk.columns.items()
            if name != rule.polyline
        }
        here = pairs[start : start + rows]
        columns[LON] = [pair[lon_place] for pair in here]
        columns[LAT] = [pair[lat_place] for pair in here]
        columns[OFFSET_MS] = [
            round(step * rule.step_s * 1000) for step in steps[start : start + rows]
        ]
        yield RawChunk(
            seq=of_row,
            lines=[chunk.lines[row] for row in of_row],
            columns=columns,
            faults=faults if start == 0 else (),
            place=chunk.place,
        )


def _positions(value: object) -> list[tuple[object, object]] | None:
    """Return the positions of a row, or None if it holds no list of pairs."""
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return None
    if not isinstance(value, list):
        return None
    if not all(isinstance(pair, list) and len(pair) == _POSITION_LENGTH for pair in value):
        return None
    return cast("list[tuple[object, object]]", value)


def _fault(chunk: RawChunk, line: int, rule: PositionRule, value: object, reason: str) -> Fault:
    return Fault(
        reason=reason,
        where=f"{chunk.place}, line {line}",
        column=rule.polyline,
        found=shape(value),
        remedy="A polyline is a JSON list of [lon, lat] pairs.",
    )
