"""What cells are called: the area that they lie in and the corridors through them."""

from __future__ import annotations

import polars as pl
import pytest

from clearway_cli.cities import shipped_cities
from clearway_core.city import read_city
from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.corridor_lines import read_corridors
from clearway_core.geo import cell_at, cell_text
from clearway_serving.export import files as export
from clearway_serving.places import Places

CONGESTION = LAKE_CONTRACTS["congestion"]


@pytest.fixture(scope="module")
def places() -> Places:
    return Places(read_city(shipped_cities()["demo_city"]))


@pytest.mark.parametrize("resolution", [8, 9, 10])
def test_a_cell_on_a_corridor_is_called_by_it_once_for_both_directions(places, resolution):
    city = read_city(shipped_cities()["demo_city"])
    line = next(each for each in read_corridors(city) if each.name == "East Avenue")
    cell = cell_at(*line.line[0], resolution)

    assert places.corridor(cell, resolution) == "East Avenue"
    assert places.corridor(cell_at(0.0, 0.0, resolution), resolution) is None


def test_exported_cells_carry_area_and_corridor_and_keep_their_order(places):
    centre, far = cell_at(100.62, 12.9006, 9), cell_at(100.0, 12.0, 9)
    rows = pl.DataFrame({"h3_cell": [cell_text(far), cell_text(centre), cell_text(far)]})
    named = export.with_places(rows, CONGESTION, places)

    assert named["h3_cell"].to_list() == rows["h3_cell"].to_list()
    assert named["area"].to_list() == [None, "Old Town", None]
    assert named.columns == ["h3_cell", "area", "corridor"]
    assert Places(None).corridor(centre, 9) is None


def test_tables_without_cells_stay_as_they_are(places):
    rows = pl.DataFrame({"corridor": ["a"]})
    assert export.with_places(rows, LAKE_CONTRACTS["corridor_times"], places).columns == [
        "corridor"
    ]
