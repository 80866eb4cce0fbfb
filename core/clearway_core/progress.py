"""How a long job tells how far it is, without knowing who listens."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called by jobs as they go on; the command line draws a bar from it."""

    def __call__(self, done: int, total: int | None, note: str) -> None:
        """Say that `done` of `total` (None: not known) units are done.

        Parameters
        ----------
        done
            Units that are done.
        total
            Units in all, or None if that is not known.
        note
            A few words on what is being done.
        """
        ...


def silent(done: int, total: int | None, note: str) -> None:
    """Take no notice."""
