"""Losses, stability index and conformal margins against values that were computed independently."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from clearway_models.forecast.drift import stability_index
from clearway_models.forecast.evaluation import interval_score, pinball
from clearway_models.forecast.model import Band, conformal_margin, group_margins, margins_for
from clearway_models.forecast.parameters import forecast_parameters


@pytest.mark.parametrize(("forecast", "loss"), [(8.0, 1.8), (13.0, 0.3)])
def test_pinball_loss_at_90_percent(forecast: float, loss: float) -> None:
    assert pinball(np.array([10.0]), np.array([forecast]), 0.9)[0] == pytest.approx(loss)


def test_interval_score_is_width_plus_what_fell_outside() -> None:
    score = interval_score(np.array([11.0]), np.array([5.0]), np.array([9.0]), alpha=0.1)

    assert score[0] == pytest.approx(44)


def test_stability_index() -> None:
    expected, actual = np.array([0.2, 0.3, 0.3, 0.2]), np.array([0.1, 0.25, 0.35, 0.3])

    assert stability_index(expected, actual) == pytest.approx(0.126685, abs=5e-7)
    assert stability_index(expected, expected) == 0


def test_conformal_margin_is_the_score_that_the_theorem_names() -> None:
    scores = np.arange(1.0, 100.0)[::-1]  # n = 99: the 90th smallest of 1 to 99

    assert conformal_margin(scores, 0.9) == 90
    assert conformal_margin(scores[:5], 0.9) == np.inf


def test_conformalising_lifts_quantiles_that_cover_too_little() -> None:
    """Noise that grows, 1,500 rows to calibrate on: a run elsewhere went from .789 to .894."""
    random = np.random.default_rng(0)

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        x = random.uniform(0, 5, (n, 1))
        return x, np.sin(x[:, 0]) + random.normal(0, 0.1 + 0.3 * x[:, 0])

    rows, truth = draw(1500)
    with threadpool_limits(1):
        low, high = (
            HistGradientBoostingRegressor(
                loss="quantile", quantile=q, max_iter=60, max_leaf_nodes=15, random_state=0
            ).fit(rows, truth)
            for q in (0.05, 0.95)
        )

    def band(x: np.ndarray) -> Band:
        with threadpool_limits(1):
            ends = np.sort([low.predict(x), high.predict(x)], axis=0)
        return Band(ends[0], ends.mean(axis=0), ends[1])

    rows, truth = draw(1500)
    margin = conformal_margin(band(rows).missed_by(truth), 0.9)
    rows, truth = draw(6000)
    fresh = band(rows)
    raw = float((fresh.missed_by(truth) <= 0).mean())
    held = float((fresh.widened(np.full(len(truth), margin)).missed_by(truth) <= 0).mean())

    assert raw < 0.87
    assert held == pytest.approx(0.90, abs=0.02)


def test_a_group_with_too_few_scores_is_calibrated_with_all() -> None:
    parameters = replace(forecast_parameters(), min_group_scores=50)
    scores = np.concatenate([np.full(100, 1.0), np.full(10, 5.0)])
    groups = np.repeat([0, 1], [100, 10])

    margins = group_margins(scores, groups, parameters)

    assert margins_for(np.array([0, 1, 7]), margins).tolist() == [1.0, margins[-1], margins[-1]]
