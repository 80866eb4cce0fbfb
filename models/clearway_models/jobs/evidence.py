"""Collects what was observed in a zone, period by period."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from clearway_core.calendar import Calendar
from clearway_core.lake import Lake
from clearway_models import lake as tables
from clearway_models.charge.evidence import (
    PeriodEvidence,
    ZoneEvidence,
    good_cells,
    pace_variation,
    period_sums,
    usable_windows,
    vehicle_counts,
    vehicle_sums,
)
from clearway_models.charge.parameters import ChargeParameters
from clearway_models.charge.periods import with_period
from clearway_models.charge.zone import Zone

_SECONDS_PER_DAY = 86_400

_Rows = Mapping[str, Mapping[str, float]]


def gather_evidence(
    lake: Lake,
    zone: Zone,
    *,
    grid: tables.Grid,
    version: int | None,
    calendar: Calendar,
    parameters: ChargeParameters,
) -> ZoneEvidence:
    """Return what was observed in a zone.

    Parameters
    ----------
    lake
        Lake with congestion, cell_travel, vehicle_travel and free_flow.
    zone
        Its cells are of the grid's resolution.
    grid
        Which build of the tables to read.
    version
        Version of the congestion table; None for the newest.
    calendar
        Clock, holidays and days of rest.
    parameters
        Periods and limits.
    """
    cells, periods = zone.cells, parameters.periods
    rows = tables.zone_windows(lake, cells, grid, version=version)
    windows = usable_windows(with_period(rows, periods, calendar)).collect().lazy()
    driven = with_period(tables.zone_vehicles(lake, cells, grid), periods, calendar)
    observed = windows.select("h3_cell", "window_start")
    seen = driven.join(observed, on=["h3_cell", "window_start"], how="semi")
    found = _sums(windows, vehicle_sums(seen).collect().lazy(), parameters)
    whole = windows.select(
        pl.col("h3_cell").n_unique().alias("n_cells"),
        pl.col("local_date").n_unique().alias("n_days"),
        pl.col("window_start").min().alias("first"),
        pl.col("window_start").max().alias("last"),
    ).collect().row(0, named=True)  # fmt: skip
    look_back, methods = _free_flow(lake, zone, grid, windows)
    return ZoneEvidence(
        n_cells=len(cells),
        n_driven_cells=whole["n_cells"],
        n_days=whole["n_days"],
        first_window=whole["first"].isoformat() if whole["first"] else "",
        last_window=whole["last"].isoformat() if whole["last"] else "",
        free_flow_days=look_back,
        free_flow_methods=methods,
        periods=tuple(
            _period(period.name, found, n_driven=whole["n_cells"], parameters=parameters)
            for period in periods
        ),
    )


def _sums(
    windows: pl.LazyFrame, vehicles: pl.LazyFrame, parameters: ChargeParameters
) -> dict[str, _Rows]:
    least = int(parameters.evidence["min_good_windows"].value)
    return {
        "sums": _by_period(period_sums(windows)),
        "good": _by_period(good_cells(windows, least)),
        "vehicles": _by_period(vehicle_counts(vehicles)),
        "between_vehicles": _by_period(
            pace_variation(vehicles, ("pseudonym_epoch", "provider", "vehicle"))
        ),
        "between_days": _by_period(pace_variation(windows, ("local_date",))),
    }


def _by_period(frame: pl.LazyFrame) -> _Rows:
    return {row["period"]: row for row in frame.collect().iter_rows(named=True)}


def _period(
    name: str, found: Mapping[str, _Rows], *, n_driven: int, parameters: ChargeParameters
) -> PeriodEvidence:
    sums = found["sums"].get(name, {})
    n_good = int(found["good"].get(name, {}).get("n_good_cells", 0))
    enough = n_driven > 0 and n_good >= parameters.evidence["min_good_share"].value * n_driven
    part = "good" if enough else "all"
    distance = sums.get(f"distance_km_{part}", 0.0)
    time, free = sums.get(f"time_h_{part}", 0.0), sums.get(f"free_time_h_{part}", 0.0)
    vehicles = found["vehicles"].get(name)
    n_vehicles = int((vehicles or {}).get("n_vehicles", sums.get("most_vehicles", 0)))
    top_share = None if vehicles is None else vehicles["top_share"]
    n_days = int(sums.get("n_days", 0))
    spread = [
        found[kind].get(name, {}).get("cv") or 0.0 for kind in ("between_vehicles", "between_days")
    ]
    return PeriodEvidence(
        period=name,
        n_cells=int(sums.get("n_cells", 0)),
        n_good_cells=n_good,
        n_days=n_days,
        n_vehicles=n_vehicles,
        n_providers=int((vehicles or {}).get("n_providers", sums.get("most_providers", 0))),
        vehicles_recounted=vehicles is not None,
        quality_counts={quality: int(sums.get(f"n_{quality}", 0)) for quality in ("A", "B", "C")},
        basis="A+B" if enough else "A+B+C",
        pace_h_per_km=time / distance if distance > 0 else None,
        free_pace_h_per_km=free / distance if distance > 0 else None,
        pace_cv=max(*spread, parameters.congestion["speed_cv_floor"].value),
        distance_km_per_day=sums.get("distance_km_total", 0.0) / n_days if n_days else 0.0,
        withheld=_withheld(n_vehicles, top_share, parameters) if sums else "",
    )


def _withheld(n_vehicles: int, top_share: float | None, parameters: ChargeParameters) -> str:
    """Return why the numbers of a period would point at single vehicles; empty if they do not."""
    least = parameters.release["min_vehicles"].value
    if n_vehicles < least:
        return f"fewer than {least:.0f} distinct vehicles"
    most = parameters.release["max_vehicle_share"].value
    if top_share is not None and top_share > most:
        return f"one vehicle makes up more than {most:.0%} of the time"
    return ""


def _free_flow(
    lake: Lake, zone: Zone, grid: tables.Grid, windows: pl.LazyFrame
) -> tuple[float, dict[str, int]]:
    """Return the median look-back [d] of the cells' free flow, and how many cells each method."""
    span = (pl.col("look_back_end") - pl.col("look_back_start")).dt.total_seconds()
    days = (
        tables.zone_free_flow(lake, zone.cells, grid)
        .select((span / _SECONDS_PER_DAY).median())
        .collect()
        .item()
    )
    methods = (
        windows.filter(pl.col("free_flow_method").is_not_null())
        .group_by("free_flow_method")
        .agg(pl.col("h3_cell").n_unique().alias("n_cells"))
        .sort("free_flow_method")
        .collect()
    )
    return float(days or 0.0), dict(methods.iter_rows())
