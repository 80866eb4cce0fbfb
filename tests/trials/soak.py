"""The services of docker-compose.yml at work for an hour: `make soak`.

    python tests/trials/soak.py [--minutes 60] [--folder NEW] [--out FILE]

They run as processes with the commands of the file; beside its two simulated gateways two live ones
are fed, by fleets that push and by sensors on a pole. Every 15 s each process is measured, every
minute all folders. In the end the books are closed and it is judged what stayed flat.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import secrets
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from doubles.compose_stack import (
    BUCKET,
    COMPOSE,
    PROGRAMS,
    REPOSITORY,
    Stack,
    compose_stack,
    free_port,
    store_client,
    wait_for,
)
from doubles.edge_pole import receiver_line, sensor, write_settings

from trials import soak_report
from trials.soak_airflow import Airflow
from trials.soak_samples import need_of, size_of
from trials.soak_senders import Fleet, Visitors, changing_air, fixes_now

SAMPLE_EVERY_S = 15.0
SIZES_EVERY_S = 60.0
RUNS_EVERY_S = 900.0
"""Airflow's hourly DAGs are also triggered this often: an hour holds only one of each."""

REPLAYS = ("gateway-fleet", "gateway-air")
LASTING = (
    "ingest",
    "map",
    "airflow-api",
    "airflow-dag-processor",
    "airflow-scheduler",
    "airflow-triggerer",
)
REPLAY_SPEED = "1.5"
"""The demo's three hours then take two."""

ENDPOINT = """
[gateway]
name = "gw-endpoint"
time_zone = "Asia/Bangkok"
data_dir = "data"

[log]
address = "{log}"

[outbox]
when_full = "refuse"

[clock]
synchronised_file = "{null}"

[page]
host = "127.0.0.1"
port = {page}

[[source]]
kind = "http_push"
port = {port}

[[source.sender]]
provider = "metro-hail"
token_file = "metro"
profile = "fleet_json"
vehicle_class = "taxi"

[[source.sender]]
provider = "river-ride"
token_file = "river"
profile = "fleet_json"
vehicle_class = "car"
"""


