"""Who stands beside the agent: told of each commit, asked for what health reports say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Attendant(Protocol):
    """Looks at a working agent; see `clearway_edge.condition.observer`."""

    def beat(self, boot: int, next_seq: Mapping[str, int]) -> None:
        """Note that the agent has committed what it read."""
        ...

    def vitals(self) -> Mapping[str, object]:
        """Return what health reports say beside the books, by field."""
        ...
