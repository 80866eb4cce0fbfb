"""Identity, time, units, cells, frames, log lines and the city pack."""

from __future__ import annotations

import json
import logging
import time
from datetime import UTC, date, datetime, timedelta, timezone

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearway_core import geo, identity, units
from clearway_core.city import OPTIONAL_FILES, read_city
from clearway_core.clock import SystemClock, from_ms, to_ms
from clearway_core.contracts.field import Contract, DataType, Field, Rule, broken_rule, broken_rules
from clearway_core.contracts.wire import GPS_PING
from clearway_core.data_dir import DataDir
from clearway_core.distance import distance_m
from clearway_core.errors import ContractViolation, SettingsError, UnknownUnit, UsageError
from clearway_core.logging import JsonFormatter, configure
from clearway_core.progress import silent
from clearway_core.schema import conform

# --- identity


def replayed(folder, *, content=b"1,2\n", profile=b"x", name="a.csv"):
    (folder / name).write_bytes(content)
    (folder / "p.toml").write_bytes(profile)
    return identity.replay_boot(folder / name, folder / "p.toml")


def test_replayed_file_has_the_same_boot_wherever_it_lies(tmp_path):
    (tmp_path / "other").mkdir()
    assert replayed(tmp_path) == replayed(tmp_path / "other", name="b.csv")


def test_other_bytes_or_another_profile_give_another_boot(tmp_path):
    first = replayed(tmp_path)
    assert replayed(tmp_path, content=b"1,3\n") != first
    assert replayed(tmp_path, profile=b"y") != first


def test_bytes_that_move_from_file_to_profile_give_another_boot(tmp_path):
    assert replayed(tmp_path, content=b"ab", profile=b"c") != replayed(
        tmp_path, content=b"a", profile=b"bc"
    )


def test_boots_fit_into_what_the_lake_can_hold_and_do_not_repeat(tmp_path):
    boots = {identity.new_boot() for _ in range(200)} | {replayed(tmp_path)}
    assert len(boots) == 201
    assert all(0 <= boot < 2**63 for boot in boots)


# --- time


@settings(max_examples=100)
@given(st.integers(-(10**12), 4_102_444_800_000))
def test_milliseconds_become_an_instant_and_back(instant_ms):
    instant = from_ms(instant_ms)
    assert to_ms(instant) == instant_ms
    assert instant.tzinfo is UTC


@settings(max_examples=100)
@given(st.datetimes(datetime(1960, 1, 1), datetime(2099, 1, 1)))  # noqa: DTZ001 -- made aware
def test_milliseconds_are_those_of_whole_number_arithmetic_in_every_zone(naive):
    zone = timezone(timedelta(hours=5, minutes=45))
    instant = naive.replace(tzinfo=zone)
    assert to_ms(instant) == (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        milliseconds=1
    )


def test_instant_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="needs a time zone"):
        to_ms(datetime(2008, 5, 21))  # noqa: DTZ001


def test_system_clock_tells_utc_and_never_runs_back():
    clock = SystemClock()
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)
    first = clock.monotonic_s()
    clock.sleep(0.001)
    assert first < clock.monotonic_s() <= time.monotonic()


# --- units


@pytest.mark.parametrize(
    ("unit", "kmh"), [("kmh", 1), ("mps", 3.6), ("mph", 1.609344), ("knots", 1.852), ("cms", 0.036)]
)
def test_speed_units_are_their_legal_definitions(unit, kmh):
    assert units.kmh_per(unit) == kmh


def test_unknown_speed_unit_is_refused_without_a_default():
    with pytest.raises(UnknownUnit, match="cms, kmh, knots, mph, mps"):
        units.kmh_per("furlongs")


# --- cells

SAN_FRANCISCO = (-122.4194, 37.7749)


def test_haversine_meets_the_verification_value():
    # METHODS.md section 1: (1.30, 103.80)-(1.31, 103.82) is 2485.8817 m; lon comes first here.
    assert distance_m(103.80, 1.30, 103.82, 1.31) == pytest.approx(2485.8817, abs=5e-5)


