"""Writes the city pack of the demo city from its plan and what the simulation counted."""

from __future__ import annotations

import csv
import json
import math
import random
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clearway_sim.demand import ALL_KINDS, TAXI
from clearway_sim.place import SYNTHETIC, TIME_ZONE, local_text, lon_lat_deg
from clearway_sim.plan import SPOKES_BY_RING, Plan, Point, Street, bend, river_x_m
from clearway_sim.sumo import COUNT_PERIOD_S

COUNT_SITES = 48
GATEWAYS = 10

_MARGIN_DEG = 0.005
_RIVER_STEP_M = 60.0
_RIVER_END_M = 2_700.0


@dataclass(frozen=True, slots=True)
class Area:
    """A quarter of the city: a sector between two radii, on one bank where the river cuts it.

    Parameters
    ----------
    name
        For people.
    inner_m, outer_m
        Radii before the plan is bent. [m]
    from_deg, to_deg
        Directions, counter-clockwise from east. [°]
    population, income
        Inhabitants; income per person and year. [1], [XTS]
    """

    name: str
    inner_m: float
    outer_m: float
    from_deg: float
    to_deg: float
    population: int
    income: int


AREAS = (
    Area("Old Town", 0, 700, 0, 360, 9_800, 21_500),
    Area("Lantern Quarter", 700, 1_500, 60, 150, 14_600, 17_200),
    Area("Temple Hill", 700, 1_500, 150, 220, 12_300, 26_400),
    Area("Canal Side", 700, 1_500, 220, 300, 15_900, 12_800),
    Area("East Bank", 700, 1_500, 300, 420, 18_700, 9_600),
    Area("North Orchards", 1_500, 2_450, 60, 150, 17_100, 15_300),
    Area("West Ridge", 1_500, 2_450, 150, 220, 11_200, 29_800),
    Area("South Mills", 1_500, 2_450, 220, 300, 19_400, 8_900),
    Area("Harbour", 1_500, 2_450, 300, 360, 16_800, 7_700),
    Area("Far Fields", 1_500, 2_450, 0, 60, 13_500, 11_100),
)

ZONE_RADIUS_M = 800.0
ZONE_EASTERN_LIMIT_M = 60.0
"""The zone ends so far west of the river. [m]"""

_AVENUES = ("East", "North-East", "North-West", "West", "South-West", "South-East")


def write_pack(plan: Plan, results: Path, folder: Path, *, seed: int) -> None:
    """Write every file of the pack but the recordings.

    Parameters
    ----------
    plan
        The street plan.
    results
        Folder with what the simulation wrote.
    folder
        The pack.
    seed
        Of the choice of counting sites.
    """
    write_drawn_files(plan, folder)
    counts = list(_counts(plan, results, seed))
    _write_csv(folder / "traffic_counts.csv", _COUNT_HEADER, counts)
    _write_csv(folder / "fleet.csv", ("emission_class", "share", "source"), _fleet(results))


def write_drawn_files(plan: Plan, folder: Path) -> None:
    """Write the files that need no simulation: settings, map, zone, people, sites, holidays."""
    (folder / "zones").mkdir(parents=True, exist_ok=True)
    _write_settings(plan, folder)
    _write_geojson(folder / "roads.geojson", _roads(plan))
    _write_geojson(folder / "water.geojson", [_river()])
    _write_geojson(folder / "areas.geojson", [_area(area) for area in AREAS])
    _write_geojson(folder / "corridors.geojson", _corridors(plan))
    _write_geojson(folder / "zones" / "centre.geojson", [_zone()])
    people = [(a.name, a.population, a.income, SYNTHETIC) for a in AREAS]
    header = ("area", "population", "income_per_person", "source")
    _write_csv(folder / "population.csv", header, people)
    sites = [(name, *lon_lat_deg(*point)) for name, point in gateways(plan).items()]
    _write_csv(folder / "gateway_sites.csv", ("gateway", "lon_deg", "lat_deg"), sites)
    holidays = (
        ("2026-01-01", "New Year (synthetic)"),
        ("2026-04-13", "Water Festival (synthetic)"),
    )
    _write_csv(folder / "holidays.csv", ("date", "name"), holidays)


