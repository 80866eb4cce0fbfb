"""`clearway build forecast`: speeds of the next hour, while they are better than plain guesses."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from clearway_cli.options import (
    DEFAULT_DATA_DIR,
    CityOption,
    DataDirOption,
    JsonOption,
    LakeOption,
    ResolutionOption,
)
from clearway_cli.output import bar, console, say_json, say_table

if TYPE_CHECKING:
    from clearway_models.jobs.forecast import ForecastAccount

ForecastWindowOption = Annotated[
    str,
    typer.Option("--window", metavar="15m|1h", help="Window length; 1h forecasts 60 minutes only."),
]


def forecast(
    *,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    resolution: ResolutionOption = 9,
    window: ForecastWindowOption = "15m",
    city: CityOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forecast speeds 15, 30 and 60 minutes ahead, from the speeds of `build congestion`.

    A model is trained and tested first where there is none or it is a week old. A horizon at which
    a plain forecast was as good is not published.
    """
    from clearway_cli.cities import find_city
    from clearway_cli.commands.build import window_minutes
    from clearway_core.lake import open_lake
    from clearway_models.jobs.forecast import build_forecast

    minutes = window_minutes(window)
    with bar("Forecast", quiet=as_json) as progress:
        account = build_forecast(
            open_lake(data_dir, lake),
            data_dir=data_dir,
            resolution=resolution,
            window_minutes=minutes,
            city=find_city(city, data_dir),
            progress=progress,
        )
    if as_json:
        say_json(asdict(account))
    else:
        _say(account)


def _say(account: ForecastAccount) -> None:
    console.print(_scores(account))
    for reason in account.not_published:
        console.print(f"not published: {reason}", highlight=False, soft_wrap=True)
    for reason in account.drift:
        console.print(f"the model drifts: {reason}", highlight=False, soft_wrap=True)
    say_table(
        "Forecast",
        {
            "issued at": account.issued_at,
            "model": account.model_id,
            "trained now": account.trained_now,
            "days learned from": account.n_days,
            "cells": account.n_cells,
            "rows": account.n_rows,
            "made by": {f"{minutes} min": how for minutes, how in account.methods.items()},
            "card": account.card,
        },
    )


def _scores(account: ForecastAccount) -> Table:
    """Return the mean absolute error of each method per horizon, the best in bold."""
    table = Table(title="Mean absolute error on unseen days, km/h", title_justify="left", box=None)
    table.add_column("")
    for score in account.scores:
        table.add_column(f"{score.horizon_minutes} min", justify="right")
    for name in account.scores[0].mae_kmh:
        errors = [score.mae_kmh[name] for score in account.scores]
        least = [min(score.mae_kmh.values()) for score in account.scores]
        bold = (
            ("[bold]", "[/]") if e == m else ("", "") for e, m in zip(errors, least, strict=True)
        )
        shown = [f"{on}{e:.2f}{off}" for e, (on, off) in zip(errors, bold, strict=True)]
        table.add_row(name, *shown)
    held = (f"{100 * score.coverage:.1f} %" for score in account.scores)
    table.add_row("90 % intervals held", *held)
    return table
