"""The packs that come with Clearway are valid, current, small and say what they are."""

from __future__ import annotations

import csv
import gzip
import json
import tomllib
from pathlib import Path

import polars as pl
import pytest

from clearway_cli.cities import adopt_city, find_city, find_folder, shipped_cities
from clearway_cli.city_pack.check import check_pack
from clearway_cli.city_pack.template import write_template
from clearway_cli.demo.chain import RECORDINGS
from clearway_core.city import OPTIONAL_FILES, read_city
from clearway_core.errors import UsageError
from clearway_edge.rows.profile import find_profile
from clearway_edge.rows.profile_reading import read_profile

DEMO = shipped_cities()["demo_city"]
PROBES = DEMO / "probes.parquet"
MEGABYTE = 1_000_000


def probes() -> pl.DataFrame:
    return pl.read_parquet(PROBES)


@pytest.mark.parametrize("name", sorted(shipped_cities()))
def test_shipped_pack_has_no_fault_and_no_open_assumption(name: str) -> None:
    report = check_pack(shipped_cities()[name])

    assert report.faults == ()
    assert report.notes == ()


def test_demo_city_has_every_file_but_prices_schools_and_events() -> None:
    assert set(check_pack(DEMO).missing) == {"prices.toml", "school_terms.csv", "events.csv"}


def test_demo_city_stays_small() -> None:
    assert PROBES.stat().st_size <= 3 * MEGABYTE
    assert sum(file.stat().st_size for file in DEMO.rglob("*") if file.is_file()) <= 4 * MEGABYTE


def test_every_file_of_the_demo_city_says_that_it_is_synthetic() -> None:
    assert read_city(DEMO).synthetic
    for file in DEMO.rglob("*.geojson"):
        document = json.loads(file.read_text(encoding="utf-8"))
        assert document["synthetic"] is True, file
        assert all(f["properties"]["synthetic"] for f in document["features"]), file
    for name in ("traffic_counts.csv", "fleet.csv", "population.csv"):
        with (DEMO / name).open(encoding="utf-8") as stream:
            assert all(row["source"].startswith("synthetic") for row in csv.DictReader(stream)), (
                name
            )
    assert all("synthetic" in line for line in holidays()[1:])
    assert pl.read_parquet_metadata(PROBES)["note"].startswith("synthetic")
    for _, profile, _ in RECORDINGS:
        assert "synthetic" in read_profile(find_profile(profile)).name


def holidays() -> list[str]:
    return (DEMO / "holidays.csv").read_text(encoding="utf-8").splitlines()


def test_san_francisco_holds_only_what_we_drew_ourselves() -> None:
    folder = shipped_cities()["san_francisco"]

    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()) == [
        "city.toml",
        "zones/downtown.geojson",
    ]


def test_recordings_cover_the_city_with_two_fleets_and_the_planted_faults() -> None:
    rows = probes()

    swapped = rows.filter(pl.col("lat") > 90)
    assert swapped.height == 40
    assert rows.height - rows.unique().height == 60
    assert rows["vid"].n_unique() == 410
    assert rows["t"].is_sorted()
    fleets = rows.group_by("provider").agg(pl.col("vid").n_unique()).sort("provider")
    assert fleets.rows() == [("metro-hail", 200), ("river-ride", 210)]
    assert set(rows["typ"].unique()) == {"car", "motorcycle", "taxi", "van"}
    west, south, east, north = read_city(DEMO).service_area_deg
    inside = rows.filter(
        pl.col("lon").is_between(west, east) & pl.col("lat").is_between(south, north)
    )
    assert inside.height + swapped.height == rows.height


def test_occupied_vehicles_slow_down_in_the_peak_and_recover() -> None:
    occupied = probes().filter(pl.col("occupied"))
    by_quarter = (
        occupied.group_by(pl.col("t") // 900)
        .agg(kmh=pl.col("speed_mps").mean() * 3.6)
        .sort("t")["kmh"]
        .to_list()
    )

    peak = min(by_quarter)
    assert peak < 0.75 * by_quarter[1]
    assert by_quarter[-1] > 0.9 * by_quarter[1]


def test_air_recording_has_eleven_sensors_and_a_reference() -> None:
    with gzip.open(DEMO / "air.csv.gz", "rt", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))

    assert {row["sensor_model"] for row in rows} == {"pms5003", "reference"}
    assert len({row["sensor"] for row in rows}) == 11
    for row in rows:
        measured = row["pm2_5_ugm3"] if row["sensor_model"] == "reference" else row["humidity_pct"]
        assert measured != ""


def test_gateway_sites_are_where_the_sensors_stand() -> None:
    with gzip.open(DEMO / "air.csv.gz", "rt", encoding="utf-8") as stream:
        sensors = {r["sensor"]: (r["lon_deg"], r["lat_deg"]) for r in csv.DictReader(stream)}
    with (DEMO / "gateway_sites.csv").open(encoding="utf-8") as stream:
        sites = {r["gateway"]: (r["lon_deg"], r["lat_deg"]) for r in csv.DictReader(stream)}

    assert sites.items() <= sensors.items()


def test_city_is_found_by_name_by_folder_and_in_the_data_folder(tmp_path: Path) -> None:
    assert find_city(None, tmp_path) is None

    adopted = adopt_city(find_folder("demo_city"), tmp_path)

    found = find_city(None, tmp_path)
    assert found is not None
    assert found.folder == adopted.folder == tmp_path / "city"
    assert find_city("san_francisco", tmp_path).name == "San Francisco"  # type: ignore[union-attr]
    assert find_city(str(DEMO), tmp_path).folder == DEMO  # type: ignore[union-attr]
    assert not list(adopted.folder.glob("*.parquet"))  # recordings stay where they are


def test_unknown_city_names_the_ones_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="demo_city, san_francisco"):
        find_city("atlantis", tmp_path)
    with pytest.raises(UsageError, match=r"found no city\.toml"):
        find_city(str(tmp_path), tmp_path)


def test_adopting_another_city_leaves_nothing_of_the_first(tmp_path: Path) -> None:
    adopt_city(find_folder("demo_city"), tmp_path)
    adopt_city(find_folder("san_francisco"), tmp_path)

    assert not (tmp_path / "city" / "roads.geojson").exists()


def test_new_pack_marks_what_nobody_confirmed_and_has_no_fault(tmp_path: Path) -> None:
    folder = tmp_path / "port"
    write_template(folder, name="Port “Town”", files=[DEMO / "areas.geojson"])

    report = check_pack(folder)

    assert report.faults == ()
    assert report.name == "Port “Town”"
    assert len(report.notes) == 3
    assert set(report.missing) == {*OPTIONAL_FILES, "zones/*.geojson"} - {"areas.geojson"}
    settings = tomllib.loads((folder / "city.toml").read_text(encoding="utf-8"))["city"]
    assert settings["time_zone"] == "Etc/GMT-7"
    west, south, east, north = settings["service_area_deg"]
    assert west < 100.6 < east
    assert south < 12.9 < north


def test_new_pack_refuses_to_overwrite_and_files_that_no_pack_has(tmp_path: Path) -> None:
    write_template(tmp_path / "a", name="A")
    with pytest.raises(UsageError, match="already there"):
        write_template(tmp_path / "a", name="A")

    stray = tmp_path / "notes.csv"
    stray.write_text("x\n1\n", encoding="utf-8")
    with pytest.raises(UsageError, match="not a file of a city pack"):
        write_template(tmp_path / "b", name="B", files=[stray])
    assert not (tmp_path / "b").exists()
