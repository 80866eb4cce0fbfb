"""Whatever is broken in a pack, wherever it stands, `city check` finds it and says where."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearway_cli.cities import shipped_cities
from clearway_cli.city_pack.check import check_pack
from clearway_core.city import CITY_FILE

DEMO = shipped_cities()["demo_city"]
LINES_KEPT = 30

Mutation = tuple[str, str, Callable[[str], str]]


@cache
def small_pack() -> Path:
    """Return a pack like the demo city's with fewer roads and counts, which checks in no time."""
    folder = Path(tempfile.mkdtemp(prefix="clearway-pack-"))
    for file in DEMO.rglob("*"):
        if file.suffix not in {".toml", ".csv", ".geojson"}:
            continue
        target = folder / file.relative_to(DEMO)
        target.parent.mkdir(exist_ok=True)
        text = file.read_text(encoding="utf-8")
        if file.name == "traffic_counts.csv":
            text = "\n".join(text.splitlines()[:LINES_KEPT]) + "\n"
        elif file.name == "roads.geojson":
            document = json.loads(text)
            document["features"] = document["features"][:LINES_KEPT]
            text = json.dumps(document)
        target.write_text(text, encoding="utf-8")
    return folder


@contextmanager
def broken(file: str, change: Callable[[str], str]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "pack"
        shutil.copytree(small_pack(), folder)
        path = folder / file
        path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
        yield folder


def test_small_pack_is_valid() -> None:
    assert check_pack(small_pack()).faults == ()


def cell(column: int, value: Callable[[str], str], line: int) -> Callable[[str], str]:
    """Change one cell; line 1 is the first row below the header."""

    def change(text: str) -> str:
        lines = text.splitlines()
        cells = lines[line].split(",")
        cells[column] = value(cells[column])
        lines[line] = ",".join(cells)
        return "\n".join(lines) + "\n"

    return change


def swap_columns(text: str, line: int) -> str:
    lines = text.splitlines()
    lon, lat, *rest = lines[line].split(",")
    lines[line] = ",".join([lat, lon, *rest])
    return "\n".join(lines) + "\n"


COUNT_CELLS = [
    (0, lambda _: "far", "position"),
    (0, lambda _: "99.1", "outside"),
    (1, lambda _: "91", "range"),
    (2, lambda _: "yesterday", "hour_start"),
    (2, lambda v: v[:-6], "hour_start_offset"),
    (2, lambda v: v.replace(":00:00+", ":30:00+"), "hour_start_full"),
    (3, lambda _: "tram", "vehicle_class"),
    (4, lambda _: "-1", "vehicles_per_hour_number"),
    (4, lambda _: "nan", "vehicles_per_hour_number"),
    (4, lambda _: "many", "vehicles_per_hour_number"),
]


@settings(max_examples=30, deadline=None)
@given(which=st.sampled_from(COUNT_CELLS), line=st.integers(1, LINES_KEPT - 1))
def test_broken_count_is_found_in_its_line(
    which: tuple[int, Callable[[str], str], str], line: int
) -> None:
    column, value, rule = which
    with broken("traffic_counts.csv", cell(column, value, line)) as folder:
        faults = check_pack(folder).faults

    assert (f"line {line + 1}", rule) in {(fault.where, fault.rule) for fault in faults}
    assert {fault.file for fault in faults} == {"traffic_counts.csv"}


@settings(max_examples=20, deadline=None)
@given(line=st.integers(1, LINES_KEPT - 1))
def test_exchanged_longitude_and_latitude_are_called_by_name(line: int) -> None:
    with broken("traffic_counts.csv", lambda text: swap_columns(text, line)) as folder:
        (fault,) = check_pack(folder).faults

    assert fault.rule == "order"
    assert "exchanged" in fault.problem


def features(change: Callable[[dict[str, Any]], None], number: int) -> Callable[[str], str]:
    def changed(text: str) -> str:
        document = json.loads(text)
        change(document["features"][number])
        return json.dumps(document)

    return changed


def _swap(feature: dict[str, Any]) -> None:
    line = feature["geometry"]["coordinates"]
    feature["geometry"]["coordinates"] = [[lat, lon] for lon, lat in line]


def _set(*path: str, to: object) -> Callable[[dict[str, Any]], None]:
    def change(feature: dict[str, Any]) -> None:
        *way, last = path
        for key in way:
            feature = feature[key]
        feature[last] = to

    return change


ROAD_CHANGES = [
    (_swap, "order"),
    (_set("properties", "class", to="boulevard"), "class_unknown"),
    (_set("properties", to=None), "class_missing"),
    (_set("geometry", to=None), "geometry"),
    (_set("geometry", "type", to="Point"), "geometry_type"),
    (_set("geometry", "coordinates", to=[]), "coordinates"),
    (_set("geometry", "coordinates", to=[[100.62, 12.9]]), "line_short"),
    (_set("geometry", "coordinates", to=[[100.62, 12.9], ["a", 1]]), "position"),
    (_set("geometry", "coordinates", to=[[100.62, 12.9], [200.0, 12.9]]), "range"),
    (_set("geometry", "coordinates", to=[[100.62, 12.9], [101.9, 12.9]]), "outside"),
]


@settings(max_examples=30, deadline=None)
@given(which=st.sampled_from(ROAD_CHANGES), number=st.integers(0, LINES_KEPT - 1))
def test_broken_road_is_found_by_its_number(
    which: tuple[Callable[[dict[str, Any]], None], str], number: int
) -> None:
    change, rule = which
    with broken("roads.geojson", features(change, number)) as folder:
        faults = check_pack(folder).faults

    assert [(f.file, f.where, f.rule) for f in faults] == [
        ("roads.geojson", f"feature {number + 1}", rule)
    ]


def _open(feature: dict[str, Any]) -> None:
    feature["geometry"]["coordinates"][0].pop()


def _cross(feature: dict[str, Any]) -> None:
    ring = feature["geometry"]["coordinates"][0]
    ring[3], ring[12] = ring[12], ring[3]


def swap_columns_of_sites(text: str) -> str:
    header, first, *rest = text.splitlines()
    name, lon, lat = first.split(",")
    return "\n".join([header, f"{name},{lat},{lon}", *rest]) + "\n"


OTHER = [
    ("areas.geojson", "ring_open", features(_open, 2)),
    ("areas.geojson", "ring_crossing", features(_cross, 0)),
    ("areas.geojson", "name_doubled", features(_set("properties", "name", to="Harbour"), 1)),
    ("zones/centre.geojson", "ring_open", features(_open, 0)),
    ("corridors.geojson", "name_missing", features(_set("properties", "name", to=""), 0)),
    ("areas.geojson", "json", lambda text: text[: len(text) // 2]),
    ("areas.geojson", "collection", lambda _: '{"type": "Feature"}'),
    ("areas.geojson", "collection", lambda _: "[]"),
    ("areas.geojson", "empty", lambda _: '{"type": "FeatureCollection", "features": []}'),
    ("fleet.csv", "share_sum", cell(1, lambda _: "0.9", 1)),
    ("fleet.csv", "emission_class", cell(0, lambda _: "car_steam", 1)),
    ("fleet.csv", "doubled", lambda text: text + text.splitlines()[-1] + "\n"),
    ("fleet.csv", "header", lambda text: text.replace(",", ";")),
    ("fleet.csv", "cells", lambda text: text + "car_electric,0\n"),
    ("population.csv", "area", cell(0, lambda _: "Nowhere", 2)),
    ("population.csv", "population_number", cell(1, lambda _: "12.000 people", 2)),
    ("population.csv", "population_whole", cell(1, lambda _: "12.5", 2)),
    ("population.csv", "source_empty", lambda text: text + "Old Town,1,1,\n"),
    ("gateway_sites.csv", "gateway", cell(0, lambda _: "pole 7", 1)),
    ("gateway_sites.csv", "order", swap_columns_of_sites),
    ("holidays.csv", "date", cell(0, lambda _: "01/01/2026", 1)),
    ("holidays.csv", "empty", lambda text: text.splitlines()[0] + "\n"),
    ("city.toml", "settings", lambda text: text.replace("Asia/Bangkok", "Asia/Atlantis")),
    ("city.toml", "settings", lambda text: text + 'colour = "blue"\n'),
    ("city.toml", "settings", lambda text: text.replace('currency = "XTS"', "")),
    ("city.toml", "time_zone_place", lambda text: text.replace("Asia/Bangkok", "Europe/Berlin")),
    ("city.toml", "country", lambda text: text.replace('"XX"', '"Thailand"')),
    ("city.toml", "currency", lambda text: text.replace('"XTS"', '"Baht"')),
    ("city.toml", "price_year", lambda text: text.replace("price_year = 2026", "price_year = 26")),
    ("city.toml", "service_area_size", lambda text: text.replace("100.591", "90.591")),
]


@pytest.mark.parametrize(
    ("file", "rule", "change"), OTHER, ids=[f"{file}-{rule}" for file, rule, _ in OTHER]
)
def test_fault_is_found_in_its_file(file: str, rule: str, change: Callable[[str], str]) -> None:
    with broken(file, change) as folder:
        faults = check_pack(folder).faults

    assert (file, rule) in {(fault.file, fault.rule) for fault in faults}


TOLD_FROM = {"order": CITY_FILE, "area": "areas.geojson"}
"""Rules that are told from another file: where that is broken too, they cannot be."""


@settings(max_examples=30, deadline=None)
@given(chosen=st.lists(st.sampled_from(OTHER), min_size=2, max_size=5, unique_by=lambda m: m[0]))
def test_several_faults_are_all_reported_at_once(chosen: list[Mutation]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "pack"
        shutil.copytree(small_pack(), folder)
        for file, _, change in chosen:
            path = folder / file
            path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
        faults = check_pack(folder).faults

    touched = {file for file, _, _ in chosen}
    wanted = {(file, rule) for file, rule, _ in chosen if TOLD_FROM.get(rule) not in touched}
    assert wanted <= {(f.file, f.rule) for f in faults}


def test_per_cent_instead_of_shares_is_called_by_name() -> None:
    def to_per_cent(text: str) -> str:
        header, *rows = text.splitlines()
        cells = [row.split(",", 2) for row in rows]
        return "\n".join([header, *(f"{n},{float(s) * 100},{r}" for n, s, r in cells)])

    with broken("fleet.csv", to_per_cent) as folder:
        (fault,) = check_pack(folder).faults

    assert "divide per cent by 100" in fault.problem


def test_decimal_comma_is_called_by_name() -> None:
    change = cell(4, lambda _: '"12,5"', 3)
    with broken("traffic_counts.csv", change) as folder:
        (fault,) = check_pack(folder).faults

    assert "decimal point" in fault.problem


def test_comment_lines_do_not_shift_the_line_numbers() -> None:
    def change(text: str) -> str:
        return "# counted by hand\n" + cell(3, lambda _: "tram", 1)(text)

    with broken("traffic_counts.csv", change) as folder:
        (fault,) = check_pack(folder).faults

    assert fault.where == "line 3"
