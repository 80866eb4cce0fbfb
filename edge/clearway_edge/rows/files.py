"""Recorded files as chunks of raw rows: separated values, archives, JSON and Parquet."""

from __future__ import annotations

import csv
import io
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from clearway_core.errors import MissingDependency, SourceUnavailable, UsageError
from clearway_edge.rows.chunk import UNPARSABLE_LINE, Fault, RawChunk
from clearway_edge.rows.json_files import dig, json_document, json_lines
from clearway_edge.rows.polylines import unroll
from clearway_edge.rows.profile import FileFormat, FileKind, SourceProfile
from clearway_edge.rows.unzip import unzipped

if TYPE_CHECKING:
    from pyarrow import RecordBatch

CHUNK_ROWS = 5000
"""Rows read at once. 5,000 fixes take 6-9 bytes each on the wire and about 5 MB while they are
converted, so that an agent stays within 64 MiB."""

VEHICLE_FROM_NAME = "\0vehicle"
"""Column of an archive's chunks that holds the vehicle of the member's name."""

_MAX_FIELD_CHARS = 16 * 1024 * 1024

Advance = Callable[[int], None]


def read_chunks(
    file: Path, profile: SourceProfile, *, rows: int = CHUNK_ROWS, advance: Advance | None = None
) -> Iterator[RawChunk]:
    """Yield the rows of a file in its order; one that holds a polyline, as a row per position.

    Parameters
    ----------
    file
        The recorded file, gzipped or not.
    profile
        Its layout and the columns that are wanted.
    rows
        Rows of a chunk, at most.
    advance
        Called with the position in the file. [B]

    Raises
    ------
    SourceUnavailable
        If the file cannot be read, or breaks off in the middle; chunks before that are good.
    UsageError
        If the file does not have the columns that the profile names.
    """
    reader = _READERS[profile.format.kind]
    try:
        with file.open("rb") as raw:
            counted = cast("IO[bytes]", io.BufferedReader(_Counted(raw, advance), 1 << 17))
            chunks = reader(counted, file, profile, rows)
            if profile.position.polyline:
                chunks = unroll(chunks, profile.position, rows)
            yield from chunks
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        message = (
            f"{file} cannot be read to its end ({error}): "
            "records before that are kept; get the file again and replay it, nothing doubles"
        )
        raise SourceUnavailable(message) from error


def rows_of(data: bytes, profile: SourceProfile, *, place: str) -> Iterator[RawChunk]:
    """Yield the rows of bytes in memory as if they were a file.

    Parameters
    ----------
    data
        What a sender brought; never packed, so that its size is known.
    place
        What messages call it.

    Raises
    ------
    UsageError
        If it does not have the columns that the profile names.
    """
    stream = cast("IO[bytes]", io.BufferedReader(io.BytesIO(data)))
    yield from _READERS[profile.format.kind](stream, Path(place), profile, CHUNK_ROWS)


class _Member(io.RawIOBase):
    """A member of an archive that is read in one pass: such a member cannot be asked to seek."""

    def __init__(self, inner: IO[bytes]) -> None:
        self._inner = inner

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast("bytearray", buffer))
        data = self._inner.read(len(view))
        view[: len(data)] = data
        return len(data)


class _Counted(io.RawIOBase):
    """Bytes of a file, telling how far the reading is."""

    def __init__(self, inner: IO[bytes], advance: Advance | None) -> None:
        self._inner = inner
        self._advance = advance

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._inner.seek(offset, whence)

    def tell(self) -> int:
        return self._inner.tell()

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast("bytearray", buffer))
        data = self._inner.read(len(view))
        view[: len(data)] = data
        if self._advance is not None:
            self._advance(self._inner.tell())
        return len(data)


def _csv_chunks(
    stream: IO[bytes], file: Path, profile: SourceProfile, rows: int
) -> Iterator[RawChunk]:
    lines = _text_lines(unzipped(stream), profile.format)
    table = _Table(profile, str(file))
    for part in table.parts(lines, rows):
        yield from table.chunks(part)


