"""A local Airflow of its own for one data folder: home, settings, secrets and how to run it.

Everything lies in ``<data-dir>/airflow``; the user's own Airflow, if there is one, is never
touched. It listens on this machine only. Secrets are made once, on the machine, and are readable
by the owner alone.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import threading
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clearway_core.data_dir import DataDir
from clearway_core.errors import ClearwayError, MissingDependency
from clearway_core.progress import Progress, silent

DEFAULT_PORT = 8080
APPROVALS_ADDRESS = f"http://localhost:{DEFAULT_PORT}/required_actions"
"""Where a waiting proposal is answered once `clearway airflow` runs with its usual port."""

MAP_ADDRESS = "http://127.0.0.1:8501"
"""Where `clearway serve` shows the map, for the link in an approval."""

USER = "admin"
CHAIN = ("congestion", "air_quality", "charge_proposal")
"""The DAGs in the order in which data flows through them."""

_GIVEN = frozenset(f"CLEARWAY_{name}" for name in ("DATA_DIR", "LAKE", "LOG", "CITY", "ZONE"))
_JWT_SECRET_BYTES = 64
_FERNET_KEY_BYTES = 32
_PASSWORD_BYTES = 18
_SECRETS_FILE = "secrets.json"
_REMEMBERED_FILE = "work.json"
_PASSWORDS_FILE = "passwords.json"
_CHAIN_TIMEOUT_S = 1800.0
"""Longest that the whole chain may take before it is ended: far above the demo, below patience."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOutcome:
    """How one task of a DAG ended.

    Parameters
    ----------
    dag_id, task_id
        Which task.
    state
        Airflow's word for it, such as ``success``, ``failed`` or ``awaiting_input``.
    duration_s
        How long it ran. [s]
    """

    dag_id: str
    task_id: str
    state: str
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AirflowHome:
    """A prepared home.

    Parameters
    ----------
    folder
        ``AIRFLOW_HOME``.
    environment
        All variables that a process of this Airflow needs; secrets among them, so never print it.
    address
        Where its pages are once it runs.
    password
        Password of the user `USER`.
    """

    folder: Path
    environment: Mapping[str, str]
    address: str
    password: str

    @property
    def approvals_address(self) -> str:
        """The page with everything that waits for a person."""
        return f"{self.address}/required_actions"


def dags_folder() -> Path:
    """Return the folder with the DAG files: the installed copy, or the one of the source tree.

    Raises
    ------
    ClearwayError
        If there is neither.
    """
    here = Path(__file__).resolve().parent
    for folder in (here / "dags", here.parents[1] / "dags"):
        if (folder / "charge_proposal.py").is_file():
            return folder
    message = f"expected the DAG files beside {here}, found none: install Clearway again"
    raise ClearwayError(message)


def prepare(
    data_dir: Path,
    *,
    log_address: str | None = None,
    lake_address: str | None = None,
    city: str | None = None,
    zone: Path | None = None,
    port: int = DEFAULT_PORT,
) -> AirflowHome:
    """Make the home of a data folder, or find it again, and return it. Nothing is started.

    Parameters
    ----------
    data_dir
        The installation's data folder.
    log_address, lake_address, city, zone
        What the DAGs work on. None: lake, city and zone that the home was last prepared with, or
        else what `clearway_cli.dag_settings` takes by itself. A log is not remembered: a broker
        that was started for an hour is not there tomorrow.
    port
        Port on 127.0.0.1 for pages and API.

    Raises
    ------
    MissingDependency
        If Airflow is not installed.
    """
    _require_airflow()
    data_dir = data_dir.resolve()
    folder = DataDir(data_dir).airflow
    folder.mkdir(parents=True, exist_ok=True)
    kept = _secrets(folder)
    passwords = folder / _PASSWORDS_FILE
    if not passwords.exists():
        _write_private(passwords, {USER: kept["password"]})
    address = f"http://127.0.0.1:{port}"
    environment = {
        **_inherited(),
        **_airflow_settings(folder, kept, address=address, port=port),
        "CLEARWAY_DATA_DIR": str(data_dir),
        **_remember(folder, lake_address=lake_address, city=city, zone=zone),
    }
    if log_address:
        environment["CLEARWAY_LOG"] = log_address
    return AirflowHome(
        folder=folder, environment=environment, address=address, password=kept["password"]
    )


def run_chain(
    data_dir: Path,
    *,
    log_address: str | None = None,
    city: str | None = None,
    zone: Path | None = None,
    lake_address: str | None = None,
    dag_ids: Sequence[str] = CHAIN,
    progress: Progress = silent,
) -> list[TaskOutcome]:
    """Run the tasks of the DAGs through Airflow until a proposal waits for a person.

    Airflow's own task runner runs them, one after the other in one process, without a scheduler:
    making the database and running takes seconds where starting all of Airflow takes a minute.
    The runs stay in the home, so that ``clearway airflow`` finds the waiting approval.

    Parameters
    ----------
    data_dir
        The installation's data folder.
    log_address, city, zone, lake_address
        As for `prepare`.
    dag_ids
        Which DAGs, in that order.
    progress
        Told after each task.

    Returns
    -------
    list of TaskOutcome
        In the order in which they ended; tasks behind the approval have not run and are left out.
        After a task that did not succeed nothing more is run.

    Raises
    ------
    ClearwayError
        If Airflow itself could not run; names its log.
    """
    home = prepare(
        data_dir, log_address=log_address, lake_address=lake_address, city=city, zone=zone
    )
    outcomes: list[TaskOutcome] = []
    progress(0, None, "preparing Airflow")
    for event in _runner_events(home, dag_ids):
        outcome = TaskOutcome(
            dag_id=str(event["dag_id"]),
            task_id=str(event["task_id"]),
            state=str(event["state"]),
            duration_s=float(str(event["duration_s"])),
        )
        outcomes.append(outcome)
        progress(len(outcomes), None, f"{outcome.dag_id}.{outcome.task_id}: {outcome.state}")
    return outcomes


