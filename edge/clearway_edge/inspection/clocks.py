"""How an unknown file writes time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from clearway_edge.inspection.roles import is_unix_ms, is_unix_s, numbers_of
from clearway_edge.rows.profile import TimeFormat

_DATES = ("%Y-%m-%d", "%Y/%m/%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%Y%m%d")
_CLOCKS = ("%H:%M:%S", "%H:%M", "%H:%M:%S.%f", "%I:%M:%S %p", "%I:%M %p", "%H%M%S")
_PATTERNS = tuple(
    f"{date}{gap}{clock}" for date in _DATES for gap in (" ", "T", "") for clock in _CLOCKS
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockGuess:
    """How time is written.

    Parameters
    ----------
    format
        None if nothing fits.
    pattern
        First pattern that fits all values.
    rivals
        Other patterns that fit all values as well, such as day and month the other way round.
    naive
        Whether the values carry no offset, so that a zone is needed.
    relative
        Whether the values are seconds since an instant that the file does not tell.
    """

    format: TimeFormat | None
    pattern: str = ""
    rivals: tuple[str, ...] = ()
    naive: bool = False
    relative: bool = False


def guess_clock(values: Sequence[object]) -> ClockGuess:
    """Return how a column writes time."""
    given = [value for value in values if value is not None and str(value).strip() != ""]
    if not given:
        return ClockGuess(format=None)
    first = given[0]
    if isinstance(first, datetime):
        return ClockGuess(format=TimeFormat.ISO8601, naive=first.tzinfo is None)
    return _guess_number(given) or _guess_text([str(value).strip() for value in given])


def _guess_number(given: Sequence[object]) -> ClockGuess | None:
    if is_unix_s(given):
        return ClockGuess(format=TimeFormat.UNIX_S)
    if is_unix_ms(given):
        return ClockGuess(format=TimeFormat.UNIX_MS)
    if len(numbers_of(given)) == len(given):
        return ClockGuess(format=TimeFormat.SECONDS_SINCE, relative=True)
    return None


def _guess_text(texts: Sequence[str]) -> ClockGuess:
    parsed = [_iso(text) for text in texts]
    if all(moment is not None for moment in parsed):
        naive = any(moment is not None and moment.tzinfo is None for moment in parsed)
        return ClockGuess(format=TimeFormat.ISO8601, naive=naive)
    fitting = [pattern for pattern in _PATTERNS if _fits(texts, pattern)]
    if not fitting:
        return ClockGuess(format=None)
    return ClockGuess(
        format=TimeFormat.PATTERN, pattern=fitting[0], rivals=tuple(fitting[1:]), naive=True
    )


def _iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _fits(texts: Sequence[str], pattern: str) -> bool:
    try:
        for text in texts:
            # Only whether it fits; the zone is asked for separately.
            datetime.strptime(text, pattern)  # noqa: DTZ007
    except ValueError:
        return False
    return True
