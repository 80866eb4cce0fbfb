"""When each reading of this start was put on the disk, so that a receipt tells how long it took."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

_KEPT = 1024
"""Commits of one contract that are remembered: a quarter of an hour at one a second, 0.2 MB."""


class _Commit(NamedTuple):
    next_seq: int
    at_ms: int


class CommitTimes:
    """The last commits of each contract; told by the agent, asked by the page."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._commits: dict[str, deque[_Commit]] = {}

    def committed(self, next_seq: Mapping[str, int], at_ms: int) -> None:
        """Note which numbers are used now.

        Parameters
        ----------
        next_seq
            First number not used yet, by contract.
        at_ms
            Now, by a clock that is never set. [ms]
        """
        with self._lock:
            for contract, number in next_seq.items():
                known = self._commits.setdefault(contract, deque(maxlen=_KEPT))
                if number > (known[-1].next_seq if known else 0):
                    known.append(_Commit(number, at_ms))

    def committed_at_ms(self, contract: str, seq: int) -> int | None:
        """Return when a reading was put on the disk, or None if that is long ago [ms]."""
        with self._lock:
            known = list(self._commits.get(contract, ()))
        place = bisect_right([commit.next_seq for commit in known], seq)
        if place == len(known) or (place == 0 and len(known) == _KEPT):
            return None
        return known[place].at_ms
