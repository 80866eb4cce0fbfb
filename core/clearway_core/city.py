"""The city pack: one folder that says what Clearway may assume about a city.

``city.toml`` is required, every other file is optional; what is missing limits what is claimed.

==========================  ==========================================================
``city.toml``               name, country, time zone, currency, service area (required)
``roads.geojson``           road lines with ``class`` (motorway … residential), base map
``water.geojson``           rivers, lakes and sea (lines or polygons), base map
``areas.geojson``           named areas (polygons with ``name``)
``corridors.geojson``       directed lines with ``name`` and ``direction``
``zones/*.geojson``         candidate charge zones
``traffic_counts.csv``      ``traffic_count/1``: lon_deg, lat_deg, hour_start, vehicle_class,
                            vehicles_per_hour
``fleet.csv``               emission_class, share (of vehicle-kilometres), source
``population.csv``          area, population, income_per_person, source
``gateway_sites.csv``       gateway, lon_deg, lat_deg
``holidays.csv``            date, name, optionally day_type: holiday (default) or workday
``school_terms.csv``        start_date, end_date, name
``events.csv``              start, end, name, optionally area
``prices.toml``             the city's own values of time and damage, bounds of the tariff
==========================  ==========================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from clearway_core.settings import Section, open_toml, raise_faults

CITY_FILE = "city.toml"

OPTIONAL_FILES = {
    "roads.geojson": "no base map, no road classes",
    "areas.geojson": "cells carry no area names",
    "corridors.geojson": "no travel times by corridor",
    "traffic_counts.csv": "no totals and no revenue: a sample of vehicles is not a count",
    "fleet.csv": "emissions use a default fleet with wide intervals",
    "population.csv": "no statement on who pays and who gains",
    "gateway_sites.csv": "no siting advice",
    "holidays.csv": "public holidays are the country's; local ones count as working days",
    "school_terms.csv": "school breaks are not marked",
    "events.csv": "days with events are not marked",
    "prices.toml": "prices use European values, carried over by purchasing power and income",
}
"""What may stand beside ``city.toml``, and what cannot be said without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class City:
    """A city pack that has been read.

    Parameters
    ----------
    folder
        Where the pack lies.
    name, country
        For people; ISO 3166-1 alpha-2 country.
    subdivision
        ISO 3166-2 code below the country, such as ``CA``, where public holidays differ; or None.
    time_zone
        For days, hours and pseudonym epochs.
    currency, price_year
        ISO 4217 code and year of all prices; None where no price can be stated.
    service_area_deg
        (west, south, east, north). [°]
    synthetic
        Whether the city is made up; then every page says so.
    """

    folder: Path
    name: str
    country: str
    time_zone: ZoneInfo
    currency: str | None
    price_year: int | None
    service_area_deg: tuple[float, float, float, float]
    synthetic: bool
    subdivision: str | None = None

    def file(self, name: str) -> Path | None:
        """Return the path of an optional file, or None if the pack does not have it."""
        path = self.folder / name
        return path if path.is_file() else None

    def missing(self) -> dict[str, str]:
        """Return each absent optional file with what cannot be said without it."""
        return {
            name: consequence
            for name, consequence in OPTIONAL_FILES.items()
            if self.file(name) is None
        }


def read_city(folder: Path) -> City:
    """Return the city of a pack folder.

    Raises
    ------
    SettingsError
        With every fault of ``city.toml``, file and key named.
    """
    top, faults = open_toml(folder / CITY_FILE)
    city = _read_city(folder, top)
    top.finish()
    raise_faults(faults)
    return city


def _read_city(folder: Path, top: Section) -> City:
    section = top.section("city")
    west, south, east, north = section.numbers("service_area_deg", 4) or (0.0, 0.0, 1.0, 1.0)
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):  # noqa: PLR2004 -- degrees
        section.fault("service_area_deg", "expected [west, south, east, north] in degrees")
    price_year = section.whole("price_year", 0)
    city = City(
        folder=folder,
        name=section.text("name"),
        country=section.text("country"),
        time_zone=section.time_zone("time_zone"),
        currency=section.optional_text("currency"),
        price_year=price_year or None,
        service_area_deg=(west, south, east, north),
        synthetic=section.flag("synthetic", default=False),
        subdivision=section.optional_text("subdivision"),
    )
    if (city.currency is None) != (city.price_year is None):
        section.fault("currency", "currency and price_year belong together: give both or neither")
    section.finish()
    return city
