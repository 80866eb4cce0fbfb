"""The datum detector on the roads and recordings of the demo city."""

from __future__ import annotations

from datetime import date
from importlib.resources import files
from pathlib import Path

import polars as pl
import pytest
from doubles import transforms_pings as pings

from clearway_core.city import City, read_city
from clearway_core.datum import wgs84_to_bd09, wgs84_to_gcj02
from clearway_core.errors import SettingsError
from clearway_transforms.cleaning import clean, near_roads
from clearway_transforms.jobs.vehicles import vehicle_travel_of
from clearway_transforms.parameters import congestion_parameters

PARAMETERS = congestion_parameters()
PACK = Path(str(files("clearway_cities").joinpath("demo_city")))
DAY = date(2026, 1, 15)


@pytest.fixture(scope="module")
def city() -> City:
    return read_city(PACK)


@pytest.fixture(scope="module")
def fixes() -> pl.DataFrame:
    """Return half an hour of the demo city's two fleets, its planted faults left out."""
    rows = pl.read_parquet(PACK / "probes.parquet").filter(
        (pl.col("t") < 5400) & (pl.col("t") >= 3600) & (pl.col("lat") < 90)
    )
    return rows.select(
        "provider",
        pl.concat_str("provider", "vid").alias("vehicle"),
        pl.col("lon").alias("lon_deg"),
        pl.col("lat").alias("lat_deg"),
        pl.col("typ").alias("vehicle_class"),
        observed_at=pl.lit(pings.NOON.replace(year=2026, month=1, day=15))
        + pl.duration(seconds=pl.col("t")),
    )


def shifted(fixes: pl.DataFrame, datum, *, provider: str) -> pl.DataFrame:
    """Return the fixes with those of one provider in another datum."""
    mine = fixes.filter(pl.col("provider") == provider)
    places = [
        datum(lon, lat)
        for lon, lat in mine.select("lon_deg", "lat_deg").unique(maintain_order=True).iter_rows()
    ]
    known = mine.select("lon_deg", "lat_deg").unique(maintain_order=True)
    moved = known.with_columns(
        new_lon=pl.Series([lon for lon, _ in places]), new_lat=pl.Series([lat for _, lat in places])
    )
    there = mine.join(moved, on=["lon_deg", "lat_deg"], validate="m:1").with_columns(
        lon_deg="new_lon", lat_deg="new_lat"
    )
    return pl.concat([fixes.filter(pl.col("provider") != provider), there.select(fixes.columns)])


def shares(fixes: pl.DataFrame, city: City) -> dict[str, float]:
    """Return the suspects of a whole day's cleaning."""
    _, counts = vehicle_travel_of(
        pings.as_gps_pings(fixes),
        PARAMETERS,
        day=DAY,
        resolution=9,
        city=city,
        roads=near_roads.read_roads(city),
    )
    return near_roads.suspect_datums(
        {(subject, name): n for (_, subject, name), n in counts.items()}, PARAMETERS
    )


def test_fixes_in_the_datum_of_the_map_raise_no_suspicion(fixes, city):
    assert shares(fixes, city) == {}


@pytest.mark.parametrize("datum", [wgs84_to_gcj02, wgs84_to_bd09])
def test_a_provider_in_an_undeclared_datum_is_named_and_the_other_one_is_not(fixes, city, datum):
    found = shares(shifted(fixes, datum, provider="metro-hail"), city)
    assert found.keys() == {"metro-hail"}
    assert 0.3 < found["metro-hail"] < 0.6


def test_the_detector_alters_nothing(fixes, city):
    few = pings.as_gps_pings(shifted(fixes.head(20_000), wgs84_to_gcj02, provider="metro-hail"))
    with_roads, _ = vehicle_travel_of(
        few,
        PARAMETERS,
        day=DAY,
        resolution=9,
        city=city,
        roads=near_roads.read_roads(city),
    )
    without, _ = vehicle_travel_of(few, PARAMETERS, day=DAY, resolution=9, city=city)
    keys = ["provider", "vehicle", "vehicle_class", "h3_cell", "window_start"]
    assert with_roads.sort(keys).equals(without.sort(keys))


def test_few_fixes_are_no_evidence(city):
    far = {(near_roads.FAR, "p"): 99, (near_roads.FAR, "q"): 100, (near_roads.NEAR, "r"): 500}
    assert near_roads.suspect_datums(far, PARAMETERS) == {"q": 1.0}


def test_the_distance_to_a_road_is_met_within_two_metres(tmp_path):
    (tmp_path / "roads.geojson").write_text(
        '{"type": "FeatureCollection", "features": [{"geometry": {"type": "MultiLineString",'
        '"coordinates": [[[100.5, 13.7], [100.5, 13.8]], [[100.6, 13.7], [100.6, 13.8]]]}}]}'
    )
    roads = near_roads.read_roads(city_in(tmp_path))
    assert roads is not None
    east = 50 / roads.east_m
    lons = pl.Series([100.5 + 0.96 * east, 100.5 + 1.04 * east, 100.6 - 0.96 * east]).to_numpy()
    lats = pl.Series([13.75, 13.75, 13.7234]).to_numpy()
    assert roads.within(lons, lats, 50.0).tolist() == [True, False, True]


def city_in(folder: Path) -> City:
    (folder / "city.toml").write_text((PACK / "city.toml").read_text())
    return read_city(folder)


def test_without_roads_nothing_is_said_and_broken_ones_are_named(tmp_path):
    assert near_roads.read_roads(city_in(tmp_path)) is None
    (tmp_path / "roads.geojson").write_text('{"features": [{"geometry": null}]}')
    with pytest.raises(SettingsError, match=r"roads\.geojson.*city check"):
        near_roads.read_roads(city_in(tmp_path))


def test_the_choice_of_fixes_does_not_depend_on_their_order(fixes, city):
    roads = near_roads.read_roads(city)
    rows = clean.flag_duplicates(pings.as_gps_pings(fixes).lazy()).collect()
    again = rows.sample(fraction=1.0, shuffle=True, seed=3)
    one, two = (near_roads.count_near_roads(r, roads, PARAMETERS) for r in (rows, again))
    assert one == two
    assert sum(one.values()) == pytest.approx(rows.height / 16, rel=0.25)
