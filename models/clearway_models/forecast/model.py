"""Forecasts of log pace by boosted trees, with intervals that hold what they promise.

One global model per horizon learns three quantiles of the change from the present. Quantiles of
trees alone cover too little; conformalised quantile regression widens (or narrows) them by what
they missed lately.

References
----------
Y. Romano, E. Patterson, E. Candès, "Conformalized quantile regression", NeurIPS 2019, section 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from clearway_core.errors import InsufficientData
from clearway_models.forecast.features import (
    BASELINES,
    Origins,
    baseline_paces,
    best_blend,
    features,
    origins,
    target,
)
from clearway_models.forecast.panel import Numbers, Panel, Places
from clearway_models.forecast.parameters import ForecastParameters

MODEL = "model"
MAX_KMH = 160.0
"""Bound of every speed in the lake. [km/h]"""

_POOLED = -1
"""Group of all scores together, for groups that have too few."""


@dataclass(frozen=True, slots=True)
class Band:
    """Low, middle and high log pace of some origins; a plain forecast has all three the same."""

    low: Numbers
    middle: Numbers
    high: Numbers

    def missed_by(self, truth: Numbers) -> Numbers:
        """Return how far the truth lies outside, negative inside: the conformity score."""
        return np.maximum(self.low - truth, truth - self.high)

    def widened(self, margin: Numbers) -> Band:
        """Return the band wider by a margin on both sides; the middle always stays inside."""
        low = np.minimum(self.low - margin, self.middle)
        return Band(low, self.middle, np.maximum(self.high + margin, self.middle))

    def speeds_kmh(self) -> tuple[Numbers, Numbers, Numbers]:
        """Return low, middle and high speed [km/h]; a high pace is a low speed."""
        low, middle, high = (
            np.minimum(np.exp(-pace), MAX_KMH) for pace in (self.high, self.middle, self.low)
        )
        return low, middle, high


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecaster:
    """What was learned: per horizon in windows, three quantile models and the EWMA's weight."""

    models: Mapping[int, Sequence[HistGradientBoostingRegressor]]
    blends: Mapping[int, float]

    def bands(self, panel: Panel, at: Origins, steps: int) -> dict[str, Band]:
        """Return the model's band, not yet widened, and those of the plain forecasts."""
        known = features(panel, at, steps)
        now = known[:, 0]
        low = middle = high = now
        if len(at):
            with threadpool_limits(1):
                low, middle, high = (now + model.predict(known) for model in self.models[steps])
        found = {MODEL: Band(np.minimum(low, middle), middle, np.maximum(high, middle))}
        plain = baseline_paces(panel, at, steps, blend=self.blends[steps])
        return found | {name: Band(plain[name], plain[name], plain[name]) for name in BASELINES}


def quantiles(level: float) -> tuple[float, float, float]:
    """Return the three quantiles of an interval of that level: .05, .5, .95 of .90."""
    return (1 - level) / 2, 0.5, (1 + level) / 2


def train(
    panel: Panel, *, end: int, horizons: Sequence[int], parameters: ForecastParameters
) -> Forecaster:
    """Return what the windows before `end` teach; nothing later is read.

    Parameters
    ----------
    panel
        Log paces and calendar.
    end
        First window that is not to be learned from.
    horizons
        Horizons in windows.
    parameters
        Level of the interval, rows to learn from.

    Raises
    ------
    InsufficientData
        If nothing was observed so many windows after an observation.
    """
    known = panel.until(end)
    models, blends = {}, {}
    for steps in horizons:
        most = parameters.max_training_rows
        at = labelled(known, steps, first=0, most=most, parameters=parameters)
        if not len(at):
            message = (
                f"expected cells that were observed {steps} windows apart to learn from, got none: "
                "they are observed too rarely. Use coarser cells or longer windows."
            )
            raise InsufficientData(message)
        rows, change = features(known, at, steps), target(known, at, steps)
        change -= rows[:, 0]
        rows[:, np.isnan(rows).all(axis=0)] = 0.0  # a constant is never split on; NaN is refused
        # One thread: spinning threads slow each other on a busy machine.
        with threadpool_limits(1):
            models[steps] = [
                _estimator(quantile, parameters).fit(rows, change)
                for quantile in quantiles(parameters.interval_level)
            ]
        blends[steps] = best_blend(known, at, steps)
    return Forecaster(models=models, blends=blends)


