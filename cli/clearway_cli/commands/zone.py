"""`clearway zone`: what a zone is made of and how much of it was observed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clearway_cli.options import (
    DEFAULT_DATA_DIR,
    BuiltResolutionOption,
    DataDirOption,
    JsonOption,
    LakeOption,
)
from clearway_cli.output import say_json

ZoneArgument = Annotated[
    Path,
    typer.Argument(metavar="ZONE", help="GeoJSON (feature, collection or geometry), or H3 cells."),
]


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(no_args_is_help=True, help="Look at charge zones.")
    group.callback()(lambda: None)  # or else Typer makes the only command of a group the group
    group.command()(show)
    app.add_typer(group, name="zone")


def show(
    zone: ZoneArgument,
    *,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    resolution: BuiltResolutionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a zone's cells, its area, and how many of its cells were ever driven."""
    from clearway_cli.texts.charge import say_zone
    from clearway_core.lake import open_lake
    from clearway_models.jobs import show_zone

    shown = show_zone(open_lake(data_dir, lake), zone=zone, resolution=resolution)
    if as_json:
        say_json(shown)
    else:
        say_zone(shown)
