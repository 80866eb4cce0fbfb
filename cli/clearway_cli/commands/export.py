"""`clearway export`: tables as files for other programs."""

from __future__ import annotations

from dataclasses import asdict
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
    Window,
)
from clearway_cli.output import say_aside, say_json, say_table


class Format(StrEnum):
    """Kinds of file."""

    PARQUET = "parquet"
    CSV = "csv"
    GEOJSON = "geojson"


TableArgument = Annotated[
    str, typer.Argument(metavar="TABLE", help="Table, such as congestion or air_hourly.")
]
OutOption = Annotated[Path, typer.Option("--out", metavar="FILE", help="File to write.")]
FormatOption = Annotated[
    Format, typer.Option("--format", metavar="parquet|csv|geojson", help="Kind of file.")
]
PublicOption = Annotated[
    bool,
    typer.Option(
        "--public",
        metavar="",
        help="Only what passes the quality gate and the release gate, with a metadata file "
        "beside it.",
    ),
]
ResolutionOption = Annotated[
    int | None,
    typer.Option(
        "--resolution",
        metavar="N",
        min=7,
        max=10,
        help="H3 resolution; left out, the one built last.",
    ),
]
WindowOption = Annotated[
    Window | None,
    typer.Option(
        "--window", metavar="15m|1h|1d", help="Window length; left out, the one built last."
    ),
]
ClassOption = Annotated[
    str,
    typer.Option(
        "--vehicle-class", metavar="CLASS", help="One class, or 'all' for all of them together."
    ),
]
AtOption = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="INSTANT",
        help="Only the window that holds this instant, ISO 8601; a time without an offset is "
        "the city's local time. GeoJSON without it takes the newest window.",
    ),
]
CompleteOption = Annotated[
    bool,
    typer.Option(
        "--complete",
        metavar="",
        help="With --public: also a row for each cell and window that is withheld or empty, "
        "with counts of -1, as in the metrics of the Mobility Data Specification.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="export")(export)


def export(
    table: TableArgument,
    *,
    out: OutOption,
    file_format: FormatOption,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    city: CityOption = None,
    public: PublicOption = False,
    resolution: ResolutionOption = None,
    window: WindowOption = None,
    vehicle_class: ClassOption = "all",
    at: AtOption = None,
    complete: CompleteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a table as Parquet, CSV or GeoJSON.

    Without --public the file holds internal values, which must not leave the house.
    """
    from clearway_cli.cities import find_city
    from clearway_core.data_dir import DataDir
    from clearway_core.lake import open_lake
    from clearway_serving.export.jobs import export_table
    from clearway_serving.export.request import ExportRequest

    request = ExportRequest(
        table=table,
        file_format=file_format.value,
        out=out,
        public=public,
        resolution=resolution,
        window_minutes=None if window is None else window.minutes,
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
        say_aside("note", note)
    if as_json:
        say_json(asdict(account))
        return
    told = asdict(account)
    del told["notes"]  # said above
    say_table(f"{table} written", told)
