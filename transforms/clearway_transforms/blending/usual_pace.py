"""What pace is usual: of the city at that time, and of the part of the city."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clearway_transforms.blending.evidence import Evidence, Floats, Ints, between_variance, sums_by

_ROUNDS = 8
"""Alternating fits of times and cells; what is left to gain then is far below the noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsualPace:
    """Levels above the cell.

    Parameters
    ----------
    expected
        Per row: city at that time and part of the city together. [ln(h/km)]
    parent_share
        Per cell: how much of the part of the city's own level was believed, 0 to 1. [1]
    """

    expected: Floats
    parent_share: Floats


def usual_pace(evidence: Evidence, parent: Ints, *, working: float, floor: float) -> UsualPace:
    """Return the expected log pace of each row from the levels above its cell.

    Parameters
    ----------
    evidence
        All rows.
    parent
        Number of each cell's parent. [1]
    working, floor
        Variance between windows that weights rows, and smallest variance of a level. [1]

    Notes
    -----
    City by time and cells are fitted alternately, so that a window in which only slow streets were
    seen is not a slow window. Times, then parents, are shrunk to the mean of all by their own
    variance (DerSimonian and Laird).
    """
    weight = 1 / (evidence.variance + working)
    cell, window = evidence.cell, evidence.window - evidence.window.min()
    of_cell = np.zeros(len(parent))
    per_cell = sums_by(cell, weight, len(parent))
    per_window = sums_by(window, weight)
    at_time = np.zeros(len(per_window))
    seen = per_window > 0
    for _ in range(_ROUNDS):
        rest = sums_by(window, weight * (evidence.log_pace - of_cell[cell]))
        at_time = _shrunk(rest, per_window, floor)
        of_cell = sums_by(cell, weight * (evidence.log_pace - at_time[window]), len(parent))
        of_cell = of_cell / per_cell
        level = np.sum(weight * of_cell[cell]) / np.sum(weight)
        of_cell, at_time = of_cell - level, np.where(seen, at_time + level, 0.0)
    of_parent, share = _parents(of_cell, 1 / per_cell, parent, floor)
    expected = at_time[window] + of_parent[parent][cell]
    return UsualPace(expected=expected, parent_share=share[parent])


def _shrunk(sums: Floats, weights: Floats, floor: float) -> Floats:
    """Return means of sums by weights, each shrunk towards the mean of all by its own variance."""
    seen = weights > 0
    means, variances = sums[seen] / weights[seen], 1 / weights[seen]
    between = max(between_variance(means, variances, np.zeros(len(means), dtype=np.int64)), floor)
    pull = 1 / (variances + between)
    centre = np.sum(pull * means) / np.sum(pull)
    result = np.zeros(len(sums))
    result[seen] = centre + (means - centre) * between / (between + variances)
    return result


def _parents(
    of_cell: Floats, variance: Floats, parent: Ints, floor: float
) -> tuple[Floats, Floats]:
    """Return each parent's level, shrunk towards the city's, and the share of its own in it."""
    within = max(between_variance(of_cell, variance, parent), floor)
    weight = 1 / (variance + within)
    total = sums_by(parent, weight)
    mean, uncertain = sums_by(parent, weight * of_cell) / total, 1 / total
    between = max(between_variance(mean, uncertain, np.zeros(len(mean), dtype=np.int64)), floor)
    pull = 1 / (uncertain + between)
    centre = np.sum(pull * mean) / np.sum(pull)
    share = between / (between + uncertain)
    return centre + (mean - centre) * share, share
