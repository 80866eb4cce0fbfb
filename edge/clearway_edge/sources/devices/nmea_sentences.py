"""What single NMEA 0183 sentences say, in the wire's units.

References
----------
National Marine Electronics Association, NMEA 0183 version 4.10, 2012: sentences RMC, GGA, VTG, GST.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime

from clearway_core.clock import to_ms
from clearway_core.units import KMH_PER
from clearway_edge.sources.devices.receiver import NO_FIX

UNPARSABLE = "unparsable_sentence"

_MIN_RMC_FIELDS = 10
_MODE_FIELD = 12
_NO_FIX_MODE = "N"
_ESTIMATED_MODES = frozenset("EMS")
"""Dead reckoning, typed in by hand, simulator."""

_CENTURY_PIVOT = 80
_MINUTES = 60
_NUMBER = re.compile(r"-?(\d+(\.\d*)?|\.\d+)", re.ASCII)
_TIME = re.compile(r"(\d\d)(\d\d)(\d\d)(\.\d*)?", re.ASCII)
_DATE = re.compile(r"(\d\d)(\d\d)(\d\d)", re.ASCII)
_ANGLE = re.compile(r"(\d{1,3})(\d\d(\.\d*)?)", re.ASCII)


def parse_rmc(fields: Sequence[str]) -> dict[str, object] | str:
    """Return the wire values of an RMC sentence, or the reason why it is no fix.

    Parameters
    ----------
    fields
        Talker and type, UTC time, status, latitude, N/S, longitude, E/W, speed [kn], course [°],
        date, magnetic variation [°], E/W, mode, …

    Returns
    -------
    dict or str
        Time, position, speed [km/h] and course [°], None where the receiver is silent about them,
        and ``estimated``: whether the position was not measured.
    """
    if len(fields) < _MIN_RMC_FIELDS:
        return UNPARSABLE
    _, time, status, lat, north, lon, east, knots, course, day, *_ = fields
    mode = fields[_MODE_FIELD] if len(fields) > _MODE_FIELD else ""
    if status != "A" or mode == _NO_FIX_MODE:
        return NO_FIX
    try:
        return {
            "observed_at": _instant_ms(day, time),
            "lon_deg": _degrees(lon, east, "EW"),
            "lat_deg": _degrees(lat, north, "NS"),
            "speed_kmh": round(_number(knots) * KMH_PER["knots"], 4) if knots else None,
            "heading_deg": _number(course) if course else None,
            "estimated": mode in _ESTIMATED_MODES,
        }
    except ValueError:
        return UNPARSABLE


def time_of_day_ms(fields: Sequence[str]) -> int | None:
    """Return the UTC time of day that RMC, GGA and GST begin with [ms], None if there is none."""
    found = _TIME.fullmatch(fields[1]) if len(fields) > 1 else None
    if found is None:
        return None
    hour, minute, second, fraction = found.groups()
    whole_s = (int(hour) * _MINUTES + int(minute)) * _MINUTES + int(second)
    return whole_s * 1000 + _ms(fraction)


def hdop(fields: Sequence[str]) -> float | None:
    """Return the horizontal dilution of precision of a GGA sentence [1], None if it has none."""
    return _optional(fields, 8)


def accuracy_m(fields: Sequence[str]) -> float | None:
    r"""Return the horizontal standard deviation of a GST sentence [m], None if it has none.

    Notes
    -----
    .. math:: \sqrt{\sigma_{lat}^2 + \sigma_{lon}^2}
    """
    north_m, east_m = _optional(fields, 6), _optional(fields, 7)
    return None if north_m is None or east_m is None else math.hypot(north_m, east_m)


def speed_and_course(fields: Sequence[str]) -> dict[str, float]:
    """Return ``speed_kmh`` [km/h] and ``heading_deg`` [°] of a VTG sentence, as far as it has them.

    Parameters
    ----------
    fields
        Talker and type, course over ground [°], T, magnetic course [°], M, speed [kn], N, speed
        [km/h], K, mode.
    """
    knots, kmh, course = _optional(fields, 5), _optional(fields, 7), _optional(fields, 1)
    if kmh is None and knots is not None:
        kmh = round(knots * KMH_PER["knots"], 4)
    found = {"speed_kmh": kmh, "heading_deg": course}
    return {name: value for name, value in found.items() if value is not None}


def _optional(fields: Sequence[str], place: int) -> float | None:
    text = fields[place] if len(fields) > place else ""
    return float(text) if _NUMBER.fullmatch(text) else None


def _number(text: str) -> float:
    # Python's own float() also takes nan, inf and 1_0.
    if _NUMBER.fullmatch(text) is None:
        message = f"expected a number, got {text!r}"
        raise ValueError(message)
    return float(text)


def _instant_ms(day: str, time: str) -> int:
    date, clock = _DATE.fullmatch(day), _TIME.fullmatch(time)
    if date is None or clock is None:
        message = f"expected ddmmyy and hhmmss, got {day!r} and {time!r}"
        raise ValueError(message)
    year = int(date[3])
    whole = datetime(
        (1900 if year >= _CENTURY_PIVOT else 2000) + year,
        int(date[2]),
        int(date[1]),
        int(clock[1]),
        int(clock[2]),
        # A leap second is told as second 60; the wire's time has none.
        min(int(clock[3]), 59),
        tzinfo=UTC,
    )
    return to_ms(whole) + _ms(clock[4])


def _ms(fraction: str | None) -> int:
    return round(float(f"0{fraction}") * 1000) if fraction and fraction != "." else 0


def _degrees(text: str, side: str, sides: str) -> float:
    """Return degrees of ``dddmm.mmmm`` with its hemisphere [°]."""
    found = _ANGLE.fullmatch(text)
    if found is None or len(side) != 1 or side not in sides or float(found[2]) >= _MINUTES:
        message = f"expected degrees, minutes and one of {sides}, got {text!r} {side!r}"
        raise ValueError(message)
    degrees = int(found[1]) + float(found[2]) / _MINUTES
    return round(-degrees if side in "SW" else degrees, 8)
