"""Forecasts from the newest window: the model's, or plain ones while it drifts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from clearway_core.contracts.forecast_tables import FORECASTS
from clearway_core.schema import polars_schema
from clearway_models.forecast.drift import shifted_features, worse_than_tested
from clearway_models.forecast.evaluation import Hindcast, hindcast, keep_windows
from clearway_models.forecast.features import origins
from clearway_models.forecast.model import MODEL, group_of, margins_for
from clearway_models.forecast.panel import Panel
from clearway_models.forecast.parameters import ForecastParameters
from clearway_models.forecast.store import KeptForecaster

_COLUMNS = (
    *("h3_cell", "evidence_start", "window_start", "horizon_minutes", "forecast_kmh"),
    *("interval_low_kmh", "interval_high_kmh", "baseline_kmh", "method"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """Forecasts that were issued together.

    Parameters
    ----------
    rows
        Of ``forecasts``, without the columns of the grid, the model and the evidence's counts.
    methods
        By horizon that is published [min]: ``model``, or the plain forecast that took its place.
    drift
        Why a plain forecast did.
    """

    rows: pl.DataFrame
    methods: Mapping[int, str]
    drift: tuple[str, ...]


def issue(
    kept: KeptForecaster, panel: Panel, horizons: Sequence[int], parameters: ForecastParameters
) -> Issue:
    """Return forecasts of every horizon at which the model beat the plain ones.

    Parameters
    ----------
    kept
        The model with its test.
    panel
        Log paces up to now.
    horizons
        Horizons in windows.
    parameters
        Level of the interval, when a model drifts.
    """
    learned = panel.window_of(kept.learned_until)
    pasts = {
        steps: hindcast(kept.forecaster, panel, learned=learned, steps=steps, parameters=parameters)
        for steps in horizons
        if kept.scores[steps * panel.step_minutes].beats_baselines
    }
    drift = _drift(kept, panel, pasts, parameters)
    methods, frames = {}, [_no_rows()]
    for steps, past in pasts.items():
        minutes = steps * panel.step_minutes
        best = kept.scores[minutes].best_baseline
        methods[minutes] = f"fallback:{best}" if drift else MODEL
        rows = _rows(kept, panel, past, method=best if drift else MODEL, parameters=parameters)
        frames.append(rows.with_columns(pl.lit(methods[minutes]).alias("method")))
    return Issue(
        rows=pl.concat([frame.select(_COLUMNS) for frame in frames], how="vertical_relaxed"),
        methods=methods,
        drift=tuple(drift),
    )


def _drift(
    kept: KeptForecaster,
    panel: Panel,
    pasts: Mapping[int, Hindcast],
    parameters: ForecastParameters,
) -> list[str]:
    """Return why the model should not be used; nothing of one that was made just now."""
    made = panel.window_of(kept.made_at)
    if made == panel.n_windows:
        return []
    recent = origins(
        panel,
        first=max(0, panel.n_windows - int(parameters.test_days * panel.day)),
        end=panel.n_windows,
        max_stale_minutes=parameters.max_stale_minutes,
    )
    found = shifted_features(
        kept.reference,
        panel,
        recent,
        steps=min(kept.forecaster.models),
        limit=parameters.max_stability_index,
    )
    for steps, past in pasts.items():
        minutes = steps * panel.step_minutes
        tested = kept.scores[minutes].mae_kmh[MODEL]
        worse = worse_than_tested(
            past, panel, made=made, tested_mae_kmh=tested, parameters=parameters
        )
        found += [f"{minutes} minutes: {sentence}" for sentence in worse]
    return found


def _rows(
    kept: KeptForecaster,
    panel: Panel,
    past: Hindcast,
    *,
    method: str,
    parameters: ForecastParameters,
) -> pl.DataFrame:
    """Return forecasts of one horizon with intervals from what their method missed lately."""
    now, minutes = panel.n_windows - 1, past.steps * panel.step_minutes
    stale = parameters.max_stale_minutes
    at = origins(panel, first=now, end=now + 1, max_stale_minutes=stale)
    bands = kept.forecaster.bands(panel, at, past.steps)
    margins = past.scores(method).margins(now, parameters, keep=keep_windows(panel, parameters))
    widened = bands[method].widened(margins_for(group_of(panel, at, past.steps), margins))
    low, said, high = widened.speeds_kmh()
    instant = pl.Datetime("us", "UTC")
    return pl.DataFrame(
        {
            "h3_cell": panel.places[at.place],
            "evidence_start": [panel.at(int(w)) for w in panel.seen[at.window, at.place]],
            "forecast_kmh": said,
            "interval_low_kmh": low,
            "interval_high_kmh": high,
            "baseline_kmh": bands[kept.scores[minutes].best_baseline].speeds_kmh()[1],
        },
        schema_overrides={"evidence_start": instant},
    ).with_columns(
        pl.lit(panel.at(now + past.steps), instant).alias("window_start"),
        pl.lit(minutes, pl.Int32).alias("horizon_minutes"),
    )


def _no_rows() -> pl.DataFrame:
    schema = polars_schema(FORECASTS)
    return pl.DataFrame(schema={name: schema[name] for name in _COLUMNS})
