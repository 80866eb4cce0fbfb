"""The folder of one gateway: outbox, keys, and a lock so that one process owns it."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from clearway_core.data_dir import DataDir
from clearway_core.errors import SourceUnavailable, UsageError

GATEWAY_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class GatewayDir:
    """Paths of one gateway; nothing is created by asking for a path."""

    root: Path

    @property
    def outbox(self) -> Path:
        """The outbox of a running gateway."""
        return self.root / "outbox.sqlite"

    @property
    def keys(self) -> Path:
        """Keys of the pseudonyms."""
        return self.root / "keys"

    @property
    def clock(self) -> Path:
        """What turns monotonic times of earlier starts of the machine into instants."""
        return self.root / "clock.json"

    @property
    def state(self) -> Path:
        """What the running gateway says about itself."""
        return self.root / "state.json"

    @property
    def lock(self) -> Path:
        """Held by the process that owns the folder."""
        return self.root / "lock"

    @property
    def pin(self) -> Path:
        """The PIN of the gateway's page, if the settings name no other file."""
        return self.root / "page.pin"

    @property
    def sources(self) -> Path:
        """What sources must know after a restart."""
        return self.root / "sources"

    @property
    def sorting(self) -> Path:
        """Scratch file of a replay in the order of time."""
        return self.root / "sorting.sqlite"

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Own the folder while the block runs.

        Raises
        ------
        SourceUnavailable
            If another process owns it: two agents under one name would count twice.
        """
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            message = (
                f"another process runs the gateway {self.root.name!r} in {self.root}: "
                "wait for it, stop it, or take another name (--gateway)"
            )
            raise SourceUnavailable(message) from error
        try:
            yield
        finally:
            os.close(descriptor)


def gateway_dir(data_dir: Path, gateway: str) -> GatewayDir:
    """Return the folder of a gateway.

    Raises
    ------
    UsageError
        If the name cannot be one.
    """
    if GATEWAY_NAME.fullmatch(gateway) is None:
        message = (
            f"a gateway's name has small letters, digits, . _ and -, at most 64, got {gateway!r}"
        )
        raise UsageError(message)
    return GatewayDir(DataDir(data_dir).gateways / gateway)
