"""Settings for a new gateway, put together from the samples of its sources."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from importlib import resources

from clearway_core.errors import UsageError
from clearway_edge.sources.kinds import KINDS

_SAMPLE_NAME = "gw-1"
_NAME = re.compile(r'^name = "([^"]*)"', re.MULTILINE)
_LON = re.compile(r"^lon_deg = \S+", re.MULTILINE)
_LAT = re.compile(r"^lat_deg = \S+", re.MULTILINE)


def sample_settings(
    *,
    name: str,
    time_zone: str,
    sources: Sequence[str],
    site: str | None = None,
    position_deg: tuple[float, float] | None = None,
) -> str:
    """Return the text of a settings file to be edited.

    Parameters
    ----------
    name, site
        Device and place. Sensors are named after the place, which outlives devices.
    time_zone
        IANA name of the city's.
    sources
        Kinds, each as often as there are sensors of it.
    position_deg
        (lon, lat) of the site. [°]

    Raises
    ------
    UsageError
        If a kind is unknown.
    """
    unknown = [kind for kind in sources if kind not in KINDS]
    if unknown or not sources:
        message = (
            f"expected kinds of source out of {', '.join(sorted(KINDS))}, got "
            f"{', '.join(unknown) or 'none'}: give --source once for each sensor"
        )
        raise UsageError(message)
    text = _sample("sample.toml")
    text = text.replace(f'name = "{_SAMPLE_NAME}"', f'name = "{name}"', 1)
    text = text.replace('time_zone = "Asia/Bangkok"', f'time_zone = "{time_zone}"', 1)
    if site is not None:
        text = re.sub(r'^# site = "[^"]*"', f'site = "{site}"', text, count=1, flags=re.MULTILINE)
    if position_deg is not None:
        text = re.sub(r"^# (?=l(?:on|at)_deg)", "", text, flags=re.MULTILINE)
    parts = [text.rstrip(), *_sources(sources, site or name)]
    return _placed("\n\n".join(parts) + "\n", position_deg)


def position_of(lon_deg: float | None, lat_deg: float | None) -> tuple[float, float] | None:
    """Return a position that a person gave, or None without one.

    Raises
    ------
    UsageError
        If only one half is given, or it lies nowhere on Earth.
    """
    if lon_deg is None and lat_deg is None:
        return None
    if lon_deg is None or lat_deg is None:
        message = "a position needs both --lon and --lat"
        raise UsageError(message)
    if not (-180 <= lon_deg <= 180 and -90 <= lat_deg <= 90):  # noqa: PLR2004 -- the whole Earth
        message = f"--lon is -180 to 180 and --lat -90 to 90, got {lon_deg} and {lat_deg}"
        raise UsageError(message)
    return lon_deg, lat_deg


def _sources(kinds: Sequence[str], place: str) -> list[str]:
    seen: Counter[str] = Counter()
    parts = []
    for kind in kinds:
        text = _sample(f"samples/{kind}.toml").strip()
        text = text.replace(f'"{_SAMPLE_NAME}-', f'"{place}-')
        found = _NAME.search(text)
        name = kind if found is None else found[1]
        seen[name] += 1
        if seen[name] > 1:
            text = _numbered(text, name, seen[name])
        parts.append(text)
    return parts


def _numbered(text: str, name: str, number: int) -> str:
    """Return a sample whose source and sensor differ from the first of that name."""
    if _NAME.search(text) is None:
        text = text.replace("\n", f'\nname = "{name}"\n', 1)
    text = _NAME.sub(f'name = "{name}-{number}"', text, count=1)
    return re.sub(r'^(sensor = "[^"]*?)-1"', rf'\g<1>-{number}"', text, count=1, flags=re.MULTILINE)


def _placed(text: str, position_deg: tuple[float, float] | None) -> str:
    if position_deg is None:
        return text
    lon_deg, lat_deg = position_deg
    return _LAT.sub(f"lat_deg = {lat_deg}", _LON.sub(f"lon_deg = {lon_deg}", text))


def _sample(name: str) -> str:
    return (resources.files("clearway_edge") / "settings" / name).read_text(encoding="utf-8")
