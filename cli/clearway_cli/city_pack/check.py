"""Finds everything that is wrong with a city pack, at once, and says what is missing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from clearway_cli.city_pack.corridors import check_corridors
from clearway_cli.city_pack.geojson import LINES, POLYGONS, check_geojson, feature_names
from clearway_cli.city_pack.tables import TABLES, check_table
from clearway_core.city import CITY_FILE, OPTIONAL_FILES, City, read_city
from clearway_core.corridor_lines import CORRIDOR_FILE
from clearway_core.errors import SettingsError

ASSUMPTION = "ASSUMPTION"
"""Word by which `clearway city init` marks what nobody has confirmed."""

NO_COUNTRY = "XX"
"""User-assigned code of ISO 3166: a made-up city, or one whose country nobody has given yet."""

_WIDEST_DEG = 5.0
_HOUR_DEG = 15.0
_MOST_ZONE_OFFSET_DEG = 50.0
"""Sun time and clock time differ by up to 3 hours in western China; more is a mistake. [°]"""

_OLDEST_PRICE_YEAR = 1990
_NEWEST_PRICE_YEAR = 2100

_GEOJSON: Mapping[str, tuple[frozenset[str], str | None]] = {
    "roads.geojson": (LINES, "class"),
    "areas.geojson": (POLYGONS, "name"),
    CORRIDOR_FILE: (frozenset({"LineString"}), None),
    "water.geojson": (LINES | POLYGONS, None),
}
"""Geometries and the property that each feature needs."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something to put right.

    Parameters
    ----------
    file
        Name within the pack.
    where
        Line, feature or key.
    rule
        Short name of what is broken, the same for all faults of a kind.
    problem
        What was expected, what came, what to do.
    """

    file: str
    where: str
    rule: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PackReport:
    """What `clearway city check` found.

    Parameters
    ----------
    folder
        The pack.
    name
        The city's name; None if ``city.toml`` cannot be read.
    faults
        All of them.
    missing
        Optional files that are absent, and what cannot be claimed without them.
    notes
        What is not wrong but worth knowing: files nobody reads, assumptions not confirmed.
    """

    folder: Path
    name: str | None
    faults: tuple[Fault, ...]
    missing: Mapping[str, str]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the pack has no fault."""
        return not self.faults


def check_pack(folder: Path) -> PackReport:
    """Return all faults of a city pack.

    Parameters
    ----------
    folder
        The pack; it needs no file but ``city.toml``.
    """
    faults: list[Fault] = []
    city = _city(folder, faults)
    area = city.service_area_deg if city is not None else None

    def report(file: str) -> Callable[[str, str, str], None]:
        return lambda where, rule, problem: faults.append(Fault(file, where, rule, problem))

    for name, (kinds, needed) in _GEOJSON.items():
        if (folder / name).is_file():
            check_geojson(folder / name, kinds, needed=needed, area_deg=area, fault=report(name))
    if (folder / CORRIDOR_FILE).is_file():
        check_corridors(folder / CORRIDOR_FILE, report(CORRIDOR_FILE))
    for file in sorted((folder / "zones").glob("*.geojson")):
        name = f"zones/{file.name}"
        check_geojson(file, POLYGONS, needed=None, area_deg=area, fault=report(name))
    known_areas = feature_names(folder / "areas.geojson")
    for name in TABLES:
        if (folder / name).is_file():
            check_table(folder / name, area_deg=area, area_names=known_areas, fault=report(name))
    return PackReport(
        folder=folder,
        name=None if city is None else city.name,
        faults=tuple(faults),
        missing=_missing(folder),
        notes=(*_calendar_notes(city), *_notes(folder)),
    )


def _city(folder: Path, faults: list[Fault]) -> City | None:
    try:
        city = read_city(folder)
    except SettingsError as error:
        prefix = f"{folder / CITY_FILE}: "
        for text in error.faults:
            where, _, problem = text.removeprefix(prefix).partition(": ")
            faults.append(Fault(CITY_FILE, where, "settings", problem or where))
        return None
    for key, rule, problem in _city_faults(city):
        faults.append(Fault(CITY_FILE, f"city.{key}", rule, problem))
    return city


