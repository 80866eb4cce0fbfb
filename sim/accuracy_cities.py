"""Make the simulated cities on which accuracy is judged: ``python sim/accuracy_cities.py``.

Cities of development may be looked at while methods are chosen; those of evaluation only after the
last change. The two share no seed. Demand was set so that the city's mean speed falls to about a
third of free flow (``jam``) or by about a quarter (``mild``), looking at nothing else.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from clearway_sim import sumo, truth  # noqa: E402 -- found through the line above
from clearway_sim.demand import write_demand  # noqa: E402
from clearway_sim.plan import draw_plan, write_plain_xml  # noqa: E402

DEVELOPMENT, EVALUATION = (101, 102, 103), (901, 902, 903)
"""Seeds of street plan, demand, traffic and fixes."""

PRIVATE_TRIPS = {"mild": 11_000, "jam": 17_000}


def make(folder: Path, *, seed: int, private_trips: int) -> None:
    """Simulate one city (some minutes) and pack its truth, unless the folder holds it."""
    if (folder / "city_kmh.json").is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    plan = draw_plan(seed)
    nodes, edges = write_plain_xml(plan, folder)
    network, routes = folder / "city.net.xml", folder / "demand.rou.xml"
    sumo.build_network(nodes, edges, network)
    write_demand(plan, routes, private_trips=private_trips, seed=seed)
    sumo.simulate_all(folder, network, routes, seed=seed)
    speeds = truth.pack(folder, seed=seed)
    (folder / "trajectories.parquet").unlink()
    (folder / "city_kmh.json").write_text(json.dumps(speeds), encoding="utf-8")
    sys.stdout.write(f"{folder.name}: {speeds}\n")


def main() -> None:
    """Make the cities asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--work", type=Path, required=True, help="scratch folder, 0.5 GB while a city is made"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[*DEVELOPMENT, *EVALUATION])
    parser.add_argument("--demand", choices=PRIVATE_TRIPS, nargs="+", default=[*PRIVATE_TRIPS])
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        for demand in arguments.demand:
            folder = arguments.work / f"{demand}_{seed}"
            make(folder, seed=seed, private_trips=PRIVATE_TRIPS[demand])


if __name__ == "__main__":
    main()
