"""A calendar month, and what its rows add up to for a report."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from clearway_core.errors import UsageError
from clearway_transforms.congestion.cells import ALL_CLASSES, KMH_PER_MM_MS
from clearway_transforms.estimators import student_t
from clearway_transforms.parameters import ComparisonParameters
from clearway_transforms.reliability.periods import group_of

_LEVEL = 0.90
"""Of the intervals of ``corridor_times``, from which the month's are made."""

_KEY = ["corridor", "direction", "day_group", "period"]

_DECIMALS = 9
"""Sums of floating-point numbers depend on their order beyond this."""


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A month of the city's calendar.

    Parameters
    ----------
    year, number
        Such as 2008 and 5.
    """

    year: int
    number: int

    @property
    def first(self) -> date:
        """Its first day."""
        return date(self.year, self.number, 1)

    @property
    def last(self) -> date:
        """Its last day."""
        return date(self.year, self.number, self.n_days)

    @property
    def n_days(self) -> int:
        """How many days it has."""
        return calendar.monthrange(self.year, self.number)[1]

    @property
    def previous(self) -> Month:
        """The month before."""
        before = self.first - timedelta(days=1)
        return Month(before.year, before.month)

    @property
    def year_before(self) -> Month:
        """The same month of the year before."""
        return Month(self.year - 1, self.number)

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.number:02d}"


def month_of(text: str) -> Month:
    """Return the month of a text such as 2008-05.

    Raises
    ------
    UsageError
        If the text names no month.
    """
    match = re.fullmatch(r"(\d{4})-(0[1-9]|1[0-2])", text)
    if match is None or match[1] == "0000":
        message = f"a month is a year and a month such as 2008-05, got {text!r}"
        raise UsageError(message)
    return Month(int(match[1]), int(match[2]))


def city_by_period(period_travel: pl.LazyFrame, released: pl.LazyFrame) -> pl.LazyFrame:
    """Return speed and travel time index of the whole city per kind of day and period.

    Parameters
    ----------
    period_travel
        Rows of one month and resolution.
    released
        Rows of ``reliability`` of that month and resolution that may be published: only their
        cells count, so that the figure is that of the cells shown.

    Returns
    -------
    polars.LazyFrame
        Per day_group and period, sorted: ``space_mean_kmh`` (distance over time), ``tti`` (time
        over the time at free flow), ``n_cells``, ``n_days`` and ``n_vehicles`` (of the cell
        and day with most, rounded down as in ``released``).
    """
    key = ["h3_cell", "period", "day_group"]
    shown = released.filter(pl.col("free_flow_kmh") > 0).select(
        *key, "free_flow_kmh", public_vehicles="n_vehicles"
    )
    cells = (
        period_travel.filter(pl.col("vehicle_class") == ALL_CLASSES)
        .with_columns(day_group=group_of())
        .join(shown, on=key, how="inner", validate="m:1")
        .group_by(*key, "free_flow_kmh", "public_vehicles")
        .agg(
            pl.col("distance_mm", "duration_ms").sum(),
            days=pl.col("local_date").unique(),
        )
        .sort(key)
    )
    free_ms = (pl.col("distance_mm") / pl.col("free_flow_kmh") * KMH_PER_MM_MS).sum()
    time_ms = pl.col("duration_ms").sum()
    return (
        cells.group_by("day_group", "period", maintain_order=True)
        .agg(
            space_mean_kmh=(pl.col("distance_mm").sum() / time_ms * KMH_PER_MM_MS).round(_DECIMALS),
            tti=(time_ms / free_ms).clip(lower_bound=1.0).round(_DECIMALS),
            n_cells=pl.len().cast(pl.Int64),
            n_days=pl.col("days").list.explode().n_unique().cast(pl.Int64),
            n_vehicles=pl.col("public_vehicles").max(),
        )
        .sort("day_group", "period")
    )


def corridor_month(
    days: pl.LazyFrame, hours: pl.LazyFrame, parameters: ComparisonParameters
) -> pl.LazyFrame:
    """Return the month's travel times per corridor, direction, kind of day and period.

    Parameters
    ----------
    days
        Rows of ``corridor_times`` per period of a local day that may be published, with
        ``day_group``.
    hours
        Rows of windows of 60 minutes that may be published, with ``day_group`` and the ``period``
        that the hour lies in.
    parameters
        ``min_hours`` for percentiles.

    Returns
    -------
    polars.LazyFrame
        Sorted: ``travel_time_min`` (mean over the days, each counting once) with 90 % interval,
        ``free_flow_min``, ``tti``, ``p95_min``, ``pti``, ``buffer_index``,
        ``observed_length_share`` (mean), ``n_days`` observed, ``n_vehicles`` (of the largest day),
        ``n_hours``. Without an observed day the times are
        null.

    Notes
    -----
    The interval holds the larger of two variances of the mean: that between the days, and that
    of the days' own intervals. One day alone keeps its own interval.
    """
    mean, free = pl.col("mean"), pl.col("free_flow_min")
    t = student_t(pl.col("n_days") - 1, _LEVEL)
    half = pl.max_horizontal(t * pl.col("between").sqrt(), "own_half")
    enough = pl.col("n_hours") >= parameters.min_hours
    figures = {
        "travel_time_min": mean,
        "interval_low_min": (mean - pl.col("half")).clip(0),
        "interval_high_min": mean + pl.col("half"),
        "free_flow_min": free,
        "tti": (mean / free).clip(1.0),
        "p95_min": pl.col("p95_min"),
        "pti": pl.col("p95_min") / free,
        "buffer_index": pl.col("p95_min") / mean - 1,
        "observed_length_share": pl.col("observed_length_share"),
    }
    return (
        _over_days(days)
        .join(_over_hours(hours), on=_KEY, how="left", validate="1:1")
        .with_columns(half=half, p95_min=pl.when(enough).then(pl.col("p95")))
        .select(
            *_KEY,
            "length_m",
            *(figure.round(_DECIMALS).alias(name) for name, figure in figures.items()),
            "n_days",
            "n_vehicles",
            pl.col("n_hours").fill_null(0),
        )
        .sort(_KEY)
    )


def _observed() -> pl.Expr:
    return (pl.col("status") == "observed") & pl.col("travel_time_min").is_not_null()


def _over_days(days: pl.LazyFrame) -> pl.LazyFrame:
    """Return means over the observed days, and both variances of the mean travel time."""
    observed = _observed()
    time = pl.col("travel_time_min").filter(observed)
    own = ((pl.col("interval_high_min") - pl.col("interval_low_min")).filter(observed) / 2) ** 2
    n = observed.sum().cast(pl.Int64)
    return (
        days.sort(*_KEY, "local_date")
        .group_by(_KEY, maintain_order=True)
        .agg(
            mean=time.mean(),
            between=time.var() / n,
            own_half=own.sum().sqrt() / n,
            free_flow_min=pl.col("free_flow_min").filter(observed).mean(),
            observed_length_share=pl.col("observed_length_share").filter(observed).mean(),
            length_m=pl.col("length_m").max(),
            n_days=n,
            n_vehicles=pl.col("n_vehicles").filter(observed).max(),
        )
    )


def _over_hours(hours: pl.LazyFrame) -> pl.LazyFrame:
    """Return the 95th percentile of the observed hours, and how many there are."""
    return (
        hours.filter(_observed())
        .group_by(_KEY)
        .agg(
            p95=pl.col("travel_time_min").quantile(0.95, "linear"),
            n_hours=pl.len().cast(pl.Int64),
        )
    )
