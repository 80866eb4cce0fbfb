"""`clearway export`: tables as files for other programs."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from clearway_cli.options import (
    DEFAULT_DATA_DIR,
    CityOption,
    DataDirOption,
    JsonOption,
    LakeOption,
)
from clearway_cli.output import say_json, say_table


class Format(StrEnum):
    """Kinds of file."""

    PARQUET = "parquet"
    CSV = "csv"
    GEOJSON = "geojson"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="export")(export)


def export(
    table: Annotated[str, typer.Argument(help="Table, such as congestion or air_hourly.")],
    *,
    out: Annotated[Path, typer.Option("--out", help="File to write.")],
    file_format: Annotated[Format, typer.Option("--format", help="Kind of file.")],
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    city: CityOption = None,
    public: Annotated[
        bool,
        typer.Option(
            "--public",
            help="Only what passes the quality gate and the release gate, with a metadata file "
            "beside it.",
        ),
    ] = False,
    resolution: Annotated[
        int | None,
        typer.Option("--resolution", min=7, max=10, help="H3 resolution; default: built last."),
    ] = None,
    window: Annotated[
        str | None,
        typer.Option("--window", metavar="15m|1h|1d", help="Window; default: built last."),
    ] = None,
    vehicle_class: Annotated[
        str,
        typer.Option("--vehicle-class", help="One class, or 'all' for all of them together."),
    ] = "all",
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            help="Only the window that holds this instant, ISO 8601; a time without an offset is "
            "the city's local time. GeoJSON without it takes the newest window.",
        ),
    ] = None,
    complete: Annotated[
        bool,
        typer.Option(
            "--complete",
            help="With --public: also a row for each cell and window that is withheld or empty, "
            "with counts of -1, as in the metrics of the Mobility Data Specification.",
        ),
    ] = False,
    json_output: JsonOption = False,
) -> None:
    """Write a table as Parquet, CSV or GeoJSON.

    Without --public the file holds internal values, which must not leave the house.
    """
    from clearway_cli.cities import find_city
    from clearway_cli.commands.build import window_minutes
    from clearway_core.data_dir import DataDir
    from clearway_core.lake import open_lake
    from clearway_serving.export_jobs import ExportRequest, export_table

    request = ExportRequest(
        table=table,
        file_format=file_format.value,
        out=out,
        public=public,
        resolution=resolution,
        window_minutes=None if window is None else window_minutes(window),
        vehicle_class=vehicle_class,
        at=at,
        complete=complete,
    )
    account = export_table(
        open_lake(data_dir, lake),
        request,
        city=find_city(city, data_dir),
        report_dir=DataDir(data_dir).quality,
    )
    for note in account.notes:
        sys.stderr.write(f"note: {note}\n")
    if json_output:
        say_json(account.as_dict())
        return
    told = account.as_dict()
    del told["notes"]  # said above
    say_table(f"{table} written", told)
