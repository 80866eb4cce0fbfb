"""Real cabs as if they were months: what each drove, fleets of some of them, times made longer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import polars_h3
from doubles import transforms_pings as pings

from clearway_core.calendar import Calendar, public_holidays
from clearway_transforms.comparison import panel
from clearway_transforms.congestion import cells
from clearway_transforms.jobs.vehicles import vehicle_travel_of
from clearway_transforms.parameters import congestion_parameters, reliability_parameters
from clearway_transforms.reliability import periods

DAYS = ("2008-05-21", "2008-05-22", "2008-05-24")
ZONE = "America/Los_Angeles"
RESOLUTION = 8


def vehicle_rows(data: Path, *, one_in: int = 1) -> pl.DataFrame:
    """Return what each cab drove per cell, local day and period; of one cab in so many."""
    parameters = congestion_parameters()
    fixes = pl.concat(pings.san_francisco(data, day) for day in DAYS)
    cabs = fixes["vehicle"].unique().sort().gather_every(one_in)
    raw = pings.as_gps_pings(fixes.filter(pl.col("vehicle").is_in(cabs.implode())))
    travel = pl.concat(
        vehicle_travel_of(raw, parameters, day=day, resolution=9)[0]
        for day in raw["observed_date"].unique().sort()
    )
    calendar = Calendar(public=public_holidays("US", "CA"))
    dates = [date.fromisoformat(day) for day in DAYS]
    days = periods.days_frame(calendar, dates[0], dates[-1])
    placed = periods.with_period(
        cells.count_queues(travel.lazy(), parameters),
        days,
        reliability_parameters(),
        time_zone=ZONE,
    )
    cell = polars_h3.cell_to_parent(pl.col("h3_cell"), RESOLUTION).cast(pl.UInt64)
    return (
        placed.with_columns(
            h3_cell=cell,
            day_kind=panel.day_kind(pl.col("day_type"), pl.col("day_tags")),
        )
        .filter(pl.col("duration_ms") > 0)
        .group_by("vehicle", "local_date", "day_kind", "period", "h3_cell")
        .agg(pl.col("distance_mm", "duration_ms", "n_pings").sum())
        .sort("vehicle", "local_date", "period", "h3_cell")
        .collect()
    )


def month(rows: pl.DataFrame, *, slower: float = 1.0) -> pl.LazyFrame:
    """Return the rows of some cabs as a month of ``period_travel``, with corridors."""
    time_ms = (pl.col("duration_ms") * slower).round().cast(pl.Int64)
    distance, duration = (pl.col("distance_mm") + 50) // 100, (pl.col("duration_ms") + 50) // 100
    seen = pl.col("vehicle").filter(pl.col("n_pings") > 0)
    summed = (
        rows.lazy()
        .with_columns(duration_ms=time_ms)
        .group_by("local_date", "day_kind", "period", "h3_cell")
        .agg(
            pl.col("distance_mm", "duration_ms").sum(),
            n_vehicles=seen.n_unique().cast(pl.Int64),
            distance_sq_dm2=(distance * distance).sum(),
            duration_sq_ds2=(duration * duration).sum(),
            distance_duration_dm_ds=(distance * duration).sum(),
        )
    )
    return summed.collect().lazy()


def halves(rows: pl.DataFrame, seed: int, *, share: float) -> Iterator[pl.DataFrame]:
    """Yield two fleets without a cab in common, each this share of all cabs."""
    vehicles = rows["vehicle"].unique().sort().to_numpy()
    order = np.random.default_rng(seed).permutation(vehicles)
    size = int(len(order) * share)
    for part in (order[:size], order[size : 2 * size]):
        yield rows.filter(pl.col("vehicle").is_in(part.tolist()))
