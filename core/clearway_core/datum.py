"""Chinese map datums to WGS84: GCJ-02 and BD-09 shift positions by hundreds of metres.

Formulas are those that the open-source world has used since they became known (no official
publication exists); the constants are the Krasovsky 1940 ellipsoid's. The inverse has no closed
form, so it is found by fixed-point iteration.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from clearway_core.errors import UsageError

DATUMS = ("wgs84", "gcj02", "bd09")
"""Datums that a source profile may declare."""

_KRASOVSKY_RADIUS_M = 6_378_245.0
_KRASOVSKY_ECCENTRICITY_SQUARED = 0.00669342162296594323

_SHIFTED_LON_DEG = (72.004, 137.8347)
_SHIFTED_LAT_DEG = (0.8293, 55.8271)
"""Maps shift positions inside this rectangle only; a position outside is the same in all datums."""

_BD09_OFFSET_LON_DEG = 0.0065
_BD09_OFFSET_LAT_DEG = 0.006
_BD09_WAVE = math.pi * 3000 / 180

_INVERSE_STEPS = 10
"""The shift's slope is below 1 %, so each step adds two digits: 10 leave less than 1e-6 m."""


def to_wgs84(lon_deg: float, lat_deg: float, datum: str) -> tuple[float, float]:
    """Return (lon_deg, lat_deg) in WGS84 of a position in the named datum.

    Parameters
    ----------
    lon_deg, lat_deg
        Position in `datum`. [°]
    datum
        One of `DATUMS`.

    Raises
    ------
    UsageError
        If the datum is not known: a wrong one would move every position by about 500 m.
    """
    if datum == "wgs84":
        return lon_deg, lat_deg
    if datum == "gcj02":
        return _inverse(wgs84_to_gcj02, lon_deg, lat_deg)
    if datum == "bd09":
        return _inverse(wgs84_to_bd09, lon_deg, lat_deg)
    message = (
        f"a datum is one of {', '.join(DATUMS)}, got {datum!r}: ask the provider which map "
        "the positions were made for"
    )
    raise UsageError(message)


def wgs84_to_gcj02(lon_deg: float, lat_deg: float) -> tuple[float, float]:
    """Return (lon_deg, lat_deg) in GCJ-02 of a WGS84 position; unchanged far from China.

    Notes
    -----
    Three sine waves per axis, in metres, are turned into degrees on the Krasovsky ellipsoid. The
    shift is 361 to 606 m in Chengdu, Beijing and Shenzhen.
    """
    if not _is_shifted(lon_deg, lat_deg):
        return lon_deg, lat_deg
    x_deg, y_deg = lon_deg - 105, lat_deg - 35
    lat_rad = math.radians(lat_deg)
    flattening = 1 - _KRASOVSKY_ECCENTRICITY_SQUARED * math.sin(lat_rad) ** 2
    meridian_m = _KRASOVSKY_RADIUS_M * (1 - _KRASOVSKY_ECCENTRICITY_SQUARED) / flattening**1.5
    parallel_m = _KRASOVSKY_RADIUS_M / math.sqrt(flattening) * math.cos(lat_rad)
    return (
        lon_deg + math.degrees(_east_shift_m(x_deg, y_deg) / parallel_m),
        lat_deg + math.degrees(_north_shift_m(x_deg, y_deg) / meridian_m),
    )


def gcj02_to_bd09(lon_deg: float, lat_deg: float) -> tuple[float, float]:
    """Return (lon_deg, lat_deg) in BD-09 of a GCJ-02 position."""
    radius_deg = math.hypot(lon_deg, lat_deg) + 0.00002 * math.sin(lat_deg * _BD09_WAVE)
    angle_rad = math.atan2(lat_deg, lon_deg) + 0.000003 * math.cos(lon_deg * _BD09_WAVE)
    return (
        radius_deg * math.cos(angle_rad) + _BD09_OFFSET_LON_DEG,
        radius_deg * math.sin(angle_rad) + _BD09_OFFSET_LAT_DEG,
    )


def wgs84_to_bd09(lon_deg: float, lat_deg: float) -> tuple[float, float]:
    """Return (lon_deg, lat_deg) in BD-09 of a WGS84 position; unchanged far from China."""
    if not _is_shifted(lon_deg, lat_deg):
        return lon_deg, lat_deg
    return gcj02_to_bd09(*wgs84_to_gcj02(lon_deg, lat_deg))


def _inverse(
    forward: Callable[[float, float], tuple[float, float]], lon_deg: float, lat_deg: float
) -> tuple[float, float]:
    found_lon_deg, found_lat_deg = lon_deg, lat_deg
    for _ in range(_INVERSE_STEPS):
        forward_lon_deg, forward_lat_deg = forward(found_lon_deg, found_lat_deg)
        found_lon_deg -= forward_lon_deg - lon_deg
        found_lat_deg -= forward_lat_deg - lat_deg
    return found_lon_deg, found_lat_deg


def _is_shifted(lon_deg: float, lat_deg: float) -> bool:
    west_deg, east_deg = _SHIFTED_LON_DEG
    south_deg, north_deg = _SHIFTED_LAT_DEG
    return west_deg <= lon_deg <= east_deg and south_deg <= lat_deg <= north_deg


def _east_shift_m(x_deg: float, y_deg: float) -> float:
    plane_m = 300 + x_deg + 2 * y_deg + 0.1 * x_deg * (x_deg + y_deg)
    return plane_m + 0.1 * math.sqrt(abs(x_deg)) + _ripple_m(x_deg) + _swell_m(x_deg, 150)


def _north_shift_m(x_deg: float, y_deg: float) -> float:
    plane_m = -100 + 2 * x_deg + 3 * y_deg + 0.1 * y_deg * (2 * y_deg + x_deg)
    return plane_m + 0.2 * math.sqrt(abs(x_deg)) + _ripple_m(x_deg) + _swell_m(y_deg, 160)


def _ripple_m(x_deg: float) -> float:
    """Return the short waves, which run west to east on both axes [m]."""
    return 40 / 3 * (math.sin(6 * math.pi * x_deg) + math.sin(2 * math.pi * x_deg))


def _swell_m(a_deg: float, height_m: float) -> float:
    """Return the long waves along an axis [m]."""
    turn_rad = math.pi * a_deg
    small_m = 20 * math.sin(turn_rad) + 40 * math.sin(turn_rad / 3)
    large_m = math.sin(turn_rad / 12) + 2 * math.sin(turn_rad / 30)
    return 2 / 3 * (small_m + height_m * large_m)
