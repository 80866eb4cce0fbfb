"""Small words around numbers in texts for people."""

from __future__ import annotations

_HOURS_PER_DAY = 24


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: ``1 day``, ``14 days``; the noun takes an s."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def days_text(days: float) -> str:
    """Return a time [d] in words: ``14 days``, ``1.5 days``; below a day ``3 hours``."""
    if 0 < days < 1:
        hours = round(days * _HOURS_PER_DAY)
        if hours < 1:
            return "less than an hour"
        return "1 day" if hours == _HOURS_PER_DAY else plural(hours, "hour")
    tenths = round(days, 1)
    return plural(int(tenths), "day") if tenths == int(tenths) else f"{tenths} days"
