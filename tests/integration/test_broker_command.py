"""`clearway broker` as a person runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from clearway_broker.artifacts import verify
from clearway_broker.jobs import status
from clearway_core.stream.address import open_log
from clearway_core.stream.log import Message

pytestmark = pytest.mark.kafka

COMMAND = (
    "import typer; from clearway_cli.commands.broker import register; "
    "app = typer.Typer(); register(app); app()"
)


def broker_command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", COMMAND, "broker", *arguments]


def as_background_job(command: list[str]) -> list[str]:
    """Shells start background jobs with SIGINT ignored."""
    return ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", *command]


def test_run_prints_the_address_stops_on_signals_and_keeps_its_data(kafka, tmp_path):
    del kafka  # skips where there is none
    identities, counts = set(), []
    for ending in (signal.SIGINT, signal.SIGTERM):
        process = subprocess.Popen(
            as_background_job(
                broker_command("run", "--data-dir", str(tmp_path), "--port", "0", "--json")
            ),
            stdout=subprocess.PIPE,
            text=True,
        )
        running = json.loads("".join(process.stdout.readline() for _ in range(4)))
        assert status(os.environ, tmp_path / "broker").address == running["address"]
        log = open_log(running["address"], tmp_path)
        log.append("t", [Message(key=b"k", value=b"1")])
        identities.add(log.identity())
        counts.append(sum(log.end_offsets("t").values()))
        log.close()
        process.send_signal(ending)
        assert process.wait(timeout=60) == 0
        process.stdout.close()
        with pytest.raises(ProcessLookupError):
            os.kill(running["pid"], 0)
        assert status(os.environ, tmp_path / "broker").address is None
    assert counts == [1, 2]
    assert len(identities) == 1


def test_status_says_what_is_there(kafka, tmp_path):
    del kafka
    answer = subprocess.run(
        broker_command("status", "--data-dir", str(tmp_path), "--json"),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(answer.stdout)
    assert found["problems"] == []
    assert found["address"] is None
    assert "version" in found["java"]


def test_install_says_where_the_verified_jars_are(kafka):
    del kafka
    answer = subprocess.run(
        broker_command("install", "--json"), capture_output=True, text=True, check=True
    )
    found = json.loads(answer.stdout)
    verify(Path(found["jars"]))
    assert found["kafka_version"] in found["jars"]
