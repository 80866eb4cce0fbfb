"""Which revision of a report is written, when, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from clearway_serving.report.revision import Difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Why there is another revision.

    Parameters
    ----------
    previous
        Number of the revision before.
    reasons
        Keys of texts and their values.
    differences
        What differs; none where the revision before was altered.
    """

    previous: int
    reasons: Sequence[tuple[str, Mapping[str, object]]]
    differences: Sequence[Difference]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """One revision, before it is frozen.

    Parameters
    ----------
    revision
        Its number.
    made_at
        By the city's clock.
    change
        Why there is another revision; None in the first.
    """

    revision: int
    made_at: datetime
    change: Change | None

    @property
    def differences(self) -> Sequence[Difference]:
        """What differs from the revision before; nothing in the first."""
        return () if self.change is None else self.change.differences
