"""Options that several commands share, each written once."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from clearway_core.data_dir import DEFAULT
from clearway_core.errors import UsageError

DEFAULT_DATA_DIR = DEFAULT


class Window(StrEnum):
    """Lengths of a window of time."""

    QUARTER = "15m"
    HOUR = "1h"
    DAY = "1d"

    @property
    def minutes(self) -> int:
        """Return its length. [min]."""
        return {"15m": 15, "1h": 60, "1d": 1440}[self.value]


def instant(text: str) -> datetime:
    """Return the instant of an ISO 8601 text, UTC where it names no offset.

    Raises
    ------
    UsageError
        If the text is no ISO 8601 instant.
    """
    try:
        value = datetime.fromisoformat(text)
    except ValueError as error:
        message = f"an instant looks like 2008-05-21 or 2008-05-21T07:00+07:00, got {text!r}"
        raise UsageError(message) from error
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


DataDirOption = Annotated[
    Path,
    typer.Option(
        "--data-dir",
        metavar="FOLDER",
        envvar="CLEARWAY_DATA_DIR",
        help="Folder with the lake, the log and models.",
    ),
]
LogOption = Annotated[
    str | None,
    typer.Option(
        "--log",
        metavar="ADDRESS",
        envvar="CLEARWAY_LOG",
        help="kafka://host:port; left out, the embedded log in the data folder.",
    ),
]
LakeOption = Annotated[
    str | None,
    typer.Option(
        "--lake",
        metavar="ADDRESS",
        envvar="CLEARWAY_LAKE",
        help="s3://bucket/prefix or a folder; left out, the lake in the data folder.",
    ),
]
CityOption = Annotated[
    str | None,
    typer.Option(
        "--city",
        metavar="CITY",
        envvar="CLEARWAY_CITY",
        help="City pack: a folder or a shipped name; left out, the data folder's own, if any.",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", metavar="", help="Answer with JSON for machines.")
]

ResolutionOption = Annotated[
    int, typer.Option("--resolution", metavar="N", min=7, max=10, help="H3 resolution.")
]
BuiltResolutionOption = Annotated[
    int | None,
    typer.Option(
        "--resolution",
        metavar="N",
        min=7,
        max=10,
        help="H3 resolution; left out, that of the table, 9 if it has several.",
    ),
]
WindowOption = Annotated[
    Window, typer.Option("--window", metavar="15m|1h|1d", help="Window length: 15m, 1h or 1d.")
]
FromOption = Annotated[
    datetime | None,
    typer.Option(
        "--from",
        metavar="INSTANT",
        parser=instant,
        help="Only days that records from this instant on can touch; ISO 8601, UTC if no offset.",
    ),
]
ToOption = Annotated[
    datetime | None,
    typer.Option(
        "--to",
        metavar="INSTANT",
        parser=instant,
        help="Only days that records before it can touch.",
    ),
]

MonthOption = Annotated[str, typer.Option("--month", metavar="YYYY-MM", help="Such as 2026-01.")]
PortOption = Annotated[
    int,
    typer.Option(
        "--port",
        metavar="PORT",
        min=0,
        max=65_535,
        help="Port on this machine; 0 takes any free one.",
    ),
]