def _city_faults(city: City) -> Iterator[tuple[str, str, str]]:
    if not city.name.strip():
        yield "name", "name", "expected the city's name, got an empty text"
    if re.fullmatch(r"[A-Z]{2}", city.country) is None:
        yield "country", "country", f"expected two letters of ISO 3166, got {city.country!r}"
    if city.currency is not None and re.fullmatch(r"[A-Z]{3}", city.currency) is None:
        yield "currency", "currency", f"expected three letters of ISO 4217, got {city.currency!r}"
    year = city.price_year
    if year is not None and not _OLDEST_PRICE_YEAR <= year <= _NEWEST_PRICE_YEAR:
        yield (
            "price_year",
            "price_year",
            f"expected a year from {_OLDEST_PRICE_YEAR} to {_NEWEST_PRICE_YEAR}, got {year}",
        )
    west, south, east, north = city.service_area_deg
    if east - west > _WIDEST_DEG or north - south > _WIDEST_DEG:
        yield (
            "service_area_deg",
            "service_area_size",
            (
                f"expected a city, got {east - west:.1f} by {north - south:.1f} degrees; "
                "give [west, south, east, north] of the built-up area"
            ),
        )
    yield from _zone_faults(city)
    yield from _calendar_faults(city)


def _calendar_faults(city: City) -> Iterator[tuple[str, str, str]]:
    from clearway_core.calendar import public_holidays

    try:
        public_holidays(city.country, city.subdivision)
    except SettingsError as error:
        yield "subdivision", "subdivision", error.faults[0].removeprefix("city.subdivision: ")


def _zone_faults(city: City) -> Iterator[tuple[str, str, str]]:
    from datetime import datetime

    west, _, east, _ = city.service_area_deg
    offset = datetime(2026, 1, 15, 12, tzinfo=city.time_zone).utcoffset()
    clock_deg = offset.total_seconds() / 3600 * _HOUR_DEG if offset is not None else 0.0
    apart_deg = abs(clock_deg - (west + east) / 2)
    apart_deg = min(apart_deg, 360 - apart_deg)
    if apart_deg > _MOST_ZONE_OFFSET_DEG:
        yield (
            "time_zone",
            "time_zone_place",
            (
                f"{city.time_zone.key} belongs near longitude {clock_deg:.0f}, the service area "
                f"lies at {(west + east) / 2:.2f}. Is longitude first in service_area_deg? "
                "Is it that zone?"
            ),
        )


def _missing(folder: Path) -> dict[str, str]:
    missing = {
        name: consequence
        for name, consequence in OPTIONAL_FILES.items()
        if not (folder / name).is_file()
    }
    if not any((folder / "zones").glob("*.geojson")):
        missing["zones/*.geojson"] = "no charge proposal until a zone is drawn"
    return missing


def _calendar_notes(city: City | None) -> Iterator[str]:
    from clearway_core.calendar import public_holidays

    if city is None or city.country == NO_COUNTRY:
        return
    with suppress(SettingsError):
        if public_holidays(city.country, city.subdivision) is None:
            yield (
                f"no public holidays are known for country {city.country}: only those of "
                "holidays.csv count, and Saturday and Sunday are the weekend"
            )


def _notes(folder: Path) -> Iterator[str]:
    known = {CITY_FILE, "README.md", *OPTIONAL_FILES, *_GEOJSON, *TABLES}
    recordings = (".parquet", ".gz")
    for file in sorted(folder.iterdir()):
        if file.is_file() and file.name not in known and not file.name.endswith(recordings):
            yield f"{file.name} is not part of a city pack and is not read"
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.suffix in {".toml", ".csv", ".geojson"}:
            text = file.read_text(encoding="utf-8", errors="replace")
            for number, line in enumerate(text.splitlines(), start=1):
                if f"{ASSUMPTION}:" in line:
                    yield f"{file.relative_to(folder)}, line {number}: {line.strip(' #')}"