@pytest.mark.parametrize(
    ("start", "end", "expected_m"),
    [
        ((0, 0), (180, 0), 3.141592653589793 * units.EARTH_RADIUS_M),  # antipodes, no domain error
        ((-179.9, 10), (179.9, 10), 21_901.0),  # across the date line, not around the world
        ((5, 5), (5, 5), 0.0),
        ((0, 90), (90, 90), 0.0),
    ],
)
def test_haversine_holds_at_the_edges_of_the_map(start, end, expected_m):
    assert distance_m(*start, *end) == pytest.approx(expected_m, rel=1e-3, abs=1e-6)


def test_cell_is_the_published_one():
    # The first example of h3-py's own documentation.
    assert geo.cell_text(geo.cell_at(-122.388903, 37.769377, 9)) == "89283082e73ffff"


def test_cell_text_and_number_are_inverse():
    cell = geo.cell_at(*SAN_FRANCISCO)
    assert geo.cell_number(geo.cell_text(cell)) == cell
    assert geo.resolution_of(cell) == geo.DEFAULT_RESOLUTION


@pytest.mark.parametrize("text", ["", "zz", "8928308280ffff", "0x8928308280fffff", "not a cell"])
def test_text_that_is_no_cell_is_refused(text):
    with pytest.raises(UsageError, match="hex text"):
        geo.cell_number(text)


def test_parent_holds_its_children_and_the_centre_lies_in_the_cell():
    cell = geo.cell_at(*SAN_FRANCISCO, 9)
    parent = geo.parent_of(cell, 8)
    assert geo.resolution_of(parent) == 8
    assert cell in geo.children_of(parent, 9)
    assert geo.cell_at(*geo.centre_of(cell), 9) == cell


def test_boundary_is_a_closed_ring_of_lon_lat_around_the_centre():
    cell = geo.cell_at(*SAN_FRANCISCO)
    ring = geo.boundary_of(cell)
    assert ring[0] == ring[-1]
    assert len(ring) == 7
    lon_deg, lat_deg = geo.centre_of(cell)
    assert min(x for x, _ in ring) < lon_deg < max(x for x, _ in ring)
    assert min(y for _, y in ring) < lat_deg < max(y for _, y in ring)


def test_disk_counts_rings_and_area_is_that_of_the_resolution():
    cell = geo.cell_at(*SAN_FRANCISCO)
    assert len(geo.disk(cell, 0)) == 1
    assert len(geo.disk(cell, 2)) == 19
    assert 0.08 < geo.area_km2(cell) < 0.13  # resolution 9: 0.105 km² on average


def square(west: float, south: float, size_deg: float) -> list[list[float]]:
    east, north = west + size_deg, south + size_deg
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def test_cells_of_a_polygon_have_their_centres_inside_and_spare_the_hole():
    outer, hole = square(-122.45, 37.75, 0.04), square(-122.44, 37.76, 0.02)
    cells = geo.cells_in_polygon([outer, hole], 9)
    assert cells == sorted(cells)
    assert len(cells) > 50
    for cell in cells:
        lon_deg, lat_deg = geo.centre_of(cell)
        assert -122.45 <= lon_deg <= -122.41
        assert 37.75 <= lat_deg <= 37.79
        assert not (-122.44 < lon_deg < -122.42 and 37.76 < lat_deg < 37.78)


def test_multipolygon_is_the_union_of_its_parts_without_doubles():
    one, two = square(-122.45, 37.75, 0.02), square(-122.44, 37.76, 0.02)
    both = geo.cells_in_geometry({"type": "MultiPolygon", "coordinates": [[one], [two]]}, 9)
    parts = [geo.cells_in_geometry({"type": "Polygon", "coordinates": [p]}, 9) for p in (one, two)]
    assert both == sorted(set(parts[0]) | set(parts[1]))
    assert len(both) < len(parts[0]) + len(parts[1])


