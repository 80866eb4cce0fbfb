"""Files that people write: settings, profiles, city packs, lists of sites, test drives."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from fuzz.scratch import written

from clearway_cli.cities import shipped_cities
from clearway_cli.city_pack.check import check_pack
from clearway_cli.city_pack.tables import TABLES as PACK_TABLES
from clearway_core.calendar import read_calendar
from clearway_core.city import read_city
from clearway_core.corridor_lines import read_corridors
from clearway_core.errors import SettingsError, SourceUnavailable, UsageError
from clearway_edge.rows.profile import shipped_profiles
from clearway_edge.rows.profile_reading import read_profile
from clearway_edge.settings.effective_settings import effective
from clearway_edge.settings.sample_settings import sample_settings
from clearway_edge.settings.settings import read_settings
from clearway_edge.settings.settings_warnings import warnings_of
from clearway_edge.sources.kinds import KINDS
from clearway_edge.sources.polled.gtfs_routes import read_routes
from clearway_fleet.alert_settings import read_alert_settings
from clearway_fleet.site_file import read_site_file
from clearway_models.charge.parameters import read_charge_parameters
from clearway_models.charge.valuation import value_for
from clearway_models.charge.zone import read_zone
from clearway_models.emissions.factors import VehicleClass, read_factor_set, read_fleet
from clearway_models.expansion.counts import read_counts
from clearway_transforms.corridors.drive_file import read_drives

_REPOSITORY = Path(__file__).parents[2]

_CITY = """[city]
name = "Sample"
country = "TH"
time_zone = "Asia/Bangkok"
currency = "THB"
price_year = 2024
service_area_deg = [100.0, 13.0, 101.0, 14.0]
"""


def settings(data: bytes) -> bool:
    """Read a TOML file; the first byte says as what."""
    number, text = (data[:1] or b"\0")[0] % len(_SETTINGS), data[1:]
    try:
        _SETTINGS[number](text)
    except SettingsError:
        return False
    return True


def _gateway(text: bytes) -> None:
    about = read_settings(written("gateway.toml", text))
    json.dumps(effective(about))
    warnings_of(about, datetime(2026, 1, 15, tzinfo=UTC))


def _city(text: bytes) -> None:
    folder = written("city/city.toml", text).parent
    check_pack(folder)
    read_calendar(read_city(folder))


def _prices(text: bytes) -> None:
    value_for(read_charge_parameters(), read_city(_pack({"prices.toml": text})))


_SETTINGS: tuple[Callable[[bytes], object], ...] = (
    _gateway,
    lambda text: read_profile(written("profile.toml", text)),
    lambda text: read_alert_settings(written("alerts.toml", text)),
    _city,
    _prices,
)


def settings_seeds() -> Iterator[bytes]:
    """Yield good files of each kind."""
    for kind in KINDS:
        text = sample_settings(name="gw", time_zone="Asia/Bangkok", sources=[kind])
        yield b"\0" + text.encode()
    for file in shipped_profiles().values():
        yield b"\1" + file.read_bytes()
    yield b"\2" + (_REPOSITORY / "fleet" / "alerts.toml").read_bytes()
    yield b"\3" + _CITY.encode()
    yield b'\4source = "x"\ncap_minor_per_km = 1000\n[damage_per_kg]\nnox = 90.0\n'


def _pack(files: dict[str, bytes]) -> Path:
    folder = written("pack/city.toml", _CITY.encode()).parent
    for name in (*_GEOJSON, *_TABLES, "prices.toml"):
        (folder / name).unlink(missing_ok=True)
    for name, data in files.items():
        written(f"pack/{name}", data)
    return folder


_GEOJSON = ("corridors.geojson", "areas.geojson", "roads.geojson", "water.geojson")


def geojson(data: bytes) -> bool:
    """Read a zone, or a file of a city pack; what the pack's check lets pass must be usable."""
    number, text = (data[:1] or b"\0")[0] % (len(_GEOJSON) + 1), data[1:]
    if number == len(_GEOJSON):
        try:
            zone = read_zone(written("zone.geojson", text), resolution=9)
        except UsageError:
            return False
        assert zone.crossing_km > 0
        return True
    folder = _pack({_GEOJSON[number]: text})
    if not check_pack(folder).ok:
        return False
    for corridor in read_corridors(read_city(folder)):
        corridor.cells(9)
    return True


