"""An agency's own test drives beside the travel times of corridors, and whether they agree."""

from __future__ import annotations

import math

import polars as pl

from clearway_core.contracts.corridor_tables import CORRIDOR_STATUSES, WINDOW
from clearway_transforms.congestion.cells import ALL_CLASSES
from clearway_transforms.corridors.segment_sums import LINE
from clearway_transforms.estimators import student_t
from clearway_transforms.parameters import CorridorParameters, ReliabilityParameters
from clearway_transforms.reliability.periods import with_period

AGREE, DISAGREE, NOT_ENOUGH = "agree", "disagree", "not enough"

REASONS = ("few drives", "few probes", "too scattered")
"""Why there is not enough to say whether they agree."""

_GROUP = [*LINE, "period"]


def compare(  # noqa: PLR0913 -- two tables, a calendar and how to judge
    drives: pl.LazyFrame,
    times: pl.LazyFrame,
    days: pl.LazyFrame,
    *,
    time_zone: str,
    parameters: CorridorParameters,
    hours: ReliabilityParameters,
    interval_level: float,
) -> pl.LazyFrame:
    r"""Return per corridor, direction and period whether probes and test drives agree.

    Parameters
    ----------
    drives
        Test drives: corridor, direction, started_at (UTC), travel_time_min.
    times
        Rows of ``corridor_times`` of those days.
    days
        From `clearway_transforms.reliability.periods.days_frame`.
    time_zone
        IANA name of the city's clock.
    parameters
        Demands of the comparison.
    hours
        Hours at which periods begin.
    interval_level
        Probability that an interval holds the difference. [1]

    Returns
    -------
    polars.LazyFrame
        Key, ``n_drives``, ``n_compared``, ``probes_min`` and ``drives_min`` (means of the drives
        that were compared), ``difference`` (probes over drives, minus 1) with ``difference_low``
        and ``difference_high``, ``verdict`` and ``reason`` (one of `REASONS`, or null).

    Notes
    -----
    Each drive is paired with the observed window of 15 minutes that holds its middle, else with the
    hour. With :math:`r_i` the logarithm of the probes' over the drive's time and :math:`w_k` the
    share of drives that row k is paired with,

    .. math:: var(\\bar r) = s_r^2 / n + \\sum_k w_k^2 s_k^2

    where :math:`s_k` is the row's own standard error: drives that share a row share its error. The
    interval has Student's t for n - 1. They disagree where it leaves out 0 and the mean is above
    ``verify_tolerance``; where half the interval is wider than ``verify_widest`` nothing is said.
    """
    paired = _paired(
        drives, times, days, time_zone=time_zone, hours=hours, interval_level=interval_level
    )
    n, shared = pl.col("n_compared"), pl.col("shared_variance")
    own = pl.col("spread").fill_null(0.0).pow(2) / n
    reach = student_t(n - 1, interval_level) * (own + shared).sqrt()
    mean = pl.col("mean")
    return (
        _by_group(paired)
        .with_columns(reach=reach)
        .with_columns(
            difference=mean.exp() - 1,
            difference_low=(mean - pl.col("reach")).exp() - 1,
            difference_high=(mean + pl.col("reach")).exp() - 1,
            reason=_reason(parameters),
        )
        .with_columns(verdict=_verdict(parameters))
        .with_columns(
            pl.when(pl.col("verdict") == NOT_ENOUGH).then("reason"),
            *(
                pl.when(n >= 2).then(name)  # noqa: PLR2004 -- one drive has no spread
                for name in ("difference_low", "difference_high")
            ),
        )
        .drop("mean", "spread", "shared_variance", "reach")
        .sort(_GROUP)
    )


