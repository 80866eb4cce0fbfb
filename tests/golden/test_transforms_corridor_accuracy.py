"""Corridor times and test drives against a simulated city that knows every street's speed.

15,000 vehicles, 10 % of them probes, a fix every 5 s, 7 m noise; 20 lines along main roads.
"""

from __future__ import annotations

import itertools
import json
import math
import random
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from doubles import transforms_pings as pings

from clearway_core.city import City
from clearway_core.corridor_lines import read_corridors
from clearway_core.lake import Lake
from clearway_core.progress import silent
from clearway_transforms.jobs.corridors import build_corridors
from clearway_transforms.jobs.pings import ping_days
from clearway_transforms.jobs.product import Product
from clearway_transforms.jobs.vehicles import build_vehicle_travel
from clearway_transforms.jobs.verification import verify_corridors

START = datetime(2026, 1, 14, 23, 30, tzinfo=UTC)
"""Second 0 of the simulation."""

FIRST_SWEEP = range(30)
LONG_ENOUGH = 8
OPPOSITE = {"up": "down", "down": "up"}


def main_roads(roads: pl.DataFrame) -> dict[tuple[str, str], list[str]]:
    """Return the streets of each straight chain of main roads, by its name and direction."""
    main = set(roads.filter(pl.col("type") == "primary")["edge"])
    chains = {}
    for axis, k, step in itertools.product(("row", "column"), FIRST_SWEEP, (1, -1)):
        numbers = FIRST_SWEEP if step == 1 else reversed(FIRST_SWEEP)
        edges = []
        for i in numbers:
            ends = [(i, k), (i + step, k)] if axis == "row" else [(k, i), (k, i + step)]
            edges.append("-".join(f"n{a}_{b}" for a, b in ends))
        chain = [edge for edge in edges if edge in main]
        if len(chain) >= LONG_ENOUGH:
            chains[f"{axis} {k}", "up" if step == 1 else "down"] = chain
    return chains


def pack(folder: Path, roads: pl.DataFrame) -> City:
    """Write a city pack with the main roads as corridors."""
    lines = dict(roads.select("edge", "lonlat").iter_rows())
    features = [
        {
            "type": "Feature",
            "properties": {"name": name, "direction": direction},
            "geometry": {
                "type": "LineString",
                "coordinates": [point for edge in chain for point in lines[edge]],
            },
        }
        for (name, direction), chain in main_roads(roads).items()
    ]
    folder.mkdir()
    (folder / "corridors.geojson").write_text(
        json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8"
    )
    return City(
        folder=folder,
        name="Simulated",
        country="XX",
        time_zone=ZoneInfo("Asia/Bangkok"),
        currency=None,
        price_year=None,
        service_area_deg=(100.4, 13.6, 100.7, 13.9),
        synthetic=True,
    )


@pytest.fixture(scope="module")
def scenario(real_data) -> Path:
    return real_data / "scenario" / "sumo_15k"


@pytest.fixture(scope="module")
def truth(scenario) -> pl.DataFrame:
    """Return the true seconds per metre of each line, direction and quarter of an hour."""
    roads = pl.read_parquet(scenario / "roads.parquet")
    streets = pl.DataFrame(
        [
            (name, direction, edge)
            for (name, direction), chain in main_roads(roads).items()
            for edge in chain
        ],
        schema=["corridor", "direction", "edge"],
        orient="row",
    ).join(roads.select("edge", "length_m"), on="edge")
    speeds = pl.read_parquet(scenario / "truth_edges.parquet")
    return (
        streets.join(speeds.filter(pl.col("speed_mps") > 0), on="edge")
        .with_columns(
            pl.len().over("corridor", "direction", "bin_start_s").alias("n"),
            chain=pl.col("edge").n_unique().over("corridor", "direction"),
            window_start=pl.lit(START) + pl.duration(seconds=pl.col("bin_start_s")),
        )
        .filter(pl.col("n") == pl.col("chain"))
        .group_by("corridor", "direction", "window_start")
        .agg(s_per_m=(pl.col("length_m") / pl.col("speed_mps")).sum() / pl.col("length_m").sum())
    )


@pytest.fixture(scope="module")
def built(scenario, tmp_path_factory) -> tuple[Lake, City]:
    folder = tmp_path_factory.mktemp("corridors")
    city = pack(folder / "city", pl.read_parquet(scenario / "roads.parquet"))
    lake = Lake(folder / "lake")
    pings.store(lake, pings.sumo_15k(scenario.parents[1]))
    days = ping_days(lake)
    product = Product(resolution=9, window_minutes=15, city=city)
    build_vehicle_travel(lake, product, units=days, progress=silent)
    build_corridors(lake, city, list(days))
    return lake, city