def _runner_events(home: AirflowHome, dag_ids: Sequence[str]) -> Iterator[dict[str, object]]:
    """Run the runner and yield what it reports through a pipe of its own."""
    log_file = home.folder / "chain.log"
    read_end, write_end = os.pipe()
    with log_file.open("wb") as output, os.fdopen(read_end, encoding="utf-8") as reports:
        try:
            process = subprocess.Popen(  # noqa: S603 -- ourselves, with names of our own DAGs
                [sys.executable, "-m", "clearway_cli.airflow_runner", str(write_end), *dag_ids],
                env=dict(home.environment),
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                pass_fds=(write_end,),
                cwd=home.folder,
            )
        finally:
            os.close(write_end)
        watchdog = threading.Timer(_CHAIN_TIMEOUT_S, process.kill)
        watchdog.start()
        try:
            for line in reports:
                yield json.loads(line)
            code = process.wait()
        finally:
            watchdog.cancel()
            if process.poll() is None:
                process.terminate()
                process.wait()
    if code != 0:
        message = f"Airflow ended with code {code}; its log is {log_file}"
        raise ClearwayError(message)


def _require_airflow() -> None:
    import importlib.util

    if importlib.util.find_spec("airflow") is None:
        message = "Airflow is not installed here: install 'clearway[airflow]'"
        raise MissingDependency(message)


def _inherited() -> dict[str, str]:
    """Return this process's environment without anybody else's Airflow.

    What the DAGs work on comes from the call alone; credentials of Kafka and of the object store
    stay as they are.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AIRFLOW_") and name not in _GIVEN
    }
    kept.setdefault("CLEARWAY_MAP", MAP_ADDRESS)
    # `standalone` starts its parts by the bare name `airflow`.
    kept["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), kept.get("PATH", os.defpath)))
    return kept


def _airflow_settings(
    folder: Path, kept: Mapping[str, str], *, address: str, port: int
) -> dict[str, str]:
    settings = {
        "core.dags_folder": str(dags_folder()),
        "core.load_examples": "False",
        "core.executor": "LocalExecutor",
        "core.parallelism": "4",
        "core.dags_are_paused_at_creation": "False",
        "core.auth_manager": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager."
        "SimpleAuthManager",
        "core.simple_auth_manager_users": f"{USER}:admin",
        "core.simple_auth_manager_passwords_file": str(folder / _PASSWORDS_FILE),
        "core.fernet_key": kept["fernet_key"],
        "core.execution_api_server_url": f"{address}/execution/",
        "database.sql_alchemy_conn": f"sqlite:///{folder / 'airflow.db'}",
        "logging.base_log_folder": str(folder / "logs"),
        "api.host": "127.0.0.1",
        "api.port": str(port),
        "api.base_url": address,
        "api.workers": "1",
        "api.secret_key": kept["api_secret"],
        "api_auth.jwt_secret": kept["jwt_secret"],
        "dag_processor.refresh_interval": "30",
        # After Ctrl-C and a new start, what was cut off goes on in half a minute, not in five.
        "scheduler.orphaned_tasks_check_interval": "30",
        "usage_data_collection.enabled": "False",
    }
    variables = {
        f"AIRFLOW__{section.upper()}__{key.upper()}": value
        for (section, key), value in (
            (name.split(".", 1), value) for name, value in settings.items()
        )
    }
    return {"AIRFLOW_HOME": str(folder), **variables}


def remembered(folder: Path) -> list[Path]:
    """Return the files and folders that a home's DAGs work on since an earlier `prepare`."""
    file = folder / _REMEMBERED_FILE
    held: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    # A city may be a shipped name, a lake an address: neither is a path.
    return [Path(value) for value in held.values() if value.startswith("/")]


def _remember(
    folder: Path, *, lake_address: str | None, city: str | None, zone: Path | None
) -> dict[str, str]:
    """Return what the DAGs work on, now and before, and keep it for the next time."""
    file = folder / _REMEMBERED_FILE
    held: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    # A city pack may be named by a folder that is relative to where the command ran.
    city = str(Path(city).resolve()) if city and Path(city).is_dir() else city
    given = {
        "CLEARWAY_LAKE": lake_address,
        "CLEARWAY_CITY": city,
        "CLEARWAY_ZONE": None if zone is None else str(zone.resolve()),
    }
    held.update({name: value for name, value in given.items() if value})
    file.write_text(json.dumps(held), encoding="utf-8")
    return held


def _secrets(folder: Path) -> dict[str, str]:
    file = folder / _SECRETS_FILE
    if file.exists():
        held: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
        return held
    made = {
        "fernet_key": urlsafe_b64encode(secrets.token_bytes(_FERNET_KEY_BYTES)).decode(),
        "jwt_secret": secrets.token_urlsafe(_JWT_SECRET_BYTES),
        "api_secret": secrets.token_urlsafe(_JWT_SECRET_BYTES),
        "password": secrets.token_urlsafe(_PASSWORD_BYTES),
    }
    _write_private(file, made)
    return made


def _write_private(file: Path, values: Mapping[str, str]) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(dict(values), stream)
