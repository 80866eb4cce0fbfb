"""Windows in which a cell was congested and far slower than it usually is at that time of day."""

from __future__ import annotations

import polars as pl

from clearway_transforms.congestion import speed as speeds
from clearway_transforms.congestion.indices import SECONDS_PER_HOUR, travel_time_index
from clearway_transforms.parameters import CongestionParameters, ReliabilityParameters
from clearway_transforms.reliability.bottlenecks import MS_PER_H, extra_ms, with_congestion
from clearway_transforms.reliability.measures import counting, pace_s_per_km
from clearway_transforms.travel.allocation import BASE_WINDOW_MINUTES

MAD_TO_SD = 1.4826
"""Median absolute deviation to standard deviation, of a normal distribution."""

_COMPARED = ["h3_cell", "vehicle_class", "day_group", "minute_of_day"]
_ROW = ["h3_cell", "vehicle_class", "window_start"]


def anomalies(
    windows: pl.LazyFrame,
    before: pl.LazyFrame,
    free_flow: pl.LazyFrame,
    *,
    parameters: ReliabilityParameters,
    speed_parameters: CongestionParameters,
) -> pl.LazyFrame:
    r"""Return the unusual windows of one local day, worst first.

    Parameters
    ----------
    windows
        Windows of 15 minutes of that day, placed by
        `clearway_transforms.reliability.periods.with_period`.
    before
        The same of the days before it, as far as the look-back goes.
    free_flow
        Rows at their resolution.
    parameters
        What counts as congested and as unusual, and how many days that needs.
    speed_parameters
        For the error of the window's own pace.

    Returns
    -------
    polars.LazyFrame
        Columns of ``anomalies`` but for resolution and clock. Windows whose time of day was seen
        on too few comparable days have no row: nothing is known of what is usual there.

    Notes
    -----
    .. math:: z = (\ln p - m) / \sqrt{(1.4826 \, MAD)^2 + cv^2}

    with the pace p of the window, median m and median absolute deviation MAD of the logarithms of
    the usual paces, and the window's own coefficient of variation cv. Usual are the windows of the
    same cell and class on comparable days, at the same time of day and 15 minutes either way.
    Means and standard deviations would be pulled by the very days that are looked for.

    References
    ----------
    B. Iglewicz and D. C. Hoaglin, "How to detect and handle outliers", ASQC, 1993: modified
    z-score.
    """
    congested = speeds.cell_speed(
        with_congestion(windows, free_flow, parameters).filter("congested"), speed_parameters
    ).with_columns(log_pace=_log_pace())
    usual = _usual(congested, before, parameters)
    spread = ((pl.col("mad") * MAD_TO_SD).pow(2) + pl.col("cv").pow(2)).sqrt()
    found = (
        congested.join(usual, on=_ROW, how="inner", validate="1:1")
        .filter(pl.col("n_usual_days") >= parameters.anomaly_days)
        .with_columns(
            robust_z=(pl.col("log_pace") - pl.col("median")) / spread,
            usual_kmh=SECONDS_PER_HOUR / pl.col("median").exp(),
        )
        .filter(pl.col("robust_z") >= parameters.anomaly_z)
        .with_columns(extra_ms=extra_ms(pl.col("usual_kmh")))
    )
    order = ["vehicle_class", "extra_ms", "h3_cell", "window_start"]
    return found.sort(order, descending=[False, True, False, False]).with_columns(
        rank=(pl.int_range(pl.len()).over("vehicle_class") + 1).cast(pl.Int32),
        tti=travel_time_index(pl.col("space_mean_kmh"), pl.col("free_flow_kmh")),
        extra_h=pl.col("extra_ms") / MS_PER_H,
        top_vehicle_share=pl.col("top_vehicle_ms") / pl.col("duration_ms"),
    )


def _log_pace() -> pl.Expr:
    return pace_s_per_km(pl.col("distance_mm"), pl.col("duration_ms")).log()


def _usual(
    congested: pl.LazyFrame, before: pl.LazyFrame, parameters: ReliabilityParameters
) -> pl.LazyFrame:
    """Return median and spread of what was usual for each congested window."""
    reach = range(-parameters.anomaly_slots, parameters.anomaly_slots + 1)
    shifts = pl.LazyFrame(
        {"shift": [BASE_WINDOW_MINUTES * slot for slot in reach]}, schema={"shift": pl.Int32}
    )
    asked = (
        congested.select(*_ROW, "day_group", "minute_of_day")
        .join(shifts, how="cross")
        .with_columns(minute_of_day=pl.col("minute_of_day") + pl.col("shift"))
    )
    past = counting(before, parameters).select(*_COMPARED, "local_date", log_pace=_log_pace())
    pace = pl.col("log_pace")
    return (
        asked.join(past, on=_COMPARED, how="inner", validate="m:m")
        .group_by(_ROW)
        .agg(
            median=pace.median(),
            mad=(pace - pace.median()).abs().median(),
            n_usual_days=pl.col("local_date").n_unique().cast(pl.Int64),
            n_usual_windows=pl.len().cast(pl.Int64),
        )
    )