@pytest.fixture(scope="module")
def judged(built, truth) -> pl.DataFrame:
    times = built[0].table("corridor_times").scan().collect()
    return (
        times.filter(
            (pl.col("window_minutes") == 15)
            & (pl.col("vehicle_class") == "all")
            & (pl.col("status") == "observed")
        )
        .join(truth, on=["corridor", "direction", "window_start"], validate="1:1")
        .with_columns(true_min=pl.col("s_per_m") * pl.col("length_m") / 60)
        .with_columns(error=(pl.col("travel_time_min") / pl.col("true_min")).log())
    )


def test_median_error_of_travel_time_is_within_ten_per_cent(judged):
    assert judged.height >= 60
    assert judged["error"].abs().median() <= 0.03  # measured 0.02; the promise is 0.10
    assert abs(judged["error"].mean()) <= 0.03


def test_nine_of_ten_intervals_hold_the_truth(judged):
    inside = (judged["interval_low_min"] <= judged["true_min"]) & (
        judged["true_min"] <= judged["interval_high_min"]
    )
    assert 0.85 <= inside.mean() <= 0.97


def test_where_directions_differ_each_is_nearer_to_its_own_truth(judged):
    ours = judged.select("corridor", "direction", "window_start", "travel_time_min", "true_min")
    other = ours.with_columns(pl.col("direction").replace_strict(OPPOSITE))
    pairs = ours.join(other, on=["corridor", "direction", "window_start"], suffix="_of_other")
    apart = pairs.filter((pl.col("true_min") / pl.col("true_min_of_other")).log().abs() > 0.2)
    own = (apart["travel_time_min"] / apart["true_min"]).log().abs()
    swapped = (apart["travel_time_min"] / apart["true_min_of_other"]).log().abs()

    assert apart.height >= 4
    assert (own < swapped).all()


def test_no_vehicle_counts_in_a_direction_in_which_it_never_headed(built, scenario):
    lake, city = built
    bearings = pl.DataFrame(
        [(line.name, line.direction, _bearing_deg(line.line)) for line in read_corridors(city)],
        schema=["corridor", "direction", "bearing_deg"],
        orient="row",
    )
    headings = (
        pl.read_parquet(scenario / "probes.parquet")
        .filter(pl.col("speed_mps") > 2)
        .select(vehicle=pl.col("vid").cast(pl.String), heading_deg="heading")
        .unique()
    )
    names = {number: pings.pseudonym(number) for number in headings["vehicle"].unique()}
    headings = headings.with_columns(pl.col("vehicle").replace_strict(names))
    travel = lake.table("vehicle_corridor_travel").scan().collect()
    counted = travel.select("corridor", "direction", "vehicle").unique()
    counted = counted.join(bearings, on=["corridor", "direction"])
    off = ((pl.col("heading_deg") - pl.col("bearing_deg") + 540) % 360 - 180).abs()
    headed = counted.join(headings, on="vehicle").filter(off <= 60)

    assert counted.height >= 1_000
    assert counted.join(headed, on=["corridor", "direction", "vehicle"], how="anti").is_empty()


def _bearing_deg(line: tuple[tuple[float, float], ...]) -> float:
    (from_lon, from_lat), (to_lon, to_lat) = line[0], line[-1]
    east = (to_lon - from_lon) * math.cos(math.radians(from_lat))
    return math.degrees(math.atan2(east, to_lat - from_lat)) % 360


def drives(file: Path, judged: pl.DataFrame, *, shift: float) -> Path:
    """Write test drives as the streets' true speeds give them, six per line and direction."""
    rng = random.Random(7)
    lines = ["corridor,direction,started_at,travel_time_min"]
    for (name, direction), rows in judged.sort("window_start").group_by(
        "corridor", "direction", maintain_order=True
    ):
        for number in range(6):
            row = rows.row(number % rows.height, named=True)
            minutes = row["true_min"] * shift * rng.lognormvariate(0, 0.06)
            second = int(450 - 30 * minutes + rng.uniform(-300, 300))
            started_at = row["window_start"].timestamp() + second
            text = datetime.fromtimestamp(started_at, UTC).isoformat()
            lines.append(f"{name},{direction},{text},{minutes:.2f}")
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


@pytest.mark.parametrize(("shift", "expected"), [(1.0, "agree"), (1.2, "disagree")])
def test_drives_agree_and_drives_a_fifth_longer_do_not(built, judged, tmp_path, shift, expected):
    lake, city = built
    found = verify_corridors(lake, drives(tmp_path / "drives.csv", judged, shift=shift), city)
    sure = found.rows.filter(pl.col("verdict") != "not enough")

    assert found.first_date == date(2026, 1, 15)
    assert sure.height >= 10
    assert (sure["verdict"] == expected).mean() >= 0.9
