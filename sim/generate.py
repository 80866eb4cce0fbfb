"""Make the demo city anew: ``python sim/generate.py`` (see sim/README.md)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from clearway_sim import sumo  # noqa: E402 -- found through the line above
from clearway_sim.air import write_air  # noqa: E402
from clearway_sim.demand import write_demand  # noqa: E402
from clearway_sim.pack import gateways, write_pack  # noqa: E402
from clearway_sim.plan import draw_plan, write_plain_xml  # noqa: E402
from clearway_sim.probes import probes, read_fixes, read_rides, write_probes  # noqa: E402

PRIVATE_TRIPS = 14_000
PLAN_SEED, DEMAND_SEED, SUMO_SEED, NOISE_SEED, AIR_SEED, SITE_SEED = 20260115, 1, 42, 3, 5, 8
PACK = HERE.parent / "cities" / "clearway_cities" / "demo_city"


def main() -> None:
    """Simulate (some minutes) and write the pack."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="scratch folder, about 60 MB")
    parser.add_argument("--out", type=Path, default=PACK, help="the city pack")
    parser.add_argument(
        "--pack-only", action="store_true", help="take the simulation that the folder holds"
    )
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    plan = draw_plan(PLAN_SEED)
    if not arguments.pack_only:
        nodes, edges = write_plain_xml(plan, arguments.work)
        network, routes = arguments.work / "city.net.xml", arguments.work / "demand.rou.xml"
        sumo.build_network(nodes, edges, network)
        write_demand(plan, routes, private_trips=PRIVATE_TRIPS, seed=DEMAND_SEED)
        sumo.simulate(arguments.work, network, routes, seed=SUMO_SEED)
    write_pack(plan, arguments.work, arguments.out, seed=SITE_SEED)
    fixes = read_fixes(arguments.work / "fixes.parquet")
    rides = read_rides(arguments.work / "stops.xml")
    write_probes(probes(fixes, rides, seed=NOISE_SEED), arguments.out / "probes.parquet")
    places, air = gateways(plan), arguments.out / "air.csv.gz"
    readings = write_air(plan, arguments.work, places, air, AIR_SEED)
    sys.stdout.write(f"{fixes.height} fixes, {readings} air readings in {arguments.out}\n")


if __name__ == "__main__":
    main()
