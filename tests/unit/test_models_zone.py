"""Zone files: every form is read, every mistake is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from doubles.models_lake import CELLS, CENTRE, write_zone

from clearway_core import geo
from clearway_core.errors import UsageError
from clearway_models.charge.zone import read_zone


def save(path: Path, document: object) -> Path:
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def square(lon_deg: float, lat_deg: float, size_deg: float = 0.01) -> list[list[list[float]]]:
    corners = [(0, 0), (size_deg, 0), (size_deg, size_deg), (0, size_deg), (0, 0)]
    return [[[lon_deg + x, lat_deg + y] for x, y in corners]]


def test_feature_gives_its_name_and_the_cells_inside(tmp_path: Path) -> None:
    zone = read_zone(write_zone(tmp_path / "z.geojson"), resolution=9)

    assert zone.name == "Old town"
    assert zone.cells == tuple(CELLS)
    assert zone.area_km2 == pytest.approx(7 * geo.area_km2(CENTRE), rel=0.01)


def test_collection_geometry_and_cell_list_agree(tmp_path: Path) -> None:
    feature = json.loads(write_zone(tmp_path / "z.geojson").read_text(encoding="utf-8"))
    forms = [
        {"type": "FeatureCollection", "features": [feature]},
        feature["geometry"],
        [geo.cell_text(cell) for cell in CELLS],
    ]

    cells = {
        read_zone(save(tmp_path / f"{n}.json", form), resolution=9).cells
        for n, form in enumerate(forms)
    }

    assert cells == {tuple(CELLS)}


def test_cells_one_per_line_and_coarser_ones_are_filled(tmp_path: Path) -> None:
    file = tmp_path / "cells.txt"
    file.write_text(geo.cell_text(geo.parent_of(CENTRE, 8)) + "\n", encoding="utf-8")

    zone = read_zone(file, resolution=9)

    assert len(zone.cells) == 7
    assert zone.name == "cells"


def test_two_features_make_one_zone(tmp_path: Path) -> None:
    features = [
        {
            "type": "Feature",
            "properties": {"name": name},
            "geometry": {"type": "Polygon", "coordinates": square(lon, 12.9)},
        }
        for name, lon in (("North", 100.6), ("South", 100.7))
    ]
    file = save(tmp_path / "z.json", {"type": "FeatureCollection", "features": features})

    zone = read_zone(file, resolution=9)

    assert zone.name == "North and South"
    assert zone.geometry["type"] == "MultiPolygon"


def test_mean_crossing_of_a_disk_of_cells_is_near_its_diameter_times_a_quarter_pi(
    tmp_path: Path,
) -> None:
    cells = geo.disk(CENTRE, 10)
    file = save(tmp_path / "z.json", [geo.cell_text(cell) for cell in cells])

    zone = read_zone(file, resolution=9)

    diameter_km = 2 * (zone.area_km2 / 3.14159) ** 0.5
    # pi/4 of the diameter for a circle; the zigzag outline shortens it by 1.15 to 1.33.
    assert 0.59 * diameter_km < zone.crossing_km < 0.69 * diameter_km


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"type": "FeatureCollection", "features": []}, "has no feature"),
        ({"type": "Point", "coordinates": [1, 2]}, "a zone is an area"),
        ({"type": "Polygon", "coordinates": square(12.9, 100.6)}, "swapped"),
        ({"type": "Polygon", "coordinates": [[[1, 2], [3, 4]]]}, "at least 4 positions"),
        ({"type": "Polygon", "coordinates": [[["a", 2]] * 4]}, r"a position is \[lon, lat\]"),
        ({"type": "Polygon", "coordinates": square(100.6, 12.9, 0.0001)}, "smaller than a cell"),
        ({"type": "Polygon", "coordinates": square(90.0, 10.0, 20.0)}, "more than a city"),
        ({"type": "Polygon", "coordinates": square(100.0, 13.0, 0.9)}, "at most"),
        (["nonsense"], "cell 0"),
        (["8a658bc64047fff"], "finer than"),
        ("text", "a zone file is"),
    ],
)
def test_faulty_file_says_what_is_wrong(tmp_path: Path, document: object, message: str) -> None:
    file = save(tmp_path / "z.json", document)

    with pytest.raises(UsageError, match=message) as caught:
        read_zone(file, resolution=9)

    assert "z.json" in str(caught.value)


def test_faulty_feature_is_named_by_its_number(tmp_path: Path) -> None:
    good = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": square(100.6, 12.9)}}
    bad = {"type": "Feature", "geometry": {"type": "LineString", "coordinates": []}}
    file = save(tmp_path / "z.json", {"type": "FeatureCollection", "features": [good, bad]})

    with pytest.raises(UsageError, match="feature 1: a zone is an area"):
        read_zone(file, resolution=9)


def test_missing_file_and_broken_json_are_told_apart(tmp_path: Path) -> None:
    broken = tmp_path / "z.geojson"
    broken.write_text('{"type": "Polygon", ', encoding="utf-8")

    with pytest.raises(UsageError, match="cannot be read"):
        read_zone(tmp_path / "none.geojson", resolution=9)
    with pytest.raises(UsageError, match="is not JSON"):
        read_zone(broken, resolution=9)
