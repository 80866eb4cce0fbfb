"""Forecasts know only what was known when they were issued, and say how good they are."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy.sparse import csr_array

from clearway_core.calendar import Calendar
from clearway_core.errors import ContractViolation, InsufficientData
from clearway_models.forecast import evaluation
from clearway_models.forecast.features import (
    BASELINES,
    FEATURES,
    Origins,
    baseline_paces,
    best_blend,
    features,
    origins,
    target,
    usual_pace,
)
from clearway_models.forecast.model import MODEL, Band, Scores
from clearway_models.forecast.panel import Panel, make_panel
from clearway_models.forecast.parameters import forecast_parameters
from clearway_models.forecast.store import refusals

QUICK = replace(
    forecast_parameters(), trees=10, learning_rate=0.3, max_training_rows=4000, min_group_scores=100
)
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


def made_panel(n_days: int = 8, *, seed: int = 3, gaps: float = 0.1) -> Panel:
    """Return 6 places in a row with a daily rhythm; some windows are missing."""
    random = np.random.default_rng(seed)
    hours = np.arange(96 * n_days)[:, None] / 4 % 24
    speed = 40 - 15 * np.exp(-((hours - 8) ** 2) / 4) + random.normal(0, 3, (len(hours), 6))
    speed[random.random(speed.shape) < gaps] = np.nan
    line = np.eye(6, k=1) + np.eye(6, k=-1)
    return make_panel(
        speed, start=MONDAY, step_minutes=15, weights=csr_array(line), calendar=Calendar()
    )


def at(window: int, place: int) -> Origins:
    return Origins(np.array([window]), np.array([place]))


def test_no_feature_and_no_plain_forecast_changes_with_what_comes_later() -> None:
    panel = made_panel()
    some = origins(panel, first=96, end=96 * 7, max_stale_minutes=60)

    def everything(panel: Panel, at: Origins, steps: int) -> np.ndarray:
        plain = baseline_paces(panel, at, steps, blend=0.5)
        return np.column_stack([features(panel, at, steps), *plain.values()])

    for steps in (1, 2, 4):
        assert evaluation.leaking_features(panel, some, steps, make=everything) == []


def test_a_feature_that_looks_ahead_is_found() -> None:
    panel = made_panel()
    some = origins(panel, first=96, end=96 * 7, max_stale_minutes=60)

    def shifted(panel: Panel, at: Origins, steps: int) -> np.ndarray:
        return np.column_stack([features(panel, at, steps), target(panel, at, 1)])

    assert evaluation.leaking_features(panel, some, 1, make=shifted) == [len(FEATURES)]


def test_the_backtest_stops_at_a_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "leaking_features", lambda *_: [3])

    with pytest.raises(ContractViolation, match=r"change_3 .* a leak"):
        evaluation.rolling_origin(made_panel(), test_start=96 * 6, horizons=[1], parameters=QUICK)


def test_labels_that_tell_nothing_leave_the_model_no_better_than_the_average() -> None:
    """With noise for truth, a model that saw it would beat the noise; this one cannot."""
    random = np.random.default_rng(5)
    noise = np.exp(random.normal(3.5, 0.3, (96 * 8, 6)))
    panel = make_panel(
        noise, start=MONDAY, step_minutes=15, weights=csr_array(np.eye(6)), calendar=Calendar()
    )

    (score,) = evaluation.rolling_origin(panel, test_start=96 * 6, horizons=[1], parameters=QUICK)

    spread = float(np.abs(noise[96 * 6 :] - np.median(noise)).mean())
    assert score.mae_kmh[MODEL] > 0.97 * spread


def test_the_target_is_the_window_so_many_steps_later() -> None:
    panel = made_panel(gaps=0)

    assert target(panel, at(10, 2), 4)[0] == panel.log_pace[14, 2]
    assert np.isnan(target(panel, at(panel.n_windows - 2, 2), 4)[0])


def test_an_origin_needs_a_recent_observation() -> None:
    speed = np.full((20, 1), np.nan)
    speed[3] = 30.0
    panel = make_panel(
        speed, start=MONDAY, step_minutes=15, weights=csr_array((1, 1)), calendar=Calendar()
    )

    found = origins(panel, first=0, end=20, max_stale_minutes=60)

    assert found.window.tolist() == [3, 4, 5, 6, 7]


def test_zero_speed_is_not_observed() -> None:
    panel = make_panel(
        np.array([[30.0], [0.0]]),
        start=MONDAY,
        step_minutes=15,
        weights=csr_array((1, 1)),
        calendar=Calendar(),
    )

    assert np.isnan(panel.log_pace[1, 0])


def test_neighbours_are_averaged_where_they_were_observed() -> None:
    speed = np.array([[10.0, np.nan, 40.0]])
    line = csr_array(np.eye(3, k=1) + np.eye(3, k=-1) + np.eye(3))
    panel = make_panel(speed, start=MONDAY, step_minutes=15, weights=line, calendar=Calendar())

    expected = [np.nan, -np.log(20), np.nan]
    assert panel.neighbour_pace[0] == pytest.approx(expected, nan_ok=True)


def test_the_usual_pace_of_a_workday_is_that_of_earlier_workdays() -> None:
    speed = np.repeat(np.array([30.0, 31.0, 32.0, 33.0, 34.0, 60.0, 61.0, 35.0]), 96)[:, None]
    panel = make_panel(
        speed, start=MONDAY, step_minutes=15, weights=csr_array((1, 1)), calendar=Calendar()
    )

    monday, sunday = at(96 * 7 + 40, 0), at(96 * 6 + 40, 0)

    assert np.exp(-usual_pace(panel, monday, 4)[0][0]) == pytest.approx(32)
    assert np.exp(-usual_pace(panel, sunday, 4)[0][0]) == pytest.approx(60)


def test_the_usual_pace_is_that_of_the_hour_of_the_week_once_three_weeks_are_there() -> None:
    days = np.where(np.arange(29) % 7 == 0, 20.0, 50.0)  # Mondays are slow
    panel = make_panel(
        np.repeat(days, 96)[:, None],
        start=MONDAY,
        step_minutes=15,
        weights=csr_array((1, 1)),
        calendar=Calendar(),
    )

    assert np.exp(-usual_pace(panel, at(96 * 28 + 40, 0), 4)[0][0]) == pytest.approx(20)


def test_plain_forecasts_fall_back_to_the_present_where_they_know_nothing() -> None:
    panel = made_panel(gaps=0)

    plain = baseline_paces(panel, at(5, 0), 1, blend=0.5)

    assert list(plain) == list(BASELINES)
    assert {value[0] for value in plain.values()} == {panel.log_pace[5, 0]}
    assert best_blend(panel.until(50), at(5, 0), 1) == 1.0


def test_margins_follow_what_was_known_and_forget_what_is_old() -> None:
    scores = Scores(
        score=np.repeat([1.0, 3.0, 2.0], 100),
        group=np.zeros(300, dtype=np.int64),
        issued=np.repeat([0, 10, 20], 100),
        known=np.repeat([1, 11, 21], 100),
    )

    rolled = scores.rolling(1, QUICK, keep=15)

    assert np.isinf(rolled[:100]).all()
    assert set(rolled[100:200]) == {1.0}
    assert set(rolled[200:]) == {3.0}


def test_a_band_never_leaves_its_middle() -> None:
    band = Band(np.array([1.0]), np.array([1.5]), np.array([2.0])).widened(np.array([-9.0]))

    low, middle, high = band.speeds_kmh()

    assert low == middle == high


def test_a_horizon_is_refused_by_the_name_of_what_was_better() -> None:
    scores = evaluation.rolling_origin(
        made_panel(), test_start=96 * 6, horizons=[1], parameters=QUICK
    )
    better = replace(scores[0], mae_kmh={**scores[0].mae_kmh, "persistence": 0.01})

    (reason,) = refusals([better])

    assert reason.startswith("persistence was better at 15 minutes (0.01 against ")
    assert refusals([replace(scores[0], mae_kmh={**scores[0].mae_kmh, MODEL: 0.01})]) == []


def test_a_panel_that_was_hardly_observed_is_not_scored() -> None:
    speed = np.full((96 * 6, 1), np.nan)
    speed[: 96 * 4 : 2] = 30.0
    panel = make_panel(
        speed, start=MONDAY, step_minutes=15, weights=csr_array((1, 1)), calendar=Calendar()
    )

    with pytest.raises(InsufficientData, match="observed too rarely"):
        evaluation.rolling_origin(panel, test_start=96 * 5, horizons=[2], parameters=QUICK)


def test_windows_are_found_by_their_start() -> None:
    panel = made_panel()

    assert panel.window_of(MONDAY + timedelta(hours=1)) == 4
    assert panel.window_of(MONDAY - timedelta(hours=1)) == 0
    assert panel.at(4) == MONDAY + timedelta(hours=1)
