"""Small files that a power cut leaves old or new, never in part."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def replace_whole(
    file: Path, content: bytes, *, mode: int = 0o600, modified_at_s: float | None = None
) -> None:
    """Write a file whole or not at all; it is on the disk when this returns.

    Parameters
    ----------
    file
        The file; its folder is made if it is not there.
    content
        What it holds afterwards.
    mode
        Who may read it, from its first moment on.
    modified_at_s
        Its modification time, None for now. [s since 1970]

    Raises
    ------
    OSError
        If the disk takes it not; the old file is then still there.
    """
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if modified_at_s is not None:
            os.utime(part, (modified_at_s, modified_at_s))
        part.replace(file)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk: made, renamed and deleted ones."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
