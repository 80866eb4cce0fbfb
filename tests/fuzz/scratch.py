"""Where targets write the files that their parsers want to read: in memory if the machine can."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

_MEMORY = Path("/dev/shm")  # noqa: S108 -- a folder of a random name is made in it


@cache
def scratch() -> Path:
    """Return a folder of this process; it goes when the process ends."""
    folder = tempfile.mkdtemp(prefix="clearway-fuzz-", dir=_MEMORY if _MEMORY.is_dir() else None)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def written(name: str, data: bytes) -> Path:
    """Return a scratch file that holds these bytes."""
    file = scratch() / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return file
