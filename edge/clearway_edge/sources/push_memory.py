"""Which requests are stored already: a sender whose answer was lost repeats the same bytes."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from enum import Enum, auto
from pathlib import Path

log = logging.getLogger(__name__)

DIGEST_BYTES = 16
REQUESTS = 20_000
"""How many requests a file holds before a new one is begun; the last two files count. At one
request a second that is between 5 and 11 hours, in 4 MB of memory; senders repeat soon."""


class Known(Enum):
    """What is known about a request."""

    NEW = auto()
    UNDER_WAY = auto()
    STORED = auto()


def digest_of(provider: str, path: str, body: bytes) -> bytes:
    """Return 16 bytes that stand for a request."""
    summed = hashlib.blake2b(f"{provider}\0{path}\0".encode(), digest_size=DIGEST_BYTES)
    summed.update(body)
    return summed.digest()


class RequestMemory:
    """Remembers stored requests over restarts, a bounded number of them.

    Parameters
    ----------
    folder
        Where the two files lie; None remembers until the process ends.
    requests
        Requests of a file.
    """

    def __init__(self, folder: Path | None, *, requests: int = REQUESTS) -> None:
        self._requests = requests
        self._lock = threading.Lock()
        self._under_way: set[bytes] = set()
        self._file = None if folder is None else folder / "requests"
        self._older_file = None if folder is None else folder / "requests.older"
        self._older = _read(self._older_file)
        self._newer = _read(self._file)
        self._failed = False

    def begin(self, digest: bytes) -> Known:
        """Return what is known about a request; a new one is under way from then on."""
        with self._lock:
            if digest in self._newer or digest in self._older:
                return Known.STORED
            if digest in self._under_way:
                return Known.UNDER_WAY
            self._under_way.add(digest)
            return Known.NEW

    def stored(self, digest: bytes) -> None:
        """Remember that a request is stored, on the disk before its sender is told."""
        with self._lock:
            self._under_way.discard(digest)
            try:
                if len(self._newer) >= self._requests:
                    self._turn()
                self._append(digest)
            except OSError as error:
                # The readings are stored; only a repetition after a restart is not recognised.
                if not self._failed:
                    _warn(error)
                self._failed = True
            else:
                self._failed = False
            self._newer.add(digest)

    def given_up(self, digest: bytes) -> None:
        """Forget a request that was not stored: it may come again."""
        with self._lock:
            self._under_way.discard(digest)

    def _turn(self) -> None:
        self._older, self._newer = self._newer, set()
        if self._file is not None and self._older_file is not None and self._file.exists():
            self._file.replace(self._older_file)

    def _append(self, digest: bytes) -> None:
        if self._file is None:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._file.open("ab") as stream:
            # A torn end would shift every digest behind it.
            stream.truncate(stream.tell() // DIGEST_BYTES * DIGEST_BYTES)
            stream.write(digest)
            stream.flush()
            os.fsync(stream.fileno())


def _warn(error: OSError) -> None:
    log.warning("push_memory_unusable", extra={"error": str(error)})


def _read(file: Path | None) -> set[bytes]:
    try:
        data = b"" if file is None or not file.exists() else file.read_bytes()
    except OSError as error:
        _warn(error)
        data = b""
    whole = len(data) // DIGEST_BYTES * DIGEST_BYTES
    return {data[at : at + DIGEST_BYTES] for at in range(0, whole, DIGEST_BYTES)}
