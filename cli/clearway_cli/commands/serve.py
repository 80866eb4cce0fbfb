"""`clearway serve`: the map and the proposal pages on this machine."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import typer

from clearway_cli.options import DEFAULT_DATA_DIR, CityOption, DataDirOption, LakeOption
from clearway_cli.output import console


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="serve")(serve)


def serve(
    *,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    city: CityOption = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0: any.")] = 8501,
    internal: Annotated[
        bool,
        typer.Option(
            "--internal",
            help="Also show values that passed no gate, to this machine only. They must not "
            "leave the house.",
        ),
    ] = False,
    live: Annotated[
        bool | None,
        typer.Option(
            "--live/--settled",
            help="Whether to show days that are not settled for release yet, which takes until 24 "
            "hours after their end. Left out, yes on this machine alone. For the agency's own "
            "screens: who keeps copies could subtract them.",
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            help="Address to listen on. Another than 127.0.0.1 only inside a container, behind "
            "the agency's own proxy: this server has no accounts.",
        ),
    ] = "127.0.0.1",
    host_name: Annotated[
        list[str] | None,
        typer.Option("--host-name", help="Further name that browsers may use; repeatable."),
    ] = None,
    approval_url: Annotated[
        str | None,
        typer.Option(
            "--approval-url",
            envvar="CLEARWAY_APPROVAL_URL",
            help="Address of Airflow, for the link on the proposal page.",
        ),
    ] = None,
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
        console.print(f"Clearway is at [bold]{address}[/]  (Ctrl-C ends)")
        if internal:
            console.print(
                "[bold red]Internal:[/] values that passed no gate are shown; "
                "they must not leave the house."
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
    console.print("Stopped; nothing was changed.")