def geojson_seeds() -> Iterator[bytes]:
    """Yield a good file of each kind, with few features."""
    demo = shipped_cities()["demo_city"]
    for number, name in enumerate(_GEOJSON):
        document = json.loads((demo / name).read_bytes())
        document["features"] = document["features"][:2]
        yield bytes((number,)) + json.dumps(document).encode()
    ring = [[100.5, 13.7], [100.52, 13.7], [100.52, 13.72], [100.5, 13.7]]
    polygon = {"type": "Polygon", "coordinates": [ring]}
    yield b"\4" + json.dumps(polygon).encode()
    feature = {"type": "Feature", "properties": {"name": "Old town"}, "geometry": polygon}
    yield b"\4" + json.dumps({"type": "FeatureCollection", "features": [feature] * 2}).encode()
    yield b'\4["8964a4a2003ffff", "8964a4a2007ffff"]'


@cache
def _classes() -> Mapping[str, VehicleClass]:
    return read_factor_set().classes


def _counts(folder: Path) -> None:
    read_counts(folder / "traffic_counts.csv", 9)


def _fleet(folder: Path) -> None:
    read_fleet(_classes(), folder / "fleet.csv")


def _calendar(folder: Path) -> None:
    calendar = read_calendar(read_city(folder))
    for day in (date(2026, 1, 1), date(2026, 4, 15)):
        calendar.tag_text(day)


def _sites(folder: Path) -> None:
    read_site_file(folder / "sites.csv", tuple(KINDS), (100.0, 13.0, 101.0, 14.0))


def _drives(folder: Path) -> None:
    zone = ZoneInfo("Asia/Bangkok")
    read_drives(folder / "drives.csv", corridors={("Main", "north")}, time_zone=zone)


def _routes(folder: Path) -> None:
    read_routes(folder / "routes.txt")


def _nothing(folder: Path) -> None:
    """The map reads it; the check alone is looked at."""


_TABLES: Mapping[str, Callable[[Path], None]] = {
    "traffic_counts.csv": _counts,
    "fleet.csv": _fleet,
    "holidays.csv": _calendar,
    "school_terms.csv": _calendar,
    "events.csv": _calendar,
    "population.csv": _nothing,
    "gateway_sites.csv": _nothing,
    "sites.csv": _sites,
    "drives.csv": _drives,
    "routes.txt": _routes,
}


def tables(data: bytes) -> bool:
    """Read a table; what the pack's check lets pass must be read without a fault."""
    number, text = (data[:1] or b"\0")[0] % len(_TABLES), data[1:]
    name, read = tuple(_TABLES.items())[number]
    folder = _pack({name: text})
    must = name in PACK_TABLES and check_pack(folder).ok
    try:
        read(folder)
    except (SettingsError, SourceUnavailable):
        assert not must
        return False
    return True


def table_seeds() -> Iterator[bytes]:
    """Yield a good table of each kind."""
    demo = shipped_cities()["demo_city"]
    own = {
        "fleet.csv": "emission_class,share,source\ncar_petrol_euro_4,1,survey\n",
        "school_terms.csv": "start_date,end_date,name\n2026-01-05,2026-03-31,spring\n",
        "events.csv": "start,end,name,area\n2026-01-01,2026-01-02,fair,Old\n"
        "2026-01-01T18:00,2026-01-01T20:00,race,\n",
        "sites.csv": "site,site_name,lon_deg,lat_deg,gateway,sources,state\n"
        "asok,Asok,100.5,13.7,gw-1,pmsx003:/dev/ttyUSB0 nmea=gpsd:tcp:1.2.3.4:5,planned\n",
        "drives.csv": "corridor,direction,started_at,travel_time_s\n"
        "Main,north,2026-01-15T07:30,600\n",
        "routes.txt": "route_id,route_type\nr1,3\nr2,715\n",
    }
    for number, name in enumerate(_TABLES):
        text = own.get(name) or "\n".join((demo / name).read_text("utf-8").splitlines()[:4])
        yield bytes((number,)) + text.encode()
