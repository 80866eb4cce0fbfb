"""Estimators that several measures share: quantiles and intervals of samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import polars as pl

_MANY = 200
"""From here on Student's t and the normal quantile differ by less than 0.5 %."""


def student_t(degrees: pl.Expr, level: float) -> pl.Expr:
    """Return Student's t of a two-sided interval; fractions of a degree are cut off.

    Parameters
    ----------
    degrees
        Degrees of freedom; below 1 counts as 1. [1]
    level
        Probability that the interval holds the value. [1], between 0 and 1

    Returns
    -------
    polars.Expr
        Quantile (1 + level) / 2. [1]; null where the degrees are null. From 200 degrees on that of
        200, less than 0.5 % above the normal quantile.
    """
    whole = degrees.cast(pl.Int64).clip(1, _MANY)
    return whole.replace_strict(_t_table(level), return_dtype=pl.Float64)


@cache
def _t_table(level: float) -> dict[int, float]:
    # Imported here because it takes most of a second, and most importers compare nothing.
    from scipy.stats import t  # noqa: PLC0415

    return {degrees: float(t.ppf((1 + level) / 2, degrees)) for degrees in range(1, _MANY + 1)}


def ratio_variance(
    ratio: pl.Expr,
    *,
    n: pl.Expr,
    distance_sq: pl.Expr,
    duration_sq: pl.Expr,
    product: pl.Expr,
    distance: pl.Expr,
) -> pl.Expr:
    r"""Return the squared standard error of a pace, clusters such as vehicles being the sample.

    Parameters
    ----------
    ratio
        The pace: sum of durations over sum of distances. [T/L]
    n
        Clusters. [1], at least 2; with one the result is infinite or not a number.
    distance_sq, duration_sq, product
        Sums over clusters of squared distance, squared time, and of their product. [L²], [T²], [LT]
    distance
        Sum over clusters. [L], above 0

    Notes
    -----
    .. math:: var(p) = \\frac{n}{n-1} \\sum_j (T_j - p D_j)^2 / D^2

    References
    ----------
    W. G. Cochran, "Sampling Techniques", 3rd ed., Wiley, 1977, chapter 6 (ratio estimator). There
    with n clusters drawn from N; here nobody knows N, so its correction is left out.
    """
    residual = duration_sq - 2 * ratio * product + ratio * ratio * distance_sq
    return n / (n - 1) * residual.clip(lower_bound=0) / (distance * distance)


def weighted_quantile(value: str, weight: str, quantile: float) -> pl.Expr:
    """Return a quantile of a column in which each row counts by its weight; linear between rows.

    Parameters
    ----------
    value, weight
        Columns; weights are whole and above 0, so that sums do not depend on the order of rows.
    quantile
        0 to 1. [1]

    Notes
    -----
    A row's position is the weight before it over the weight before the last one: with equal weights
    this is type 7 of Hyndman and Fan, numpy's default. One row is its own quantile; of none it is
    null.

    References
    ----------
    R. J. Hyndman and Y. Fan, "Sample quantiles in statistical packages", The American Statistician
    50, 1996, doi:10.1080/00031305.1996.10473566: type 7, there without weights.
    """
    ordered = pl.col(value).sort_by(value, weight)
    weights = pl.col(weight).sort_by(value, weight)
    before = weights.cum_sum() - weights
    position = before / before.max()
    last = pl.len().cast(pl.Int64) - 1
    reached = (position <= quantile).sum().cast(pl.Int64) - 1
    low = pl.max_horizontal(pl.min_horizontal(reached, last - 1), pl.lit(0, dtype=pl.Int64))
    high = pl.min_horizontal(low + 1, last)
    part = (quantile - position.get(low)) / (position.get(high) - position.get(low))
    inside = ordered.get(low) + part * (ordered.get(high) - ordered.get(low))
    return pl.when(pl.len() == 1).then(ordered.first()).otherwise(inside)


def weighted_quantiles(
    rows: pl.LazyFrame,
    key: Sequence[str],
    *,
    value: str,
    weight: str,
    quantiles: Mapping[str, float],
) -> pl.LazyFrame:
    """Return `weighted_quantile` of every group, for many groups.

    Parameters
    ----------
    rows
        The rows.
    key
        Columns of the groups.
    value, weight
        Columns; weights are whole and above 0, so that sums do not depend on the order of rows.
    quantiles
        Name of each new column and its quantile, from 0 to below 1. [1]

    Returns
    -------
    polars.LazyFrame
        One row per group: the key and the quantiles.

    Notes
    -----
    All groups are walked through once: a sort per group and quantile took ten times as long.
    """
    group = pl.col("group")
    before = pl.col(weight).cum_sum().over(group) - pl.col(weight)
    ordered = (
        rows.select(*key, value, weight)
        .sort(*key, value, weight)
        .with_columns(group=pl.struct(key).rle_id())
        .with_columns(before=before)
        .with_columns(position=pl.col("before") / pl.col("before").max().over(group))
        .with_columns(
            next_value=pl.col(value).shift(-1).over(group),
            next_position=pl.col("position").shift(-1).over(group),
        )
    )
    step = pl.col("next_position") - pl.col("position")
    rise = pl.col("next_value") - pl.col(value)

    def at(quantile: float) -> pl.Expr:
        reached = (pl.col("position") <= quantile) & (pl.col("next_position") > quantile)
        between = pl.col(value) + (quantile - pl.col("position")) / step * rise
        return (
            pl.when(pl.len() == 1)
            .then(pl.col(value).first())
            .otherwise(between.filter(reached).first())
        )

    return ordered.group_by(key).agg(**{name: at(each) for name, each in quantiles.items()})


def wilson_interval(share: pl.Expr, n: pl.Expr, z: float) -> tuple[pl.Expr, pl.Expr]:
    r"""Return both ends of the score interval of a share.

    Parameters
    ----------
    share
        Observed share. [1], 0 to 1
    n
        How many were observed. [1], above 0
    z
        Normal quantile of the level, such as 1.645 for 90 %. [1]

    Returns
    -------
    tuple of polars.Expr
        Low and high end. [1], 0 to 1; never of length 0, not even for a share of 0 or 1.

    Notes
    -----
    .. math:: \frac{p + z^2 / 2n \pm z \sqrt{p (1 - p) / n + z^2 / 4n^2}}{1 + z^2 / n}

    References
    ----------
    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of
    the American Statistical Association 22, 1927, doi:10.1080/01621459.1927.10502953.
    """
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = (share * (1 - share) / n + z * z / (4 * n * n)).sqrt() * z / (1 + z * z / n)
    return (middle - half).clip(0, 1), (middle + half).clip(0, 1)
