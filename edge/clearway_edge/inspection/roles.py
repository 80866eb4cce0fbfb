"""Which column may be what, by its name and by its values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import cast

from clearway_edge.inspection.sample import Sample

_NAMES: Mapping[str, re.Pattern[str]] = {
    role: re.compile(pattern, re.IGNORECASE)
    for role, pattern in {
        "lat": r"(gps_?)?lat(itude)?(_deg)?|y",
        "lon": r"(gps_?)?(lon|lng|long)(gitude)?(_deg)?|x",
        "time": r"(unix_?|gps_?|local_?|utc_?)?(time(_?stamp)?|date_?time|ts|t|date|observed_at)"
        r"(_?(utc|local|ms|s))?",
        "vehicle": r"(vehicle|taxi|cab|bus|device|unit|vid|imei|plate|driver|car)(_?(id|no|label))?"
        r"|vehicle\.vehicle\.id|id",
        "speed": r"(gps_?)?(speed|velocity|spd)(_?(kmh|kph|mps|ms|mph|knots|kn))?",
        "heading": r"heading|bearing|course|azimuth|angle|direction|cog",
        "accuracy": r"(horizontal_?)?accuracy(_m)?",
        "occupied": r"occupied|occupancy|passenger|hired|for_?hire",
        "class": r"typ|type|class|vehicle_?(class|type)|category",
        "provider": r"provider|operator|agency|fleet",
        "polyline": r"polyline|path|trajectory|coordinates",
        "sensor": r"(sensor|station|site|location|node)(_?(id|name))?",
    }.items()
}

CHANNEL_NAMES: Mapping[str, re.Pattern[str]] = {
    channel: re.compile(pattern, re.IGNORECASE)
    for channel, pattern in {
        "pm2_5_ugm3": r"pm_?2[._]?5.*|pm",
        "pm10_ugm3": r"pm_?10.*",
        "no2_ppb": r"no2.*",
        "o3_ppb": r"o3.*|ozone.*",
        "co_ppm": r"co(_ppm)?",
        "humidity_pct": r"(relative_?)?humidity.*|rh",
        "temperature_c": r"temp(erature)?.*",
        "pressure_hpa": r"press(ure)?.*",
    }.items()
}

_LAT_MAX = 90.0
_LON_MAX = 180.0
_LIMITS = {"lat": _LAT_MAX, "lon": _LON_MAX}
_SURE_UNIX_S = (1e8, 4.2e9)
_SURE_UNIX_MS = (1e11, 4.2e12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """Columns by role, and the roles that were only inferred from values.

    Parameters
    ----------
    by_role
        Column of each role that was found.
    inferred
        Roles whose column's name says nothing.
    rivals
        Other columns that could have the role as well.
    """

    by_role: Mapping[str, str]
    inferred: frozenset[str]
    rivals: Mapping[str, Sequence[str]]


def find_roles(sample: Sample) -> Roles:
    """Return which column may be what.

    A role is given by the column's name; in a file without header by its values alone, and then
    it is always asked about.
    """
    by_role: dict[str, str] = {}
    rivals: dict[str, list[str]] = {}
    for role, pattern in _NAMES.items():
        found = [name for name in sample.columns if _is_named(name, pattern)]
        found = [name for name in found if _can_be(role, sample.columns[name])]
        # A name's last part matches in JSON paths: the one nearest to the word "vehicle" wins.
        found.sort(key=lambda name: (-_weight(role, name), len(name)))
        if found:
            by_role[role] = found[0]
            rivals[role] = found[1:]
    inferred: set[str] = set()
    if not sample.header or "lon" not in by_role or "lat" not in by_role:
        inferred = _infer(sample, by_role)
    _settle_polyline(sample, by_role)
    return Roles(by_role=by_role, inferred=frozenset(inferred), rivals=rivals)


def numbers_of(values: Sequence[object], *, decimal_comma: bool = False) -> list[float]:
    """Return the finite numbers among raw values."""
    found = []
    for value in values:
        if value is None or isinstance(value, bool):
            continue
        text = value.replace(",", ".") if isinstance(value, str) and decimal_comma else value
        try:
            number = float(cast("str", text))
        except (TypeError, ValueError):
            continue
        if isfinite(number):
            found.append(number)
    return found


def is_unix_s(values: Sequence[object]) -> bool:
    """Return whether numbers can only be seconds since 1970."""
    return _within(values, _SURE_UNIX_S)


def is_unix_ms(values: Sequence[object]) -> bool:
    """Return whether numbers can only be milliseconds since 1970."""
    return _within(values, _SURE_UNIX_MS)


def _within(values: Sequence[object], span: tuple[float, float]) -> bool:
    numbers = numbers_of(values)
    given = sum(value is not None and str(value).strip() != "" for value in values)
    return bool(numbers) and len(numbers) == given and span[0] <= min(numbers) <= span[1]


def _is_named(name: str, pattern: re.Pattern[str]) -> bool:
    return pattern.fullmatch(name) is not None or (
        "." in name and pattern.fullmatch(name.rsplit(".", 1)[-1]) is not None
    )


def _weight(role: str, name: str) -> int:
    score = sum(word in name.lower() for word in ("position", "timestamp", role))
    return score + 2 * (role == "vehicle" and name.lower().startswith("vehicle"))


def _can_be(role: str, values: Sequence[object]) -> bool:
    if not values:
        return role != "polyline"
    if role in _LIMITS:
        return max(map(abs, numbers_of(values)), default=0.0) <= _LIMITS[role]
    if role == "occupied":
        return len({str(value) for value in values}) <= 4  # noqa: PLR2004 -- 0, 1, None, empty
    if role == "polyline":
        return any(str(value).lstrip().startswith("[[") for value in values)
    if role in {"speed", "heading"}:
        return bool(numbers_of(values))
    return any(value is not None and str(value).strip() != "" for value in values)


def _infer(sample: Sample, by_role: dict[str, str]) -> set[str]:
    free = [name for name in sample.columns if name not in by_role.values()]
    inferred: set[str] = set()

    def give(role: str, name: str | None) -> None:
        if role not in by_role and name is not None:
            by_role[role] = name
            inferred.add(role)
            free.remove(name)

    give("time", next((n for n in free if _is_time(sample.columns[n])), None))
    degrees = [n for n in free if _like_degrees(sample.columns[n])]
    beyond = [n for n in degrees if max(map(abs, numbers_of(sample.columns[n]))) > _LAT_MAX]
    lon = beyond[0] if beyond else (degrees[1] if len(degrees) > 1 else None)
    give("lon", lon)
    give("lat", next((n for n in degrees if n != by_role.get("lon") and n in free), None))
    give("occupied", next((n for n in free if _like_flag(sample.columns[n])), None))
    return inferred


def _is_time(values: Sequence[object]) -> bool:
    return is_unix_s(values) or is_unix_ms(values)


def _like_degrees(values: Sequence[object]) -> bool:
    numbers = numbers_of(values)
    if len(numbers) < len(values) or not numbers or max(map(abs, numbers)) > _LON_MAX:
        return False
    # Positions have decimals and hardly vary in relation to their size.
    fine = sum("." in str(value) and len(str(value).split(".")[1]) >= 3 for value in values)  # noqa: PLR2004 -- 100 m
    return fine > len(values) / 2


def _like_flag(values: Sequence[object]) -> bool:
    return {str(value).strip() for value in values} == {"0", "1"}


def _settle_polyline(sample: Sample, by_role: dict[str, str]) -> None:
    if "polyline" in by_role:
        by_role.pop("lon", None)
        by_role.pop("lat", None)
        return
    for name, values in sample.columns.items():
        if any(str(value).lstrip().startswith("[[") for value in values[:50]):
            by_role["polyline"] = name
            by_role.pop("lon", None)
            by_role.pop("lat", None)
            return
