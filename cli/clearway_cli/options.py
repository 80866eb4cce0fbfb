"""Options that many commands share, written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clearway_core.data_dir import DEFAULT

DataDirOption = Annotated[
    Path,
    typer.Option(
        "--data-dir", envvar="CLEARWAY_DATA_DIR", help="Folder with the lake, the log and models."
    ),
]
LogOption = Annotated[
    str | None,
    typer.Option(
        "--log",
        envvar="CLEARWAY_LOG",
        help="kafka://host:port; left out, the embedded log in the data folder.",
    ),
]
LakeOption = Annotated[
    str | None,
    typer.Option(
        "--lake",
        envvar="CLEARWAY_LAKE",
        help="s3://bucket/prefix or a folder; left out, the lake in the data folder.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer with JSON for machines.")]
CityOption = Annotated[
    str | None,
    typer.Option(
        "--city",
        envvar="CLEARWAY_CITY",
        help="City pack: a folder or a shipped name; left out, the data folder's own, if any.",
    ),
]
ResolutionOption = Annotated[
    int, typer.Option("--resolution", min=7, max=10, help="H3 resolution.")
]
WindowOption = Annotated[
    str, typer.Option("--window", help="Window length: 15m, 1h or 1d.", metavar="15m|1h|1d")
]

DEFAULT_DATA_DIR = DEFAULT
