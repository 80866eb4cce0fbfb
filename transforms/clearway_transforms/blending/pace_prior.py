"""The best linear prediction of a cell's pace from everything but its own evidence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from clearway_transforms.blending.cell_grid import RING
from clearway_transforms.blending.evidence import Floats, Ints
from clearway_transforms.blending.pace_field import Covariance, Field

_TOGETHER = 8192
"""Rows solved at once; more would only need more memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """What all others say about each row.

    Parameters
    ----------
    mean, variance
        Deviation from the levels above the cell, and its variance. [1]
    history, adjacent, ring
        Weight of the cell's other windows, of its near windows, and of its neighbours. [1]
    """

    mean: Floats
    variance: Floats
    history: Floats
    adjacent: Floats
    ring: Floats


@dataclass(frozen=True, slots=True)
class _Slots:
    """Kinds of evidence around a target, the same for every target.

    Place 0 is the cell itself, 1 to 6 are its neighbours. A slot is the value of one window
    ``lag`` windows away, or a mean over the day or over the same hour of earlier weeks.
    """

    place: Ints
    lag: Ints
    kind: tuple[str, ...]

    def of(self, *kinds: str) -> Floats:
        return np.array([float(kind in kinds) for kind in self.kind])


def _slots(near: int) -> _Slots:
    lags = [lag for lag in range(-near, near + 1) if lag]
    own = [(0, lag, "window") for lag in lags] + [(0, 0, "day"), (0, 0, "week")]
    ring = [(place, 0, kind) for place in range(1, RING + 1) for kind in ("window", "day")]
    place, lag, kind = zip(*own, *ring, strict=True)
    return _Slots(np.array(place), np.array(lag), kind)


def predict(
    field: Field,
    covariance: Covariance,
    shares: Floats,
    *,
    targets: tuple[Ints, Ints],
    distances: Floats,
    near_windows: int,
) -> Prior:
    r"""Return the prior of each target.

    Parameters
    ----------
    field, covariance, shares
        Deviations, how they belong together, and what each pair of neighbours has of that.
    targets
        Cell and column of each target.
    distances
        Per cell: distances between it and its six neighbours in steps of the grid, 7 by 7. [1]
    near_windows
        Windows before and after that enter one by one.

    Notes
    -----
    Simple kriging: weights solve :math:`(C + N) \lambda = c` with the covariances C of the
    evidence, their sampling variances N and the covariances c with the target. What was not seen
    has no weight. Cost is that of one small system per target.

    References
    ----------
    N. Cressie, "Statistics for Spatial Data", Wiley, 1993, chapter 3.
    """
    slots = _slots(near_windows)
    parts = [
        _solve(field, covariance, _correlation(covariance, shares, distances, part[0]), slots, part)
        for part in _portions(targets)
    ]
    return Prior(
        **{
            each.name: np.concatenate([getattr(part, each.name) for part in parts])
            for each in fields(Prior)
        }
    )


def _portions(targets: tuple[Ints, Ints]) -> Iterator[tuple[Ints, Ints]]:
    for start in range(0, len(targets[0]), _TOGETHER):
        yield targets[0][start : start + _TOGETHER], targets[1][start : start + _TOGETHER]


def _correlation(covariance: Covariance, shares: Floats, distances: Floats, cell: Ints) -> Floats:
    """Return correlations of the moving part between a cell and its neighbours, 7 by 7."""
    scale = np.concatenate([np.ones((len(cell), 1)), shares[cell]], axis=1)
    ring = covariance.ring_correlation ** distances[cell]
    result: Floats = ring * scale[:, :, None] * scale[:, None, :]
    index = np.arange(RING + 1)
    result[:, index, index] = 1.0
    return result


def _solve(
    field: Field,
    covariance: Covariance,
    correlation: Floats,
    slots: _Slots,
    targets: tuple[Ints, Ints],
) -> Prior:
    window, repeats = slots.of("window"), slots.of("window", "week")
    value, noise = _evidence(field, slots, targets)
    same = (slots.place[:, None] == slots.place).astype(np.float64)
    fade = covariance.window_correlation ** np.abs(slots.lag[:, None] - slots.lag)
    steady = same * (covariance.lasting + covariance.weekly * np.outer(repeats, repeats))
    moving = covariance.moving * fade * np.outer(window, window)
    between = steady + moving * correlation[:, slots.place[:, None], slots.place]
    here = (slots.place == 0) * (covariance.lasting + covariance.weekly * repeats)
    recent = covariance.moving * covariance.window_correlation ** np.abs(slots.lag) * window
    to_target = here + recent * correlation[:, 0, slots.place]
    missing = np.isinf(noise)
    between[missing[:, :, None] | missing[:, None, :]] = 0.0
    index = np.arange(len(slots.kind))
    alone = np.where(missing, 1.0, noise + covariance.own * window)
    between[:, index, index] += alone
    to_target = np.where(missing, 0.0, to_target)
    weights = np.linalg.solve(between, to_target[:, :, None])[:, :, 0]
    explained = np.sum(weights * to_target, axis=1)
    size = np.abs(weights)
    own = slots.place == 0
    return Prior(
        mean=np.sum(weights * value, axis=1),
        variance=covariance.total - explained,
        history=np.sum(size * slots.of("day", "week") * own, axis=1),
        adjacent=np.sum(size * window * own, axis=1),
        ring=np.sum(size * window * ~own, axis=1),
    )


def _evidence(field: Field, slots: _Slots, targets: tuple[Ints, Ints]) -> tuple[Floats, Floats]:
    """Return value and sampling variance of every slot of every target; infinite if missing."""
    cell, column = targets
    width = field.value.shape[1]
    held = {
        "window": (field.value, field.variance),
        "day": (field.day, field.day_variance),
        "week": (field.week, field.week_variance),
    }
    value, noise = (
        np.zeros((len(cell), len(slots.kind))),
        np.full((len(cell), len(slots.kind)), np.inf),
    )
    for number, (place, lag, kind) in enumerate(
        zip(slots.place.tolist(), slots.lag.tolist(), slots.kind, strict=True)
    ):
        other = cell if place == 0 else field.neighbours[cell, place - 1]
        at = column + lag
        inside = (other >= 0) & (at >= 0) & (at < width)
        values, variances = held[kind]
        where = np.where(inside, other, 0), np.clip(at, 0, width - 1)
        value[:, number] = np.where(inside, values[where], 0.0)
        noise[:, number] = np.where(inside, variances[where], np.inf)
    return value, noise
