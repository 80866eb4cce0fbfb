"""Commits behind a damaged place in SQLite's write-ahead log, brought back.

SQLite reads its log up to the first frame whose checksum is wrong, which is right after a power
cut: what follows was never promised. One flipped bit in an old frame, however, takes every later
commit with it without a word. Where the index in shared memory still says how many frames were
committed, the later ones are applied as they are: batches and pages carry digests of their own, so
that whatever is wrong in them is found and counted when it is read.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import struct
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

_WAL_HEADER_BYTES = 32
_FRAME_HEAD = struct.Struct(">II8s")
"""Page, pages of the file after the commit (0: not its last frame), salts of the round."""
_FRAME_HEAD_BYTES = 24
_MOST_BYTES = 64 * 1024 * 1024
"""A log that is larger than this is not ours. [B]"""
_INDEX = struct.Struct("=12xBBHII8x8s8x")
"""Index header: begun, -, page size, last committed frame, pages, -, salts; it is there twice."""


@dataclass(frozen=True, slots=True)
class _Frame:
    page: int
    n_pages: int
    content: bytes


def mend_wal(file: Path, page_bytes: int) -> None:
    """Bring back the commits behind a damaged frame; without damage nothing is changed.

    Parameters
    ----------
    file
        A database that nobody has open, of a process that died while the machine went on: after a
        power cut the index is older or newer than the log.
    page_bytes
        Size of its pages. [B]
    """
    wal, index = (file.with_name(file.name + suffix) for suffix in ("-wal", "-shm"))
    if not (file.is_file() and wal.is_file() and index.is_file()):
        return
    if wal.stat().st_size > _MOST_BYTES:
        return
    with index.open("rb") as stream:
        n_committed, salts = _committed(stream.read(2 * _INDEX.size), page_bytes)
    data = wal.read_bytes() if n_committed else b""
    frames = _whole(_frames(data, page_bytes, salts)[:n_committed])
    n_read = _n_read(file) if frames else 0
    if n_read >= len(frames):
        return
    log.error("outbox_wal_mended", extra={"file": str(wal), "n_frames": len(frames) - n_read})
    _apply(file, frames[n_read:], page_bytes)


def _committed(data: bytes, page_bytes: int) -> tuple[int, bytes]:
    """Return how many frames the index calls committed, and the salts of their round."""
    size = _INDEX.size
    if len(data) < 2 * size or data[:size] != data[size:]:
        return 0, b""
    begun, _, page_size, n_frames, _, salts = _INDEX.unpack(data[:size])
    return (n_frames, salts) if begun == 1 and page_size == page_bytes else (0, b"")


def _n_read(file: Path) -> int:
    """Return how many frames SQLite reads; they are in the file then, and the log is gone."""
    with closing(sqlite3.connect(file)) as db:
        try:
            _, n_frames, _ = db.execute("pragma wal_checkpoint(passive)").fetchone()
        except sqlite3.DatabaseError:
            return 0
    return max(0, int(n_frames))


def _frames(data: bytes, page_bytes: int, salts: bytes) -> list[_Frame | None]:
    """Return the frames of a log; None for those that are of no use."""
    size = _FRAME_HEAD_BYTES + page_bytes
    frames: list[_Frame | None] = []
    for start in range(_WAL_HEADER_BYTES, len(data) - size + 1, size):
        page, n_pages, found = _FRAME_HEAD.unpack_from(data, start)
        # A flipped bit may be in the salts themselves.
        known = found[:4] == salts[:4] or found[4:] == salts[4:]
        content = data[start + _FRAME_HEAD_BYTES : start + size]
        frames.append(_Frame(page, n_pages, content) if known else None)
    return frames


def _whole(frames: list[_Frame | None]) -> list[_Frame | None]:
    """Return the frames up to the last one that ends a commit: a torn log ends anywhere."""
    ends = [number for number, frame in enumerate(frames, 1) if frame and frame.n_pages]
    return frames[: max(ends, default=0)]


def _apply(file: Path, frames: list[_Frame | None], page_bytes: int) -> None:
    n_pages = max((frame.n_pages for frame in frames[-1:] if frame is not None), default=0)
    with file.open("r+b") as stream:
        most = max(n_pages, file.stat().st_size // page_bytes + len(frames))
        for frame in frames:
            if frame is not None and 0 < frame.page <= most:
                stream.seek((frame.page - 1) * page_bytes)
                stream.write(frame.content)
        stream.flush()
        os.fsync(stream.fileno())
    for suffix in ("-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
