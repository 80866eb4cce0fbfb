"""The generator of the demo city, as far as it needs no SUMO."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest

from clearway_cli.cities import shipped_cities

SIM = Path(__file__).parents[2] / "sim"
DRAWN = (
    "city.toml",
    "roads.geojson",
    "water.geojson",
    "areas.geojson",
    "corridors.geojson",
    "zones/centre.geojson",
    "population.csv",
    "gateway_sites.csv",
    "holidays.csv",
)


@pytest.fixture(scope="module", autouse=True)
def sim_on_path() -> Iterator[None]:
    sys.path.insert(0, str(SIM))
    yield
    sys.path.remove(str(SIM))


def module(name: str) -> ModuleType:
    return importlib.import_module(f"clearway_sim.{name}")


def test_drawn_files_of_the_committed_pack_are_current(tmp_path: Path) -> None:
    plan = module("plan").draw_plan(20260115)
    module("pack").write_drawn_files(plan, tmp_path)

    for name in DRAWN:
        committed = shipped_cities()["demo_city"] / name
        assert (tmp_path / name).read_bytes() == committed.read_bytes(), name


def test_every_crossing_can_be_reached_and_left() -> None:
    plan = module("plan").draw_plan(1)

    for ways in (
        [(s.start, s.end) for s in plan.streets],
        [(s.end, s.start) for s in plan.streets],
    ):
        seen, waiting = {ways[0][0]}, [ways[0][0]]
        while waiting:
            here = waiting.pop()
            onward = {end for start, end in ways if start == here} - seen
            seen |= onward
            waiting += onward
        assert seen == set(plan.crossings)


def test_only_arterials_cross_the_river() -> None:
    plans = module("plan")
    plan = plans.draw_plan(20260115)
    crossing = [
        street
        for street in plan.streets
        if plans.east_of_river(plan.crossings[street.start])
        != plans.east_of_river(plan.crossings[street.end])
    ]

    assert len(crossing) == 10  # five bridges, both ways
    assert {street.road_class for street in crossing} <= {"primary", "secondary", "trunk"}


def test_same_seed_draws_the_same_demand(tmp_path: Path) -> None:
    plan = module("plan").draw_plan(1)
    for name in ("a", "b"):
        module("demand").write_demand(plan, tmp_path / name, private_trips=50, seed=7)

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_text(encoding="utf-8").count("has.fcd.device") == 410


def test_rides_are_read_from_alternating_stops(tmp_path: Path) -> None:
    file = tmp_path / "stops.xml"
    file.write_text(
        '<stops><stopinfo id="f0_1" started="100" ended="150"/>'
        '<stopinfo id="f0_1" started="300" ended="330"/>'
        '<stopinfo id="f0_1" started="400" ended="450"/></stops>',
        encoding="utf-8",
    )
    probes = module("probes")
    rides = probes.read_rides(file)
    fixes = pl.DataFrame(
        {"t": [90, 120, 160, 290, 310, 460], "name": ["f0_1"] * 6},
        schema={"t": pl.Int32, "name": pl.String},
    )

    riding = probes._occupancy(fixes, rides)["riding"].to_list()

    assert riding == [False, False, True, True, False, True]


def test_sensor_reads_higher_the_more_humid_it_is_and_near_traffic() -> None:
    import numpy as np  # noqa: PLC0415

    air = module("air")
    plan = module("plan").draw_plan(20260115)
    place = plan.crossings["r7s4"]
    sensor = air.Sensor("gw", place, plan, rng=np.random.default_rng(1), reference=False)
    busy = np.full(len(plan.streets), 1e-5)

    dry = np.mean([sensor.channels(30.0, 40.0) for _ in range(200)])
    humid = np.mean([sensor.channels(30.0, 90.0) for _ in range(200)])

    assert humid > 1.3 * dry > 30.0
    assert sensor.traffic_ugm3(busy) > sensor.traffic_ugm3(busy * 0.5) > 0