def test_polygon_without_area_holds_no_cell():
    assert (
        geo.cells_in_polygon([[[100.5, 13.7], [100.6, 13.7], [100.7, 13.7], [100.5, 13.7]]], 9)
        == []
    )


@pytest.mark.parametrize("geometry", [{}, {"type": "Point", "coordinates": [0, 0]}])
def test_zone_that_is_no_area_is_refused(geometry):
    with pytest.raises(UsageError, match="Polygon or MultiPolygon"):
        geo.cells_in_geometry(geometry, 9)


# --- contracts

CONTRACT = Contract(
    name="thing",
    version=1,
    description="For tests.",
    fields=(
        Field(name="a", dtype=DataType.INT32, description="A."),
        Field(name="b", dtype=DataType.UINT64, description="B.", nullable=True),
        Field(name="at", dtype=DataType.INSTANT, description="C.", nullable=True),
    ),
)


def test_conform_orders_casts_and_fills_columns():
    frame = pl.DataFrame({"b": ["7"], "a": [1]}, schema={"b": pl.String, "a": pl.Int64})
    assert conform(frame, CONTRACT).rows() == [(1, 7, None)]
    assert conform(frame, CONTRACT).dtypes == [pl.Int32, pl.UInt64, pl.Datetime("us", "UTC")]


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"b": [1]}, "missing columns"),
        ({"a": [1], "z": [1]}, "unknown columns"),
        ({"a": [2**40]}, "thing/1"),
        ({"a": [1], "b": [-1]}, "thing/1"),
        ({"a": [1, None]}, r"null where a value is required: a \(1 rows\)"),
    ],
)
def test_conform_refuses_what_would_lose_something(columns, complaint):
    with pytest.raises(ContractViolation, match=complaint):
        conform(pl.DataFrame(columns), CONTRACT)


@pytest.mark.parametrize(
    "changes",
    [
        {"fields": (CONTRACT.fields[0], CONTRACT.fields[0])},
        {"key": ("nothing",)},
        {"partition_by": ("nothing",)},
        {"rules": (Rule(name="r", left="nothing", right="a", description="R."),)},
        {"rules": (Rule(name="r", left="a", right="nothing", description="R."),)},
    ],
)
def test_contract_with_doubled_or_unknown_columns_cannot_be_made(changes):
    given_parts = {"name": "t", "version": 1, "description": "T.", "fields": CONTRACT.fields}
    with pytest.raises(ValueError, match="doubled or unknown"):
        Contract(**(given_parts | changes))


def test_field_is_found_by_its_name_only():
    assert CONTRACT.field("b") is CONTRACT.fields[1]
    with pytest.raises(KeyError):
        CONTRACT.field("z")


@pytest.mark.parametrize(
    ("name", "value", "broken"),
    [
        ("lon_deg", 0.0, None),
        ("lon_deg", 180, None),
        ("lon_deg", 180.000001, "lon_deg_range"),
        ("lon_deg", float("nan"), "lon_deg_range"),
        ("lon_deg", "1", "lon_deg_type"),
        ("lon_deg", True, "lon_deg_type"),
        ("lon_deg", None, "lon_deg_missing"),
        ("speed_kmh", None, None),
        ("observed_at", 1.5, "observed_at_type"),
        ("observed_at", -1, "observed_at_range"),
        ("vehicle", "A" * 32, "vehicle_pattern"),
        ("vehicle", "a" * 33, "vehicle_pattern"),
        ("vehicle_class", "tram", "vehicle_class_allowed"),
        ("occupied", 1, "occupied_type"),
        ("pseudonym_epoch", "2008-02-31", "pseudonym_epoch_range"),
    ],
)
def test_first_broken_rule_is_named(name, value, broken):
    assert broken_rule(GPS_PING.field(name), value) == broken