_COUNT_HEADER = ("lon_deg", "lat_deg", "hour_start", "vehicle_class", "vehicles_per_hour", "source")


def gateways(plan: Plan) -> dict[str, Point]:
    """Return where gateways with an air sensor stand: crossings of arterials, spread out [m]."""
    wanted = [
        "r3s0", "r3s4", "r3s8", "r7s4", "r7s8", "r7s16", "r7s20", "r11s8", "r11s24", "r11s40",
    ]  # fmt: skip
    return {f"gw-{n:02d}": plan.crossings[name] for n, name in enumerate(wanted[:GATEWAYS], 1)}


def _write_settings(plan: Plan, folder: Path) -> None:
    corners = [lon_lat_deg(x, y) for x, y in plan.crossings.values()]
    lons, lats = zip(*corners, strict=True)
    area = (
        min(lons) - _MARGIN_DEG,
        min(lats) - _MARGIN_DEG,
        max(lons) + _MARGIN_DEG,
        max(lats) + _MARGIN_DEG,
    )
    (folder / "city.toml").write_text(
        f"""# The demo city. Synthetic: simulated by Clearway with SUMO (see sim/README.md).
# It is no real place and lies in open water on purpose.
[city]
name = "Demo City (simulated)"
country = "XX"                # user-assigned code of ISO 3166: no real country
time_zone = "{TIME_ZONE}"
currency = "XTS"              # ISO 4217 code for tests: prices are European values, not converted
price_year = 2026
service_area_deg = [{", ".join(f"{value:.3f}" for value in area)}]   # west, south, east, north
synthetic = true
""",
        encoding="utf-8",
    )


def _feature(geometry_type: str, coordinates: object, **properties: object) -> dict[str, object]:
    return {
        "type": "Feature",
        "properties": {**properties, "synthetic": True},
        "geometry": {"type": geometry_type, "coordinates": coordinates},
    }


def _roads(plan: Plan) -> list[dict[str, object]]:
    """Return each street once; streets that can be driven one way only say so."""
    names = {(street.start, street.end) for street in plan.streets}
    features = []
    for street in plan.streets:
        both_ways = (street.end, street.start) in names
        if both_ways and street.start > street.end:
            continue
        line = [list(lon_lat_deg(*plan.crossings[n], 5)) for n in (street.start, street.end)]
        features.append(
            _feature("LineString", line, **{"class": street.road_class, "oneway": not both_ways})
        )
    return features


def _river() -> dict[str, object]:
    steps = int(2 * _RIVER_END_M / _RIVER_STEP_M)
    northings = [-_RIVER_END_M + _RIVER_STEP_M * step for step in range(steps + 1)]
    line = [list(lon_lat_deg(river_x_m(y), y, 5)) for y in northings]
    return _feature("LineString", line, **{"class": "river", "name": "Lantern River"})


def _area(area: Area) -> dict[str, object]:
    ring = _sector(area.inner_m, area.outer_m, area.from_deg, area.to_deg)
    return _feature("Polygon", [_closed(ring)], name=area.name)


def _sector(inner_m: float, outer_m: float, from_deg: float, to_deg: float) -> list[Point]:
    whole_circle = 360
    steps = 24
    angles = [from_deg + (to_deg - from_deg) * n / steps for n in range(steps + 1)]
    outer = [_polar(outer_m, angle) for angle in angles]
    if to_deg - from_deg >= whole_circle:
        return outer[:-1]
    inner = [_polar(inner_m, angle) for angle in reversed(angles)]
    return outer + inner


def _polar(radius_m: float, angle_deg: float) -> Point:
    angle = math.radians(angle_deg)
    return bend(radius_m * math.cos(angle), radius_m * math.sin(angle))


def _closed(ring: Sequence[Point]) -> list[list[float]]:
    corners = [list(lon_lat_deg(x, y, 5)) for x, y in ring]
    return [*corners, corners[0]]


