"""`clearway serve`: the map and the proposal pages on this machine."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import typer

from clearway_cli.options import (
    DEFAULT_DATA_DIR,
    CityOption,
    DataDirOption,
    LakeOption,
    PortOption,
)
from clearway_cli.output import say

InternalOption = Annotated[
    bool,
    typer.Option(
        "--internal",
        metavar="",
        help="Also show values that passed no gate, to this machine only. They must not "
        "leave the house.",
    ),
]
LiveOption = Annotated[
    bool | None,
    typer.Option(
        "--live/--settled",
        metavar="",
        help="Whether to show days that are not settled for release yet, which takes until 24 "
        "hours after their end. Left out, yes on this machine alone. For the agency's own "
        "screens: who keeps copies could subtract them.",
    ),
]
HostOption = Annotated[
    str,
    typer.Option(
        "--host",
        metavar="ADDRESS",
        help="Address to listen on. Another than 127.0.0.1 only inside a container, behind "
        "the agency's own proxy: this server has no accounts.",
    ),
]
HostNameOption = Annotated[
    list[str] | None,
    typer.Option(
        "--host-name", metavar="NAME", help="Further name that browsers may use; repeatable."
    ),
]
ApprovalOption = Annotated[
    str | None,
    typer.Option(
        "--approval-url",
        metavar="ADDRESS",
        envvar="CLEARWAY_APPROVAL_URL",
        help="Address of Airflow, for the link on the proposal page.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="serve")(serve)


def serve(
    *,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    city: CityOption = None,
    port: PortOption = 8501,
    internal: InternalOption = False,
    live: LiveOption = None,
    host: HostOption = "127.0.0.1",
    host_name: HostNameOption = None,
    approval_url: ApprovalOption = None,
) -> None:
    """Serve the congestion map and the charge proposals, read only, until Ctrl-C.

    Only values that passed the quality gate and the release gate are shown.
    """
    from clearway_cli.cities import find_city
    from clearway_cli.ending import end_on_signals
    from clearway_core.lake import open_lake
    from clearway_serving.jobs import Address
    from clearway_serving.jobs import serve as serve_pages

    def ready(address: str) -> None:
        say("Clearway is at ", (address, "bold"), "  (Ctrl-C ends)")
        if internal:
            say(
                ("Internal:", "bold red"),
                " values that passed no gate are shown; they must not leave the house.",
            )

    end_on_signals()  # which is how a server is meant to end, so it is no error
    with suppress(KeyboardInterrupt):
        serve_pages(
            open_lake(data_dir, lake),
            city=find_city(city, data_dir),
            internal=internal,
            live=live,
            address=Address(
                host=host, port=port, names=tuple(host_name or ()), approval_url=approval_url
            ),
            ready=ready,
        )
    say("Stopped; nothing was changed.")
