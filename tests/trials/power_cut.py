"""A power cut: SIGKILL, and then the disk forgets what was not synced, in part and out of order."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import BinaryIO

SOURCE = Path(__file__).with_name("powercut.c")
_NUMBER = struct.Struct("=q")


@dataclass(frozen=True, slots=True)
class Change:
    """One write or truncation that may be undone."""

    offset: int
    n_new: int
    size_before: int
    old: bytes
    truncates: bool


def build(folder: Path) -> Path | None:
    """Return the shim, compiled, or None where there is no C compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return None
    library = folder / "powercut.so"
    if not library.exists():
        part = folder / f"powercut.{os.getpid()}.so"
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-O1", "-o", part, SOURCE, "-ldl", "-lpthread"],
            check=True,
        )
        part.replace(library)
    return library


def environment(library: Path, folder: Path, journal: Path) -> dict[str, str]:
    """Return the variables under which a process remembers its unsynced writes below a folder."""
    return {
        "LD_PRELOAD": str(library),
        "POWERCUT_DIR": str(folder),
        "POWERCUT_JOURNAL": str(journal),
    }


def cut(journal: Path, random: Random) -> int:
    """Undo a random part of the unsynced writes; return how many were undone.

    Writes reach a disk in any order, and a block may be half old and half new. For each file a
    random point is drawn after which writes survive only by chance.
    """
    undone = 0
    for path, changes in _unsynced(journal).items():
        if not path.is_file():
            continue
        survives = random.choice([0.0, 0.0, 0.5, 0.9])
        lost = [change for change in changes if random.random() >= survives]
        with path.open("r+b") as file:
            for change in reversed(lost):
                _undo(file, change, torn=random.random() < 0.3, random=random)
        undone += len(lost)
    for shared in {path.parent for path in _unsynced(journal)}:
        for memory in shared.glob("*-shm"):
            memory.unlink()
    journal.unlink(missing_ok=True)
    return undone


def _undo(file: BinaryIO, change: Change, *, torn: bool, random: Random) -> None:
    if change.truncates:
        file.seek(change.offset)
        file.write(change.old)
        return
    old = change.old.ljust(change.n_new, b"\0")
    keep = random.randrange(0, change.n_new + 1, 512) if torn and change.n_new > 512 else 0
    file.seek(change.offset + keep)
    file.write(old[keep:])
    if not torn and change.offset + change.n_new > change.size_before:
        file.truncate(max(change.size_before, 0))


def _unsynced(journal: Path) -> dict[Path, list[Change]]:
    """Return the changes after the last sync of each file; a torn last record is none."""
    found: defaultdict[Path, list[Change]] = defaultdict(list)
    if not journal.exists():
        return found
    data = journal.read_bytes()
    at = 0

    def number() -> int:
        nonlocal at
        (value,) = _NUMBER.unpack_from(data, at)
        at += _NUMBER.size
        return int(value)

    def text(length: int) -> bytes:
        nonlocal at
        if at + length > len(data):
            raise struct.error
        value = data[at : at + length]
        at += length
        return value

    try:
        while at < len(data):
            kind = text(1)
            path = Path(os.fsdecode(text(number())))
            if kind == b"S":
                found[path].clear()
            elif kind == b"W":
                offset, n_new, size = number(), number(), number()
                found[path].append(Change(offset, n_new, size, text(number()), truncates=False))
            else:
                size, before = number(), number()
                found[path].append(Change(size, 0, before, text(number()), truncates=True))
    except struct.error:
        pass
    return found
