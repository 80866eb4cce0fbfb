"""Texts and numbers of a file to instants, a whole column at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from math import isfinite
from typing import cast
from zoneinfo import ZoneInfo

from clearway_edge.rows.profile import Ambiguous, TimeFormat, TimeRule

UNPARSABLE = "unparsable_observed_at"
NONEXISTENT = "nonexistent_local_time"
AMBIGUOUS = "ambiguous_local_time"

_MAX_MS = 1 << 60
"""No instant: the wire carries 64 bits, and 37 million years are no time of a fix."""

Instant = int | str
"""Milliseconds since 1970, or the reason why there is none."""


def read_times(rule: TimeRule, values: Sequence[object]) -> list[Instant]:
    """Return the instant of each value, or the reason why it has none.

    Parameters
    ----------
    rule
        How the file writes time.
    values
        Raw values: texts, numbers, or datetimes where the file is typed.

    Returns
    -------
    list
        int [ms since 1970], or str: the reason by which the record is dropped.
    """
    if rule.format is TimeFormat.UNIX_S or rule.format is TimeFormat.SECONDS_SINCE:
        return _scaled(values, 1000, rule.since_ms)
    if rule.format is TimeFormat.UNIX_MS:
        return _scaled(values, 1, 0)
    parse = _parser(rule)
    # Buses of one fleet report in the same second; a text is parsed once a chunk.
    known: dict[object, Instant] = {}
    instants: list[Instant] = []
    for value in values:
        if not isinstance(value, str | datetime):
            instants.append(UNPARSABLE)  # a JSON list, for one, which cannot be looked up either
            continue
        instant = known.get(value)
        if instant is None:
            instant = known[value] = parse(value)
        instants.append(instant)
    return instants


def _scaled(values: Sequence[object], scale: int, origin_ms: int) -> list[Instant]:
    try:
        instants = [int(value) * scale + origin_ms for value in cast("Sequence[str]", values)]
    except (OverflowError, TypeError, ValueError):
        return [_number(value, scale, origin_ms) for value in values]
    if instants and max(map(abs, instants)) > _MAX_MS:
        return [instant if abs(instant) <= _MAX_MS else UNPARSABLE for instant in instants]
    return cast("list[Instant]", instants)


def _number(value: object, scale: int, origin_ms: int) -> Instant:
    try:
        number = float(cast("str", value))
    except (OverflowError, TypeError, ValueError):
        return UNPARSABLE
    if not isfinite(number) or abs(number) * scale > _MAX_MS:
        return UNPARSABLE
    return round(number * scale) + origin_ms


def _parser(rule: TimeRule) -> Callable[[object], Instant]:
    if rule.format is TimeFormat.PATTERN:
        return partial(_from_pattern, rule)
    return partial(_from_iso, rule)


def _from_iso(rule: TimeRule, value: object) -> Instant:
    if isinstance(value, datetime):
        return _to_instant(value, rule)
    try:
        return _to_instant(datetime.fromisoformat(cast("str", value).strip()), rule)
    except (AttributeError, TypeError, ValueError):
        return UNPARSABLE


def _from_pattern(rule: TimeRule, value: object) -> Instant:
    try:
        # The zone is added below, where the hours of clock changes are looked at.
        local = datetime.strptime(cast("str", value).strip(), rule.pattern)  # noqa: DTZ007
    except (AttributeError, TypeError, ValueError):
        return UNPARSABLE
    return _to_instant(local, rule)


def _to_instant(moment: datetime, rule: TimeRule) -> Instant:
    if moment.tzinfo is None:
        if rule.zone is None:
            return UNPARSABLE
        resolved = _in_zone(moment, rule.zone, rule.ambiguous)
        if isinstance(resolved, str):
            return resolved
        moment = resolved
    try:
        return round(moment.timestamp() * 1000)
    except (OverflowError, OSError, ValueError):
        return UNPARSABLE


def _in_zone(local: datetime, zone: ZoneInfo, ambiguous: Ambiguous) -> datetime | str:
    """Return the aware time, the way clock changes are settled by the profile."""
    earlier = local.replace(tzinfo=zone, fold=0)
    later = earlier.replace(fold=1)
    if earlier.utcoffset() == later.utcoffset():
        return earlier
    if earlier.astimezone(UTC).astimezone(zone).replace(tzinfo=None, fold=0) != local:
        return NONEXISTENT
    if ambiguous is Ambiguous.DROP:
        return AMBIGUOUS
    return later if ambiguous is Ambiguous.LATER else earlier