def test_all_broken_rules_of_a_record_are_named_unknown_fields_too():
    record = {"provider": "p", "vehicle": "x", "observed_at": 0, "lon_deg": 999, "colour": "red"}
    assert broken_rules(GPS_PING, record) == [
        "vehicle_pattern", "lon_deg_range", "lat_deg_missing", "colour_unknown",
    ]  # fmt: skip


# --- log lines and progress


def test_log_line_is_one_json_object_with_its_fields():
    record = logging.makeLogRecord(
        {"name": "clearway_ingest", "levelname": "INFO", "msg": "batch_committed", "rows": 3,
         "day": date(2008, 5, 21)}
    )  # fmt: skip
    line = json.loads(JsonFormatter().format(record))
    assert line["event"] == "batch_committed"
    assert (line["level"], line["rows"], line["day"]) == ("info", 3, "2008-05-21")
    assert datetime.fromisoformat(line["at"]).tzinfo is not None


def test_log_line_carries_the_exception_and_is_sent_to_standard_error(capsys):
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    try:
        configure(logging.WARNING)
        log = logging.getLogger("clearway_test")
        log.info("not_said")
        try:
            raise ValueError("bad")  # noqa: TRY301
        except ValueError:
            log.exception("batch_failed", extra={"rows": 2})
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    said = capsys.readouterr()
    line = json.loads(said.err)
    assert (said.out, line["event"], line["level"], line["rows"]) == (
        "",
        "batch_failed",
        "error",
        2,
    )
    assert "ValueError: bad" in line["exception"]


def test_asking_for_a_path_of_the_data_folder_makes_nothing(tmp_path):
    folder = DataDir(tmp_path / "data")
    places = {
        folder.log_file, folder.broker, folder.lake, folder.gateways, folder.models,
        folder.quality, folder.city, folder.airflow,
    }  # fmt: skip
    assert len(places) == 8
    assert all(place.parent == folder.root for place in places)
    assert not folder.root.exists()


def test_silent_progress_says_nothing(capsys):
    silent(1, None, "x")
    assert capsys.readouterr() == ("", "")


# --- city pack

CITY = """
[city]
name = "Testville"
country = "NP"
time_zone = "Asia/Kathmandu"
currency = "NPR"
price_year = 2024
service_area_deg = [85.2, 27.6, 85.4, 27.8]
"""


def write_city(folder, text=CITY):
    (folder / "city.toml").write_text(text, encoding="utf-8")
    return folder


def test_city_is_read_and_says_what_it_lacks(tmp_path):
    city = read_city(write_city(tmp_path))
    assert (city.name, str(city.time_zone), city.currency) == (
        "Testville", "Asia/Kathmandu", "NPR",
    )  # fmt: skip
    assert city.synthetic is False
    assert set(city.missing()) == set(OPTIONAL_FILES)
    (tmp_path / "fleet.csv").touch()
    assert city.file("fleet.csv") == tmp_path / "fleet.csv"
    assert "fleet.csv" not in city.missing()
    assert city.file("roads.geojson") is None


def test_all_faults_of_a_city_come_at_once(tmp_path):
    text = CITY.replace('"Asia/Kathmandu"', '"Nepal/Nowhere"').replace("27.8]", "27.5]")
    text = text.replace("price_year = 2024\n", "colour = 1\n")
    with pytest.raises(SettingsError) as raised:
        read_city(write_city(tmp_path, text))
    joined = str(raised.value)
    for complaint in ("IANA", "west, south, east, north", "belong together", "unknown key"):
        assert complaint in joined
    assert len(raised.value.faults) == 4


def test_city_without_prices_is_a_city(tmp_path):
    text = "\n".join(
        line for line in CITY.splitlines() if not line.startswith(("currency", "price_year"))
    )
    city = read_city(write_city(tmp_path, text))
    assert (city.currency, city.price_year) == (None, None)


def test_folder_without_a_city_is_a_settings_error(tmp_path):
    with pytest.raises(SettingsError, match=r"city\.toml"):
        read_city(tmp_path)
