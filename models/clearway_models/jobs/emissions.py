"""Builds the table of traffic emissions from the speeds of the congestion table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

import numpy as np
import polars as pl

from clearway_core.city import City
from clearway_core.contracts.derived_tables import CELL_EMISSIONS
from clearway_core.lake import Lake
from clearway_core.progress import Progress, silent
from clearway_core.publication import passed_version
from clearway_core.schema import polars_schema
from clearway_models import lake as tables
from clearway_models.charge.parameters import read_charge_parameters
from clearway_models.emissions.curves import (
    POLLUTANTS,
    Z_90,
    EmissionCurve,
    Numbers,
    clamped,
    emission_curves,
)
from clearway_models.emissions.factors import FactorSet, Fleet, read_factor_set, read_fleet
from clearway_models.expansion.counts import COUNTS_FILE, Expansion
from clearway_models.jobs.expansion import count_expansion

FLEET: Final = "fleet"
Detail = Literal["fleet", "class"]

_MM_PER_KM = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EmissionAccount:
    """What was built.

    Parameters
    ----------
    resolution, window_minutes
        Grid.
    n_days, n_windows, n_rows
        UTC days, cells x windows with a speed, and rows written.
    n_clamped
        Cells x windows whose speed lies outside the range of a curve of the fleet and was clamped.
    n_without_speed
        Cells x windows without an observed speed; they have no row.
    fleet_surveyed
        Whether the fleet is the city's own.
    has_counts
        Whether g/h could be stated.
    factor_set_id
        Files that the factors came from.
    """

    resolution: int
    window_minutes: int
    n_days: int
    n_windows: int
    n_rows: int
    n_clamped: int
    n_without_speed: int
    fleet_surveyed: bool
    has_counts: bool
    factor_set_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    factor_set: FactorSet
    fleet: Fleet
    curves: Mapping[tuple[str, str], EmissionCurve]
    expansion: Expansion | None


def build_emissions(
    lake: Lake,
    *,
    resolution: int | None = None,
    window_minutes: int | None = None,
    city: City | None = None,
    detail: Detail = FLEET,
    progress: Progress = silent,
) -> EmissionAccount:
    """Build ``cell_emissions`` for every day of the congestion table; a day is replaced whole.

    Parameters
    ----------
    lake
        Lake with congestion and, for g/h, cell_travel and raw fixes of counted days.
    resolution, window_minutes
        Grid; None takes resolution 9 and the longest window up to an hour. [min]
    city
        Gives ``fleet.csv`` and ``traffic_counts.csv``; without them the default mix is used, and
        g/h is null.
    detail
        ``fleet`` for the mix alone, ``class`` for a row per emission class beside it.
    progress
        Told of every day.

    Raises
    ------
    InsufficientData
        If there is no congestion table of that grid.
    SettingsError
        If a file of the city pack has faults.
    """
    grid = tables.find_grid(lake, resolution=resolution, window_minutes=window_minutes)
    model = _model(lake, grid, city)
    names = [FLEET]
    if detail == "class":
        names += [name for name, pollutant in model.curves if pollutant == "nox" and name != FLEET]
    version = passed_version(lake, "congestion")
    days = _days(lake, grid, version)
    table = lake.table("cell_emissions")
    n_windows = n_rows = n_clamped = n_without_speed = 0
    for done, day in enumerate(days):
        progress(done, len(days), f"emissions of {day}")
        windows, without = _windows(lake, grid, day, version=version)
        frames = list(_rows(windows, model, names))
        rows = pl.concat(frames) if frames else pl.DataFrame(schema=polars_schema(CELL_EMISSIONS))
        table.replace(
            rows,
            {
                "resolution": [grid.resolution],
                "window_minutes": [grid.window_minutes],
                "window_date": [day],
            },
        )
        n_windows += windows.height
        n_rows += rows.height
        n_clamped += _count_clamped(windows, model)
        n_without_speed += without
    progress(len(days), len(days), "done")
    return EmissionAccount(
        resolution=grid.resolution,
        window_minutes=grid.window_minutes,
        n_days=len(days),
        n_windows=n_windows,
        n_rows=n_rows,
        n_clamped=n_clamped,
        n_without_speed=n_without_speed,
        fleet_surveyed=model.fleet.surveyed,
        has_counts=model.expansion is not None,
        factor_set_id=model.factor_set.identifier,
    )


def _model(lake: Lake, grid: tables.Grid, city: City | None) -> _Model:
    factor_set = read_factor_set()
    fleet = read_fleet(factor_set.classes, city.file("fleet.csv") if city else None)
    simulation = read_charge_parameters().simulation
    curves = emission_curves(
        factor_set,
        fleet,
        draws=int(simulation["draws"].value),
        seed=int(simulation["seed"].value),
    )
    gsd = factor_set.parameters.uncertainty["flow"].value
    expansion, _ = count_expansion(
        lake, city.file(COUNTS_FILE) if city else None, resolution=grid.resolution, flow_gsd=gsd
    )
    return _Model(factor_set=factor_set, fleet=fleet, curves=curves, expansion=expansion)


def _days(lake: Lake, grid: tables.Grid, version: int | None) -> list[date]:
    rows = tables.congestion(lake, grid, version=version)
    days = rows.select(pl.col("window_date").unique().sort()).collect()
    return days["window_date"].to_list()


def _windows(
    lake: Lake, grid: tables.Grid, day: date, *, version: int | None
) -> tuple[pl.DataFrame, int]:
    """Return the windows of a day that have an observed speed, and how many have none."""
    keys = ["h3_cell", "window_start"]
    today = pl.col("window_date").eq(day)
    travel = (
        lake.table("cell_travel")
        .scan([*grid.partitions(), ("window_date", "=", day)])
        .filter(pl.col("vehicle_class").eq(tables.ALL_CLASSES))
        .select(*keys, (pl.col("distance_mm") / _MM_PER_KM).alias("probe_km"))
    )
    rows = (
        tables.congestion(lake, grid, version=version)
        .filter(today)
        .join(travel, on=keys, how="left", validate="1:1")
        .sort(keys)
        .collect()
    )
    with_speed = rows.filter(
        pl.col("source_class").eq("observed")
        & pl.col("quality").ne("X")
        & pl.col("space_mean_kmh").gt(0)
    )
    return with_speed, rows.height - with_speed.height


def _rows(windows: pl.DataFrame, model: _Model, names: list[str]) -> Iterator[pl.DataFrame]:
    if windows.is_empty():
        return
    speed = windows["space_mean_kmh"].to_numpy()
    low = windows["interval_low_kmh"].fill_null(windows["space_mean_kmh"]).to_numpy()
    high = windows["interval_high_kmh"].fill_null(windows["space_mean_kmh"]).to_numpy()
    kept = windows.select(
        "resolution",
        "window_minutes",
        "window_date",
        "h3_cell",
        "window_start",
        "space_mean_kmh",
        "n_vehicles",
        "n_providers",
    )
    missing = " ".join(
        name
        for name, there in (("counts", model.expansion), ("fleet", model.fleet.surveyed or None))
        if there is None
    )
    for name in names:
        for pollutant in POLLUTANTS:
            curve = model.curves[name, pollutant]
            central = curve.at(speed)
            ends = curve.interval(speed, low, high)
            rows = kept.with_columns(
                pl.lit(name).alias("emission_class"),
                pl.lit(pollutant).alias("pollutant"),
                pl.Series("emission_gkm", central),
                pl.Series("interval_low_gkm", ends[0]),
                pl.Series("interval_high_gkm", ends[1]),
                *_per_hour(windows, model, central, ends, share=model.fleet.shares.get(name, 1.0)),
                pl.lit(model.factor_set.identifier).alias("factor_set_id"),
                pl.lit(missing or None, dtype=pl.String).alias("missing"),
            )
            yield rows.select(CELL_EMISSIONS.columns)


def _per_hour(
    windows: pl.DataFrame,
    model: _Model,
    central: Numbers,
    ends: tuple[Numbers, Numbers],
    *,
    share: float,
) -> list[pl.Expr | pl.Series]:
    """Return g/h of a share of the traffic: null without counts, or where no way is known."""
    names = ("emission_gh", "interval_low_gh", "interval_high_gh")
    if model.expansion is None:
        return [pl.lit(None, dtype=pl.Float64).alias(name) for name in names]
    hours = windows["window_minutes"].to_numpy() / 60
    km_per_hour = windows["probe_km"].to_numpy() / hours * model.expansion.factor * share
    value = central * km_per_hour
    safe = np.maximum(central, 1e-12)
    # One factor for all hours: how far an hour may lie from it is part of its uncertainty.
    log_sd = np.hypot(model.expansion.log_sd, model.expansion.hour_log_sd)
    sds = [np.hypot(np.log(np.maximum(end, 1e-12) / safe), Z_90 * log_sd) for end in ends]
    arrays = (value, value * np.exp(-sds[0]), value * np.exp(sds[1]))
    return [
        pl.Series(name, array).fill_nan(None) for name, array in zip(names, arrays, strict=True)
    ]


def _count_clamped(windows: pl.DataFrame, model: _Model) -> int:
    speed = windows["space_mean_kmh"].to_numpy()
    outside = np.zeros(len(speed), dtype=bool)
    for (name, quantity), factor in model.factor_set.hot.items():
        if quantity == "nox" and model.fleet.shares.get(name, 0.0) > 0:
            outside |= clamped(factor, speed)
    return int(outside.sum())
