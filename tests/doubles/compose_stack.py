"""The services of docker-compose.yml as local processes, each with its own command.

There is no Docker engine where tests run. So the images' programs run from this environment, and
what is an address or a path inside a container is mapped to one of this machine. Kafka is the real
one, Postgres the machine's, and the object store is moto's S3 server in the place of SeaweedFS.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import yaml
from botocore.exceptions import BotoCoreError

REPOSITORY = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8"))
PROGRAMS = Path(sys.executable).parent
PATIENCE_S = 300.0
AIRFLOW_POLL_S = 5.0
"""Each check of Airflow's health starts an Airflow: 5 s of a processor that the services need."""
BUCKET = "clearway"


class Unavailable(Exception):  # noqa: N818 -- named for what is missing
    """What stands for a service cannot run on this machine."""


def wait_for(
    what: str,
    condition: Callable[[], bool],
    *,
    said: Callable[[], str] = lambda: "",
    poll_s: float = 0.5,
) -> None:
    """Wait for something that a process does; its absence is an error."""
    give_up_at_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up_at_s:
        if condition():
            return
        time.sleep(poll_s)
    raise AssertionError(f"{what} did not happen within {PATIENCE_S:.0f} s\n{said()}")


@dataclass
class Stack:
    """The services as processes, and what stands for what.

    Parameters
    ----------
    folder
        Holds secrets, volumes and what each service says (``NAME.log``).
    replacements
        What stands in the file -> what it is here.
    """

    folder: Path
    replacements: dict[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    last_check: str = ""

    def translate(self, text: str, service: str) -> str:
        """Return what a text of a service's definition is on this machine."""
        for there, here in self.replacements.items():
            text = text.replace(there, here)
        text = text.replace("/var/lib/clearway", str(self.volume(service)))
        return text.replace("$$", "$")

    def volume(self, service: str) -> Path:
        """Return the folder of a service's volume; what mounts the same volume shares it."""
        volume = COMPOSE["services"][service].get("volumes", [""])[0].split(":")[0]
        return self.folder / "volumes" / volume

    def environment(self, name: str) -> dict[str, str]:
        """Return the variables that a service has."""
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

    def start(self, name: str, changes: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a service by its command.

        Parameters
        ----------
        changes
            Words of the command that are others here.
        """
        words = [(changes or {}).get(word, word) for word in COMPOSE["services"][name]["command"]]
        return self.run(name, [self.translate(word, name) for word in words], like=name)

    def run(self, name: str, command: list[str], *, like: str) -> subprocess.Popen[bytes]:
        """Run a command in the background, with the environment of a service."""
        with (self.folder / f"{name}.log").open("ab") as output:
            process = subprocess.Popen(
                command,
                env=self.environment(like),
                cwd=self.folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes[name] = process
        return process

    def ask(self, command: list[str], *, like: str, timeout_s: float = 300.0) -> str:
        """Return what a command prints that runs in the environment of a service."""
        result = subprocess.run(
            command,
            env=self.environment(like),
            cwd=self.folder,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
        self.last_check = result.stdout.decode(errors="replace") + result.stderr.decode()
        return result.stdout.decode(errors="replace")

    def is_healthy(self, name: str) -> bool:
        """Return whether the service's own check finds it healthy."""
        kind, *check = COMPOSE["services"][name]["healthcheck"]["test"]
        assert kind == "CMD"
        try:
            result = subprocess.run(
                [self.translate(part, name) for part in check],
                env=self.environment(name),
                cwd=self.folder,
                capture_output=True,
                timeout=150,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            self.last_check = str(error)
            return False
        self.last_check = result.stdout.decode(errors="replace") + result.stderr.decode()
        return result.returncode == 0

    def expect_healthy(self, name: str) -> None:
        """Wait until a service is healthy; that it ends in error is one at once."""

        def healthy() -> bool:
            status = self.processes[name].poll()
            assert status in {None, 0}, f"{name} ended with {status}:\n{self.log(name)}"
            return self.is_healthy(name)

        poll_s = AIRFLOW_POLL_S if name.startswith("airflow-") else 0.5
        wait_for(f"health of {name}", healthy, said=lambda: self.last_check, poll_s=poll_s)

    def log(self, name: str) -> str:
        """Return the end of what a service has said."""
        return (self.folder / f"{name}.log").read_text(errors="replace")[-4000:]

    def stop_all(self) -> None:
        """End every process, the last to start first."""
        for process in reversed(self.processes.values()):
            if process.poll() is None:
                process.terminate()
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@contextmanager
def compose_stack(folder: Path, kafka: str) -> Iterator[Stack]:
    """Give a stack with its secrets, a Postgres and an object store; services are not started.

    Parameters
    ----------
    folder
        Empty.
    kafka
        ``kafka://host:port`` of a broker.

    Raises
    ------
    Unavailable
        If there is no PostgreSQL.
    """
    subprocess.run(
        [sys.executable, REPOSITORY / "deploy" / "make_secrets.py"], cwd=folder, check=True
    )
    password = (folder / "secrets" / "postgres_password").read_text()
    secrets = folder / "run-secrets"
    secrets.mkdir()
    with _postgres(folder / "postgres", password) as postgres_port:
        api_port, map_port, store_port = free_port(), free_port(), free_port()
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
        try:
            program = str(PROGRAMS / "moto_server")
            stack.run("lake", [program, "-H", "127.0.0.1", "-p", str(store_port)], like="ingest")
            wait_for("the object store", lambda: _has_bucket(stack))
            yield stack
        finally:
            stack.stop_all()


def store_client(stack: Stack) -> object:
    """Return a client of the stack's object store."""
    environment = stack.environment("ingest")
    return boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )


def free_port() -> int:
    """Return a port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _has_bucket(stack: Stack) -> bool:
    try:
        store_client(stack).create_bucket(Bucket=BUCKET)
    except BotoCoreError:
        return False
    return True


@contextmanager
def _postgres(folder: Path, password: str) -> Iterator[int]:
    if shutil.which("initdb") is None or shutil.which("pg_ctl") is None:
        raise Unavailable("no PostgreSQL here (initdb and pg_ctl on the PATH)")
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
    port = free_port()

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
