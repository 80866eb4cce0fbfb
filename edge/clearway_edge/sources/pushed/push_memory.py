"""Which requests are stored already: a sender whose answer was lost repeats the same bytes.

What is remembered is a digest under a random key that goes with it. Without a key, somebody who
has the log, and so time and place of a fix, could try all vehicles of a fleet until the digest of
the request fits; the key is destroyed like those of the pseudonyms, within a day.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import struct
import threading
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

from clearway_core.clock import Clock, SystemClock

log = logging.getLogger(__name__)

DIGEST_BYTES = 16
REQUESTS = 20_000
"""How many requests a file holds before a new one is begun; the last two files count. At one
request a second that is between 5 and 11 hours, in 4 MB of memory; senders repeat soon."""


LONGEST_S = 12 * 3600.0
"""Nor does a file grow older than this before a new one is begun: a key lives for 24 h at most, and
while the machine is off."""

_KEY_BYTES = 32
_HEAD = struct.Struct(f">{_KEY_BYTES}sQ")
"""Key of a file's digests, and when it was begun. [s since 1970]"""


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


@dataclass(slots=True)
class _Generation:
    """Requests that share a file and its key.

    Parameters
    ----------
    begun_s
        By the wall clock, which may be wrong. [s since 1970]
    until_s
        By the monotonic clock: when the next file is begun. [s]
    """

    begun_s: float
    until_s: float
    key: bytes = field(default_factory=lambda: secrets.token_bytes(_KEY_BYTES))
    marks: set[bytes] = field(default_factory=set)

    def __contains__(self, digest: bytes) -> bool:
        return self.mark(digest) in self.marks

    def mark(self, digest: bytes) -> bytes:
        """Return what is kept of a request's digest."""
        return hashlib.blake2b(digest, key=self.key, digest_size=DIGEST_BYTES).digest()


class RequestMemory:
    """Remembers stored requests over restarts, a bounded number of them for a bounded time.

    Parameters
    ----------
    folder
        Where the two files lie; None remembers until the process ends.
    requests
        Requests of a file.
    clock
        Tells when a new file is begun.
    """

    def __init__(
        self, folder: Path | None, *, requests: int = REQUESTS, clock: Clock | None = None
    ) -> None:
        self._requests = requests
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._under_way: set[bytes] = set()
        self._file = None if folder is None else folder / "requests"
        self._older_file = None if folder is None else folder / "requests.older"
        self._older = self._read(self._older_file, oldest_s=2 * LONGEST_S)
        self._newer = self._read(self._file, oldest_s=LONGEST_S)
        self._failed = False
        self.forget_old()

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
                if len(self._newer.marks) >= self._requests:
                    self._turn()
                self._append(self._newer.mark(digest))
            except OSError as error:
                # The readings are stored; only a repetition after a restart is not recognised.
                if not self._failed:
                    _warn(error)
                self._failed = True
            else:
                self._failed = False
            self._newer.marks.add(self._newer.mark(digest))

    def given_up(self, digest: bytes) -> None:
        """Forget a request that was not stored: it may come again."""
        with self._lock:
            self._under_way.discard(digest)

    def forget_old(self) -> None:
        """Begin a new file once the present one is old, and destroy the one before it."""
        with self._lock:
            try:
                now_s = self._clock.monotonic_s()
                if self._newer.until_s <= now_s:
                    self._turn()
                if self._older.marks and self._older.until_s + LONGEST_S <= now_s:
                    self._older = self._begun()
                    if self._older_file is not None:
                        self._older_file.unlink(missing_ok=True)
            except OSError as error:
                _warn(error)

    def _turn(self) -> None:
        self._older, self._newer = self._newer, self._begun()
        if self._file is None or self._older_file is None:
            return
        if self._file.exists():
            self._file.replace(self._older_file)
        else:
            self._older_file.unlink(missing_ok=True)

    def _append(self, mark: bytes) -> None:
        if self._file is None:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._file.open("ab") as stream:
            if stream.tell() < _HEAD.size:
                stream.truncate(0)
                stream.write(_HEAD.pack(self._newer.key, int(self._newer.begun_s)))
            else:
                # A torn end would shift every digest behind it.
                n_whole = (stream.tell() - _HEAD.size) // DIGEST_BYTES
                stream.truncate(_HEAD.size + n_whole * DIGEST_BYTES)
            stream.write(mark)
            stream.flush()
            os.fsync(stream.fileno())

    def _begun(self) -> _Generation:
        return _Generation(
            begun_s=self._clock.now().timestamp(), until_s=self._clock.monotonic_s() + LONGEST_S
        )

    def _read(self, file: Path | None, *, oldest_s: float) -> _Generation:
        found = self._begun()
        try:
            data = b"" if file is None or not file.exists() else file.read_bytes()
        except OSError as error:
            _warn(error)
            return found
        if len(data) < _HEAD.size:
            return found
        found.key, begun_s = _HEAD.unpack_from(data)
        # A clock that was wrong makes no file younger than one of now, nor older than can be: that
        # of the last half day is kept once more, whatever the time is said to be.
        found.until_s -= min(max(0.0, found.begun_s - begun_s), oldest_s)
        found.begun_s = begun_s
        whole = _HEAD.size + (len(data) - _HEAD.size) // DIGEST_BYTES * DIGEST_BYTES
        found.marks = {
            data[at : at + DIGEST_BYTES] for at in range(_HEAD.size, whole, DIGEST_BYTES)
        }
        return found


def _warn(error: OSError) -> None:
    log.warning("push_memory_unusable", extra={"error": str(error)})
