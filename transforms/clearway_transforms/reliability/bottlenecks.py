"""Recurring bottlenecks: cells that are congested at the same time on many comparable days.

What is congested once is no bottleneck; see `clearway_transforms.reliability.anomalies`.
"""

from __future__ import annotations

from statistics import NormalDist

import polars as pl

from clearway_transforms.congestion.cells import KMH_PER_MM_MS
from clearway_transforms.congestion.indices import congestion_index, speed_indices
from clearway_transforms.congestion.speed import space_mean_kmh
from clearway_transforms.estimators import wilson_interval
from clearway_transforms.parameters import CongestionParameters, ReliabilityParameters
from clearway_transforms.reliability.measures import counting
from clearway_transforms.travel.allocation import BASE_WINDOW_MINUTES

MS_PER_H = 3_600_000

_OF_CELL = ["h3_cell", "vehicle_class"]
_KEY = ["day_group", *_OF_CELL]
_AT_LEAST_TWICE = 2
"""What happened on one day does not recur."""

_MEASURES = (
    "congested_share",
    "congested_share_low",
    "congested_share_high",
    "space_mean_kmh",
    "tti",
    "congestion_index",
    "delay_s_per_km",
    "extra_h_per_day",
)


def with_congestion(
    windows: pl.LazyFrame, free_flow: pl.LazyFrame, parameters: ReliabilityParameters
) -> pl.LazyFrame:
    """Return the windows that count, each with its speed and whether it was congested.

    Parameters
    ----------
    windows
        Windows of 15 minutes placed by `clearway_transforms.reliability.periods.with_period`.
    free_flow
        Rows at their resolution; windows without a free-flow speed are left out.
    parameters
        ``congested_index`` and ``min_window_vehicles``.

    Returns
    -------
    polars.LazyFrame
        With ``space_mean_kmh``, ``free_flow_kmh`` and ``congested``.
    """
    free = free_flow.filter(pl.col("free_flow_kmh") > 0).select(*_OF_CELL, "free_flow_kmh")
    lost = congestion_index(pl.col("space_mean_kmh"), pl.col("free_flow_kmh"))
    return (
        counting(windows, parameters)
        .join(free, on=_OF_CELL, how="inner", validate="m:1")
        .with_columns(
            space_mean_kmh=space_mean_kmh(pl.col("distance_mm"), pl.col("duration_ms")),
        )
        .with_columns(congested=lost >= parameters.congested_index)
    )


def extra_ms(reference_kmh: pl.Expr) -> pl.Expr:
    """Return the time that vehicles lost against a speed, whole and at least 0 [ms].

    Whole numbers, so that sums do not depend on the order of rows.
    """
    lost = pl.col("duration_ms") - pl.col("distance_mm") * KMH_PER_MM_MS / reference_kmh
    return lost.clip(lower_bound=0).round().cast(pl.Int64)


def bottlenecks(
    windows: pl.LazyFrame,
    free_flow: pl.LazyFrame,
    *,
    parameters: ReliabilityParameters,
    speed_parameters: CongestionParameters,
) -> pl.LazyFrame:
    """Return the times of day at which cells are congested again and again, worst first.

    Parameters
    ----------
    windows
        Windows of 15 minutes of the span, placed by
        `clearway_transforms.reliability.periods.with_period`.
    free_flow
        Rows at their resolution.
    parameters
        What counts as congested, how often, and on how many days.
    speed_parameters
        Interval level.

    Returns
    -------
    polars.LazyFrame
        Columns of ``bottlenecks`` but for resolution, span and clock. Where too few days were
        observed the row says so and holds neither measures nor rank.

    Notes
    -----
    A time of day recurs in a cell if it was congested on at least half of the comparable days on
    which it was observed, and on two at least. Recurring times that follow each other are one
    bottleneck. They are ranked by the time that the probes lost against free flow per observed day;
    the probes are a sample, so the hours compare cells and do not count the traffic. The interval
    of the share takes days as the sample, those of the least observed time.
    """
    times = _times_of_day(with_congestion(windows, free_flow, parameters), parameters)
    z = NormalDist().inv_cdf((1 + speed_parameters.interval_level) / 2)
    rows = _joined(times).with_columns(_share(z)).with_columns(**speed_indices())
    known = pl.col("evidence") == "enough"
    return _ranked(rows).with_columns(pl.when(known).then(pl.col("rank", *_MEASURES)))