def main() -> int:
    """Run the soak and write what was found."""
    asked = argparse.ArgumentParser(description="The compose services at work for an hour.")
    asked.add_argument("--minutes", type=float, default=60.0)
    asked.add_argument("--folder", type=Path, help="new; kept")
    asked.add_argument("--out", type=Path, default=REPOSITORY / "benchmarks/results/soak.json")
    given = asked.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # which ends what was started, too
    folder = given.folder or Path(tempfile.mkdtemp(prefix="soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    found = soak(folder.resolve(), given.minutes * 60)
    given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    growing = [n for n, t in found["memory_mib"].items() if t["verdict"] == "grows"]
    sys.stdout.write(f"growing: {', '.join(growing) or 'none'}; the rest: {given.out}\n")
    return 1 if growing else 0


def soak(folder: Path, duration_s: float) -> dict[str, Any]:
    """Run everything for a while and return what was found."""
    machine = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_at_start": os.getloadavg(),
    }
    with ExitStack() as running:
        address = f"kafka://127.0.0.1:{(kafka_port := free_port())}"
        stack = running.enter_context(compose_stack(folder, address))
        program = str(PROGRAMS / "clearway")
        options = ["--data-dir", str(folder / "kafka"), "--port", str(kafka_port)]
        stack.run("kafka", [program, "broker", "run", *options], like="ingest")
        wait_for("Kafka", lambda: "Kafka runs" in stack.log("kafka"))
        assert stack.start("airflow-init").wait(300) == 0, stack.log("airflow-init")
        del stack.processes["airflow-init"]
        for name in LASTING:
            stack.start(name)
        for name in LASTING:
            stack.expect_healthy(name)
        for name in REPLAYS:
            stack.start(name, {"30": REPLAY_SPEED} if name == "gateway-fleet" else None)
        fleets = running.enter_context(_live_gateways(stack, address))
        airflow = Airflow(stack)
        airflow.unpause()
        visitors = Visitors(stack.translate("http://localhost:8501", "map"), every_s=2.0)
        sys.stderr.write(f"{datetime.now(UTC):%H:%M:%S} everything runs in {folder}\n")
        with _threads([*(fleet.run for fleet in fleets), visitors.run]):
            samples, sizes = _watch(stack, airflow, duration_s)
        raw = {"samples": samples, "sizes": sizes, "asked": visitors.asked}
        (folder / "samples.json").write_text(json.dumps(raw), encoding="utf-8")
        closing = {
            "healthcheck_cpu_s": _or_why_not(_healthcheck_costs, stack),
            "books": _or_why_not(_close, stack, fleets),
            "lake_tables": _or_why_not(_lake_files, stack),
        }
    return {
        "machine": {**machine, "load_at_end": os.getloadavg()},
        "duration_s": duration_s,
        **soak_report.judged(samples, sizes),
        "logs": soak_report.logs(stack.folder, sizes),
        "map": soak_report.answers(visitors.asked),
        "dag_runs": airflow.outcomes,
        **closing,
    }


def _or_why_not(look: Callable[..., Any], *arguments: object) -> object:
    """Return what was found in the end, or why it was not: an hour's samples are worth more."""
    try:
        return look(*arguments)
    except Exception as error:  # noqa: BLE001 -- told in the result
        traceback.print_exc()
        return f"not found: {error!r}"


@contextmanager
def _live_gateways(stack: Stack, log: str) -> Iterator[list[Fleet]]:
    """Run an endpoint for fleets and a pole with sensors; give the fleets."""
    program = str(PROGRAMS / "clearway-gateway")
    recording = REPOSITORY / "cities/clearway_cities/demo_city/probes.parquet"
    with sensor(changing_air(), 0.2) as air, sensor(receiver_line, 0.2) as receiver:
        pole = stack.folder / "volumes" / "pole"
        pole.mkdir(parents=True)
        values = {"port": free_port(), "air": air, "receiver": receiver}
        settings = write_settings(pole, more=f'\n[log]\naddress = "{log}"\n', **values)
        stack.run("gateway-pole", [program, "run", "--settings", str(settings)], like="ingest")

        endpoint = stack.folder / "volumes" / "endpoint"
        endpoint.mkdir()
        tokens = {name: secrets.token_hex(32) for name in ("metro", "river")}
        for name, token in tokens.items():
            (endpoint / name).write_text(token)
            (endpoint / name).chmod(0o600)
        port = free_port()
        text = ENDPOINT.format(log=log, port=port, page=free_port(), null=os.devnull)
        (endpoint / "gw.toml").write_text(text)
        settings = endpoint / "gw.toml"
        stack.run("gateway-endpoint", [program, "run", "--settings", str(settings)], like="ingest")
        where = f"http://127.0.0.1:{port}/readings"
        yield [
            Fleet(where, tokens["metro"], fixes_now(recording, "metro-hail"), per_s=30),
            Fleet(where, tokens["river"], fixes_now(recording, "river-ride"), per_s=10),
        ]


@contextmanager
def _threads(runs: list[Callable[[threading.Event], None]]) -> Iterator[None]:
    stop = threading.Event()
    threads = [threading.Thread(target=run, args=(stop,), daemon=True) for run in runs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)


Sample = dict[str, Any]


def _watch(
    stack: Stack, airflow: Airflow, duration_s: float
) -> tuple[list[Sample], list[dict[str, Any]]]:
    """Look again and again; a service that ends is an error."""
    begun_s = time.monotonic()
    postgres = int((stack.folder / "postgres/data/postmaster.pid").read_text().split()[0])
    samples: list[Sample] = []
    sizes: list[dict[str, Any]] = []
    number = 0
    while (now_s := time.monotonic() - begun_s) < duration_s:
        pids = {name: process.pid for name, process in stack.processes.items()}
        needs = {name: need_of(pid) for name, pid in {**pids, "postgres": postgres}.items()}
        lost = [name for name, need in needs.items() if need is None and name not in REPLAYS]
        assert not lost, f"{lost} ended: {[stack.log(name) for name in lost]}"
        samples.append({"at_s": now_s, **{n: asdict(need) for n, need in needs.items() if need}})
        if not sizes or now_s - sizes[-1]["at_s"] >= SIZES_EVERY_S:
            sizes.append({"at_s": now_s, **_sizes(stack)})
        if now_s >= number * RUNS_EVERY_S + 60:
            airflow.trigger(number)
            number += 1
        time.sleep(max(0.0, begun_s + (len(samples)) * SAMPLE_EVERY_S - time.monotonic()))
    _or_why_not(airflow.look)
    return samples, sizes


def _sizes(stack: Stack) -> dict[str, tuple[int, int]]:
    """Return files and bytes by place."""
    folder = stack.folder
    home = folder / "volumes/clearway-data/airflow"
    found = {"kafka/topics": size_of(folder / "kafka/broker/topics")}
    found["kafka/broker.log"] = size_of(folder / "kafka/broker/broker.log")
    found["postgres"] = size_of(folder / "postgres/data")
    for part in sorted(home.iterdir()) if home.is_dir() else ():
        inner = sorted(part.iterdir()) if part.name == "logs" else [part]
        for each in inner:
            name = re.sub(r"dag_id=.*", "dag runs", str(each.relative_to(home)))
            before = found.get(f"airflow/{name}", (0, 0))
            found[f"airflow/{name}"] = tuple(np.add(before, size_of(each)).tolist())  # type: ignore[assignment]
    for part in sorted((folder / "volumes").glob("*")):
        if part.name != "clearway-data":
            found[f"gateway/{part.name}"] = size_of(part)
    for part in sorted((folder / "volumes/clearway-data").glob("*")):
        if part.name != "airflow":
            found[f"data/{part.name}"] = size_of(part)
    for log in sorted(folder.glob("*.log")):
        found[f"log/{log.stem}"] = (log.read_bytes().count(b"\n"), log.stat().st_size)
    for name, (n_files, n_bytes) in _lake_sizes(stack).items():
        found[f"lake/{name}"] = (n_files, n_bytes)
    return found


def _lake_sizes(stack: Stack) -> dict[str, tuple[int, int]]:
    found: Counter[str] = Counter()
    weights: Counter[str] = Counter()
    for key, n_bytes in _objects(stack):
        table, _, rest = key.removeprefix("lake/").partition("/")
        name = f"{table}/{'_delta_log' if rest.startswith('_delta_log/') else 'rows'}"
        found[name] += 1
        weights[name] += n_bytes
    return {name: (found[name], weights[name]) for name in sorted(found)}


def _objects(stack: Stack) -> Iterator[tuple[str, int]]:
    client: Any = store_client(stack)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for one in page.get("Contents", ()):
            yield one["Key"], one["Size"]


def _lake_files(stack: Stack) -> dict[str, dict[str, int]]:
    """Return, by table, the newest version and how much of what lies there is in it."""
    text = stack.ask([sys.executable, "-c", _LIVE_FILES], like="ingest")
    live: dict[str, dict[str, int]] = json.loads(text)
    sizes = _lake_sizes(stack)
    for table, values in live.items():
        values["files_lying"], values["bytes_lying"] = sizes.get(f"{table}/rows", (0, 0))
        values["log_files"], values["log_bytes"] = sizes[f"{table}/_delta_log"]
    return live


_LIVE_FILES = """
import json, os
from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.lake import open_lake
lake = open_lake("/nowhere", os.environ["CLEARWAY_LAKE"])
found = {}
for name in LAKE_CONTRACTS:
    delta = lake.table(name).handle()
    if delta is not None:
        sizes = delta.get_add_actions(flatten=True).column("size_bytes")
        numbers = [size.as_py() if hasattr(size, "as_py") else size for size in sizes]
        found[name] = {"version": delta.version(), "files": len(numbers), "bytes": sum(numbers)}
print(json.dumps(found))
"""


def _healthcheck_costs(stack: Stack) -> dict[str, float]:
    """Return the processor time of one check of each service. [s]"""
    costs = {}
    for name in stack.processes:
        if COMPOSE["services"].get(name, {}).get("healthcheck", {}).get("test", [""])[0] != "CMD":
            continue
        if name in {"kafka", "lake"} or stack.processes[name].poll() is not None:
            continue
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        healthy = stack.is_healthy(name)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        costs[name if healthy else f"{name} (NOT HEALTHY)"] = round(spent_s, 2)
    return costs


def _close(stack: Stack, fleets: list[Fleet]) -> dict[str, Any]:
    """Stop what reads and sends, let ingest catch up, and close the books."""
    for name in ("gateway-endpoint", "gateway-pole", *REPLAYS):
        stack.processes[name].terminate()
    for name in ("gateway-endpoint", "gateway-pole", *REPLAYS):
        stack.processes[name].wait(60)
    time.sleep(20)
    stack.processes["ingest"].terminate()
    stack.processes["ingest"].wait(120)
    command = [str(PROGRAMS / "clearway"), "ingest", "run", "--until-idle", "--json"]
    last = stack.ask(command, like="ingest")
    books = stack.ask([str(PROGRAMS / "clearway"), "ingest", "books", "--json"], like="ingest")
    rows = stack.ask([sys.executable, "-c", _ROWS], like="ingest")
    return {
        "fleets": [
            {"taken": fleet.n_taken, "dropped": fleet.n_dropped, "answers": fleet.answers}
            for fleet in fleets
        ],
        "rest_after_stop": json.loads(last),
        "books": json.loads(books),
        "rows": json.loads(rows),
    }


_ROWS = """
import json, os, polars as pl
from clearway_core.lake import open_lake
lake = open_lake("/nowhere", os.environ["CLEARWAY_LAKE"])
found = {}
for name in ("gps_pings", "air_readings", "quarantine", "dead_letters"):
    rows = lake.table(name).scan().collect()
    found[name] = len(rows)
    if "seq" in rows.columns:
        found[name + " twice"] = len(rows) - rows.select("gateway", "boot", "seq").n_unique()
        for gateway, count in rows.group_by("gateway").len().sort("gateway").rows():
            found[f"{name} {gateway}"] = count
print(json.dumps(found))
"""


if __name__ == "__main__":
    sys.exit(main())
