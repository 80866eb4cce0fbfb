"""What a cell and window says about its own pace, and how to shrink that towards a prior."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Own evidence of rows in a fixed order.

    Parameters
    ----------
    log_pace
        Natural logarithm of pace. [ln(h/km)]
    variance
        Its sampling variance. [1]
    cell, window
        Number of the cell from 0, and of the window since 1970. [1]
    """

    log_pace: Floats
    variance: Floats
    cell: Ints
    window: Ints

    def where(self, wanted: npt.NDArray[np.bool_]) -> Evidence:
        """Return the rows of a mask."""
        return Evidence(**{field.name: getattr(self, field.name)[wanted] for field in fields(self)})


def shrink(
    own: Floats, prior: Floats, *, own_variance: Floats, prior_variance: Floats
) -> tuple[Floats, Floats, Floats]:
    r"""Return weight of own evidence, mean and standard deviation of the posterior.

    Parameters
    ----------
    own, prior
        Own value and prior mean. [ln]
    own_variance, prior_variance
        Variance of the one given the true value, and of the true value around the other. [1]

    Notes
    -----
    .. math:: w = \\tau^2 / (\\tau^2 + \\sigma^2/n), \\quad
        \\hat\\theta = w y + (1 - w) m, \\quad var = \\tau^2 (1 - w)

    References
    ----------
    R. E. Fay and R. A. Herriot, "Estimates of income for small places", Journal of the American
    Statistical Association 74, 1979, doi:10.1080/01621459.1979.10482505. There the prior mean is a
    regression on other variables; here it is what surroundings and history say.
    """
    weight = prior_variance / (prior_variance + own_variance)
    mean = prior + weight * (own - prior)
    return weight, mean, np.sqrt(prior_variance * (1 - weight))


def pace_variance(rows: pl.DataFrame, floor: float) -> Floats | None:
    """Return the sampling variance of each row's log pace, pooled over the rows.

    Parameters
    ----------
    rows
        Rows of ``cell_travel`` in a fixed order, each with at least one vehicle.
    floor
        Added to each. [1]

    Returns
    -------
    numpy.ndarray or None
        Variance between vehicles, pooled over all rows by degrees of freedom, over the number of
        vehicles that count (distances differ). [1] None if no row has two vehicles.

    Notes
    -----
    The variance found in a row of three vehicles is not used by itself: three that happened to
    agree would get a weight that their speed does not deserve, and outvote the prior.
    """
    vehicles = rows["n_vehicles"].to_numpy().astype(np.float64)
    distance = np.maximum(rows["distance_mm"].to_numpy() / 100, 1e-9)
    duration = rows["duration_ms"].to_numpy() / 100
    distance_sq = rows["distance_sq_dm2"].to_numpy() / distance**2
    duration_sq = rows["duration_sq_ds2"].to_numpy() / duration**2
    product = rows["distance_duration_dm_ds"].to_numpy() / (distance * duration)
    effective = np.clip(1 / np.maximum(distance_sq, 1e-12), 1, vehicles)
    several = (vehicles >= 2) & (rows["distance_mm"].to_numpy() > 0)  # noqa: PLR2004
    if not several.any():
        return None
    degrees = vehicles[several] - 1
    residual = np.maximum(duration_sq + distance_sq - 2 * product, 0)[several]
    between = residual * vehicles[several] / degrees * effective[several]
    pooled = np.sum(between * degrees) / np.sum(degrees)
    variance: Floats = pooled / effective + floor
    return variance


def sums_by(group: Ints, values: Floats, n_groups: int = 0) -> Floats:
    """Return the sum of values of each group, added in their order."""
    return np.bincount(group, values, n_groups).astype(np.float64)


def between_variance(values: Floats, variances: Floats, group: Ints) -> float:
    """Return the variance of true values around their group's mean, by moments; at least 0.

    Parameters
    ----------
    values, variances
        Estimates and their sampling variances. [ln], [1]
    group
        Number of each value's group, from 0. [1]

    References
    ----------
    R. DerSimonian and N. Laird, "Meta-analysis in clinical trials", Controlled Clinical Trials 7,
    1986, doi:10.1016/0197-2456(86)90046-2. There of one group of studies; here the moments of
    several groups are added up.
    """
    weight = 1 / variances
    total = sums_by(group, weight)
    used = total > 0
    mean = sums_by(group, weight * values)[used] / total[used]
    place = np.cumsum(used) - 1
    heterogeneity = np.sum(weight * (values - mean[place[group]]) ** 2)
    spare = len(values) - used.sum()
    squared = sums_by(group, weight**2)[used]
    scale = np.sum(total[used] - squared / total[used])
    return float(max((heterogeneity - spare) / scale, 0.0)) if scale > 0 else 0.0
