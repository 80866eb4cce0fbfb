"""How long and how predictable travel was, per cell, period and kind of day."""

from __future__ import annotations

import polars as pl

from clearway_transforms.congestion import speed as speeds
from clearway_transforms.congestion.indices import (
    SECONDS_PER_HOUR,
    speed_indices,
)
from clearway_transforms.estimators import weighted_quantiles
from clearway_transforms.parameters import CongestionParameters, ReliabilityParameters

SUMS = (
    "distance_mm",
    "duration_ms",
    "distance_sq_dm2",
    "duration_sq_ds2",
    "distance_duration_dm_ds",
    "top_vehicle_ms",
)
"""What is added up over the days of a span."""

KEY = ("period", "day_group", "h3_cell", "vehicle_class")
KM_PER_MILE = 1.609344

_OF_CELL = ["h3_cell", "vehicle_class"]
_LOTTR_ROWS = (
    ("morning_peak", "workday"),
    ("midday", "workday"),
    ("evening_peak", "workday"),
    ("daytime", "weekend"),
)
_TTTR_ROWS = (*_LOTTR_ROWS, ("overnight", "all"))
_PERCENTS = (50, 80, 95)


def pace_s_per_km(distance_mm: pl.Expr, duration_ms: pl.Expr) -> pl.Expr:
    """Return the time that a kilometre takes.

    Parameters
    ----------
    distance_mm, duration_ms
        Driven and taken. [mm], [ms]

    Returns
    -------
    polars.Expr
        Pace. [s/km]; null where no distance was driven.
    """
    return pl.when(distance_mm > 0).then(duration_ms / distance_mm * 1000)


def planning_time_index(pace_p95_s_per_km: pl.Expr, free_flow_kmh: pl.Expr) -> pl.Expr:
    """Return the 95th percentile of travel time over the free-flow travel time.

    Parameters
    ----------
    pace_p95_s_per_km
        95th percentile of pace. [s/km]
    free_flow_kmh
        Free-flow speed of the same cell. [km/h], above 0

    Returns
    -------
    polars.Expr
        Planning time index. [1]; below 1 where 19 of 20 windows are faster than free flow; null
        where either is null.

    References
    ----------
    Federal Highway Administration, "Travel time reliability: making it there on time, all the
    time", FHWA-HOP-06-070, 2006: planning time index. There of trips; here of windows of 15
    minutes, weighted by the distance driven in them.
    """
    return pace_p95_s_per_km * free_flow_kmh / SECONDS_PER_HOUR


def buffer_index(pace_p95_s_per_km: pl.Expr, space_mean_kmh: pl.Expr) -> pl.Expr:
    """Return the extra time that makes 19 of 20 trips arrive on time, over the mean time.

    Parameters
    ----------
    pace_p95_s_per_km
        95th percentile of pace. [s/km]
    space_mean_kmh
        Space-mean speed over all of the windows. [km/h]

    Returns
    -------
    polars.Expr
        Buffer index. [1], above -1; null where either is null.

    Notes
    -----
    The mean pace, each window weighted by the distance driven in it, is the inverse of the
    space-mean speed.

    References
    ----------
    As for `planning_time_index`: buffer time index.
    """
    return pace_p95_s_per_km * space_mean_kmh / SECONDS_PER_HOUR - 1


def phed_threshold_kmh(speed_limit_kmh: pl.Expr, parameters: ReliabilityParameters) -> pl.Expr:
    """Return the speed below which delay is excessive: 60 % of the limit, at least 20 mph [km/h].

    References
    ----------
    23 CFR 490.711 (United States), peak hour excessive delay.
    """
    return (speed_limit_kmh * parameters.phed_limit_share).clip(
        lower_bound=parameters.phed_floor_mph * KM_PER_MILE
    )


def excessive_delay_s(
    travel_time_s: pl.Expr,
    distance_km: pl.Expr,
    threshold_kmh: pl.Expr,
    parameters: ReliabilityParameters,
) -> pl.Expr:
    """Return the delay of a 15-minute bin against the threshold speed, from 0 to 900 s [s].

    References
    ----------
    23 CFR 490.711 (United States): travel time segment delay (RSD). Times volume and occupancy,
    over the population, it becomes annual hours per person; both need counts.
    """
    excess = travel_time_s - distance_km / threshold_kmh * SECONDS_PER_HOUR
    return excess.clip(0.0, parameters.phed_most_s)


def counting(windows: pl.LazyFrame, parameters: ReliabilityParameters) -> pl.LazyFrame:
    """Return the windows that show traffic: enough vehicles, and some way made by them."""
    enough = pl.col("n_vehicles") >= parameters.min_window_vehicles
    return windows.filter(enough & (pl.col("distance_mm") > 0))


