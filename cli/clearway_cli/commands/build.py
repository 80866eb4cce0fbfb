"""`clearway build`: derived tables from what ingest has stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from clearway_core.errors import UsageError

from clearway_cli.options import (
    DEFAULT_DATA_DIR,
    CityOption,
    DataDirOption,
    JsonOption,
    LakeOption,
    ResolutionOption,
    WindowOption,
)
from clearway_cli.output import bar, say_json, say_table

WINDOW_MINUTES: Mapping[str, int] = {"15m": 15, "1h": 60, "1d": 1440}

FromOption = Annotated[
    str | None,
    typer.Option("--from", help="Only days from this instant on; ISO 8601, UTC if no offset."),
]
ToOption = Annotated[
    str | None, typer.Option("--to", help="Only days before this instant; ISO 8601.")
]


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(no_args_is_help=True, help="Build derived tables from stored records.")
    group.command("congestion")(congestion)
    group.command("air")(air)
    group.command("emissions")(emissions)
    group.command("all")(everything)
    app.add_typer(group, name="build")


def congestion(
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    resolution: ResolutionOption = 9,
    window: WindowOption = "15m",
    city: CityOption = None,
    time_from: FromOption = None,
    time_to: ToOption = None,
    json: JsonOption = False,
) -> None:
    """Speed, free flow and congestion per cell and window, from GPS fixes."""
    from clearway_core.lake import open_lake
    from clearway_transforms.jobs import build_congestion

    from clearway_cli.cities import find_city

    minutes = window_minutes(window)
    with bar("Congestion", quiet=json) as progress:
        account = build_congestion(
            open_lake(data_dir, lake),
            resolution=resolution,
            window_minutes=minutes,
            city=find_city(city, data_dir),
            time_from=instant(time_from),
            time_to=instant(time_to),
            progress=progress,
        )
    values = asdict(account)
    if json:
        say_json(values)
        return
    dropped, legs, days = values.pop("dropped"), values.pop("legs"), values.pop("days")
    mean = values.pop("city_mean_kmh")
    say_table("Fixes left out, by rule", dropped)
    say_table("Pairs of fixes, by kind", legs)
    say_table(
        f"Congestion, {days[0]} to {days[-1]}",
        {
            "cells": values["n_cells"],
            "windows": values["n_windows"],
            "rows": values["n_rows"],
            "vehicles": values["n_vehicles"],
            "fixes read": values["n_fixes"],
            "fixes sorted": values["n_sorted"],
            "city mean": "no travel" if mean is None else f"{mean:.1f} km/h",
            "rows that may be published": values["n_releasable"],
            "rows held back": values["n_suppressed"],
        },
    )


def air(
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    city: CityOption = None,
    calibration: Annotated[
        str | None,
        typer.Option(help="Calibration to apply, such as barkjohn_2021_us; left out, none."),
    ] = None,
    time_from: FromOption = None,
    time_to: ToOption = None,
    json: JsonOption = False,
) -> None:
    """Hourly values per sensor and pollutant, from raw air readings."""
    from clearway_core.lake import open_lake
    from clearway_transforms.jobs import build_air

    from clearway_cli.cities import find_city

    with bar("Air", quiet=json) as progress:
        account = build_air(
            open_lake(data_dir, lake),
            city=find_city(city, data_dir),
            calibration=calibration,
            time_from=instant(time_from),
            time_to=instant(time_to),
            progress=progress,
        )
    values = asdict(account)
    if json:
        say_json(values)
        return
    rejected = values.pop("rejected")
    say_table("Values left out, by rule", rejected)
    say_table("Hourly air values", values)


def emissions(
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    resolution: ResolutionOption = 9,
    window: WindowOption = "15m",
    city: CityOption = None,
    json: JsonOption = False,
) -> None:
    """Traffic emissions per cell and window, from the speeds of `build congestion`."""
    from clearway_core.lake import open_lake
    from clearway_models.jobs import build_emissions

    from clearway_cli.cities import find_city

    minutes = window_minutes(window)
    with bar("Emissions", quiet=json) as progress:
        account = build_emissions(
            open_lake(data_dir, lake),
            resolution=resolution,
            window_minutes=minutes,
            city=find_city(city, data_dir),
            progress=progress,
        )
    values = account if isinstance(account, Mapping) else asdict(account)
    if json:
        say_json(values)
        return
    say_table("Emissions", values)


def everything(
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    resolution: ResolutionOption = 9,
    window: WindowOption = "15m",
    city: CityOption = None,
    json: JsonOption = False,
) -> None:
    """Congestion, air and emissions, one after the other; what has no input is skipped, and said."""
    raise NotImplementedError


def window_minutes(window: str) -> int:
    """Return the length of a window option [min].

    Raises
    ------
    UsageError
        If it is none of 15m, 1h and 1d.
    """
    if window not in WINDOW_MINUTES:
        message = f"--window is one of {', '.join(WINDOW_MINUTES)}, got {window!r}"
        raise UsageError(message)
    return WINDOW_MINUTES[window]


def instant(text: str | None) -> datetime | None:
    """Return the instant of an ISO 8601 text, UTC where it names no offset; None of None.

    Raises
    ------
    UsageError
        If the text is no ISO 8601 instant.
    """
    if text is None:
        return None
    try:
        value = datetime.fromisoformat(text)
    except ValueError as error:
        message = f"an instant looks like 2008-05-21 or 2008-05-21T07:00+07:00, got {text!r}"
        raise UsageError(message) from error
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