def _paired(
    drives: pl.LazyFrame,
    times: pl.LazyFrame,
    days: pl.LazyFrame,
    *,
    time_zone: str,
    hours: ReliabilityParameters,
    interval_level: float,
) -> pl.LazyFrame:
    """Return the drives with period, and with the observed row that each is compared with."""
    middle = pl.col("started_at") + pl.duration(seconds=pl.col("travel_time_min") * 30)
    local = pl.col("window_start").dt.convert_time_zone(time_zone)
    placed = with_period(
        drives.with_row_index("drive").with_columns(window_start=middle.dt.truncate("15m")),
        days,
        hours,
        time_zone=time_zone,
    ).with_columns(hour_start=local.dt.truncate("60m").dt.convert_time_zone("UTC"))
    quarters, full_hours = (_rows(times, minutes, interval_level) for minutes in (15, 60))
    short = placed.join(quarters, on=[*LINE, "window_start"], how="left", validate="m:1")
    long = full_hours.rename({"window_start": "hour_start"})
    found = short.join(
        long, on=[*LINE, "hour_start"], how="left", validate="m:1", suffix="_of_hour"
    )
    return found.with_columns(
        pl.coalesce(name, f"{name}_of_hour").alias(name) for name in ("probes_min", "error", "row")
    ).with_columns(ratio=(pl.col("probes_min") / pl.col("travel_time_min")).log())


def _rows(times: pl.LazyFrame, minutes: int, interval_level: float) -> pl.LazyFrame:
    """Return observed windows of a length with their standard error in the logarithm."""
    # The interval is symmetric in the logarithm, with Student's t for one less than vehicles.
    reach = (pl.col("interval_high_min") / pl.col("travel_time_min")).log()
    return times.filter(
        (pl.col("period") == WINDOW)
        & (pl.col("window_minutes") == minutes)
        & (pl.col("vehicle_class") == ALL_CLASSES)
        & (pl.col("status") == CORRIDOR_STATUSES[0])
    ).select(
        *LINE,
        "window_start",
        probes_min="travel_time_min",
        error=reach / student_t(pl.col("n_vehicles") - 1, interval_level),
        row=pl.concat_str(pl.lit(f"{minutes} "), pl.col("window_start").cast(pl.String)),
    )


def _by_group(paired: pl.LazyFrame) -> pl.LazyFrame:
    seen = pl.col("ratio").is_not_null()
    by_row = paired.group_by(*_GROUP, "row").agg(
        n=seen.sum().cast(pl.Int64), error=pl.col("error").first()
    )
    shared = by_row.group_by(_GROUP).agg(
        shared_variance=(
            (pl.col("n") / pl.col("n").sum()).pow(2) * pl.col("error").fill_null(0.0).pow(2)
        ).sum()
    )
    return (
        paired.sort("drive")
        .group_by(_GROUP)
        .agg(
            n_drives=pl.len().cast(pl.Int64),
            n_compared=seen.sum().cast(pl.Int64),
            probes_min=pl.col("probes_min").mean(),
            drives_min=pl.col("travel_time_min").filter(seen).mean(),
            mean=pl.col("ratio").mean(),
            spread=pl.col("ratio").std(),
        )
        .join(shared, on=_GROUP, how="left", validate="1:1")
    )


def _reason(parameters: CorridorParameters) -> pl.Expr:
    least = parameters.verify_min_drives
    return (
        pl.when(pl.col("n_drives") < least)
        .then(pl.lit(REASONS[0]))
        .when(pl.col("n_compared") < least)
        .then(pl.lit(REASONS[1]))
        .otherwise(pl.lit(REASONS[2]))
    )


def _verdict(parameters: CorridorParameters) -> pl.Expr:
    sure = pl.col("mean").abs() > pl.col("reach")
    matters = pl.col("mean").abs() > math.log1p(parameters.verify_tolerance)
    return (
        pl.when(pl.col("n_compared") < parameters.verify_min_drives)
        .then(pl.lit(NOT_ENOUGH))
        .when(sure & matters)
        .then(pl.lit(DISAGREE))
        .when(pl.col("reach") > math.log1p(parameters.verify_widest))
        .then(pl.lit(NOT_ENOUGH))
        .otherwise(pl.lit(AGREE))
    )
