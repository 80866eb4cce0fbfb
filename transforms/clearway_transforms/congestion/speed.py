"""Space-mean speed of a cell and window, how sure it is, and how good."""

from __future__ import annotations

import polars as pl

from clearway_transforms.congestion.cells import KMH_PER_MM_MS
from clearway_transforms.estimators import ratio_variance, student_t
from clearway_transforms.parameters import CongestionParameters

BLENDED = {
    "blended_kmh": pl.Float64,
    "blended_low_kmh": pl.Float64,
    "blended_high_kmh": pl.Float64,
    "shrink_weight": pl.Float64,
    "prior_source": pl.String,
}
"""Columns of ``cell_speed`` that `clearway_transforms.blending.blend` fills from other rows."""


def space_mean_kmh(distance_mm: pl.Expr, duration_ms: pl.Expr) -> pl.Expr:
    r"""Return the space-mean speed of Edie's generalised definitions.

    Parameters
    ----------
    distance_mm, duration_ms
        Distance driven and time taken by all vehicles in the region. [mm], [ms], 0 or more

    Returns
    -------
    polars.Expr
        Speed. [km/h], 0 where nobody got anywhere; null where there is no time.

    Notes
    -----
    .. math:: v = d(A) / t(A) = \\sum D_j / \\sum T_j

    Never the arithmetic mean of speeds: slow vehicles spend longer in the region.

    References
    ----------
    L. C. Edie, "Discussion of traffic stream measurements and definitions", Proc. 2nd Int. Symp.
    on the Theory of Traffic Flow, 1963: generalised definitions. There the region is a rectangle of
    road and time; here it is a hexagon and a window, whatever roads run through it.
    """
    return pl.when(duration_ms > 0).then(distance_mm / duration_ms * KMH_PER_MM_MS)


def pace_cv(
    *,
    n_vehicles: pl.Expr,
    distance_sq: pl.Expr,
    duration_sq: pl.Expr,
    product: pl.Expr,
    distance: pl.Expr,
    duration: pl.Expr,
) -> pl.Expr:
    r"""Return the coefficient of variation of the cell's pace, vehicles being the sample.

    Parameters
    ----------
    n_vehicles
        Distinct vehicles. [1]
    distance_sq, duration_sq, product
        Sums over vehicles of squared distance, squared time, and of their product. [L²], [T²], [LT]
    distance, duration
        Sums over vehicles in the same units. [L], [T]

    Returns
    -------
    polars.Expr
        Standard error of the pace over the pace. [1]; null below two vehicles or without distance.

    Notes
    -----
    `clearway_transforms.estimators.ratio_variance` with the vehicle as the cluster, as fixes of one
    vehicle are not independent.
    """
    pace = duration / distance
    variance = ratio_variance(
        pace,
        n=n_vehicles,
        distance_sq=distance_sq,
        duration_sq=duration_sq,
        product=product,
        distance=distance,
    )
    return pl.when((n_vehicles >= 2) & (distance > 0)).then(variance.sqrt() / pace)  # noqa: PLR2004


def cell_speed(cell_travel: pl.LazyFrame, parameters: CongestionParameters) -> pl.LazyFrame:
    """Return speed, interval and quality of each row.

    Parameters
    ----------
    cell_travel
        Rows of ``cell_travel``.
    parameters
        Interval level, floor and class limits.

    Returns
    -------
    polars.LazyFrame
        The key columns and the columns of ``cell_speed``. With fewer than two vehicles, or
        without distance, there is no interval and the class is X. Without any, the value comes from
        straight lines between fixes elsewhere, and ``source_class`` is ``modelled``. The columns of
        `BLENDED` are null.

    Notes
    -----
    The interval is symmetric in the logarithm of pace. The variance between vehicles is that of
    the row, as if ``typical_vehicles`` more had been seen that differ as vehicles usually do: the
    variance of three is hardly known, and Student's t for two degrees of freedom would make of
    that an interval that is right much more often than it claims (Smyth 2004). Its upper end is at
    most ``max_speed_kmh``, since faster fixes were taken out. Classes go by the row's own
    coefficient of variation with a floor: at traffic lights the mean of ever more vehicles does
    not get ever better.

    References
    ----------
    G. K. Smyth, "Linear models and empirical Bayes methods for assessing differential expression",
    Statistical Applications in Genetics and Molecular Biology 3, 2004, doi:10.2202/1544-6115.1027:
    moderated variance. There both constants are fitted to the data at hand; here they are
    parameters with a source, so that a row's interval does not depend on which others there are.
    """
    speed = space_mean_kmh(pl.col("distance_mm"), pl.col("duration_ms"))
    # A share of a leg of a few milliseconds is rounded to whole millimetres, up to 2 % too fast.
    speed = speed.clip(upper_bound=parameters.max_speed_kmh)
    cv = pace_cv(
        n_vehicles=pl.col("n_vehicles"),
        distance_sq=pl.col("distance_sq_dm2"),
        duration_sq=pl.col("duration_sq_ds2"),
        product=pl.col("distance_duration_dm_ds"),
        distance=pl.col("distance_mm") / 100,
        duration=pl.col("duration_ms") / 100,
    )
    factor = _half_width(cv, parameters).exp()
    mean = pl.col("space_mean_kmh")
    return cell_travel.with_columns(
        space_mean_kmh=speed, cv=(cv * cv + parameters.cv_floor**2).sqrt()
    ).with_columns(
        interval_low_kmh=mean / factor,
        interval_high_kmh=pl.when(pl.col("cv").is_not_null()).then(
            pl.max_horizontal(mean, (mean * factor).clip(upper_bound=parameters.max_speed_kmh))
        ),
        quality=_quality(parameters),
        source_class=pl.when(pl.col("n_vehicles") > 0)
        .then(pl.lit("observed"))
        .otherwise(pl.lit("modelled")),
        **{name: pl.lit(None, dtype=dtype) for name, dtype in BLENDED.items()},
    )


def _half_width(cv: pl.Expr, parameters: CongestionParameters) -> pl.Expr:
    """Return half the interval's width in log pace; null without coefficient of variation."""
    vehicles, distance = pl.col("n_vehicles"), pl.col("distance_mm") / 100
    effective = (distance * distance / pl.col("distance_sq_dm2")).clip(1, vehicles)
    known, own = parameters.typical_vehicles, vehicles - 1
    typical = parameters.typical_vehicle_cv**2 / effective
    variance = (own * cv * cv + known * typical) / (own + known) + parameters.interval_cv_floor**2
    return student_t(own + known, parameters.interval_level) * variance.sqrt()


def _quality(parameters: CongestionParameters) -> pl.Expr:
    vehicles, cv = pl.col("n_vehicles"), pl.col("cv")
    return (
        pl.when(cv.is_null())
        .then(pl.lit("X"))
        .when((vehicles >= parameters.quality_a_vehicles) & (cv <= parameters.quality_a_cv))
        .then(pl.lit("A"))
        .when((vehicles >= parameters.quality_b_vehicles) & (cv <= parameters.quality_b_cv))
        .then(pl.lit("B"))
        .otherwise(pl.lit("C"))
    )
