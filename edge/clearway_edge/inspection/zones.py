"""A time zone proposed from a position: the zone of the nearest reference city."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from pathlib import Path

from clearway_core.distance import distance_m

_PROPOSED = 5
_SYSTEM = Path("/usr/share/zoneinfo/zone.tab")
_POSITION = re.compile(r"([+-])(\d{2})(\d{2})(\d{2})?([+-])(\d{3})(\d{2})(\d{2})?")


def propose_zones(lon_deg: float, lat_deg: float) -> list[str]:
    """Return the IANA zones with the nearest reference cities, nearest first.

    They are proposals: near borders the nearest city may lie in another country. Empty without a
    table of cities.

    Parameters
    ----------
    lon_deg, lat_deg
        A typical position of the file. [°]

    References
    ----------
    IANA time zone database, ``zone.tab``.
    """
    cities = sorted(_cities(), key=lambda city: distance_m(lon_deg, lat_deg, city[1], city[2]))
    return [city[0] for city in cities[:_PROPOSED]]


@cache
def _cities() -> tuple[tuple[str, float, float], ...]:
    found = []
    for line in _table().splitlines():
        parts = line.split("\t")
        if line.startswith("#") or len(parts) < 3:  # noqa: PLR2004 -- country, position, zone
            continue
        position = _POSITION.fullmatch(parts[1])
        if position is not None:
            lat_deg, lon_deg = _decimal(*position.groups()[:4]), _decimal(*position.groups()[4:])
            found.append((parts[2], lon_deg, lat_deg))
    return tuple(found)


def _table() -> str:
    try:
        return (resources.files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8")
    except (ModuleNotFoundError, FileNotFoundError):
        return _SYSTEM.read_text(encoding="utf-8") if _SYSTEM.is_file() else ""


def _decimal(
    sign: str | None, degrees: str | None, minutes: str | None, seconds: str | None
) -> float:
    value = int(degrees or 0) + int(minutes or 0) / 60 + int(seconds or 0) / 3600
    return -value if sign == "-" else value
