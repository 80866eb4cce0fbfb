"""Every service of docker-compose.yml, run as a local process with its own command.

There is no Docker engine where tests run. So the images' programs run from this environment, and
what is an address or a path inside a container is mapped to one of this machine. Kafka is the real
one, Postgres the machine's, and the object store is moto's S3 server in the place of SeaweedFS.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import httpx
import pytest
import yaml

from clearway_cli.airflow_home import dags_folder

REPOSITORY = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8"))
PROGRAMS = Path(sys.executable).parent
PATIENCE_S = 180.0
AIRFLOW_POLL_S = 5.0
"""Each check of Airflow's health starts an Airflow: 5 s of a processor that the services need."""

pytestmark = [pytest.mark.slow, pytest.mark.kafka, pytest.mark.airflow, pytest.mark.timeout(900)]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(
    what: str,
    condition: Callable[[], bool],
    *,
    said: Callable[[], str] = lambda: "",
    poll_s: float = 0.5,
) -> None:
    give_up_at_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up_at_s:
        if condition():
            return
        time.sleep(poll_s)
    pytest.fail(f"{what} did not happen within {PATIENCE_S:.0f} s\n{said()}")


@dataclass
class Stack:
    """The services as processes, and what stands for what."""

    folder: Path
    replacements: dict[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    last_check: str = ""

    def translate(self, text: str, service: str) -> str:
        for there, here in self.replacements.items():
            text = text.replace(there, here)
        # What mounts the same volume shares a folder.
        volume = COMPOSE["services"][service].get("volumes", [""])[0].split(":")[0]
        text = text.replace("/var/lib/clearway", str(self.folder / "volumes" / volume))
        return text.replace("$$", "$")

    def environment(self, name: str) -> dict[str, str]:
        service = COMPOSE["services"][name]
        inherited = {
            k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "CLEARWAY"))
        }
        given = {k: self.translate(str(v), name) for k, v in service.get("environment", {}).items()}
        from_files = {}
        for file in service.get("env_file", []):
            lines = (self.folder / file).read_text().splitlines()
            from_files |= dict(line.split("=", 1) for line in lines)
        path = f"{PROGRAMS}{os.pathsep}{inherited['PATH']}"
        return {**inherited, **from_files, **given, "PATH": path}

    def start(self, name: str) -> subprocess.Popen[bytes]:
        service = COMPOSE["services"][name]
        command = [self.translate(part, name) for part in service["command"]]
        with (self.folder / f"{name}.log").open("wb") as output:
            process = subprocess.Popen(
                command,
                env=self.environment(name),
                cwd=self.folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes[name] = process
        return process

    def is_healthy(self, name: str) -> bool:
        service = COMPOSE["services"][name]
        kind, *check = service["healthcheck"]["test"]
        assert kind == "CMD"
        result = subprocess.run(
            [self.translate(part, name) for part in check],
            env=self.environment(name),
            cwd=self.folder,
            capture_output=True,
            timeout=60,
            check=False,
        )
        self.last_check = result.stdout.decode(errors="replace") + result.stderr.decode()
        return result.returncode == 0

    def expect_healthy(self, name: str) -> None:
        def healthy() -> bool:
            status = self.processes[name].poll()
            assert status in {None, 0}, f"{name} ended with {status}:\n{self.log(name)}"
            return self.is_healthy(name)

        poll_s = AIRFLOW_POLL_S if name.startswith("airflow") else 0.5
        _wait_for(f"health of {name}", healthy, said=lambda: self.last_check, poll_s=poll_s)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")[-4000:]

    def stop_all(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()


@contextmanager
def _postgres(folder: Path, password: str) -> Iterator[int]:
    if shutil.which("initdb") is None or shutil.which("pg_ctl") is None:
        reason = "no PostgreSQL here (initdb and pg_ctl on the PATH)"
        if os.environ.get("CLEARWAY_REQUIRE_AIRFLOW") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    folder.mkdir()
    password_file = folder.parent / "initial_password"
    password_file.write_text(password)
    user = None
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        user = "nobody" if "postgres" not in {p.pw_name for p in pwd.getpwall()} else "postgres"
        for path in (folder, password_file):
            shutil.chown(path, user)
        for parent in (folder.parent, *folder.parent.parents):
            if parent == Path(parent.anchor) or parent.stat().st_mode & 0o001:
                continue
            parent.chmod(parent.stat().st_mode | 0o011)
    port = _free_port()

    def run(*command: str) -> None:
        subprocess.run(command, check=True, capture_output=True, user=user, cwd=folder)

    data = str(folder / "data")
    run(
        "initdb", "-D", data, "-U", "airflow", "-A", "scram-sha-256", "--pwfile", str(password_file)
    )
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
    run("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        run_environment = {**os.environ, "PGPASSWORD": password}
        subprocess.run(
            ["psql", "-h", "127.0.0.1", "-p", str(port), "-U", "airflow", "-d", "postgres"],
            input=b"create database airflow;",
            env=run_environment,
            check=True,
            capture_output=True,
        )
        yield port
    finally:
        run("pg_ctl", "-D", data, "-m", "immediate", "stop")


@pytest.fixture(scope="module")
def stack(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 -- slow to import

    folder = tmp_path_factory.mktemp("compose")
    subprocess.run(
        [sys.executable, REPOSITORY / "deploy" / "make_secrets.py"], cwd=folder, check=True
    )
    password = (folder / "secrets" / "postgres_password").read_text()
    secrets = folder / "run-secrets"
    secrets.mkdir()
    store = ThreadedMotoServer(port=0, verbose=False)
    store.start()
    _, store_port = store.get_host_and_port()
    with _postgres(folder / "postgres", password) as postgres_port:
        api_port, map_port = _free_port(), _free_port()
        stack = Stack(
            folder,
            {
                "kafka://kafka:9092": kafka,
                "http://lake:8333": f"http://127.0.0.1:{store_port}",
                "http://airflow-api:8080": f"http://127.0.0.1:{api_port}",
                "localhost:8080": f"127.0.0.1:{api_port}",
                "localhost:8501": f"127.0.0.1:{map_port}",
                "8080": str(api_port),
                "8501": str(map_port),
                "0.0.0.0": "127.0.0.1",  # noqa: S104 -- what stands in the file
                "/opt/clearway/dags": str(REPOSITORY / "dags"),
                "/run/secrets": str(secrets),
                "/data/": f"{REPOSITORY}/cities/clearway_cities/demo_city/",
            },
        )
        for name, secret in COMPOSE["secrets"].items():
            text = (folder / secret["file"]).read_text()
            here = text.replace("@postgres/", f"@127.0.0.1:{postgres_port}/")
            (secrets / name).write_text(here)
        keys = dict(
            line.split("=", 1)
            for line in (folder / "secrets" / "lake.env").read_text().splitlines()
        )
        boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{store_port}",
            region_name="us-east-1",
            aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
        ).create_bucket(Bucket="clearway")
        try:
            yield stack
        finally:
            stack.stop_all()
            store.stop()


def test_gateways_ingest_and_map_run_by_their_own_commands(stack: Stack):
    names = ("map", "ingest", "gateway-fleet", "gateway-air")
    for name in names:
        stack.start(name)
    for name in names:
        stack.expect_healthy(name)
    environment = stack.environment("ingest")

    def both_sources_are_stored() -> bool:
        counted = subprocess.run(
            [sys.executable, "-c", _COUNT_ROWS], env=environment, capture_output=True, check=False
        )
        rows = json.loads(counted.stdout) if counted.returncode == 0 else {}
        return rows.get("gps_pings", 0) > 0 and rows.get("air_readings", 0) > 0

    _wait_for("rows of both gateways in the object store", both_sources_are_stored)


_COUNT_ROWS = """
import json, os, polars as pl
from clearway_core.lake import open_lake
lake = open_lake("/nowhere", os.environ["CLEARWAY_LAKE"])
tables = ("gps_pings", "air_readings")
print(json.dumps({t: lake.table(t).scan().select(pl.len()).collect().item() for t in tables}))
"""


def test_airflow_runs_by_its_own_commands_on_postgres(stack: Stack):
    assert stack.start("airflow-init").wait(PATIENCE_S) == 0, stack.log("airflow-init")
    names = ("airflow-api", "airflow-dag-processor", "airflow-scheduler", "airflow-triggerer")
    for name in names:
        stack.start(name)
    for name in names:
        stack.expect_healthy(name)
    api = stack.translate("http://airflow-api:8080", "airflow-api")
    password = (stack.folder / "secrets" / "airflow_admin_password").read_text()

    def all_dags_are_there() -> bool:
        account = {"username": "admin", "password": password}
        token = httpx.post(f"{api}/auth/token", json=account).json()["access_token"]
        listing = httpx.get(f"{api}/api/v2/dags", headers={"Authorization": f"Bearer {token}"})
        found = {dag["dag_id"] for dag in listing.json()["dags"]}
        return found == {file.stem for file in dags_folder().glob("*.py")}

    _wait_for("all DAGs in Airflow's answer", all_dags_are_there)
