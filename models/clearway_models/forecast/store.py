"""Forecast models as files with their cards, in the data folder's ``models/forecast``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from skops import io

from clearway_models.forecast.card import card_text
from clearway_models.forecast.drift import Reference, reference
from clearway_models.forecast.evaluation import (
    HorizonScore,
    calibration_windows,
    rolling_origin,
)
from clearway_models.forecast.model import MODEL, Forecaster, labelled, train
from clearway_models.forecast.panel import Panel
from clearway_models.forecast.parameters import ForecastParameters, read_forecast_file
from clearway_models.kept_models import TREES, load_kept, versions, write_json
from clearway_models.lake import Grid

FORECAST_FOLDER = "forecast"

_TRUSTED_TYPES = frozenset(
    {TREES, "sklearn._loss.link.IdentityLink", "sklearn._loss.link.Interval"}
    | {"sklearn._loss.loss.PinballLoss"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptForecaster:
    """A trained model and what its card says.

    Parameters
    ----------
    model_id
        Name in outputs.
    forecaster
        The model.
    made_at, learned_until
        End of the history that it was made from, and of the part that it learned from.
    scores
        Of the test, by horizon in minutes.
    reference
        Distributions that it learned from.
    card
        Its file for people.
    """

    model_id: str
    forecaster: Forecaster
    made_at: datetime
    learned_until: datetime
    scores: Mapping[int, HorizonScore]
    reference: Reference
    card: Path


def refusals(scores: Iterable[HorizonScore]) -> list[str]:
    """Return a sentence for each horizon at which a plain forecast was at least as good."""
    return [
        f"{score.best_baseline} was better at {score.horizon_minutes} minutes "
        f"({score.mae_kmh[score.best_baseline]:.2f} against {score.mae_kmh[MODEL]:.2f} km/h)"
        for score in scores
        if not score.beats_baselines
    ]


def make_forecaster(
    panel: Panel,
    *,
    folder: Path,
    grid: Grid,
    horizons: Sequence[int],
    parameters: ForecastParameters,
) -> KeptForecaster:
    """Test a model on the newest part of a history, train it on more, and keep it with its card.

    Parameters
    ----------
    panel
        The history.
    folder
        Where models are kept.
    grid
        Resolution and window of the history.
    horizons
        Horizons in windows.
    parameters
        How much is held out for what.
    """
    n = panel.n_windows
    test_start = n - int(min(parameters.test_days * panel.day, parameters.held_out_share * n))
    learned = n - calibration_windows(panel, n, parameters)
    scores = rolling_origin(panel, test_start=test_start, horizons=horizons, parameters=parameters)
    forecaster = train(panel, end=learned, horizons=horizons, parameters=parameters)
    known, steps = panel.until(learned), min(horizons)
    at = labelled(known, steps, first=0, most=parameters.max_training_rows, parameters=parameters)
    model_id = f"forecast-r{grid.resolution}-{grid.window_minutes}m-{panel.at(n):%Y%m%dT%H%M}"
    card: dict[str, object] = {
        "model_id": model_id,
        "resolution": grid.resolution,
        "window_minutes": grid.window_minutes,
        "made_at": panel.at(n).isoformat(),
        "learned_until": panel.at(learned).isoformat(),
        "tested_from": panel.at(test_start).isoformat(),
        "history": _history(panel),
        "scores": [asdict(score) for score in scores],
        "not_published": refusals(scores),
        "blends": {str(steps): weight for steps, weight in forecaster.blends.items()},
        "reference": reference(known, at, steps),
        "parameters": {name: value.record() for name, value in read_forecast_file().items()},
        "versions": versions(),
    }
    return _keep(folder / f"{model_id}.json", forecaster, card)


def _history(panel: Panel) -> dict[str, object]:
    return {
        "first": panel.start.isoformat(),
        "end": panel.at(panel.n_windows).isoformat(),
        "n_days": round(panel.days, 1),
        "n_cells": len(panel.places),
        "n_windows": int(np.isfinite(panel.log_pace).sum()),
    }


def _keep(file: Path, forecaster: Forecaster, card: Mapping[str, object]) -> KeptForecaster:
    file.parent.mkdir(parents=True, exist_ok=True)
    io.dump(
        {str(steps): list(models) for steps, models in forecaster.models.items()},
        file.with_suffix(".skops"),
    )
    file.with_suffix(".md").write_text(card_text(card), encoding="utf-8")
    write_json(file, card)  # last: a model without its card is not found
    return _kept(file, forecaster)


def newest_forecaster(folder: Path, grid: Grid, *, until: datetime) -> KeptForecaster | None:
    """Return the newest kept model of a grid that was made no later than `until`, or None.

    Raises
    ------
    ContractViolation
        If its file holds a type that such a model never has.
    """
    cards = sorted(folder.glob(f"forecast-r{grid.resolution}-{grid.window_minutes}m-*.json"))
    fitting = [card for card in cards if _instant(_document(card), "made_at") <= until]
    if not fitting:
        return None
    card = fitting[-1]
    held = load_kept(
        card.with_suffix(".skops"),
        trusted=_TRUSTED_TYPES,
        kind="a forecast model",
        remedy=f"Delete {card.name} and run `clearway build forecast`.",
    )
    models = cast("Mapping[str, Sequence[HistGradientBoostingRegressor]]", held)
    blends = cast("Mapping[str, float]", _document(card)["blends"])
    forecaster = Forecaster(
        models={int(steps): each for steps, each in models.items()},
        blends={int(steps): weight for steps, weight in blends.items()},
    )
    return _kept(card, forecaster)


def _kept(card: Path, forecaster: Forecaster) -> KeptForecaster:
    document = _document(card)
    scores = [
        HorizonScore(**values) for values in cast("Sequence[Mapping[str, Any]]", document["scores"])
    ]
    return KeptForecaster(
        model_id=str(document["model_id"]),
        forecaster=forecaster,
        made_at=_instant(document, "made_at"),
        learned_until=_instant(document, "learned_until"),
        scores={score.horizon_minutes: score for score in scores},
        reference=cast("Reference", document["reference"]),
        card=card.with_suffix(".md"),
    )


def _document(card: Path) -> dict[str, object]:
    document: dict[str, object] = json.loads(card.read_text(encoding="utf-8"))
    return document


def _instant(document: Mapping[str, object], key: str) -> datetime:
    return datetime.fromisoformat(str(document[key]))
