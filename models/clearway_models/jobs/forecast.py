"""Forecasts of the next hour from the congestion table, while they are better than plain ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from clearway_core.calendar import read_calendar
from clearway_core.city import City
from clearway_core.clock import Clock, SystemClock
from clearway_core.contracts.forecast_tables import FORECASTS, HORIZONS_MINUTES
from clearway_core.data_dir import DataDir
from clearway_core.errors import InsufficientData, UsageError
from clearway_core.lake import Lake
from clearway_core.progress import Progress, silent
from clearway_core.publication import passed_version
from clearway_core.schema import polars_schema
from clearway_models import lake as tables
from clearway_models.forecast.evaluation import HorizonScore
from clearway_models.forecast.issue import issue
from clearway_models.forecast.panel import AHEAD_MINUTES, cell_panel
from clearway_models.forecast.parameters import ForecastParameters, forecast_parameters
from clearway_models.forecast.store import (
    FORECAST_FOLDER,
    make_forecaster,
    newest_forecaster,
    refusals,
)

_KEYS = ("h3_cell", "window_start")


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastAccount:
    """What was forecast, and how far it may be trusted.

    Parameters
    ----------
    resolution, window_minutes
        Grid. [1], [min]
    model_id, trained_now
        The model, and whether this run trained it.
    n_days
        Days with observations that it rests on. [d]
    issued_at
        End of the newest observed window.
    n_cells, n_rows
        Cells observed lately, and rows written.
    methods
        By horizon in minutes, what the rows were made by; a horizon without rows is not there.
    scores
        The test of each horizon.
    not_published, drift
        Why horizons have no rows; why a plain forecast took the model's place.
    card
        The model's card.
    """

    resolution: int
    window_minutes: int
    model_id: str
    trained_now: bool
    n_days: int
    issued_at: datetime
    n_cells: int
    n_rows: int
    methods: Mapping[int, str]
    scores: tuple[HorizonScore, ...]
    not_published: tuple[str, ...]
    drift: tuple[str, ...]
    card: str


def build_forecast(  # noqa: PLR0913 -- the options of the command
    lake: Lake,
    *,
    data_dir: Path,
    resolution: int = 9,
    window_minutes: int = 15,
    city: City | None = None,
    clock: Clock | None = None,
    parameters: ForecastParameters | None = None,
    progress: Progress = silent,
) -> ForecastAccount:
    """Forecast the speeds of the next hour; train a model first where there is none or an old one.

    Parameters
    ----------
    lake
        Lake with congestion and cell_travel.
    data_dir
        The installation's data folder; models go to its ``models/forecast``.
    resolution, window_minutes
        Grid; a horizon that is no multiple of the window is left out. [1], [min]
    city
        Its clock and days off; without it UTC, and Saturday and Sunday.
    clock
        Windows that have not ended yet are left out.
    parameters
        Settings; None takes those that are shipped.
    progress
        Told of each step.

    Raises
    ------
    InsufficientData
        If there are too few days, or cells are observed too rarely.
    UsageError
        If no horizon is a multiple of the window.
    """
    parameters = parameters or forecast_parameters()
    grid, horizons = tables.Grid(resolution, window_minutes), _horizons(window_minutes)
    progress(0, 3, "reading the history")
    rows = _history(lake, grid, parameters, now=(clock or SystemClock()).now())
    panel = cell_panel(
        rows,
        step_minutes=window_minutes,
        calendar=read_calendar(city),
        min_share=parameters.min_cell_share,
    )
    folder = DataDir(data_dir).models / FORECAST_FOLDER
    issued_at = panel.at(panel.n_windows)
    kept = newest_forecaster(folder, grid, until=issued_at)
    if kept is not None and issued_at - kept.made_at >= timedelta(days=parameters.retrain_days):
        kept = None
    trained_now = kept is None
    if kept is None:
        progress(1, 3, "testing and training")
        kept = make_forecaster(
            panel, folder=folder, grid=grid, horizons=horizons, parameters=parameters
        )
    progress(2, 3, "forecasting")
    issued = issue(kept, panel, horizons, parameters)
    written = _with_evidence(lake, grid, issued.rows, rows).with_columns(
        pl.lit(kept.model_id).alias("model_id")
    )
    _write(lake, grid, written, issued_at)
    progress(3, 3, "done")
    return ForecastAccount(
        resolution=resolution,
        window_minutes=window_minutes,
        model_id=kept.model_id,
        trained_now=trained_now,
        n_days=rows["window_start"].dt.date().n_unique(),
        issued_at=issued_at,
        n_cells=written["h3_cell"].n_unique(),
        n_rows=written.height,
        methods=issued.methods,
        scores=tuple(kept.scores.values()),
        not_published=tuple(refusals(kept.scores.values())),
        drift=issued.drift,
        card=str(kept.card),
    )


def _horizons(window_minutes: int) -> list[int]:
    """Return the horizons in windows; one that is no multiple of the window is left out.

    Raises
    ------
    UsageError
        If none is left.
    """
    horizons = [
        minutes // window_minutes for minutes in HORIZONS_MINUTES if not minutes % window_minutes
    ]
    if not horizons:
        message = f"forecasts reach one hour: a window is 15m or 1h long, got {window_minutes} min"
        raise UsageError(message)
    return horizons


def _history(
    lake: Lake, grid: tables.Grid, parameters: ForecastParameters, *, now: datetime
) -> pl.DataFrame:
    """Return observed cells and windows of the last weeks.

    Raises
    ------
    InsufficientData
        If they lie on too few days.
    """
    version = passed_version(lake, "congestion")
    ended = pl.col("window_start") <= now - timedelta(minutes=grid.window_minutes)
    observed = tables.congestion(lake, grid, version=version).filter(
        ended & (pl.col("space_mean_kmh") > 0) & (pl.col("quality") != "X")
    )
    newest = observed.select(pl.col("window_start").max()).collect().item()
    since = pl.lit(newest, pl.Datetime("us", "UTC")) - pl.duration(
        days=int(parameters.history_days)
    )
    rows = (
        observed.filter(pl.col("window_start") > since)
        .select(*_KEYS, "space_mean_kmh", "n_vehicles", "n_providers", "quality")
        .sort(_KEYS)
        .collect()
    )
    n_days = rows["window_start"].dt.date().n_unique()
    if n_days < parameters.min_history_days:
        message = (
            f"expected congestion of at least {parameters.min_history_days:.0f} days at resolution "
            f"{grid.resolution} and {grid.window_minutes} minutes to learn from, got {n_days}: "
            "collect more days, run `clearway build congestion`, then this again"
        )
        raise InsufficientData(message)
    return rows


def _with_evidence(
    lake: Lake, grid: tables.Grid, forecasts: pl.DataFrame, history: pl.DataFrame
) -> pl.DataFrame:
    """Add who was observed in each cell's newest window: what the release gate asks for."""
    issued = pl.col("window_start") + pl.duration(
        minutes=grid.window_minutes - pl.col("horizon_minutes")
    )
    evidence = history.select("h3_cell", "n_vehicles", "n_providers", evidence_start="window_start")
    first = forecasts["evidence_start"].min()
    travel = (
        lake.table("cell_travel")
        .scan(grid.partitions())
        .filter(
            (pl.col("vehicle_class") == tables.ALL_CLASSES)
            & (pl.col("window_start") >= pl.lit(first, pl.Datetime("us", "UTC")))
        )
        .select(
            "h3_cell",
            evidence_start="window_start",
            top_vehicle_share=pl.col("top_vehicle_ms") / pl.col("duration_ms"),
        )
        .collect()
    )
    on = ["h3_cell", "evidence_start"]
    return (
        forecasts.join(evidence, on=on, how="left", validate="m:1")
        .join(travel, on=on, how="left", validate="m:1")
        .with_columns(
            # A share that is not known counts as all: the gate then holds the row back.
            pl.col("top_vehicle_share").fill_nan(None).fill_null(1.0),
            pl.lit(grid.resolution, pl.Int32).alias("resolution"),
            pl.lit(grid.window_minutes, pl.Int32).alias("window_minutes"),
            pl.lit(tables.ALL_CLASSES).alias("vehicle_class"),
            pl.col("window_start").dt.date().alias("window_date"),
            issued.alias("issued_at"),
        )
        .sort("h3_cell", "window_start")
    )


def _write(lake: Lake, grid: tables.Grid, rows: pl.DataFrame, issued_at: datetime) -> None:
    """Put the rows in the place of those that were issued at the same moment."""
    if rows.is_empty() and not lake.table("forecasts").exists():
        return
    table = lake.table("forecasts")
    reach = timedelta(minutes=AHEAD_MINUTES)
    days = sorted({issued_at.date(), (issued_at + reach).date()})
    kept = (
        table.scan([*grid.partitions(), ("window_date", "in", days)])
        .filter(pl.col("issued_at") != issued_at)
        .collect()
    )
    ordered = rows.select(kept.columns).cast(polars_schema(FORECASTS))
    table.replace(
        pl.concat([kept, ordered]).sort(FORECASTS.key),
        {
            "resolution": [grid.resolution],
            "window_minutes": [grid.window_minutes],
            "window_date": days,
        },
    )
