"""The first rows of an unknown file, and how they are laid out."""

from __future__ import annotations

import csv
import io
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

import orjson

from clearway_core.errors import MissingDependency, SourceUnavailable
from clearway_edge.rows.profile import FileKind
from clearway_edge.rows.unzip import unzipped

ROWS = 2000
"""Rows that are looked at."""

_HEAD_BYTES = 1 << 20
_MAX_JSON_BYTES = 64 * 1024 * 1024
_MAX_MEMBERS = 2000
_TAR_MAGIC_AT = 257
_SEPARATORS = (",", ";", "\t", "|", " ")
_NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?([eE][-+]?\d+)?")
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+")
_HEADER_WORD = re.compile(r"[A-Za-z_]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the beginning of a file shows.

    Parameters
    ----------
    columns
        Raw values by column; columns of a file without header are called c1, c2, ….
    header
        Whether the names come from the file.
    member_prefix, member_suffix
        Archive: what the members' names have around the vehicle.
    records
        JSON: where the list of records is.
    encoding
        Text encoding that the beginning fits.
    n_rows
        Rows in `columns`.
    """

    file: Path
    kind: FileKind
    columns: Mapping[str, Sequence[object]]
    n_rows: int
    separator: str = ","
    header: bool = True
    decimal_comma: bool = False
    encoding: str = "utf-8-sig"
    member_prefix: str = ""
    member_suffix: str = ""
    records: str = ""


def take_sample(file: Path) -> Sample:
    """Return the beginning of a file.

    Raises
    ------
    SourceUnavailable
        If the file cannot be read or shows no table.
    """
    try:
        with file.open("rb") as raw:
            stream = unzipped(raw)
            head = _read_some(stream, _HEAD_BYTES)
        if head[:4] == b"PAR1":
            return _parquet(file)
        if head[_TAR_MAGIC_AT : _TAR_MAGIC_AT + 5] == b"ustar":
            return _archive(file)
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        message = f"{file} cannot be read: {error}. Is it complete?"
        raise SourceUnavailable(message) from error
    if head.lstrip()[:1] in {b"{", b"["}:
        return _json(file, head)
    return _separated(file, head)


def _read_some(stream: IO[bytes], size: int) -> bytes:
    parts = []
    while size > 0 and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _separated(file: Path, head: bytes) -> Sample:
    table = parse_table(head)
    if table is None:
        message = (
            f"{file} shows no table in its first lines: expected lines of values with the same "
            "separator, JSON, Parquet, or a tar archive of such files"
        )
        raise SourceUnavailable(message)
    return Sample(file=file, kind=FileKind.CSV, n_rows=len(table.rows), **table.layout())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    names: list[str]
    rows: list[list[str]]
    separator: str
    header: bool
    encoding: str

    def layout(self) -> dict[str, object] | dict[str, str]:
        """Return the arguments of a sample."""
        turned = list(zip(*self.rows, strict=True)) if self.rows else [()] * len(self.names)
        texts = [text for row in self.rows for text in row]
        commas = sum(_DECIMAL_COMMA.fullmatch(text.strip()) is not None for text in texts)
        return {
            "columns": dict(zip(self.names, turned, strict=True)),
            "separator": self.separator,
            "header": self.header,
            "decimal_comma": self.separator != "," and commas > 0,
            "encoding": self.encoding,
        }


def parse_table(head: bytes) -> _Table | None:
    """Return the rows of separated values, or None if no separator gives an even table."""
    encoding = "utf-8-sig"
    text = head.decode(encoding, "replace")
    if "\ufffd" in text[:-4]:
        encoding = "latin-1"
        text = head.decode(encoding)
    lines = text.splitlines()
    if len(head) >= _HEAD_BYTES:
        lines = lines[:-1]
    best: tuple[float, str, list[list[str]]] | None = None
    for separator in _SEPARATORS:
        rows = [row for row in csv.reader(lines[: ROWS + 1], delimiter=separator) if row]
        if not rows:
            return None
        width = len(rows[0])
        even = sum(len(row) == width for row in rows) / len(rows)
        if width > 1 and even > 0.9 and (best is None or even * width > best[0]):  # noqa: PLR2004 -- a few torn lines
            best = even * width, separator, [row for row in rows if len(row) == width]
    if best is None:
        return None
    _, separator, rows = best
    header = _has_header(rows)
    names = [name.strip() for name in rows[0]] if header else []
    names = names or [f"c{number}" for number in range(1, len(rows[0]) + 1)]
    return _Table(
        names=names,
        rows=rows[1:] if header else rows,
        separator=separator,
        header=header,
        encoding=encoding,
    )


def _has_header(rows: Sequence[Sequence[str]]) -> bool:
    first = [text.strip() for text in rows[0]]
    if any(_NUMBER.fullmatch(text) for text in first):
        return False
    return any(_HEADER_WORD.match(text) for text in first)


def _archive(file: Path) -> Sample:
    names: list[str] = []
    table: _Table | None = None
    with file.open("rb") as raw, tarfile.open(fileobj=unzipped(raw), mode="r|") as archive:
        for member in islice(archive, _MAX_MEMBERS):
            content = archive.extractfile(member) if member.isfile() else None
            if content is None:
                continue
            names.append(member.name)
            if table is None:
                inside = io.BytesIO(_read_some(content, _HEAD_BYTES))
                table = parse_table(_read_some(unzipped(io.BufferedReader(inside)), _HEAD_BYTES))
    if table is None:
        message = f"{file} is an archive whose members show no table"
        raise SourceUnavailable(message)
    prefix, suffix = around_vehicle([name.rsplit("/", 1)[-1] for name in names])
    return Sample(
        file=file,
        kind=FileKind.ARCHIVE,
        n_rows=len(table.rows),
        member_prefix=prefix,
        member_suffix=suffix,
        **table.layout(),
    )


def around_vehicle(names: Sequence[str]) -> tuple[str, str]:
    """Return what all file names begin and end with, cut back to a mark such as _ or a dot.

    Ten names that begin with "new_ab" by chance must not lose the "ab" of the vehicles.
    """
    first, last = min(names), max(names)
    length = next(
        (i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b),
        min(len(first), len(last)),
    )
    prefix = re.sub(r"[A-Za-z0-9]+$", "", first[:length])
    dot = first.find(".", len(prefix))
    suffix = first[dot:] if dot >= 0 else ""
    return prefix, suffix if all(name.endswith(suffix) for name in names) else ""


def _json(file: Path, head: bytes) -> Sample:
    first_line = head.split(b"\n", 1)[0]
    by_line = head.count(b"\n") > 1 and _is_json(first_line)
    kind = FileKind.JSONL if by_line else FileKind.JSON
    if by_line:
        lines = head.split(b"\n")[: ROWS + 1]
        documents = [orjson.loads(line) for line in lines if _is_json(line)]
        where, records = "", documents
        if documents and not _looks_flat(documents[0]):
            where, records = _longest_list(documents[0])
            records = records or documents
    else:
        with file.open("rb") as raw:
            text = unzipped(raw).read(_MAX_JSON_BYTES + 1)
        if len(text) > _MAX_JSON_BYTES or not _is_json(text):
            message = f"{file} begins like JSON but is broken, or over {_MAX_JSON_BYTES} bytes"
            raise SourceUnavailable(message)
        where, records = _longest_list(orjson.loads(text))
    rows = [dict(_flat(record)) for record in records[:ROWS] if isinstance(record, dict)]
    names = list(dict.fromkeys(name for row in rows for name in row))
    if not names:
        message = f"{file} holds no records to look at: take a file with some"
        raise SourceUnavailable(message)
    columns = {name: [row.get(name) for row in rows] for name in names}
    return Sample(
        file=file, kind=kind, columns=columns, n_rows=len(rows), records=where, encoding="utf-8"
    )


def _is_json(text: bytes) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _looks_flat(document: object) -> bool:
    return isinstance(document, dict) and not any(
        isinstance(value, list) and value and isinstance(value[0], dict)
        for value in document.values()
    )


def _longest_list(document: object) -> tuple[str, list[object]]:
    """Return the dotted path and content of the longest list of objects in a document."""
    if isinstance(document, list):
        return "", document
    best: tuple[str, list[object]] = ("", [])
    todo: list[tuple[str, object]] = [("", document)]
    while todo:
        path, value = todo.pop()
        if isinstance(value, dict):
            todo += [(f"{path}.{key}" if path else key, inner) for key, inner in value.items()]
        elif isinstance(value, list) and len(value) > len(best[1]):
            best = (path, value)
    return best


def _flat(record: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Yield the values of a record and of those within it, by dotted names."""
    todo = list(record.items())[::-1]
    while todo:
        name, value = todo.pop()
        if isinstance(value, dict):
            todo += [(f"{name}.{key}", inner) for key, inner in list(value.items())[::-1]]
        else:
            yield name, value


def _parquet(file: Path) -> Sample:
    try:
        from pyarrow import ArrowException  # noqa: PLC0415 -- a gateway has no pyarrow
        from pyarrow.parquet import ParquetFile  # noqa: PLC0415
    except ImportError as error:
        message = f"{file} is Parquet, which needs pyarrow: install 'clearway[pipeline]'"
        raise MissingDependency(message) from error
    try:
        table = ParquetFile(file)
        batch = next(table.iter_batches(batch_size=ROWS, use_threads=False), None)
        rows = [] if batch is None else [dict(_flat(row)) for row in batch.to_pylist()]
    except ArrowException as error:
        message = f"{file} begins like Parquet but cannot be read: {error}. Is it complete?"
        raise SourceUnavailable(message) from error
    names = list(dict.fromkeys(name for row in rows for name in row)) or table.schema_arrow.names
    return Sample(
        file=file,
        kind=FileKind.PARQUET,
        columns={name: [row.get(name) for row in rows] for name in names},
        n_rows=len(rows),
    )
