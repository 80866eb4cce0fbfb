"""What a running gateway says about itself in a small file, for `status` on the same machine."""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from clearway_core.clock import Clock

log = logging.getLogger(__name__)

_CHANGE_S = 5.0
"""A state that flickers is written this often at most: memory cards wear. [s]"""

_UNCHANGED_S = 60.0


class StateFile:
    """The file; writing it never fails, for nothing depends on it.

    Parameters
    ----------
    file
        Where it lies; None writes nothing.
    """

    def __init__(self, file: Path | None, clock: Clock) -> None:
        self._file = file
        self._clock = clock
        self._words = ""
        self._written_s: float | None = None

    def is_due(self, words: str) -> bool:
        """Return whether it is time to write: words have changed, or a minute is over."""
        if self._file is None:
            return False
        if self._written_s is None:
            return True
        age_s = self._clock.monotonic_s() - self._written_s
        return age_s >= (_UNCHANGED_S if words == self._words else _CHANGE_S)

    def write(self, words: str, state: Mapping[str, object]) -> None:
        """Replace the file; a reader sees the old or the new one, never a part."""
        if self._file is None:
            return
        self._words = words
        self._written_s = self._clock.monotonic_s()
        new = self._file.with_suffix(".new")
        try:
            new.write_text(json.dumps(dict(state)), encoding="utf-8")
            new.replace(self._file)
        except OSError as error:
            log.debug("state_not_written", extra={"error": str(error)})


def read_state(file: Path) -> Mapping[str, object] | None:
    """Return what the gateway last said, or None if it said nothing that can be read."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return cast("dict[str, object]", found) if isinstance(found, dict) else None


def is_running(lock: Path) -> bool:
    """Return whether a process owns the gateway's folder now, by the lock that it holds."""
    try:
        descriptor = os.open(lock, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
