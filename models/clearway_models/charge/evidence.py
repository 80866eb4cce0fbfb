"""What was observed in a zone, period by period."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

GOOD_QUALITIES = ("A", "B")
"""Only these decide a price; C is filled in or thin, X is not usable."""

_MM_PER_KM = 1_000_000
_MS_PER_H = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodEvidence:
    """What was observed in one period, over the whole zone.

    Parameters
    ----------
    n_cells
        Cells with an observed window.
    n_good_cells
        Cells with enough windows of quality A or B.
    n_days
        Local days with an observed window.
    n_vehicles, n_providers
        Distinct ones, recounted; over several pseudonym epochs those of the largest, never the sum.
    vehicles_recounted
        Whether they were: without vehicle_travel, n_vehicles is the largest of any cell and window,
        which is a lower bound.
    quality_counts
        Windows by quality class.
    basis
        ``A+B`` if there are enough of those, else ``A+B+C``: then all it gives is indicative.
    pace_h_per_km, free_pace_h_per_km
        Time over distance, and the same at free flow, over the same windows; null without any.
        [h/km]
    pace_cv
        Relative standard error between vehicles and between days, whichever is larger. [1]
    distance_km_per_day
        Driven by probes in the zone on such a day. [km/d]
    withheld
        Why nothing of this period is shown, or empty.
    """

    period: str
    n_cells: int
    n_good_cells: int
    n_days: int
    n_vehicles: int
    n_providers: int
    vehicles_recounted: bool
    quality_counts: Mapping[str, int]
    basis: str
    pace_h_per_km: float | None
    free_pace_h_per_km: float | None
    pace_cv: float
    distance_km_per_day: float
    withheld: str = ""

    @property
    def paces(self) -> tuple[float, float] | None:
        """Pace now and at free flow [h/km], where the period may carry a number at all."""
        if self.withheld or self.pace_h_per_km is None or self.free_pace_h_per_km is None:
            return None
        return self.pace_h_per_km, self.free_pace_h_per_km


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneEvidence:
    """What was observed in a zone.

    Parameters
    ----------
    n_cells, n_driven_cells
        Cells of the zone, and those in which any vehicle was seen.
    n_days
        Local days with an observed window.
    first_window, last_window
        Start of the first and of the last window, ISO 8601 UTC; empty without any.
    free_flow_days
        Median look-back of the free-flow speeds of its cells. [d]
    free_flow_methods
        Methods of those, with the number of cells of each.
    periods
        By period.
    """

    n_cells: int
    n_driven_cells: int
    n_days: int
    first_window: str
    last_window: str
    free_flow_days: float
    free_flow_methods: Mapping[str, int]
    periods: tuple[PeriodEvidence, ...]


def usable_windows(windows: pl.LazyFrame) -> pl.LazyFrame:
    """Return the windows that were observed and are of quality A, B or C, with sums per window.

    Adds ``time_h``, ``distance_km`` (speed times time, so that the speed of every window is kept
    whichever estimator gave it) and ``free_time_h`` (null where there is no free-flow speed).
    """
    hours = pl.col("duration_ms") / _MS_PER_H
    distance = pl.col("space_mean_kmh") * hours
    return windows.filter(
        pl.col("source_class").eq("observed")
        & pl.col("quality").ne("X")
        & pl.col("space_mean_kmh").gt(0)
        & pl.col("duration_ms").gt(0)
    ).with_columns(
        hours.alias("time_h"),
        distance.alias("distance_km"),
        pl.when(pl.col("free_flow_kmh") > 0)
        .then(distance / pl.col("free_flow_kmh"))
        .alias("free_time_h"),
        pl.col("quality").is_in(list(GOOD_QUALITIES)).alias("good"),
    )


def period_sums(windows: pl.LazyFrame) -> pl.LazyFrame:
    """Return sums over the usable windows of each period, for all and for good windows alone."""
    known = pl.col("free_time_h").is_not_null()
    good = known & pl.col("good")
    return (
        windows.group_by("period")
        .agg(
            pl.col("h3_cell").n_unique().alias("n_cells"),
            pl.col("local_date").n_unique().alias("n_days"),
            *(pl.col("quality").eq(q).sum().alias(f"n_{q}") for q in ("A", "B", "C")),
            pl.col("n_vehicles").max().alias("most_vehicles"),
            pl.col("n_providers").max().alias("most_providers"),
            pl.col("distance_km").sum().alias("distance_km_total"),
            *(
                pl.col(column).filter(condition).sum().alias(f"{column}_{name}")
                for column in ("time_h", "distance_km", "free_time_h")
                for name, condition in (("all", known), ("good", good))
            ),
        )
        .sort("period")
    )


def good_cells(windows: pl.LazyFrame, min_windows: int) -> pl.LazyFrame:
    """Return how many cells have at least so many good windows in each period."""
    return (
        windows.filter(pl.col("good"))
        .group_by("period", "h3_cell")
        .len()
        .filter(pl.col("len") >= min_windows)
        .group_by("period")
        .agg(pl.len().alias("n_good_cells"))
        .sort("period")
    )


def vehicle_counts(vehicles: pl.LazyFrame) -> pl.LazyFrame:
    """Return distinct vehicles and providers per period, and the share of the largest vehicle.

    Pseudonyms change from epoch to epoch, so that the same cab counts once per epoch: the largest
    epoch is taken, never the sum.
    """
    per_vehicle = vehicles.group_by("period", "pseudonym_epoch", "provider", "vehicle").agg(
        pl.col("duration_ms").sum()
    )
    total = pl.col("duration_ms").sum().over("period")
    return (
        per_vehicle.with_columns((pl.col("duration_ms") / total).alias("share"))
        .group_by("period", "pseudonym_epoch")
        .agg(
            pl.len().alias("n_vehicles"),
            pl.col("provider").n_unique().alias("n_providers"),
            pl.col("share").max(),
        )
        .group_by("period")
        .agg(pl.col("n_vehicles", "n_providers").max(), pl.col("share").max().alias("top_share"))
        .sort("period")
    )


def pace_variation(frame: pl.LazyFrame, clusters: Sequence[str]) -> pl.LazyFrame:
    r"""Return the relative standard error of the mean pace per period, between clusters.

    Parameters
    ----------
    frame
        Has ``period``, ``time_h`` and ``distance_km``.
    clusters
        Columns that name a cluster: a vehicle, or a day.

    Notes
    -----
    The ratio estimator :math:`\hat p = \sum T_j / \sum D_j` has the variance
    :math:`\frac{n}{n-1} \sum (T_j - \hat p D_j)^2 / (\sum D_j)^2`. Null with one cluster, or where
    no time was driven. No correction for a finite population: which vehicles report is no sample of
    a known number.

    References
    ----------
    W. Cochran, "Sampling Techniques", 3rd edition, 1977, chapter 6.
    """
    per_cluster = frame.group_by("period", *clusters).agg(pl.col("time_h", "distance_km").sum())
    pace = pl.col("time_h").sum().over("period") / pl.col("distance_km").sum().over("period")
    rest = (pl.col("time_h") - pace * pl.col("distance_km")) ** 2
    n = pl.col("rest").len()
    return (
        per_cluster.with_columns(rest.alias("rest"))
        .group_by("period")
        .agg(
            pl.when((n > 1) & (pl.col("time_h").sum() > 0))
            .then((n / (n - 1) * pl.col("rest").sum()).sqrt() / pl.col("time_h").sum())
            .alias("cv")
        )
        .sort("period")
    )


def vehicle_sums(vehicles: pl.LazyFrame) -> pl.LazyFrame:
    """Return the vehicle rows with ``time_h`` and ``distance_km``."""
    return vehicles.with_columns(
        (pl.col("duration_ms") / _MS_PER_H).alias("time_h"),
        (pl.col("distance_mm") / _MM_PER_KM).alias("distance_km"),
    )
