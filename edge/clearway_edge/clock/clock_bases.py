"""What turns the monotonic time of each start of the machine into an instant, kept on disk."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from clearway_core.whole_file import replace_whole

log = logging.getLogger(__name__)

MAX_STARTS = 100
"""Starts that are remembered; readings wait for 30 days at most, and a machine that starts more
often than three times a day has other troubles."""

WORTH_WRITING_MS = 500
"""A base that has moved less than this is not written again: the disk wears."""


class ClockBases:
    """Wall time minus monotonic time [ms], by start of the machine.

    Parameters
    ----------
    file
        Where they are kept; None: in memory only.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._bases = {} if file is None else _read(file)
        self._written = dict(self._bases)
        self._failed = False

    def get(self, start: str) -> int | None:
        """Return the base of a start, or None if its clock was never synchronised [ms]."""
        return self._bases.get(start)

    def set(self, start: str, base_ms: int) -> None:
        """Note the base of a start; on disk when this returns, if the disk takes it.

        Parameters
        ----------
        start
            Name of the start.
        base_ms
            Wall time minus monotonic time. [ms]
        """
        self._bases.pop(start, None)
        self._bases[start] = base_ms
        before_ms = self._written.get(start)
        if before_ms is not None and abs(base_ms - before_ms) < WORTH_WRITING_MS:
            return
        self._bases = dict(list(self._bases.items())[-MAX_STARTS:])
        if self._file is not None:
            try:
                replace_whole(self._file, json.dumps(self._bases).encode())
            except OSError as error:
                # In memory it serves until the next start; the next look tries again, silently.
                if not self._failed:
                    log.warning("clock_bases_not_written", extra={"error": str(error)})
                self._failed = True
                return
        self._failed = False
        self._written = dict(self._bases)


def _read(file: Path) -> dict[str, int]:
    try:
        found = json.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        log.warning("clock_bases_unreadable", extra={"file": str(file), "error": str(error)})
        return {}
    if not isinstance(found, dict):
        log.warning("clock_bases_unreadable", extra={"file": str(file), "error": "no object"})
        return {}
    return {start: base for start, base in found.items() if type(base) is int}
