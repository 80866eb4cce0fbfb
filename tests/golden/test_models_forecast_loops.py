"""A real week of 207 loop detectors: better than every plain forecast, intervals that hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from doubles import forecast_loops as loops

from clearway_models.forecast.evaluation import HorizonScore, rolling_origin
from clearway_models.forecast.features import BASELINES
from clearway_models.forecast.model import MODEL
from clearway_models.forecast.parameters import forecast_parameters

pytestmark = [pytest.mark.real_data, pytest.mark.slow]


@pytest.fixture(scope="module")
def scores(real_data: Path) -> tuple[HorizonScore, ...]:
    panel = loops.panel(real_data / "traffic" / "los_loop")
    return rolling_origin(
        panel,
        test_start=loops.first_tested(panel.n_windows),
        horizons=loops.HORIZONS,
        parameters=forecast_parameters(),
    )


def test_the_model_beats_every_plain_forecast_at_every_horizon(
    scores: tuple[HorizonScore, ...],
) -> None:
    assert [score.horizon_minutes for score in scores] == [15, 30, 60]
    for score in scores:
        for name in BASELINES:
            assert score.mae_kmh[MODEL] < score.mae_kmh[name], (score.horizon_minutes, name)
            assert score.rmse_kmh[MODEL] < score.rmse_kmh[name], (score.horizon_minutes, name)


def test_ninety_percent_intervals_hold_87_to_93_percent(scores: tuple[HorizonScore, ...]) -> None:
    for score in scores:
        assert score.coverage == pytest.approx(0.90, abs=0.03), score.horizon_minutes
