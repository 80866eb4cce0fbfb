"""Whether a figure that was looked at again and again stayed flat: a test, not a look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from scipy import stats

BLOCK_S = 180.0
"""The lowest value of each three minutes is judged: what work needs for a moment and gives back is
no leak, and values minutes apart are nearly independent, as the test assumes."""

CONFIDENCE = 0.95
FLAT_SHARE_PER_H = 0.02
"""Below this share of its level an hour a process doubles in no less than two days of ..."""
FLAT_AT_LEAST_PER_H = 2.0
"""... and so small an amount [MiB, or what the figure counts] is not told from chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """How a figure went in the second half.

    Parameters
    ----------
    level
        Mean of the second half's blocks.
    most
        Highest value of all.
    per_h
        Slope. [unit/h]
    error_per_h
        Half of the slope's 95 % interval. [unit/h]
    verdict
        ``flat`` if the whole interval lies below what counts as growth, ``grows`` if it lies above
        zero and its middle above that, else ``cannot tell``.
    """

    level: float
    most: float
    per_h: float
    error_per_h: float
    verdict: str


def trend(
    at_s: Sequence[float],
    values: Sequence[float],
    *,
    at_least_per_h: float = FLAT_AT_LEAST_PER_H,
    share_per_h: float = FLAT_SHARE_PER_H,
) -> Trend:
    """Return how a figure went in the second half of the time.

    Parameters
    ----------
    at_s
        When it was looked at. [s]
    values
        What it was.
    at_least_per_h, share_per_h
        What counts as growth: the larger of an amount and a share of the level. [unit/h], [1/h]
    """
    middle_s = (at_s[0] + at_s[-1]) / 2
    blocks: dict[int, list[tuple[float, float]]] = {}
    for moment_s, value in zip(at_s, values, strict=True):
        if moment_s >= middle_s:
            blocks.setdefault(int((moment_s - middle_s) // BLOCK_S), []).append((moment_s, value))
    whole = [block for block in blocks.values() if len(block) > 1]
    lowest = [min(value for _, value in block) for block in whole]
    hours = [fmean(moment_s for moment_s, _ in block) / 3600 for block in whole]
    level = fmean(lowest)
    line = stats.linregress(hours, lowest)
    spread = stats.t.ppf((1 + CONFIDENCE) / 2, len(lowest) - 2)
    residuals = np.asarray(lowest) - line.intercept - line.slope * np.asarray(hours)
    # A figure that never moves has no error; linregress calls that not a number.
    error = float(np.nan_to_num(spread * line.stderr * _inflation(residuals)))
    growth = max(at_least_per_h, share_per_h * level)
    if line.slope + error < growth:
        verdict = "flat"
    elif line.slope - error > 0 and line.slope > growth:
        verdict = "grows"
    else:
        verdict = "cannot tell"
    return Trend(
        level=round(level, 1),
        most=round(max(values), 1),
        per_h=round(float(line.slope), 2),
        error_per_h=round(error, 2),
        verdict=verdict,
    )


def _inflation(residuals: np.ndarray) -> float:
    """Return how much wider the interval is because neighbouring blocks resemble each other."""
    total = float(residuals @ residuals)
    if total == 0:
        return 1.0
    correlation = min(0.9, max(0.0, float(residuals[:-1] @ residuals[1:]) / total))
    return float(np.sqrt((1 + correlation) / (1 - correlation)))
