"""The demo: a simulated city goes through the whole chain on this machine.

Recordings of two fleets and eleven air sensors pass a gateway, the log, the lake, congestion and
air tables, the quality gate and the charge proposal, with the functions that every command uses.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clearway_cli.cities import adopt_city, find_folder
from clearway_cli.processes import processes_in
from clearway_core.city import City
from clearway_core.data_dir import DataDir
from clearway_core.errors import ClearwayError, UsageError
from clearway_core.progress import Progress

if TYPE_CHECKING:
    from clearway_edge.recordings.account import GatewayAccount

CITY_NAME = "demo_city"
RECORDINGS = (
    ("probes.parquet", "demo_city", "gw-fleet"),
    ("air.csv.gz", "demo_city_air", "gw-air"),
)
"""File, source profile and gateway: the fleets' positions, and the air sensors."""

_CHECKED_TABLES = ("congestion", "corridor_times", "air_hourly", "cell_emissions")

_MARKER = ".clearway-demo"

Stage = Callable[[str], AbstractContextManager[Progress]]
"""Shows one stage while it runs; the command draws a bar."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogChoice:
    """Which log the demo took.

    Parameters
    ----------
    address
        ``kafka://host:port``, or None for the embedded log.
    reason
        One sentence on why.
    """

    address: str | None
    reason: str

    @property
    def kind(self) -> str:
        """Return ``kafka`` or ``embedded``."""
        return "embedded" if self.address is None else "kafka"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoRun:
    """What the demo did; what it found is read from the lake.

    Parameters
    ----------
    city
        The demo city, in the data folder.
    log
        Which log was taken.
    gateways
        Account of each recording, by file.
    airflow
        Whether the DAGs' tasks ran through Airflow.
    airflow_note
        What Airflow reached, or why it was not used.
    failed_checks
        Tables that did not pass their quality gate.
    """

    city: City
    log: LogChoice
    gateways: Mapping[str, GatewayAccount]
    airflow: bool
    airflow_note: str
    failed_checks: tuple[str, ...]


def prepare_folder(data_dir: Path) -> City:
    """Empty the demo's own folder of an earlier run, put the city pack there and return the city.

    Raises
    ------
    UsageError
        If the folder holds something that no demo made, or an Airflow works on it.
    """
    marker = data_dir / _MARKER
    if data_dir.is_dir() and any(data_dir.iterdir()) and not marker.exists():
        message = (
            f"expected an empty folder or one of an earlier demo, {data_dir} holds other things; "
            "the demo would mix made-up data with yours. Choose another --data-dir."
        )
        raise UsageError(message)
    if marker.exists():
        _refuse_while_used(data_dir)
        for path in data_dir.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path != marker:
                path.unlink()
    data_dir.mkdir(parents=True, exist_ok=True)
    marker.write_text("Made by `clearway demo`, which empties this folder when it runs again.\n")
    return adopt_city(find_folder(CITY_NAME), data_dir)


def is_demo_folder(data_dir: Path) -> bool:
    """Return whether an earlier demo left its results here."""
    return (data_dir / _MARKER).exists() and DataDir(data_dir).lake.is_dir()


def _refuse_while_used(data_dir: Path) -> None:
    running = processes_in(DataDir(data_dir).airflow)
    if running:
        message = (
            f"an Airflow (process {running[0]}) works on {data_dir}: end it with Ctrl-C first, or "
            "give the new demo another --data-dir"
        )
        raise UsageError(message)


def run_demo(data_dir: Path, *, log: str | None, embedded: bool, stage: Stage, say: Say) -> DemoRun:
    """Run the chain up to a proposal that awaits approval.

    Parameters
    ----------
    data_dir
        The demo's folder; emptied first.
    log
        ``kafka://host:port`` of a broker that runs already, or None.
    embedded
        Do not even try Kafka.
    stage, say
        How progress and single lines are shown.

    Raises
    ------
    ClearwayError
        If a stage fails; names the stage and what to do.
    """
    city = prepare_folder(data_dir)
    with _log(data_dir, given=log, embedded=embedded, stage=stage) as choice:
        say(choice.reason)
        gateways = _replay(data_dir, choice, stage)
        with stage("Chain in Airflow") as progress:
            done, note = _through_airflow(data_dir, choice, progress)
        say(note)
        failed = () if done else _directly(data_dir, choice, city, stage)
        _close_books(data_dir, choice)
    return DemoRun(
        city=city,
        log=choice,
        gateways=gateways,
        airflow=done,
        airflow_note=note,
        failed_checks=failed,
    )


@contextmanager
def _log(data_dir: Path, *, given: str | None, embedded: bool, stage: Stage) -> Iterator[LogChoice]:
    if given:
        yield LogChoice(address=given, reason=f"Log: {given}, as you asked.")
        return
    if embedded:
        yield LogChoice(address=None, reason="Log: the embedded log, as you asked.")
        return
    from clearway_broker.artifacts import install, kafka_version
    from clearway_broker.server import running_broker

    with ExitStack() as running:
        try:
            with stage("Kafka") as progress:
                jars = install(os.environ, progress=progress)
                broker = running.enter_context(running_broker(DataDir(data_dir).broker, jars=jars))
                progress(1, 1, broker.address)
            choice = LogChoice(
                address=broker.address,
                reason=f"Log: Apache Kafka {kafka_version()}, started here for the demo.",
            )
        except ClearwayError as error:
            choice = LogChoice(
                address=None,
                reason="Log: the embedded log (one SQLite file); no Kafka here, because "
                f"{_first_line(error)}.",
            )
        yield choice


def _first_line(error: ClearwayError) -> str:
    return str(error).splitlines()[0].rstrip(":. ")


def _replay(data_dir: Path, choice: LogChoice, stage: Stage) -> dict[str, GatewayAccount]:
    from clearway_edge.jobs import replay

    pack = find_folder(CITY_NAME)
    accounts = {}
    for file, profile, gateway in RECORDINGS:
        with stage(f"Gateway {gateway}") as progress:
            accounts[file] = replay(
                [pack / file],
                profile,
                data_dir=data_dir,
                log_address=choice.address,
                gateway=gateway,
                progress=progress,
            )
    return accounts


def _through_airflow(data_dir: Path, choice: LogChoice, progress: Progress) -> tuple[bool, str]:
    """Run the DAGs' tasks through Airflow; return whether a proposal waits, and a sentence."""
    from clearway_cli.airflow_home import run_chain

    again = "The same jobs run directly instead."
    try:
        outcomes = run_chain(data_dir, log_address=choice.address, progress=progress)
    except ClearwayError as error:
        return False, f"Airflow: not used ({_first_line(error)}). {again}"
    failed = [f"{o.dag_id}.{o.task_id}" for o in outcomes if o.state in {"failed", "up_for_retry"}]
    if failed:
        log = DataDir(data_dir).airflow / "chain.log"
        return False, f"Airflow: {', '.join(failed)} failed, see {log}. {again}"
    if not any(o.state == "awaiting_input" for o in outcomes):
        return False, f"Airflow: no proposal came to wait for a person. {again}"
    return True, f"Airflow: {len(outcomes)} tasks of three DAGs; the proposal awaits approval."


