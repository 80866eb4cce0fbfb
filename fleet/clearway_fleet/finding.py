"""Something that needs a hand, as one look at the lake finds it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

_MINUTE_S = 60
_HOUR_S = 3600
_DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A cause at a place.

    Parameters
    ----------
    cause
        Name of `clearway_fleet.causes`.
    about
        Site, ``site/sensor``, provider or contract.
    since_at
        Since when.
    detail
        What exactly, in a few words for people.
    active
        Whether it holds now. Otherwise it held a moment ago, or nobody can tell: then an alarm
        that is out stays, and none is raised.
    bring
        What to take along where the cause's own words do not fit.
    """

    cause: str
    about: str
    since_at: datetime
    detail: str
    active: bool
    bring: str | None = None

    @property
    def site(self) -> str:
        """The site, where it is about one."""
        return self.about.partition("/")[0]


def duration_words(duration_s: float) -> str:
    """Return a duration as people say it: 40 s, 25 min, 6 h, 3 days."""
    if duration_s < _MINUTE_S:
        return f"{duration_s:.0f} s"
    if duration_s < 2 * _HOUR_S:
        return f"{duration_s / _MINUTE_S:.0f} min"
    if duration_s < 2 * _DAY_S:
        return f"{duration_s / _HOUR_S:.0f} h"
    return f"{duration_s / _DAY_S:.0f} days"


def bytes_words(size_bytes: float) -> str:
    """Return a size as people say it: 12 kB, 3.4 MB."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.3g} {unit}"
    return f"{size_bytes:.0f} B"