def reliability(
    windows: pl.LazyFrame,
    period_travel: pl.LazyFrame,
    free_flow: pl.LazyFrame,
    *,
    parameters: ReliabilityParameters,
    speed_parameters: CongestionParameters,
) -> pl.LazyFrame:
    """Return the measures of every cell, class, period and kind of day of a span.

    Parameters
    ----------
    windows
        Windows of 15 minutes of the span from ``cell_travel``, placed by
        `clearway_transforms.reliability.periods.with_period`.
    period_travel
        Rows of the span, with ``day_group``.
    free_flow
        Rows at the resolution of the windows.
    parameters
        What the percentiles need.
    speed_parameters
        Interval level and floor.

    Returns
    -------
    polars.LazyFrame
        Columns of ``reliability`` but for resolution, span and clock. Cells in which nobody was
        seen have no row.

    Notes
    -----
    Means and indices of the mean rest on all travel of the span: distances and times are added up,
    and the vehicles of each day are the sample of the interval (pseudonyms turn daily, so a vehicle
    is another one on another day). Percentiles are those of the paces of windows of 15 minutes
    with at least two vehicles, each window weighted by the distance driven in it, linear between
    windows (type 7 with equal weights). By that weight their mean is distance over time again.
    """
    key = list(KEY)
    totals = (
        period_travel.group_by(key)
        .agg(
            *(pl.col(name).sum() for name in SUMS),
            pl.col("n_vehicles").max(),
            pl.col("n_providers").max(),
            vehicle_days=pl.col("n_vehicles").sum(),
        )
        .filter(pl.col("n_vehicles") > 0)
    )
    free = free_flow.select(*_OF_CELL, "free_flow_kmh", "free_flow_method")
    rows = (
        _with_speed(totals, speed_parameters)
        .join(_distribution(windows, parameters), on=key, how="left", validate="1:1")
        .join(free, on=_OF_CELL, how="left", validate="m:1")
        .with_columns(pl.col("n_days", "n_tagged_days", "n_windows").fill_null(0))
        .with_columns(evidence=_evidence(parameters))
    )
    return _with_verdicts(_with_indices(rows), parameters)


def _with_speed(totals: pl.LazyFrame, parameters: CongestionParameters) -> pl.LazyFrame:
    sampled = totals.with_columns(n_vehicles="vehicle_days", largest_day="n_vehicles")
    return (
        speeds.cell_speed(sampled, parameters)
        .with_columns(
            n_vehicles="largest_day",
            top_vehicle_share=pl.col("top_vehicle_ms") / pl.col("duration_ms"),
        )
        .drop("largest_day", "vehicle_days")
    )


def _distribution(windows: pl.LazyFrame, parameters: ReliabilityParameters) -> pl.LazyFrame:
    days, key = pl.col("local_date"), list(KEY)
    counted = counting(windows, parameters).with_columns(
        pace=pace_s_per_km(pl.col("distance_mm"), pl.col("duration_ms"))
    )
    evidence = counted.group_by(key).agg(
        n_days=days.n_unique().cast(pl.Int64),
        n_tagged_days=days.filter("tagged").n_unique().cast(pl.Int64),
        n_windows=pl.len().cast(pl.Int64),
    )
    paces = weighted_quantiles(
        counted,
        key,
        value="pace",
        weight="distance_mm",
        quantiles={f"pace_p{percent}_s_per_km": percent / 100 for percent in _PERCENTS},
    )
    return evidence.join(paces, on=key, how="inner", validate="1:1")


def _evidence(parameters: ReliabilityParameters) -> pl.Expr:
    often = pl.col("day_group").is_in(["workday", "all"])
    needed = pl.when(often).then(parameters.min_workdays).otherwise(parameters.min_rest_days)
    return (
        pl.when(pl.col("n_days") < needed)
        .then(pl.lit("few_days"))
        .when(pl.col("n_windows") < parameters.min_windows)
        .then(pl.lit("few_windows"))
        .when(pl.col("free_flow_kmh").is_null())
        .then(pl.lit("no_free_flow"))
        .otherwise(pl.lit("enough"))
    )


def _with_indices(rows: pl.LazyFrame) -> pl.LazyFrame:
    known = ~pl.col("evidence").is_in(["few_days", "few_windows"])
    paces = [f"pace_p{percent}_s_per_km" for percent in _PERCENTS]
    median, p80, p95 = (pl.col(name) for name in paces)
    indices = speed_indices()
    return rows.with_columns(pl.when(known).then(pl.col(paces))).with_columns(
        **indices,
        congestion_level_pct=100 * (indices["tti"] - 1),
        pti=planning_time_index(p95, pl.col("free_flow_kmh")),
        buffer_index=buffer_index(p95, pl.col("space_mean_kmh")),
        lottr=p80 / median,
        tttr=p95 / median,
    )


def _with_verdicts(rows: pl.LazyFrame, parameters: ReliabilityParameters) -> pl.LazyFrame:
    """Add what can only be said of a cell's periods together."""
    lottr = pl.col("lottr").filter(_among(_LOTTR_ROWS)).drop_nulls()
    tttr = pl.col("tttr").filter(_among(_TTTR_ROWS)).drop_nulls()
    cells = rows.group_by(_OF_CELL).agg(
        reliable=pl.when((lottr >= parameters.reliable_lottr).any())
        .then(statement=False)
        .when(lottr.len() == len(_LOTTR_ROWS))
        .then(statement=True),
        worst_tttr=pl.when(tttr.len() == len(_TTTR_ROWS)).then(tttr.max()),
    )
    return rows.join(cells, on=_OF_CELL, how="left", validate="m:1")


def _among(chosen: tuple[tuple[str, str], ...]) -> pl.Expr:
    return pl.any_horizontal(
        (pl.col("period") == period) & (pl.col("day_group") == group) for period, group in chosen
    )
