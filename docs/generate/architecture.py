"""Draw the pictures of docs/architecture.md: the way of the data, and who imports whom.

``python docs/generate/architecture.py`` sends the demo city through the commands of the quickstart
and notes which component writes and reads what; imports are read from the code. Needs Graphviz's
``dot``; about a minute.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import grimp

from clearway_cli.main import main as command_line
from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.lake import Table, open_lake
from clearway_core.stream.embedded import EmbeddedLog

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
PACK = ROOT / "cities" / "clearway_cities" / "demo_city"
STAGES = ("edge", "ingest", "transforms", "models", "quality", "serving", "fleet")
COMPONENTS = ("cli", "serving", "broker", *STAGES[:5], "fleet", "cities", "core")
INTERNAL = {"received_ranges", "ingest_commits", "build_states", "cleaning_parts", "cell_speed"}
"""Tables by which a stage only remembers where it was."""

Way = tuple[str, str, str]
"""Component, ``writes`` or ``reads``, table or topic."""

_LOOK = """\
  rankdir=LR; nodesep=0.16; ranksep=0.7; bgcolor="white"; pad=0.2;
  node [fontname="Helvetica", fontsize=12, color="#5b6770", fontcolor="#1b2a33"];
  edge [color="#8a959c", arrowsize=0.6];
"""


def stage_that_calls() -> str:
    """Return the component that asked for the call under way."""
    frame = sys._getframe(2)  # noqa: SLF001 -- the stack is what tells who reads
    while frame is not None:
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        stage = package.removeprefix("clearway_")
        if stage not in (package, "core"):
            return stage
        if frame.f_back is None:
            break
        frame = frame.f_back
    return "?"


def note(
    ways: set[Way], owner: type, method: str, verb: str, names: Callable[..., set[str]]
) -> None:
    """Note each call of a method as ways of the component that asked for it."""
    plain = getattr(owner, method)

    def noted(*arguments: object, **options: object) -> object:
        ways.update((stage_that_calls(), verb, name) for name in names(*arguments))
        return plain(*arguments, **options)

    setattr(owner, method, noted)


def run(*words: object) -> None:
    """Run one command; a verdict of 1 or 2 is a result like any other here."""
    sys.argv = ["clearway", *map(str, words)]
    try:
        command_line()
    except SystemExit as ended:
        sys.stdout.write(f"-- exit {ended.code}: {' '.join(sys.argv[:4])}\n")


def ways_of_the_demo(folder: Path) -> set[Way]:
    """Return which component wrote and read what on the way from the recordings to the map."""
    ways: set[Way] = set()
    for method, verb in (("scan", "reads"), ("append", "writes"), ("replace", "writes")):
        note(ways, Table, method, verb, lambda table, *_: {table.contract.name})
    note(ways, EmbeddedLog, "append", "writes", lambda _, topic, *__: {topic})
    note(ways, EmbeddedLog, "read", "reads", lambda _, positions, *__: {p.topic for p in positions})
    data = ("--data-dir", folder)
    run("city", "use", "demo_city", *data)
    for file, profile in (("probes.parquet", "demo_city"), ("air.csv.gz", "demo_city_air")):
        run("replay", PACK / file, "--profile", f"{profile}.toml", "--speed", "max", *data)
    run("ingest", "run", "--until-idle", *data)
    run("build", "congestion", *data)
    run("build", "air", *data)
    run("build", "emissions", "--window", "15m", *data)
    for table in ("congestion", "corridor_times", "air_hourly", "cell_emissions"):
        run("quality", "check", table, *data)
    run("charge", "propose", "--zone", PACK / "zones" / "centre.geojson", *data)
    proposal = open_lake(folder).table("charge_proposals").scan().collect()["proposal_id"][0]
    run("charge", "approve", proposal, "--by", "A. Person", "--note", "seen", *data)
    run("ingest", "books", *data)
    run("gateway", "fleet", *data)
    for table in ("air_hourly", "cell_emissions", "charge_proposals"):
        run("export", table, "--format", "csv", "--out", folder / f"{table}.csv", *data)
    run("report", "congestion", "--month", "2026-01", *data)
    return {way for way in ways if way[0] in STAGES}


def imports_between_components() -> Counter[tuple[str, str]]:
    """Return how many modules of one component import from another."""
    packages = [f"clearway_{name}" for name in COMPONENTS]
    graph = grimp.build_graph(*packages)
    arrows: Counter[tuple[str, str]] = Counter()
    for module in graph.modules:
        others = {_component(other) for other in graph.find_modules_directly_imported_by(module)}
        arrows.update((_component(module), other) for other in others - {_component(module)})
    return arrows


def _component(module: str) -> str:
    return module.partition(".")[0].removeprefix("clearway_")


def data_drawing(ways: Iterable[Way]) -> str:
    """Return the way of the data as a graph in dot."""
    ways = {way for way in ways if way[2] not in INTERNAL}
    writers = {(stage, thing) for stage, verb, thing in ways if verb == "writes"}
    lines = [
        *(
            f'  "{s}" [shape=box, style="filled", fillcolor="#d7e6f4", penwidth=1.4];'
            for s in STAGES
        ),
        *(
            f'  "{t}" [shape={_shape(t)}, style="filled", fillcolor="#fbfaf6"];'
            for t in sorted({thing for _, _, thing in ways})
        ),
    ]
    for stage, verb, thing in sorted(ways):
        if verb == "writes":
            lines.append(f'  "{stage}" -> "{thing}";')
        elif (stage, thing) not in writers:
            back = " [constraint=false, style=dashed]" if thing == "quality_checks" else ""
            lines.append(f'  "{thing}" -> "{stage}"{back};')
    return "\n".join(["digraph data {", _LOOK, *lines, "}"]) + "\n"


def _shape(thing: str) -> str:
    return "cylinder" if thing in LAKE_CONTRACTS else "cds"


def imports_drawing(arrows: Counter[tuple[str, str]]) -> str:
    """Return who imports whom as a graph in dot, with the number of modules that do."""
    lines = [
        f'  "{a}" -> "{b}" [label="{n}", fontsize=9, fontcolor="#5b6770"];'
        for (a, b), n in sorted(arrows.items())
        if a != "cli"
    ]
    lines += [
        f'  "{name}" [shape=box, style="filled", fillcolor="#d7e6f4"];' for name in COMPONENTS
    ]
    lines += [f'  "cli" -> "{b}";' for a, b in sorted(arrows) if a == "cli"]
    return "\n".join(["digraph imports {", _LOOK.replace("LR", "TB"), *lines, "}"]) + "\n"


def draw(name: str, drawing: str) -> None:
    """Write a drawing and its picture."""
    (IMAGES / f"{name}.dot").write_text(drawing, encoding="utf-8")
    subprocess.run(  # noqa: S603 -- a program of the system with our own file
        [
            shutil.which("dot") or "dot",
            "-Tsvg",
            "-o",
            IMAGES / f"{name}.svg",
            IMAGES / f"{name}.dot",
        ],
        check=True,
    )
    sys.stdout.write(f"docs/images/{name}.svg\n")


if __name__ == "__main__":
    draw("architecture-imports", imports_drawing(imports_between_components()))
    with tempfile.TemporaryDirectory() as scratch:
        draw("architecture-data", data_drawing(ways_of_the_demo(Path(scratch))))
