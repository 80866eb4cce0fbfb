"""`clearway gateway`: set up and run a gateway."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated

import typer

from clearway_cli.commands import gateway_fleet
from clearway_cli.options import DEFAULT_DATA_DIR, DataDirOption, JsonOption, LogOption
from clearway_cli.output import say, say_json, say_table
from clearway_core.errors import UsageError

NewSettingsArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="File to write.", show_default=False)
]
SettingsOption = Annotated[
    Path, typer.Option("--settings", metavar="FILE", help="The gateway's settings, TOML.")
]
NameOption = Annotated[str, typer.Option("--name", metavar="NAME", help="The gateway's name.")]
SiteOption = Annotated[
    str | None, typer.Option("--site", metavar="SITE", help="The place that it serves.")
]
TimeZoneOption = Annotated[
    str, typer.Option("--time-zone", metavar="ZONE", help="IANA time zone of the city.")
]
SourceOption = Annotated[
    list[str] | None,
    typer.Option("--source", metavar="KIND", help="Kind of a sensor; once for each of them."),
]
LonOption = Annotated[
    float | None, typer.Option("--lon", metavar="DEGREES", help="Longitude of the site [°].")
]
LatOption = Annotated[
    float | None, typer.Option("--lat", metavar="DEGREES", help="Latitude of the site [°].")
]
CertificateOption = Annotated[
    Path | None,
    typer.Option("--certificate", metavar="FILE", help="What the CA has signed; installs it."),
]


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Set up and run gateways; keep a fleet.")
    for command in (init, check, enrol, run, status):
        group.command()(command)
    gateway_fleet.register(group)
    app.add_typer(group, name="gateway")


def init(
    settings: NewSettingsArgument,
    *,
    name: NameOption = "gw-1",
    site: SiteOption = None,
    time_zone: TimeZoneOption = "Asia/Bangkok",
    source: SourceOption = None,
    lon: LonOption = None,
    lat: LatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write settings for a new gateway, with a sample of each of its sources."""
    from clearway_edge import jobs
    from clearway_edge.settings.sample_settings import position_of

    file = jobs.init(
        settings,
        name=name,
        time_zone=time_zone,
        sources=source or jobs.DEFAULT_SOURCES,
        site=site,
        position_deg=position_of(lon, lat),
    )
    if as_json:
        say_json({"settings": str(file)})
    else:
        say(f"Wrote {file}. Edit its sources, then: clearway gateway check --settings {file}")


def check(*, settings: SettingsOption, as_json: JsonOption = False) -> None:
    """Check settings, all faults at once, and warn of what is probably not meant; opens nothing."""
    from clearway_edge import jobs
    from clearway_edge.plain_words import check_words

    found = jobs.check(settings)
    if as_json:
        say_json(found)
    else:
        say("\n".join(check_words(found)))


def enrol(
    *,
    settings: SettingsOption,
    certificate: CertificateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the gateway's own key and a request to sign it, or put the certificate in place."""
    from clearway_edge import jobs

    found = jobs.enrol(settings, certificate=certificate)
    if as_json:
        say_json(found)
    else:
        say_table("Enrolment", found)


def run(*, settings: SettingsOption, log: LogOption = None, as_json: JsonOption = False) -> None:
    """Run the gateway until Ctrl-C or SIGTERM; what it has read is safe by then."""
    from clearway_core.logging import configure
    from clearway_edge import jobs
    from clearway_edge.condition.service_manager import manager_socket

    configure(logging.INFO)
    # The client logs every attempt to reach a broker that is down; the forwarder says it once.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    jobs.run(settings, log_address=log, manager=manager_socket(os.environ, os.getpid()))
    if as_json:
        say_json({"stopped": True})


def status(*, data_dir: DataDirOption = DEFAULT_DATA_DIR, as_json: JsonOption = False) -> None:
    """Show how the gateways in the data folder do: books, outbox, forwarder, clock, sources."""
    from clearway_edge import jobs
    from clearway_edge.plain_words import status_words

    found = jobs.status(data_dir)
    if not found:
        message = f"no gateway has run in {data_dir}: check --data-dir"
        raise UsageError(message)
    if as_json:
        say_json(found)
    else:
        for each in found:
            say("\n".join(status_words(each)))
    if any("error" in each for each in found):
        raise typer.Exit(1)