def _archive_chunks(
    stream: IO[bytes], file: Path, profile: SourceProfile, rows: int
) -> Iterator[RawChunk]:
    pattern = profile.format.member_pattern
    table = _Table(profile, str(file))
    number = 0
    with tarfile.open(fileobj=unzipped(stream), mode="r|") as archive:
        for member in archive:
            found = pattern.search(member.name) if pattern is not None else None
            content = archive.extractfile(member) if member.isfile() else None
            if content is None or (pattern is not None and found is None):
                continue
            number += 1
            # Never the member's name: it is the vehicle.
            table.place = f"{file}: member {number}"
            table.vehicle = found["vehicle"] if found is not None else None
            inside = io.BufferedReader(_Member(content), 1 << 16)
            lines = _text_lines(unzipped(inside), profile.format)
            for part in table.parts(lines, rows):
                yield from table.chunks(part)
    if number == 0:
        wanted = f" that match {pattern.pattern!r}" if pattern is not None else ""
        message = f"{file} has no member files{wanted}: check format.member_pattern"
        raise UsageError(message)


def _text_lines(stream: IO[bytes], layout: FileFormat) -> Iterator[str]:
    text = io.TextIOWrapper(stream, encoding=layout.encoding, errors="replace", newline="")
    for _ in range(layout.skip_lines):
        next(text, None)
    return text


class _Part:
    """Consecutive lines, parsed to rows."""

    __slots__ = ("errors", "first_line", "rows")

    def __init__(self, rows: list[list[str]], first_line: int, errors: list[int]) -> None:
        self.rows = rows
        self.first_line = first_line
        self.errors = errors


class _Table:
    """Turns lines of separated values into chunks and numbers their rows."""

    def __init__(self, profile: SourceProfile, place: str) -> None:
        csv.field_size_limit(_MAX_FIELD_CHARS)
        self._profile = profile
        self._layout = profile.format
        self._next_seq = 0
        self._names: list[str] = list(profile.format.columns)
        self.place = place
        self.vehicle: str | None = None

    def parts(self, lines: Iterator[str], rows: int) -> Iterator[_Part]:
        """Yield parsed lines, header first taken off."""
        reader = _row_reader(lines, self._layout)
        if self._layout.header:
            header = next(reader, None)
            if header is None:
                return
            self._names = [name.strip() for name in header]
            self._check_names()
        line = self._layout.skip_lines + (1 if self._layout.header else 0) + 1
        while True:
            taken, errors = _take(reader, rows)
            if not taken and not errors:
                return
            yield _Part(taken, line, errors)
            line += len(taken) + len(errors)

    def _check_names(self) -> None:
        wanted = self._profile.source_columns
        missing = [name for name in wanted if name not in self._names]
        doubled = [name for name in wanted if self._names.count(name) > 1]
        if doubled:
            message = (
                f"{self.place} has the columns {', '.join(doubled)} more than once: nobody can "
                "tell which is meant; rename one in the file"
            )
            raise UsageError(message)
        if missing:
            message = (
                f"{self.place} lacks the columns {', '.join(missing)} that "
                f"{self._profile.file} maps; {self._shown_header()}. "
                "`clearway inspect` drafts a profile for it."
            )
            raise UsageError(message)

    def _shown_header(self) -> str:
        # A first line with numbers is no header but a record, and could name a vehicle.
        if any(any(letter.isdigit() for letter in name[:1]) for name in self._names):
            return "its first line holds numbers, so it seems to have no header"
        return f"its header has {', '.join(self._names)}"

    def chunks(self, part: _Part) -> Iterator[RawChunk]:
        """Yield the part as columns; lines of another width become faults."""
        width = len(self._names)
        rows = part.rows
        lines: Sequence[int] = range(part.first_line, part.first_line + len(rows))
        faults = [
            self._fault(part.first_line + number, "text that the quotes do not close")
            for number in part.errors
        ]
        if set(map(len, rows)) - {width}:
            kept = [(line, row) for line, row in zip(lines, rows, strict=True) if row]
            faults += [
                self._fault(line, f"{len(row)} values, expected {width}")
                for line, row in kept
                if len(row) != width
            ]
            numbers = [(i, line, row) for i, (line, row) in enumerate(kept) if len(row) == width]
            seq: Sequence[int] = [self._next_seq + i for i, _, _ in numbers]
            lines = [line for _, line, _ in numbers]
            rows = [row for _, _, row in numbers]
            count = len(kept)
        else:
            seq = range(self._next_seq, self._next_seq + len(rows))
            count = len(rows)
        self._next_seq += count + len(part.errors)
        columns = self._columns(rows)
        if seq or faults:
            yield RawChunk(seq=seq, lines=lines, columns=columns, faults=faults, place=self.place)

    def _columns(self, rows: list[list[str]]) -> dict[str, Sequence[object]]:
        turned = list(zip(*rows, strict=True)) if rows else [()] * len(self._names)
        columns: dict[str, Sequence[object]] = {
            name: turned[self._names.index(name)] for name in self._profile.source_columns
        }
        if self.vehicle is not None:
            columns[VEHICLE_FROM_NAME] = [self.vehicle] * len(rows)
        return columns

    def _fault(self, line: int, found: str) -> Fault:
        return Fault(
            reason=UNPARSABLE_LINE,
            where=f"{self.place}, line {line}",
            column="",
            found=found,
            remedy="Check format.separator, format.quote and format.columns of the profile.",
        )