def _times_of_day(congested: pl.LazyFrame, parameters: ReliabilityParameters) -> pl.LazyFrame:
    """Return the recurring times of day of each cell, each 15 minutes long."""
    days = pl.col("local_date")
    lost = extra_ms(pl.col("free_flow_kmh"))
    times = congested.group_by(*_KEY, "period", "minute_of_day").agg(
        pl.col("distance_mm", "duration_ms", "top_vehicle_ms").sum(),
        pl.col("n_vehicles", "n_providers").max(),
        pl.col("free_flow_kmh").first(),
        n_days=days.n_unique().cast(pl.Int64),
        days_congested=days.filter("congested").n_unique().cast(pl.Int64),
        n_windows=pl.len().cast(pl.Int64),
        windows_congested=pl.col("congested").sum().cast(pl.Int64),
        extra_ms=lost.sum(),
    )
    often = pl.col("days_congested") >= parameters.recurring_share * pl.col("n_days")
    enough = pl.col("n_days") >= parameters.recurring_days
    return times.filter(often & (pl.col("days_congested") >= _AT_LEAST_TWICE)).with_columns(
        evidence=pl.when(enough).then(pl.lit("enough")).otherwise(pl.lit("few_days")),
        extra_us_per_day=pl.col("extra_ms") * 1000 // pl.col("n_days"),
    )


def _joined(times: pl.LazyFrame) -> pl.LazyFrame:
    """Return times of day that follow each other, with equal evidence, as one row."""
    key = [*_KEY, "evidence"]
    gap = pl.col("minute_of_day").diff().over(key) != BASE_WINDOW_MINUTES
    return (
        times.sort(*key, "minute_of_day")
        .with_columns(episode=gap.fill_null(value=True).cum_sum().over(key))
        .group_by(*key, "episode")
        .agg(
            pl.col("distance_mm", "duration_ms", "top_vehicle_ms").sum(),
            pl.col("n_vehicles", "n_providers").max(),
            pl.col("free_flow_kmh").first(),
            pl.col("n_days").min(),
            pl.col("n_windows", "windows_congested", "extra_us_per_day").sum(),
            period=pl.col("period").sort_by("minute_of_day").first(),
            start_minute=pl.col("minute_of_day").min().cast(pl.Int32),
            duration_minutes=(pl.len() * BASE_WINDOW_MINUTES).cast(pl.Int32),
        )
    )


def _share(z: float) -> list[pl.Expr]:
    share = pl.col("windows_congested") / pl.col("n_windows")
    low, high = wilson_interval(share, pl.col("n_days"), z)
    return [
        share.alias("congested_share"),
        low.alias("congested_share_low"),
        high.alias("congested_share_high"),
        (pl.col("extra_us_per_day") / 1000 / MS_PER_H).alias("extra_h_per_day"),
        (pl.col("top_vehicle_ms") / pl.col("duration_ms")).alias("top_vehicle_share"),
        space_mean_kmh(pl.col("distance_mm"), pl.col("duration_ms")).alias("space_mean_kmh"),
    ]


def _ranked(rows: pl.LazyFrame) -> pl.LazyFrame:
    among = ["evidence", "day_group", "vehicle_class"]
    order = [*among, "extra_us_per_day", "h3_cell", "start_minute"]
    return rows.sort(order, descending=[name == "extra_us_per_day" for name in order]).with_columns(
        rank=(pl.int_range(pl.len()).over(among) + 1).cast(pl.Int32)
    )