def labelled(
    panel: Panel, steps: int, *, first: int, most: float, parameters: ForecastParameters
) -> Origins:
    """Return origins from window `first` on whose target was observed, thinned if too many.

    Parameters
    ----------
    panel
        Log paces; targets lie inside it.
    steps
        Horizon in windows.
    first
        First window of an origin.
    most
        Origins at most; chosen by chance with a fixed seed.
    parameters
        Age of a value at most.
    """
    at = origins(
        panel,
        first=first,
        end=panel.n_windows - steps,
        max_stale_minutes=parameters.max_stale_minutes,
    )
    at = at.chosen(~np.isnan(target(panel, at, steps)))
    if len(at) <= most:
        return at
    chosen = np.random.default_rng(0).choice(len(at), int(most), replace=False)
    return at.chosen(np.sort(chosen))


def group_of(panel: Panel, at: Origins, steps: int) -> Places:
    """Return the group that an interval is calibrated in: quality now, peak or not then."""
    seen = panel.seen[at.window, at.place]
    return 2 * panel.quality[seen, at.place].astype(np.int64) + panel.peak[at.window + steps]


def conformal_margin(scores: Numbers, level: float) -> float:
    """Return by how much to widen so that a new score is inside with at least that probability.

    Parameters
    ----------
    scores
        Conformity scores of data that the model has not seen, in any order.
    level
        Wanted coverage. [1]

    Returns
    -------
    float
        The ceil((n + 1) level)-th smallest score, in its unit; infinite if there are too few. It
        may be below 0: an interval that held too much is narrowed.

    References
    ----------
    Romano, Patterson and Candès 2019, theorem 1 (see the top of this file). The theorem asks for
    scores in no order; those of the last days stand for it here, which later coverage is watched
    for.
    """
    place = int(np.ceil((len(scores) + 1) * level))
    return float(np.partition(scores, place - 1)[place - 1]) if place <= len(scores) else np.inf


def group_margins(
    scores: Numbers, groups: Places, parameters: ForecastParameters
) -> dict[int, float]:
    """Return the margin of each group with enough scores, and of all together under -1."""
    level = parameters.interval_level
    found = {_POOLED: conformal_margin(scores, level)}
    for group, n in zip(*np.unique(groups, return_counts=True), strict=True):
        if n >= parameters.min_group_scores:
            found[int(group)] = conformal_margin(scores[groups == group], level)
    return found


def margins_for(groups: Places, margins: Mapping[int, float]) -> Numbers:
    """Return the margin of each row's group, of all together where the group has none."""
    return np.array([margins.get(int(group), margins[_POOLED]) for group in groups], dtype=float)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Conformity scores in time.

    Parameters
    ----------
    score, group
        By how much each band missed, and the group that it is calibrated in.
    issued, known
        Window in which each forecast was issued, and in which its truth was observed.
    """

    score: Numbers
    group: Places
    issued: Places
    known: Places

    def margins(self, now: int, parameters: ForecastParameters, *, keep: int) -> dict[int, float]:
        """Return margins from what was observed up to a window, older than `keep` forgotten."""
        past = (self.known <= now) & (self.known > now - keep)
        return group_margins(self.score[past], self.group[past], parameters)

    def rolling(self, block: int, parameters: ForecastParameters, *, keep: int) -> Numbers:
        """Return the margin of each row from what was known when it was issued.

        Parameters
        ----------
        block
            Margins are found anew every so many windows.
        parameters
            Level, least scores of a group.
        keep
            Scores older than so many windows are forgotten.
        """
        found = np.full(len(self.score), np.inf)
        if not len(found):
            return found
        for start in range(int(self.issued.min()), int(self.issued.max()) + 1, block):
            now = (self.issued >= start) & (self.issued < start + block)
            found[now] = margins_for(self.group[now], self.margins(start, parameters, keep=keep))
        return found


def _estimator(quantile: float, parameters: ForecastParameters) -> HistGradientBoostingRegressor:
    """Return an unfitted model of one quantile; sizes found on days before the tested ones."""
    return HistGradientBoostingRegressor(
        loss="quantile",
        quantile=quantile,
        max_iter=int(parameters.trees),
        learning_rate=parameters.learning_rate,
        max_leaf_nodes=31,
        min_samples_leaf=200,
        early_stopping=False,
        random_state=0,
    )
