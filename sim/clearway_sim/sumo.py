"""Runs the SUMO programs (network builder and simulation) on a prepared folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from clearway_sim.demand import ALL_KINDS, DURATION_S

FIX_PERIOD_S = 10
TRUTH_PERIOD_S = 2
EMISSION_PERIOD_S = 300
COUNT_PERIOD_S = 3_600

_TELEPORT_S = 120
"""A vehicle that blocks a crossing for so long is moved on, or a city could lock for good. [s]"""


class SimulationFailedError(RuntimeError):
    """A SUMO program is missing or ended with an error."""


def program(name: str) -> str:
    """Return the path of a SUMO program beside this Python or on the path."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        message = f"{name} was not found: install the extra with `pip install 'clearway[sim]'`"
        raise SimulationFailedError(message)
    return found


def build_network(nodes: Path, edges: Path, network: Path) -> None:
    """Build the SUMO network; positions stay in metres around the centre."""
    _run(
        "netconvert",
        *("--node-files", nodes, "--edge-files", edges, "--output-file", network),
        *("--offset.disable-normalization", "true", "--no-turnarounds.except-deadend", "true"),
        *("--tls.default-type", "static", "--no-warnings", "true"),
    )


def simulate(folder: Path, network: Path, routes: Path, *, seed: int) -> None:
    """Simulate the morning; results are written into the folder.

    ``fixes.parquet``: fleet positions; ``stops.xml``: their stops; ``trips.xml``: every vehicle;
    ``emissions.xml``: per street; ``flow_<class>.xml``: per street and hour.
    """
    extra = folder / "outputs.add.xml"
    extra.write_text(_outputs(), encoding="utf-8")
    _run(
        "sumo",
        *("--net-file", network, "--route-files", routes, "--additional-files", extra),
        *("--begin", 0, "--end", DURATION_S, "--seed", seed),
        *("--device.rerouting.probability", 0.7, "--device.rerouting.period", 240),
        *("--device.rerouting.adaptation-interval", 20),
        *("--time-to-teleport", _TELEPORT_S, "--ignore-route-errors", "true"),
        *("--fcd-output", folder / "fixes.parquet", "--device.fcd.period", FIX_PERIOD_S),
        *("--device.fcd.probability", 0, "--fcd-output.skip-empty", "true"),
        *("--fcd-output.attributes", "x,y,speed,angle,type"),
        *("--stop-output", folder / "stops.xml", "--stop-output.write-unfinished", "true"),
        *("--tripinfo-output", folder / "trips.xml", "--tripinfo-output.write-unfinished", "true"),
        *("--summary-output", folder / "summary.xml", "--summary-output.period", 300),
        *("--no-step-log", "true", "--no-warnings", "true", "--duration-log.statistics", "true"),
    )


def simulate_all(folder: Path, network: Path, routes: Path, *, seed: int) -> None:
    """Simulate the morning and keep where every vehicle was.

    ``trajectories.parquet``: positions and speeds every `TRUTH_PERIOD_S`; ``stops.xml``: where
    fleets stopped.
    """
    _run(
        "sumo",
        *("--net-file", network, "--route-files", routes),
        *("--begin", 0, "--end", DURATION_S, "--seed", seed),
        *("--device.rerouting.probability", 0.7, "--device.rerouting.period", 360),
        *("--device.rerouting.adaptation-interval", 20, "--routing-algorithm", "astar"),
        *("--time-to-teleport", _TELEPORT_S, "--ignore-route-errors", "true"),
        *("--fcd-output", folder / "trajectories.parquet", "--device.fcd.probability", 1),
        *("--device.fcd.period", TRUTH_PERIOD_S),
        *("--fcd-output.attributes", "x,y,speed,angle", "--fcd-output.skip-empty", "true"),
        *("--stop-output", folder / "stops.xml", "--stop-output.write-unfinished", "true"),
        *("--no-step-log", "true", "--no-warnings", "true", "--duration-log.statistics", "true"),
    )


def _outputs() -> str:
    classes: dict[str, list[str]] = {}
    for kind in ALL_KINDS:
        classes.setdefault(kind.vehicle_class, []).append(kind.name)
    flows = [
        f'<edgeData id="flow_{name}" file="flow_{name}.xml" period="{COUNT_PERIOD_S}" '
        f'vTypes="{" ".join(types)}" excludeEmpty="true"/>'
        for name, types in classes.items()
    ]
    lines = [
        *flows,
        (
            f'<edgeData id="flow_all" file="flow_all.xml" period="{EMISSION_PERIOD_S}" '
            'excludeEmpty="true"/>'
        ),
        (
            f'<edgeData id="emissions" type="emissions" file="emissions.xml" '
            f'period="{EMISSION_PERIOD_S}" excludeEmpty="true"/>'
        ),
    ]
    return "<additional>\n" + "\n".join(lines) + "\n</additional>\n"


def _run(name: str, *arguments: object) -> None:
    command = ["nice", program(name), *(str(argument) for argument in arguments)]
    home = Path(program("sumo")).parent.parent
    environment = {**os.environ}
    if "SUMO_HOME" not in environment:
        packaged = next(home.glob("lib/python*/site-packages/sumo"), None)
        if packaged is not None:
            environment["SUMO_HOME"] = str(packaged)
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        message = f"{name} ended with {done.returncode}: {done.stderr.strip()[-2000:]}"
        raise SimulationFailedError(message)
    sys.stdout.write(done.stdout[-1500:])