def _zone() -> dict[str, object]:
    ring = []
    for x, y in _sector(0, ZONE_RADIUS_M, 0, 360):
        ring.append((min(x, river_x_m(y) - ZONE_EASTERN_LIMIT_M), y))
    return _feature("Polygon", [_closed(ring)], name="Old Town zone")


def _corridors(plan: Plan) -> list[dict[str, object]]:
    features = []
    for number, name in enumerate(_AVENUES):
        crossings = []
        for ring in range(len(SPOKES_BY_RING), 0, -1):
            spoke = number * 2 * SPOKES_BY_RING[ring - 1] // 12
            crossings.append(plan.crossings.get(f"r{ring}s{spoke}"))
        line = [list(lon_lat_deg(*point, 5)) for point in crossings if point is not None]
        for direction, way in (("inbound", line), ("outbound", line[::-1])):
            features.append(_feature("LineString", way, name=f"{name} Avenue", direction=direction))
    return features


def _counts(plan: Plan, results: Path, seed: int) -> Iterable[tuple[object, ...]]:
    """Yield counts of both directions at some streets, as an automatic counter would give them."""
    pairs: dict[frozenset[str], list[Street]] = {}
    for street in plan.streets:
        pairs.setdefault(frozenset((street.start, street.end)), []).append(street)
    rng = random.Random(seed)
    sites = rng.sample(sorted(pairs.values(), key=lambda pair: pair[0].name), COUNT_SITES)
    entered = _entered(results)
    for pair in sites:
        place = lon_lat_deg(*plan.middle_m(pair[0]))
        for second in sorted({second for _, _, second in entered}):
            for vehicle_class in _COUNTED_AS:
                count = sum(entered.get((s.name, vehicle_class, second), 0) for s in pair)
                yield (*place, local_text(second), vehicle_class, count, SYNTHETIC)


_COUNTED_AS: Mapping[str, tuple[str, ...]] = {
    "car": ("car", "taxi"),
    "motorcycle": ("motorcycle",),
    "van": ("van",),
    "truck": ("truck",),
    "bus": ("bus",),
}
"""A loop or camera does not tell a taxi from a car."""


def _entered(results: Path) -> dict[tuple[str, str, int], int]:
    entered: dict[tuple[str, str, int], int] = {}
    for counted, simulated in _COUNTED_AS.items():
        for vehicle_class in simulated:
            root = ET.parse(results / f"flow_{vehicle_class}.xml").getroot()  # noqa: S314 -- ours
            for interval in root:
                second = int(float(interval.get("begin", 0))) // COUNT_PERIOD_S * COUNT_PERIOD_S
                for edge in interval:
                    key = (edge.get("id", ""), counted, second)
                    entered[key] = entered.get(key, 0) + int(edge.get("left", 0))
    return entered


def _fleet(results: Path) -> list[tuple[str, float, str]]:
    """Return shares of vehicle-kilometres by emission class; taxis count as what they are."""
    driven_m = dict.fromkeys((kind.name for kind in ALL_KINDS if kind is not TAXI), 0.0)
    for trip in ET.parse(results / "trips.xml").getroot():  # noqa: S314 -- ours
        kind = trip.get("vType", "")
        name = "car_petrol_euro_4" if kind == TAXI.name else kind
        driven_m[name] += float(trip.get("routeLength", 0))
    total = sum(driven_m.values())
    shares = {name: round(value / total, 4) for name, value in driven_m.items()}
    largest = max(shares, key=lambda name: shares[name])
    shares[largest] = round(shares[largest] + 1 - sum(shares.values()), 4)
    return [(name, share, SYNTHETIC) for name, share in shares.items()]


def _write_geojson(file: Path, features: Sequence[Mapping[str, object]]) -> None:
    lines = ",\n".join(json.dumps(feature, separators=(",", ":")) for feature in features)
    note = json.dumps(SYNTHETIC)
    file.write_text(
        f'{{"type":"FeatureCollection","synthetic":true,"note":{note},"features":[\n{lines}\n]}}\n',
        encoding="utf-8",
    )


def _write_csv(file: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
