"""How good forecasts are on days that they have not seen, beside the plain ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from clearway_core.errors import ContractViolation, InsufficientData
from clearway_models.forecast.features import (
    BASELINES,
    FEATURES,
    HISTORICAL_AVERAGE,
    Origins,
    features,
    target,
)
from clearway_models.forecast.model import (
    MODEL,
    Band,
    Forecaster,
    Scores,
    group_of,
    labelled,
    quantiles,
    train,
)
from clearway_models.forecast.panel import Numbers, Panel, Places
from clearway_models.forecast.parameters import ForecastParameters

_LEAST_KMH = 1.0
"""Slower truths are left out of percentages, which they would dominate. [km/h]"""

_CHECKED_WINDOWS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class HorizonScore:
    """How one horizon was forecast; speeds in km/h.

    Parameters
    ----------
    horizon_minutes, n
        Horizon and forecasts that were compared with what came. [min], [1]
    mae_kmh, rmse_kmh
        By method: ``model`` and each baseline. [km/h]
    mape_pct
        Of the model, truths above 1 km/h. [%]
    coverage, raw_coverage
        Share of truths in the interval, and before it was widened. [1]
    width_kmh, interval_score_kmh
        Mean width, and mean width with penalty for what fell outside. [km/h]
    pinball_kmh
        Mean over the three quantiles. [km/h]
    skill
        1 - model's error over that of the historical average. [1]
    """

    horizon_minutes: int
    n: int
    mae_kmh: Mapping[str, float]
    rmse_kmh: Mapping[str, float]
    mape_pct: float
    coverage: float
    raw_coverage: float
    width_kmh: float
    interval_score_kmh: float
    pinball_kmh: float
    skill: float

    @property
    def best_baseline(self) -> str:
        """The plain forecast with the least mean absolute error."""
        return min(BASELINES, key=lambda name: self.mae_kmh[name])

    @property
    def beats_baselines(self) -> bool:
        """Whether the model has a smaller mean absolute error than every plain forecast."""
        return self.mae_kmh[MODEL] < self.mae_kmh[self.best_baseline]


@dataclass(slots=True)
class _Kept:
    """What forecasts said and what came, fold after fold; all in km/h."""

    truth: list[Numbers] = field(default_factory=list)
    said: dict[str, list[Numbers]] = field(default_factory=dict)

    def add(self, truth: Numbers, said: Mapping[str, Numbers]) -> None:
        self.truth.append(truth)
        for name, values in said.items():
            self.said.setdefault(name, []).append(values)


def pinball(truth: Numbers, forecast: Numbers, quantile: float) -> Numbers:
    """Return the pinball loss of a forecast quantile, in the unit of the values; at least 0.

    Parameters
    ----------
    truth, forecast
        What came, and what the quantile was said to be; same unit.
    quantile
        Between 0 and 1; of .5 it is half the absolute error. [1]

    References
    ----------
    R. Koenker, G. Bassett, "Regression Quantiles", Econometrica 46, 33, 1978, doi:10.2307/1913643.
    """
    return np.maximum(quantile * (truth - forecast), (quantile - 1) * (truth - forecast))


def interval_score(truth: Numbers, low: Numbers, high: Numbers, *, alpha: float) -> Numbers:
    """Return the width of an interval plus 2 / alpha times how far the truth lies outside.

    Parameters
    ----------
    truth, low, high
        What came, and the ends of the interval; same unit, low at most high.
    alpha
        What the interval leaves out: .1 of one of 90 %. [1]

    References
    ----------
    T. Gneiting, A. Raftery, "Strictly proper scoring rules, prediction, and estimation", JASA 102,
    359, 2007, equation 43, doi:10.1198/016214506000001437.
    """
    outside = np.maximum(low - truth, 0) + np.maximum(truth - high, 0)
    return high - low + 2 / alpha * outside


def calibration_windows(panel: Panel, n_windows: int, parameters: ForecastParameters) -> int:
    """Return how many of the last of so many windows calibrate, rather than teach."""
    return int(min(parameters.calibration_days * panel.day, parameters.held_out_share * n_windows))


def rolling_origin(
    panel: Panel,
    *,
    test_start: int,
    horizons: Sequence[int],
    parameters: ForecastParameters,
) -> tuple[HorizonScore, ...]:
    """Return how each horizon is forecast from `test_start` on, by models that saw only the past.

    Every ``test_days``, a model is trained on what came before except the newest part, which
    calibrates it; its intervals then follow every hour. Nothing is shuffled.

    Parameters
    ----------
    panel
        Log paces and calendar.
    test_start
        First window that is a target of the test.
    horizons
        Horizons in windows.
    parameters
        Level, calibration, rows.

    Raises
    ------
    InsufficientData
        If no forecast of some horizon can be compared with what came.
    ContractViolation
        If a feature changes with what comes after its origin.
    """
    step = int(parameters.test_days * panel.day)
    kept = {steps: _Kept() for steps in horizons}
    for start in range(test_start, panel.n_windows, step):
        end = min(start + step, panel.n_windows)
        learned = start - calibration_windows(panel, start, parameters)
        model = train(panel, end=learned, horizons=horizons, parameters=parameters)
        for steps, found in kept.items():
            known = panel.until(end)
            past = hindcast(model, known, learned=learned, steps=steps, parameters=parameters)
            _fold(found, past, known, start=start, parameters=parameters)
    return tuple(
        _score(steps * panel.step_minutes, found, parameters) for steps, found in kept.items()
    )


def leaking_features(
    panel: Panel,
    at: Origins,
    steps: int,
    *,
    make: Callable[[Panel, Origins, int], Numbers] = features,
) -> list[int]:
    """Return the columns that change when what comes after the origin is taken away.

    Parameters
    ----------
    panel
        Reaches beyond the origins.
    at
        Origins; a few windows of them are checked.
    steps
        Horizon in windows.
    make
        Makes the features.
    """
    windows = np.unique(at.window)
    leaking: set[int] = set()
    for window in windows[:: max(1, len(windows) // _CHECKED_WINDOWS)]:
        here = at.chosen(at.window == window)
        whole, past = make(panel, here, steps), make(panel.until(int(window) + 1), here, steps)
        same = (whole == past) | (np.isnan(whole) & np.isnan(past))
        leaking.update(np.flatnonzero(~same.all(axis=0)).tolist())
    return sorted(leaking)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hindcast:
    """What a model would have said since it learned.

    Parameters
    ----------
    at
        Origins whose truth is known.
    steps
        Horizon in windows.
    truth
        Log pace that came.
    bands
        By method, not yet widened.
    groups
        Group of each row that intervals are calibrated in.
    """

    at: Origins
    steps: int
    truth: Numbers
    bands: Mapping[str, Band]
    groups: Places

    def scores(self, method: str) -> Scores:
        """Return the conformity scores of a method."""
        return Scores(
            score=self.bands[method].missed_by(self.truth),
            group=self.groups,
            issued=self.at.window,
            known=self.at.window + self.steps,
        )


def hindcast(
    model: Forecaster, panel: Panel, *, learned: int, steps: int, parameters: ForecastParameters
) -> Hindcast:
    """Return what a model would have said of windows from `learned` on, which it never saw."""
    at = labelled(
        panel,
        steps,
        first=max(learned - steps, 0),
        most=parameters.max_scored_rows,
        parameters=parameters,
    )
    return Hindcast(
        at=at,
        steps=steps,
        truth=target(panel, at, steps),
        bands=model.bands(panel, at, steps),
        groups=group_of(panel, at, steps),
    )


def keep_windows(panel: Panel, parameters: ForecastParameters) -> int:
    """Return how many windows back intervals are calibrated on."""
    return int(parameters.calibration_days * panel.day)


def _fold(
    kept: _Kept, past: Hindcast, panel: Panel, *, start: int, parameters: ForecastParameters
) -> None:
    hour = max(1, 60 // panel.step_minutes)
    keep = keep_windows(panel, parameters)
    margins = past.scores(MODEL).rolling(hour, parameters, keep=keep)
    tested = past.at.window + past.steps >= start
    if not tested.any():
        return
    if leaking := leaking_features(panel, past.at.chosen(tested), past.steps):
        names = ", ".join(FEATURES[column] for column in leaking)
        message = f"features {names} of a forecast change with what comes after it: a leak"
        raise ContractViolation(message)
    low, _, high = past.bands[MODEL].widened(margins).speeds_kmh()
    raw_low, _, raw_high = past.bands[MODEL].speeds_kmh()
    said = {name: band.speeds_kmh()[1] for name, band in past.bands.items()}
    said |= {"low": low, "high": high, "raw_low": raw_low, "raw_high": raw_high}
    kept.add(np.exp(-past.truth[tested]), {name: values[tested] for name, values in said.items()})


def _score(horizon_minutes: int, kept: _Kept, parameters: ForecastParameters) -> HorizonScore:
    if not kept.truth:
        message = (
            f"expected forecasts over {horizon_minutes} minutes to compare with what came, got "
            "none: they are observed too rarely. Use coarser cells or longer windows."
        )
        raise InsufficientData(message)
    truth = np.concatenate(kept.truth)
    said = {name: np.concatenate(values) for name, values in kept.said.items()}
    level, low, high = parameters.interval_level, said["low"], said["high"]
    methods = (MODEL, *BASELINES)
    mae = {name: float(np.abs(said[name] - truth).mean()) for name in methods}
    moving = truth > _LEAST_KMH
    losses = [
        pinball(truth, values, quantile).mean()
        for values, quantile in zip((low, said[MODEL], high), quantiles(level), strict=True)
    ]
    percent = np.abs(said[MODEL] / np.where(moving, truth, np.nan) - 1)
    return HorizonScore(
        horizon_minutes=horizon_minutes,
        n=len(truth),
        mae_kmh=mae,
        rmse_kmh={name: float(np.sqrt(((said[name] - truth) ** 2).mean())) for name in methods},
        mape_pct=100 * float(np.nanmean(percent)),
        coverage=float(((low <= truth) & (truth <= high)).mean()),
        raw_coverage=float(((said["raw_low"] <= truth) & (truth <= said["raw_high"])).mean()),
        width_kmh=float((high - low).mean()),
        interval_score_kmh=float(interval_score(truth, low, high, alpha=1 - level).mean()),
        pinball_kmh=float(np.mean(losses)),
        skill=1 - mae[MODEL] / mae[HISTORICAL_AVERAGE],
    )
