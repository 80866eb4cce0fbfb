"""Calibration of a low-cost PM2.5 sensor against a reference instrument beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression

from clearway_core.errors import InsufficientData

Numbers = NDArray[np.float64]
Labels = NDArray[np.str_]

FEATURES = ("pm2_5_cf1_ugm3", "humidity_pct", "temperature_c")
"""Inputs in their order: raw CF=1 value, relative humidity and temperature beside the sensor."""

TREES = "hist_gradient_boosting"
RISING_ORDER = ("ols", "mlr", TREES)
"""Models from simple to rich; a richer one must beat the simpler one on data it has not seen."""

_MIN_BLOCKS = 3
_MIN_BLOCK_HOURS = 24


class Estimator(Protocol):
    """What every model here can do."""

    def fit(self, X: Numbers, y: Numbers) -> Estimator:  # noqa: N803 -- scikit-learn's name
        """Fit to features and reference values."""
        ...

    def predict(self, X: Numbers) -> Numbers:  # noqa: N803 -- scikit-learn's name
        """Return PM2.5 [µg/m³]."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Collocation:
    """Hours of sensors beside a reference, all arrays of one length.

    Parameters
    ----------
    features
        Columns as `FEATURES`.
    reference_ugm3
        Reference PM2.5. [µg/m³]
    week, day
        ISO week and UTC day of the hour: blocks for validation and for daily means.
    site, sensor
        Where, and which unit.
    """

    features: Numbers
    reference_ugm3: Numbers
    week: Labels
    day: Labels
    site: Labels
    sensor: Labels

    def part(self, rows: NDArray[np.bool_]) -> Collocation:
        """Return the hours of a mask."""
        return Collocation(
            features=self.features[rows],
            reference_ugm3=self.reference_ugm3[rows],
            week=self.week[rows],
            day=self.day[rows],
            site=self.site[rows],
            sensor=self.sensor[rows],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How well values follow the reference.

    Parameters
    ----------
    n
        Pairs.
    slope, intercept_ugm3
        Of the regression of the values on the reference. [1], [µg/m³]
    r2
        Its coefficient of determination. [1]
    rmse_ugm3, nrmse_pct
        Root mean square error, and over the mean of the reference. [µg/m³], [%]
    bias_ugm3
        Mean of value minus reference. [µg/m³]
    """

    n: int
    slope: float
    intercept_ugm3: float
    r2: float
    rmse_ugm3: float
    nrmse_pct: float
    bias_ugm3: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One model with its scores on data it has not seen.

    Parameters
    ----------
    hourly, daily
        Under blocked cross-validation by weeks, of hours and of daily means.
    block_mse
        Mean square error of each block of weeks, hourly. [µg²/m⁶]
    transfer
        Leave one site out, hourly; None with a single site.
    """

    name: str
    hourly: Score
    daily: Score
    block_mse: tuple[float, ...]
    transfer: Score | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A trained calibration.

    Parameters
    ----------
    chosen
        Name of the model that won.
    estimator
        That model, fitted to all hours.
    linear
        The best linear model, fitted to all hours: what is applied outside the domain of a richer
        one, and wherever only plain coefficients are wanted.
    linear_name
        ``ols`` or ``mlr``.
    raw_daily
        Score of the raw daily means.
    candidates
        Every model that was tried.
    residual_sd_ugm3
        Standard deviation of the linear model's errors under blocked cross-validation. [µg/m³]
    domain
        Least and largest value of each feature. Beyond it, use the linear model and double the sd.
    """

    chosen: str
    estimator: Estimator
    linear: Estimator
    linear_name: str
    raw_daily: Score
    candidates: tuple[Candidate, ...]
    residual_sd_ugm3: float
    domain: Mapping[str, tuple[float, float]]


@dataclass
class RawOnly:
    """A linear regression on the raw value alone, with the interface of the other models."""

    regression: LinearRegression = field(default_factory=LinearRegression)

    def fit(self, X: Numbers, y: Numbers) -> RawOnly:  # noqa: N803 -- scikit-learn's name
        """Fit to features and reference values."""
        self.regression.fit(X[:, :1], y)
        return self

    def predict(self, X: Numbers) -> Numbers:  # noqa: N803 -- scikit-learn's name
        """Return PM2.5 [µg/m³]."""
        values: Numbers = self.regression.predict(X[:, :1])
        return values


def new_estimator(name: str) -> Estimator:
    """Return an unfitted model of `RISING_ORDER`.

    The boosted trees may only rise with the raw value: more dust never reads as less. Small and
    strongly regularised, since hours of one week resemble each other.
    """
    makers: Mapping[str, Callable[[], Estimator]] = {
        "ols": RawOnly,
        "mlr": LinearRegression,
        TREES: lambda: HistGradientBoostingRegressor(
            max_iter=150,
            learning_rate=0.05,
            max_leaf_nodes=8,
            min_samples_leaf=40,
            l2_regularization=1.0,
            monotonic_cst=[1, 0, 0],
            early_stopping=False,
            random_state=0,
        ),
    }
    return makers[name]()


def coefficients(estimator: Estimator) -> tuple[float, dict[str, float]]:
    """Return intercept [µg/m³] and coefficient per feature of a linear model; 0 where unused."""
    regression = estimator.regression if isinstance(estimator, RawOnly) else estimator
    if not isinstance(regression, LinearRegression):
        message = f"expected a linear model, got {type(estimator).__name__}"
        raise TypeError(message)
    held = [float(value) for value in regression.coef_]
    padded = held + [0.0] * (len(FEATURES) - len(held))
    return float(regression.intercept_), dict(zip(FEATURES, padded, strict=True))


def score(values: Numbers, reference: Numbers) -> Score:
    """Return how well values follow a reference.

    Parameters
    ----------
    values, reference
        Pairs, at least 3, the reference not constant. [µg/m³]

    References
    ----------
    R. Duvall and others, "Performance Testing Protocols, Metrics, and Target Values for Fine
    Particulate Matter Air Sensors", EPA/600/R-20/280, 2021, section 3: regression of the sensor on
    the reference, RMSE, and NRMSE over the mean of the reference.
    """
    slope, intercept = np.polyfit(reference, values, 1)
    error = values - reference
    rmse = float(np.sqrt(np.mean(error**2)))
    correlation = float(np.corrcoef(values, reference)[0, 1])
    return Score(
        n=len(values),
        slope=float(slope),
        intercept_ugm3=float(intercept),
        r2=correlation**2,
        rmse_ugm3=rmse,
        nrmse_pct=100 * rmse / float(np.mean(reference)),
        bias_ugm3=float(np.mean(error)),
    )


def daily_means(data: Collocation, values: Numbers, *, min_hours: float) -> tuple[Numbers, Numbers]:
    """Return daily means of values and reference per sensor, for days with enough hours."""
    keys = np.char.add(np.char.add(data.sensor, "|"), data.day)
    names, place, count = np.unique(keys, return_inverse=True, return_counts=True)
    enough = count >= min_hours
    means = [
        np.bincount(place, weights=column, minlength=len(names)) / count
        for column in (values, data.reference_ugm3)
    ]
    return means[0][enough], means[1][enough]


def unseen(name: str, data: Collocation, blocks: Labels) -> Numbers:
    """Return predictions of each block by a model that was fitted to all the others [µg/m³]."""
    predictions = np.full(len(blocks), np.nan)
    for block in np.unique(blocks):
        out = blocks == block
        model = new_estimator(name).fit(data.features[~out], data.reference_ugm3[~out])
        predictions[out] = model.predict(data.features[out])
    return predictions


def week_blocks(data: Collocation) -> Labels:
    """Return the block of each hour: its ISO week, short ones joined to the week before.

    Neighbouring hours are alike, so that shuffled folds would test a model on what it has seen.

    References
    ----------
    D. Roberts and others, "Cross-validation strategies for data with temporal, spatial,
    hierarchical, or phylogenetic structure", Ecography 40, 913, 2017, doi:10.1111/ecog.02881.
    """
    blocks = data.week.copy()
    weeks = np.unique(data.week)
    for before, week in pairwise(weeks):
        if np.sum(blocks == week) < _MIN_BLOCK_HOURS * len(np.unique(data.sensor)):
            blocks[blocks == week] = blocks[data.week == before][0]
    return blocks


def train(data: Collocation, *, min_hours_per_day: float) -> Calibration:
    """Return the simplest calibration that a richer one does not beat on unseen data.

    Parameters
    ----------
    data
        Hours beside a reference.
    min_hours_per_day
        Fewest hours of a daily mean. [h]

    Raises
    ------
    InsufficientData
        If there are fewer than 3 blocks of weeks.
    """
    blocks = week_blocks(data)
    n_blocks = len(np.unique(blocks))
    if n_blocks < _MIN_BLOCKS:
        message = (
            f"expected at least {_MIN_BLOCKS} weeks beside a reference, got {n_blocks}: random "
            "folds are no way out, they test a model on what it has seen. Collect more weeks."
        )
        raise InsufficientData(message)
    candidates = [
        _candidate(name, data, blocks, min_hours=min_hours_per_day) for name in RISING_ORDER
    ]
    linear = best_of([c for c in candidates if c.name in {"ols", "mlr"}])
    chosen = best_of(candidates)
    raw = daily_means(data, data.features[:, 0], min_hours=min_hours_per_day)
    errors = unseen(linear.name, data, blocks) - data.reference_ugm3
    return Calibration(
        chosen=chosen.name,
        estimator=new_estimator(chosen.name).fit(data.features, data.reference_ugm3),
        linear=new_estimator(linear.name).fit(data.features, data.reference_ugm3),
        linear_name=linear.name,
        raw_daily=score(*raw),
        candidates=tuple(candidates),
        residual_sd_ugm3=float(np.std(errors, ddof=1)),
        domain={
            name: (float(column.min()), float(column.max()))
            for name, column in zip(FEATURES, data.features.T, strict=True)
        },
    )


def best_of(candidates: Sequence[Candidate]) -> Candidate:
    """Return the richest model of which each step was an improvement, in time and to other sites.

    Humidity and temperature enter if they lower the error at all, since their effect on the sensor
    is known. Trees must be better by more than the standard error of the gain over the blocks: by
    less it may be luck, and the linear model is the one that can be explained.

    Parameters
    ----------
    candidates
        In rising order.

    References
    ----------
    T. Hastie, R. Tibshirani, J. Friedman, "The Elements of Statistical Learning", 2nd edition,
    2009, section 7.10 (one standard error), doi:10.1007/978-0-387-84858-7. There the error is that
    of one model; here that of the gain over the same blocks, which is what has to be more than
    luck.
    """
    best = candidates[0]
    for candidate in candidates[1:]:
        gain = np.array(best.block_mse) - np.array(candidate.block_mse)
        luck = gain.std(ddof=1) / np.sqrt(len(gain)) if candidate.name == TREES else 0.0
        in_time = gain.mean() > luck
        elsewhere = (
            candidate.transfer is None
            or best.transfer is None
            or candidate.transfer.rmse_ugm3 <= best.transfer.rmse_ugm3
        )
        if in_time and elsewhere:
            best = candidate
    return best


def _candidate(name: str, data: Collocation, blocks: Labels, *, min_hours: float) -> Candidate:
    predictions = unseen(name, data, blocks)
    several = len(np.unique(data.site)) > 1
    square = (predictions - data.reference_ugm3) ** 2
    return Candidate(
        name=name,
        hourly=score(predictions, data.reference_ugm3),
        daily=score(*daily_means(data, predictions, min_hours=min_hours)),
        block_mse=tuple(float(square[blocks == block].mean()) for block in np.unique(blocks)),
        transfer=score(unseen(name, data, data.site), data.reference_ugm3) if several else None,
    )
