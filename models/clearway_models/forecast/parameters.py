"""Settings of the forecast, read once from ``params/forecast.toml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache

from clearway_core.settings import open_toml, raise_faults
from clearway_models.parameters import PARAMETER_FOLDER, Parameter, read_table

FORECAST_FILE = PARAMETER_FOLDER / "forecast.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastParameters:
    """What is learned from and when to stop; meanings stand in ``forecast.toml``."""

    history_days: float
    min_history_days: float
    min_cell_share: float
    max_stale_minutes: float
    calibration_days: float
    test_days: float
    held_out_share: float
    interval_level: float
    min_group_scores: float
    trees: float
    learning_rate: float
    max_training_rows: float
    max_scored_rows: float
    retrain_days: float
    max_stability_index: float
    coverage_margin: float
    coverage_days: float
    max_error_ratio: float


_UNITS = {
    name: "d" if name.endswith("_days") else "min" if name.endswith("_minutes") else "1"
    for name in (field.name for field in fields(ForecastParameters))
}


@cache
def forecast_parameters() -> ForecastParameters:
    """Return the shipped settings."""
    read = read_forecast_file()
    return ForecastParameters(**{name: read[name].value for name in _UNITS})


def read_forecast_file() -> Mapping[str, Parameter]:
    """Return each setting with its source, for the model card.

    Raises
    ------
    SettingsError
        With every fault of the file.
    """
    top, faults = open_toml(FORECAST_FILE)
    found = read_table(top, "parameters", _UNITS, named="forecast", minimum=0)
    top.finish()
    raise_faults(faults)
    return found