def _close_books(data_dir: Path, choice: LogChoice) -> None:
    from clearway_core.lake import open_lake
    from clearway_core.stream.address import open_log
    from clearway_ingest.books.closing import close_books

    with closing(open_log(choice.address, data_dir)) as log:
        close_books(open_lake(data_dir), log)


def _directly(data_dir: Path, choice: LogChoice, city: City, stage: Stage) -> tuple[str, ...]:
    """Run the chain's jobs one after the other; return the tables that failed their gate."""
    from clearway_core.lake import open_lake
    from clearway_core.stream.address import open_log
    from clearway_ingest.jobs import ingest
    from clearway_models.jobs import build_emissions, propose_charge
    from clearway_quality.jobs import check
    from clearway_transforms.jobs import build_air, build_congestion

    lake = open_lake(data_dir)
    with closing(open_log(choice.address, data_dir)) as log, stage("Ingest") as progress:
        ingest(lake, log, progress=progress)
    with stage("Congestion") as progress:
        build_congestion(lake, city=city, progress=progress)
    with stage("Air") as progress:
        build_air(lake, city=city, progress=progress)
    with stage("Emissions") as progress:
        build_emissions(lake, city=city, progress=progress)
    failed = []
    for table in _CHECKED_TABLES:
        with stage(f"Quality {table}") as progress:
            report_dir = DataDir(data_dir).quality
            if not check(lake, table, report_dir=report_dir, progress=progress).passed:
                failed.append(table)
    zone = next(iter(sorted((city.folder / "zones").glob("*.geojson"))))
    with stage("Charge proposal") as progress:
        propose_charge(lake, zone=zone, city=city, progress=progress)
    return tuple(failed)
