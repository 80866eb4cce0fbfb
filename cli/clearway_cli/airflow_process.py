"""Starts and ends a local Airflow: scheduler, DAG processor, API server and triggerer."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from clearway_cli.airflow_home import AirflowHome
from clearway_core.errors import ClearwayError, MissingDependency, UsageError

STANDALONE_LOG = "standalone.log"
"""What the started parts say, in the home."""


def require_free_port(port: int) -> None:
    """Return if nothing listens on the port of this machine.

    Raises
    ------
    UsageError
        If something does.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            message = f"port {port} is taken ({error.strerror}): choose another with --port"
            raise UsageError(message) from error


def start(home: AirflowHome) -> subprocess.Popen[bytes]:
    """Start Airflow (scheduler, DAG processor, API server, triggerer) and return its process.

    It runs in a process group of its own; end it with `stop`. Output goes to `STANDALONE_LOG` in
    the home.
    """
    with (home.folder / STANDALONE_LOG).open("ab") as output:
        return subprocess.Popen(  # noqa: S603 -- Airflow's own command beside our Python
            [str(_airflow_command()), "standalone"],
            env=dict(home.environment),
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            cwd=home.folder,
        )


def stop(process: subprocess.Popen[bytes], *, patience_s: float = 6.0) -> None:
    """End a started Airflow and everything that it started.

    A task that is running is cut off: every job survives that, and Airflow runs the task again.
    (Asked kindly, Airflow ends its API server first and then waits for tasks that can no longer
    report to it.)

    Parameters
    ----------
    process
        What `start` returned.
    patience_s
        How long it may take to end by itself before it is killed. [s]
    """
    for sign in (signal.SIGINT, signal.SIGTERM):
        if not _signal_group(process, sign):
            return
        deadline = time.monotonic() + patience_s / 2
        while time.monotonic() < deadline and _signal_group(process, 0):
            time.sleep(0.1)
            process.poll()
    _signal_group(process, signal.SIGKILL)
    process.wait()


def _signal_group(process: subprocess.Popen[bytes], sign: int) -> bool:
    """Send a signal (0: none, only look); return whether anybody was there."""
    try:
        os.killpg(process.pid, sign)
    except ProcessLookupError:
        return False
    return True


def wait_until_healthy(
    home: AirflowHome, process: subprocess.Popen[bytes], *, patience_s: float = 180.0
) -> None:
    """Return once API server, scheduler and DAG processor are alive.

    Raises
    ------
    ClearwayError
        If it ends or is not healthy in time; names its log.
    """
    url = f"{home.address}/api/v2/monitor/health"
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 -- loopback
                health = json.load(answer)
        except (OSError, ValueError):
            health = {}
        parts = ("metadatabase", "scheduler", "dag_processor")
        if all(health.get(part, {}).get("status") == "healthy" for part in parts):
            return
        time.sleep(0.5)
    message = f"Airflow did not become healthy; its log is {home.folder / STANDALONE_LOG}"
    raise ClearwayError(message)


def _airflow_command() -> Path:
    command = Path(sys.executable).parent / "airflow"
    if not command.exists():
        message = f"expected Airflow's command at {command}: install 'clearway[airflow]'"
        raise MissingDependency(message)
    return command
