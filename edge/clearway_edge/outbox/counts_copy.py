"""A second copy of the outbox's pages, beside its file.

If the newest commits of the outbox are lost to a card that only pretended to write them, the
batches in them are gone, and without a second copy so would be every trace that they were read. It
is not fsynced: the kernel writes it every few seconds, some 4 KiB each time, however many commits
there were; what it says was durable in the outbox before.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from clearway_edge.clock.clock_state import BOOT_ID
from clearway_edge.outbox.ledger import Page

_SLOT_BYTES = 1024
_N_SLOTS = 1024
"""Pages of some days; an older one gives way."""
_LENGTH_BYTES = 2


class CountsCopy:
    """The copy; whatever goes wrong with it stops nothing.

    Parameters
    ----------
    file
        Where it lies.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._descriptor: int | None = None
        self.pages: dict[int, Page] = {}
        self.same_start = False

    def load(self) -> None:
        """Read what the last process left: its pages, and whether the machine has gone on since."""
        with suppress(OSError):
            data = self._file.read_bytes()
            start = _machine_start()
            self.same_start = start != b"" and data[: len(start)] == start
            for at in range(_SLOT_BYTES, len(data), _SLOT_BYTES):
                length = int.from_bytes(data[at : at + _LENGTH_BYTES], "big")
                body = data[at + _LENGTH_BYTES : at + _LENGTH_BYTES + length]
                page = Page.from_bytes(body) if length else None
                if page is not None:
                    self.pages[page.id] = page

    def begin(self, pages: Mapping[int, Page]) -> None:
        """Start anew with these pages."""
        self.close()
        with suppress(OSError):
            self._descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            os.pwrite(self._descriptor, _machine_start(), 0)
        newest = sorted(pages)[-_N_SLOTS:]
        self.write({number: pages[number] for number in newest})

    def write(self, changed: Mapping[int, Page | None]) -> None:
        """Keep changed pages; None: it is forgotten."""
        if self._descriptor is None:
            return
        for number, page in changed.items():
            body = b"" if page is None else page.to_bytes()
            if len(body) + _LENGTH_BYTES > _SLOT_BYTES:
                body = b""
            slot = len(body).to_bytes(_LENGTH_BYTES, "big") + body
            with suppress(OSError):
                os.pwrite(
                    self._descriptor,
                    slot.ljust(_SLOT_BYTES, b"\0"),
                    _SLOT_BYTES * (1 + number % _N_SLOTS),
                )

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _machine_start() -> bytes:
    try:
        return BOOT_ID.read_bytes().strip()
    except OSError:
        return b""
