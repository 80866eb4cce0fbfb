"""`clearway broker`: real Apache Kafka on this machine, without Docker."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from clearway_cli.ending import end_on_signals
from clearway_cli.options import DEFAULT_DATA_DIR, DataDirOption, JsonOption
from clearway_cli.output import bar, say, say_json, say_table

JarsOption = Annotated[
    Path | None,
    typer.Option(
        "--jars",
        metavar="FOLDER",
        envvar="CLEARWAY_BROKER_JARS",
        help="Folder of Kafka's jars; left out, ~/.cache/clearway/kafka-VERSION.",
    ),
]

PortOption = Annotated[
    int,
    typer.Option(
        "--port", metavar="PORT", min=0, max=65_535, help="For clients; 0 takes a free one."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Run real Apache Kafka (one node, loopback only) without Docker; needs Java 17.",
    )
    group.command("install")(install)
    group.command("run")(run)
    group.command("status")(status)
    app.add_typer(group, name="broker")


def install(*, jars: JarsOption = None, as_json: JsonOption = False) -> None:
    """Fetch Kafka with Maven into a cache folder, once, and verify every jar's SHA-256."""
    from clearway_broker import artifacts

    with bar("Kafka", quiet=as_json) as progress:
        folder = artifacts.install(os.environ, jars, progress=progress)
    rows = {"kafka_version": artifacts.kafka_version(), "jars": str(folder)}
    if as_json:
        say_json(rows)
    else:
        say_table("Installed and verified", rows)


def run(
    *,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    port: PortOption = 9092,
    jars: JarsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a broker until Ctrl-C; prints the address to pass to --log. Data stays in the folder."""
    from clearway_broker.jobs import running_broker
    from clearway_core.data_dir import DataDir

    end_on_signals()
    try:
        with running_broker(DataDir(data_dir).broker, port or None, jars=jars) as broker:
            if as_json:
                say_json({"address": broker.address, "pid": broker.pid})
            else:
                say("Kafka runs. Pass ", (f"--log {broker.address}", "bold"), " to other commands.")
                say("Ctrl-C stops it; what it holds stays.")
            broker.wait()
    except KeyboardInterrupt:
        if not as_json:
            say("Stopped.")


def status(
    *,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    jars: JarsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say whether Kafka is installed and whole, which Java would run it, and where one answers."""
    from clearway_broker import jobs
    from clearway_core.data_dir import DataDir

    found = jobs.status(os.environ, DataDir(data_dir).broker, jars=jars)
    if as_json:
        say_json(asdict(found))
        return
    say_table(
        "Broker",
        {
            "Kafka": found.kafka_version,
            "jars": found.jars or "not installed",
            "Java": found.java or "none",
            "running": found.address or "no",
        },
    )
    for problem in found.problems:
        say((problem, "yellow"))
