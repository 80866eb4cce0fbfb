"""`clearway gateway`: set up and run a gateway."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from clearway_cli.options import DEFAULT_DATA_DIR, DataDirOption, JsonOption, LogOption
from clearway_core.errors import UsageError

SettingsOption = Annotated[Path, typer.Option("--settings", help="The gateway's settings, TOML.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Set up, check and run a gateway.")
    for command in (init, check, run, status):
        group.command()(command)
    app.add_typer(group, name="gateway")


def init(
    settings: Annotated[Path, typer.Argument(help="File to write.", show_default=False)],
    name: Annotated[str, typer.Option("--name", help="The gateway's name.")] = "gw-1",
    time_zone: Annotated[
        str, typer.Option("--time-zone", help="IANA time zone of the city.")
    ] = "Asia/Bangkok",
    as_json: JsonOption = False,
) -> None:
    """Write sample settings for a new gateway."""
    from clearway_cli.output import console, say_json
    from clearway_edge import jobs

    file = jobs.init(settings, name=name, time_zone=time_zone)
    if as_json:
        say_json({"settings": str(file)})
        return
    console.print(f"Wrote {file}. Edit its sources, then: clearway gateway check --settings {file}")


def check(settings: SettingsOption, as_json: JsonOption = False) -> None:
    """Check settings, all faults at once, without opening any device or connection."""
    from clearway_cli.output import say_json, say_table
    from clearway_edge import jobs

    found = jobs.check(settings)
    if as_json:
        say_json(found)
    else:
        say_table("Settings are good", found)


def run(settings: SettingsOption, log: LogOption = None, as_json: JsonOption = False) -> None:
    """Run the gateway until Ctrl-C or SIGTERM; what it has read is safe by then."""
    from clearway_cli.output import say_json
    from clearway_core.logging import configure
    from clearway_edge import jobs

    configure(logging.INFO)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    jobs.run(settings, log_address=log)
    if as_json:
        say_json({"stopped": True})


def status(data_dir: DataDirOption = DEFAULT_DATA_DIR, as_json: JsonOption = False) -> None:
    """Show the books of the gateways in the data folder."""
    from clearway_cli.output import say_json, say_table
    from clearway_edge import jobs

    found = jobs.status(data_dir)
    if not found:
        message = f"no gateway has run in {data_dir}: check --data-dir"
        raise UsageError(message)
    if as_json:
        say_json(found)
    else:
        for each in found:
            say_table(str(each["gateway"]), each)
    if any("error" in each for each in found):
        raise typer.Exit(1)