def _row_reader(lines: Iterator[str], layout: FileFormat) -> Iterator[list[str]]:
    if layout.separator is None:
        return (line.split() for line in lines)
    if layout.quote is None:
        return csv.reader(lines, delimiter=layout.separator, quoting=csv.QUOTE_NONE)
    return csv.reader(lines, delimiter=layout.separator, quotechar=layout.quote)


def _take(reader: Iterator[list[str]], rows: int) -> tuple[list[list[str]], list[int]]:
    """Return the next rows; a line that the reader refuses ends the part and is counted."""
    taken: list[list[str]] = []
    try:
        taken.extend(islice(reader, rows))
    except csv.Error:
        return taken, [len(taken)]
    return taken, []


def _parquet_chunks(
    stream: IO[bytes], file: Path, profile: SourceProfile, rows: int
) -> Iterator[RawChunk]:
    try:
        from pyarrow import ArrowException  # noqa: PLC0415 -- a gateway has no pyarrow
        from pyarrow.parquet import ParquetFile  # noqa: PLC0415
    except ImportError as error:
        message = (
            f"{file} is Parquet, which needs pyarrow: install 'clearway[pipeline]', or write the "
            "file as CSV"
        )
        raise MissingDependency(message) from error
    try:
        table = ParquetFile(stream)
    except ArrowException as error:
        message = f"{file} is not a Parquet file ({error}): check format.kind of the profile"
        raise UsageError(message) from error
    names = list(profile.source_columns)
    tops = list(dict.fromkeys(name.split(".")[0] for name in names))
    missing = [name for name in tops if name not in table.schema_arrow.names]
    if missing:
        have = ", ".join(table.schema_arrow.names)
        message = (
            f"{file} lacks the columns {', '.join(missing)} that {profile.file} maps; it has {have}"
        )
        raise UsageError(message)
    next_seq = 0
    batches = table.iter_batches(batch_size=rows, columns=tops, use_threads=False)
    for batch in _whole(batches, ArrowException):
        seq = range(next_seq, next_seq + batch.num_rows)
        next_seq += batch.num_rows
        values = {name: batch.column(name).to_pylist() for name in tops}
        columns = {
            name: [dig(value, name.split(".")[1:]) for value in values[name.split(".")[0]]]
            if "." in name
            else values[name]
            for name in names
        }
        yield RawChunk(seq=seq, lines=seq, columns=columns, faults=(), place=f"{file}, rows")


def _whole(batches: Iterator[RecordBatch], damaged: type[Exception]) -> Iterator[RecordBatch]:
    try:
        yield from batches
    except damaged as error:
        raise EOFError(str(error)) from error


_READERS: dict[FileKind, Callable[..., Iterator[RawChunk]]] = {
    FileKind.CSV: _csv_chunks,
    FileKind.ARCHIVE: _archive_chunks,
    FileKind.JSONL: json_lines,
    FileKind.JSON: json_document,
    FileKind.PARQUET: _parquet_chunks,
}
