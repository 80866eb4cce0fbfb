"""Recorded JSON as chunks of raw rows: one object a line, or one document with a list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO

import orjson

from clearway_core.errors import UsageError
from clearway_edge.rows.chunk import UNPARSABLE_LINE, Fault, RawChunk
from clearway_edge.rows.profile import SourceProfile
from clearway_edge.rows.unzip import unzipped

_MAX_JSON_BYTES = 256 * 1024 * 1024


def json_lines(
    stream: IO[bytes], file: Path, profile: SourceProfile, rows: int
) -> Iterator[RawChunk]:
    """Yield the records of a file with one JSON document a line."""
    lines = ((number, line) for number, line in enumerate(unzipped(stream), 1) if line.strip())
    yield from _json_chunks(lines, file, profile, rows)


def json_document(
    stream: IO[bytes], file: Path, profile: SourceProfile, rows: int
) -> Iterator[RawChunk]:
    """Yield the records of a file that is one JSON document.

    Raises
    ------
    UsageError
        If it is too large to be held in memory.
    """
    text = unzipped(stream).read(_MAX_JSON_BYTES + 1)
    if len(text) > _MAX_JSON_BYTES:
        message = (
            f"{file} is one JSON document of more than {_MAX_JSON_BYTES} bytes, which a gateway "
            "does not hold in memory: write it as one object a line (format.kind = 'jsonl')"
        )
        raise UsageError(message)
    yield from _json_chunks([(1, text)], file, profile, rows)


def _json_chunks(
    documents: Iterable[tuple[int, bytes]], file: Path, profile: SourceProfile, rows: int
) -> Iterator[RawChunk]:
    records = json_records(documents, profile.format.records)
    next_seq = 0
    while taken := list(islice(records, rows)):
        yield json_chunk(taken, profile, place=str(file), first_seq=next_seq)
        next_seq += len(taken)


def json_chunk(
    records: Sequence[tuple[int, object]],
    profile: SourceProfile,
    *,
    place: str,
    first_seq: int = 0,
) -> RawChunk:
    """Return records, each with its line, as a chunk; what is no object becomes a fault."""
    names = [(name, name.split(".")) for name in profile.source_columns]
    good = [
        (first_seq + number, line, record)
        for number, (line, record) in enumerate(records)
        if isinstance(record, dict)
    ]
    faults = [
        Fault(
            reason=UNPARSABLE_LINE,
            where=f"{place}, line {line}",
            column="",
            found="text that is no JSON object",
            remedy="Check format.kind and format.records of the profile.",
        )
        for line, record in records
        if not isinstance(record, dict)
    ]
    return RawChunk(
        seq=[seq for seq, _, _ in good],
        lines=[line for _, line, _ in good],
        columns={name: [dig(record, path) for _, _, record in good] for name, path in names},
        faults=faults,
        place=place,
    )


def json_records(
    documents: Iterable[tuple[int, bytes]], where: str
) -> Iterator[tuple[int, object]]:
    """Yield the records that documents hold at a dotted path, each with its line."""
    path = where.split(".") if where else []
    for line, text in documents:
        try:
            found = dig(orjson.loads(text), path)
        except orjson.JSONDecodeError:
            found = None
        if isinstance(found, list):
            yield from ((line, record) for record in found)
        else:
            yield line, found


def dig(value: object, path: Sequence[str]) -> object:
    """Return what lies at a path of keys, or None where the path ends early."""
    for step in path:
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value
