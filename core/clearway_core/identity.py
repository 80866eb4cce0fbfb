"""Who counted a record: (gateway, boot, seq).

``boot`` is a random number committed at each start of a gateway's agent, ``seq`` counts from 0 per
(gateway, boot, contract). In replay, ``boot`` is derived from the file and its profile and
``seq`` is the record's number in the file, so that replaying the same file adds nothing.
"""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

BOOT_BITS = 63
"""One bit less than 64, because Delta Lake has no unsigned integers."""

_CHUNK_BYTES = 1 << 20


def new_boot() -> int:
    """Return a random boot number for one start of an agent."""
    return secrets.randbits(BOOT_BITS)


def replay_boot(file: Path, profile: Path) -> int:
    """Return the boot number that a recorded file has under a source profile.

    The same bytes give the same number wherever they lie and whatever they are called.
    """
    digest = hashlib.sha256()
    for path in (file, profile):
        inner = hashlib.sha256()
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                inner.update(chunk)
        digest.update(inner.digest())
    return int.from_bytes(digest.digest()[:8], "big") >> (64 - BOOT_BITS)
