"""What the public figures leave out, by quintile of deprivation."""

from __future__ import annotations

import csv
import gzip
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from doubles import transforms_pings as pings

import clearway_cities
from clearway_core.city import read_city
from clearway_core.geo import cell_at, disk
from clearway_core.lake import Lake
from clearway_transforms import jobs
from clearway_transforms.jobs.coverage import populated_cells, shared_out, suppression
from clearway_transforms.release import coverage

CELLS = disk(cell_at(100.523, 13.752, 8), 1)
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def test_quintiles_hold_about_a_fifth_of_the_people_each_the_poorest_first():
    areas = pl.DataFrame(
        {
            "area": list("abcdefghij"),
            "population": [100] * 10,
            "income_per_person": [50, 40, 30, 20, 10, 5, 4, 3, 2, 1],
        }
    )
    found = dict(coverage.with_quintile(areas).select("area", "quintile").iter_rows())
    assert [found[area] for area in "jihgfedcba"] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_suppressed_shares_are_those_of_rows_time_and_cells():
    rows = [
        (cell, NOON + timedelta(hours=hour), 3_600_000 * (1 + place))
        for place, cell in enumerate(CELLS[:4])
        for hour in range(5)
    ]
    every = pl.DataFrame(
        rows,
        schema={"h3_cell": pl.UInt64, "window_start": pl.Datetime("us", "UTC"), "duration_ms": int},
        orient="row",
    )
    # The first cell is public always, the second in its first hour, the others never.
    public = every.filter(
        (pl.col("h3_cell") == CELLS[0])
        | ((pl.col("h3_cell") == CELLS[1]) & (pl.col("window_start") == NOON))
    )
    places = pl.DataFrame(
        {
            "h3_cell": [*CELLS[:3], CELLS[5]],
            "population": [100.0, 200.0, 300.0, 400.0],
            "quintile": [5, 1, 1, 1],
        },
        schema_overrides={"h3_cell": pl.UInt64},
    )
    found = coverage.suppression_by_quintile(every, public, places)
    by = {row["quintile"]: row for row in found.to_dicts()}
    assert list(by) == [0, 1, 5, None]
    assert by[0]["n_rows"] == 20
    assert by[0]["rows_suppressed"] == pytest.approx(14 / 20)
    assert by[0]["time_suppressed"] == pytest.approx(1 - (5 * 1 + 2) / (5 * (1 + 2 + 3 + 4)))
    assert by[1]["rows_suppressed"] == pytest.approx(9 / 10)
    assert by[1]["cells_suppressed"] == pytest.approx(2 / 3)
    assert by[1]["people_suppressed"] == pytest.approx(700 / 900)
    assert by[5]["rows_suppressed"] == 0
    assert by[None]["cells_suppressed"] is None
    for name in ("rows_suppressed", "time_suppressed", "cells_suppressed"):
        assert by[0][f"{name}_low"] <= by[0][name] <= by[0][f"{name}_high"]


def test_without_people_in_the_pack_it_says_what_is_missing(tmp_path):
    lake = Lake(tmp_path)
    fixes = [pings.drive(f"c{n}", start=NOON, speeds_kmh=[20.0] * 9) for n in range(12)]
    pings.store(lake, pl.concat(fixes))
    jobs.build_congestion(lake, resolution=8, window_minutes=60)
    found = suppression(lake, city=None)
    assert found.missing == "not available: no city pack"
    assert found.by_quintile["quintile"].to_list() == [0, None]
    # The cabs drive together; only the cells that they merely touch are not public.
    assert 0 < found.by_quintile["rows_suppressed"][0] < 0.5


def test_the_demo_citys_people_are_all_shared_out():
    city = read_city(Path(clearway_cities.__file__).parent / "demo_city")
    places, missing = populated_cells(city, 8)
    people = pl.read_csv(city.folder / "population.csv")["population"].sum()
    assert missing is None
    assert places["population"].sum() == pytest.approx(people)
    assert places["h3_cell"].is_unique().all()


@pytest.mark.real_data
def test_san_franciscos_poorest_fifth_is_told_apart(real_data):
    """Census tracts with CalEnviroScreen 3.0: the share of people in poverty orders them."""
    places = shared_out(*san_francisco_tracts(real_data), 8)
    assert places["population"].sum() == pytest.approx(805_000, rel=0.02)
    assert set(places["quintile"]) == {1, 2, 3, 4, 5}


def san_francisco_tracts(real_data: Path) -> tuple[pl.DataFrame, dict[str, dict[str, object]]]:
    """Return the tracts with quintile, and their shapes."""
    folder = real_data / "context" / "san_francisco"
    with gzip.open(folder / "sf-tracts-2010-clipped.geojson.gz") as file:
        features = json.load(file)["features"]
    shapes = {f["properties"]["tractce10"]: f["geometry"] for f in features}
    with gzip.open(folder / "ces3results.csv.gz") as file:
        table = csv.DictReader(io.TextIOWrapper(file, encoding="utf-8-sig"))
        rows = [
            (row["Census Tract"][-6:], int(row["Total Population"]), -float(row["Poverty"]))
            for row in table
            if row["California County"].strip() == "San Francisco" and row["Poverty"] != "NA"
        ]
    areas = pl.DataFrame(
        rows, schema={"area": str, "population": int, "income_per_person": float}, orient="row"
    )
    return coverage.with_quintile(areas.filter(pl.col("area").is_in(list(shapes)))), shapes
