"""`clearway airflow`: a local Airflow on the data folder's lake."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clearway_cli.options import (
    DEFAULT_DATA_DIR,
    CityOption,
    DataDirOption,
    JsonOption,
    LakeOption,
    LogOption,
)

ZoneOption = Annotated[
    Path | None,
    typer.Option(
        "--zone",
        metavar="FILE",
        envvar="CLEARWAY_ZONE",
        exists=True,
        dir_okay=False,
        help="GeoJSON of the zone to propose for; left out, the last one or the city's only.",
    ),
]
PortOption = Annotated[
    int,
    typer.Option("--port", metavar="PORT", min=1, max=65535, help="Port on this machine."),
]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("airflow")(airflow)


def airflow(
    *,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    log: LogOption = None,
    lake: LakeOption = None,
    city: CityOption = None,
    zone: ZoneOption = None,
    port: PortOption = 8080,
    as_json: JsonOption = False,
) -> None:
    """Start Airflow on this machine and say where a waiting proposal is answered.

    It keeps running until Ctrl-C. For one person on one machine: many users, another database and
    real sign-in come with docker-compose.yml.
    """
    from clearway_cli import airflow_home, airflow_process
    from clearway_cli.ending import end_on_signals
    from clearway_cli.output import console, say_json, say_table

    airflow_process.require_free_port(port)
    home = airflow_home.prepare(
        data_dir, log_address=log, lake_address=lake, city=city, zone=zone, port=port
    )
    end_on_signals()
    process = airflow_process.start(home)
    try:
        with console.status("Starting Airflow (half a minute the first time) ..."):
            airflow_process.wait_until_healthy(home, process)
        facts = {
            "address": home.address,
            "approve here": home.approvals_address,
            "user": airflow_home.USER,
            "password": home.password,
            "log": home.folder / airflow_process.STANDALONE_LOG,
        }
        if as_json:
            say_json(facts)
        else:
            say_table("Airflow is running; Ctrl-C ends it", facts)
        code = process.wait()
        if code != 0:
            raise typer.Exit(1)
    except KeyboardInterrupt:
        pass
    finally:
        airflow_process.stop(process)
