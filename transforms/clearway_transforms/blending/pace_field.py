"""How far paces of cells and windows stay together, learnt from the rows themselves.

All is kept as an array of cells by windows, so one build day and the day before it need the same
memory whatever lies before them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clearway_transforms.blending.evidence import Evidence, Floats, Ints, sums_by
from clearway_transforms.parameters import BlendParameters

_STRONGEST = 0.95
"""No correlation is believed to be higher. [1]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Windows of a build, counted since 1970.

    Parameters
    ----------
    first, recent
        First window of the day before, and how many there are from it on. [1]
    week
        Windows of a week. [1]
    """

    first: int
    recent: int
    week: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """Deviations of log pace from the levels above the cell, as cells by windows.

    Parameters
    ----------
    value, variance
        Deviation and its sampling variance; 0 and infinite where nobody was seen. [1]
    weight
        Weight in moments; 0 where nobody was seen. [1]
    day, day_variance
        Mean of the cell's windows that are not near, and its variance (infinite without any). [1]
    week, week_variance
        The same of the same hours of the same weekday in earlier weeks. [1]
    neighbours
        Per cell: the numbers of its six neighbours, -1 where there is none. [1]
    """

    value: Floats
    variance: Floats
    weight: Floats
    day: Floats
    day_variance: Floats
    week: Floats
    week_variance: Floats
    neighbours: Ints

    @property
    def seen(self) -> npt.NDArray[np.bool_]:
        """Return where there is own evidence."""
        return np.isfinite(self.variance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Covariance:
    """Variances of log pace around the levels above the cell, and how they fade.

    Parameters
    ----------
    lasting
        What a cell keeps over the windows. [1]
    weekly
        What it has in common with the same hour of earlier weeks, beyond that. [1]
    moving
        What fades from window to window. [1]
    window_correlation, ring_correlation
        Of the moving part: with the next window and with the next cell. [1]
    own
        What belongs to one cell and window alone. [1]
    """

    lasting: float
    weekly: float
    moving: float
    window_correlation: float
    ring_correlation: float
    own: float

    @property
    def total(self) -> float:
        """Return the variance of one cell and window."""
        return self.lasting + self.weekly + self.moving + self.own


def covariance(field: Field, parameters: BlendParameters) -> Covariance:
    """Return variances and correlations by moments of products.

    Parameters
    ----------
    field
        Deviations; their sampling errors in different cells and windows are independent, so only
        the product of one with itself has to be freed from noise.
    parameters
        Floor and distances of windows.
    """
    floor, near = parameters.floor, parameters.near_windows
    weighted = field.weight * field.value
    squares = field.weight**2
    noise = np.sum(squares * np.where(field.seen, field.variance, 0.0))
    at_once = _ratio(np.sum(weighted**2) - noise, np.sum(squares))
    next_one, after = (_lagged(field, lag, lag) for lag in (1, 2))
    far = _lagged(field, near + 2, parameters.far_windows)
    same_hour = _week_product(field)
    lasting = max(far, floor)
    total = max(at_once, next_one + floor, lasting + 2 * floor, same_hour + 2 * floor)
    weekly = max(same_hour - lasting, 0.0)
    fading = next_one - lasting
    kept = min(max((after - lasting) / fading, 0.1), _STRONGEST) if fading > 0 else 0.1
    moving = max(min(fading / kept, total - lasting - floor), floor)
    kept = min(max(fading / moving, 0.1), _STRONGEST)
    # Windows side by side share the hour of the week too: what that explains does not fade.
    moving = max(moving - weekly, floor)
    return Covariance(
        lasting=lasting,
        weekly=weekly,
        moving=moving,
        window_correlation=kept,
        ring_correlation=min(max(_ring_product(field, lasting) / (moving + weekly), 0.0), 0.9),
        own=max(total - lasting - weekly - moving, floor),
    )


def pair_shares(field: Field, covariance: Covariance, parameters: BlendParameters) -> Floats:
    """Return per cell and neighbour how much of the city's mean ring correlation the pair has.

    Parameters
    ----------
    field, covariance
        Deviations and what was learnt from all of them.
    parameters
        How many shared windows a pair needs to speak for itself.

    Returns
    -------
    numpy.ndarray
        0 to 1, cells by 6: neighbours across a river or beside a motorway lose their say. [1]
    """
    mean = _ring_product(field, covariance.lasting)
    if mean <= 0:
        return np.ones(field.neighbours.shape)
    change, weight = _change(field, covariance.lasting)
    typical = float(np.sum(weight)) / max(int(np.count_nonzero(weight)), 1)
    shares = np.ones(field.neighbours.shape)
    for place in range(field.neighbours.shape[1]):
        other = field.neighbours[:, place]
        has = other >= 0
        product = np.sum((change * weight)[has] * (change * weight)[other[has]], axis=1)
        common = np.sum(weight[has] * weight[other[has]], axis=1)
        pull = parameters.pair_windows * typical**2
        share = (product + pull * mean) / (common + pull) / mean
        shares[has, place] = np.clip(share, 0.0, 1.0)
    return shares


def build_field(
    evidence: Evidence,
    deviation: Floats,
    neighbours: Ints,
    *,
    span: Span,
    parameters: BlendParameters,
) -> Field:
    """Return the field of the recent windows.

    Parameters
    ----------
    evidence
        All rows, ordered by cell and window.
    deviation
        Of each row's log pace from what is expected. [1]
    neighbours
        Per cell, see `Field`.
    span
        Which windows are recent; rows of the same weekdays before are history only.
    parameters
        Widths.
    """
    shape = len(neighbours), span.recent
    recent = evidence.window >= span.first
    place = evidence.cell[recent], evidence.window[recent] - span.first
    values, variances = np.zeros(shape), np.full(shape, np.inf)
    values[place], variances[place] = deviation[recent], evidence.variance[recent]
    precision = 1 / (variances + parameters.working_variance)
    sums = precision, precision * values
    near = parameters.near_windows
    day, day_variance = _mean(
        *(np.sum(each, axis=1, keepdims=True) - _around(each, near) for each in sums)
    )
    old = ~recent
    column = (evidence.window[old] - span.first) % span.week
    used = column < span.recent
    flat = evidence.cell[old][used] * span.recent + column[used]
    weight = 1 / (evidence.variance[old][used] + parameters.working_variance)
    older = (
        sums_by(flat, each, shape[0] * shape[1]).reshape(shape)
        for each in (weight, weight * deviation[old][used])
    )
    week, week_variance = _mean(*(_around(each, near) for each in older))
    return Field(
        value=values,
        variance=variances,
        weight=precision,
        day=day,
        day_variance=day_variance,
        week=week,
        week_variance=week_variance,
        neighbours=neighbours,
    )


def _around(sums: Floats, near: int) -> Floats:
    """Return running totals of each window and those near it."""
    padded = np.pad(sums, ((0, 0), (near, near)))
    width = sums.shape[1]
    total = np.zeros_like(sums)
    for step in range(2 * near + 1):
        total += padded[:, step : step + width]
    return total


def _mean(weights: Floats, sums: Floats) -> tuple[Floats, Floats]:
    """Return means and variances; tiny weights are what rounding leaves of nothing."""
    some = weights > 1e-6  # noqa: PLR2004
    safe = np.where(some, weights, 1.0)
    return np.where(some, sums / safe, 0.0), np.where(some, 1 / safe, np.inf)


def _ratio(product: float, weight: float) -> float:
    return float(product / weight) if weight > 0 else 0.0


def _lagged(field: Field, shortest: int, longest: int) -> float:
    """Return the mean product of a cell's deviations that many windows apart."""
    width = field.value.shape[1]
    weighted = field.weight * field.value
    product = weight = 0.0
    for lag in range(shortest, min(longest, width - 1) + 1):
        product += float(np.sum(weighted[:, lag:] * weighted[:, : width - lag]))
        weight += float(np.sum(field.weight[:, lag:] * field.weight[:, : width - lag]))
    return _ratio(product, weight)


def _week_product(field: Field) -> float:
    """Return the mean product of deviations with those of the same hour in earlier weeks."""
    weight = field.weight * np.where(np.isfinite(field.week_variance), 1 / field.week_variance, 0.0)
    return _ratio(float(np.sum(weight * field.value * field.week)), float(np.sum(weight)))


def _change(field: Field, lasting: float) -> tuple[Floats, Floats]:
    """Return deviations from each cell's own usual, and their weights."""
    known = np.isfinite(field.day_variance) & field.seen
    believed = np.where(known, lasting / (lasting + np.where(known, field.day_variance, 0.0)), 0.0)
    return np.where(known, field.value - believed * field.day, 0.0), field.weight * known


def _ring_product(field: Field, lasting: float) -> float:
    """Return the mean product of the deviations of neighbours from their own usual."""
    change, weight = _change(field, lasting)
    product = total = 0.0
    for place in range(field.neighbours.shape[1]):
        other = field.neighbours[:, place]
        has = other >= 0
        product += float(np.sum((change * weight)[has] * (change * weight)[other[has]]))
        total += float(np.sum(weight[has] * weight[other[has]]))
    return _ratio(product, total)
