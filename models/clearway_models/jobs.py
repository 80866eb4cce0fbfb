"""The work of this stage as plain functions over a lake; commands, DAGs and tests call these."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clearway_core.progress import Progress, silent
from clearway_models.decision_jobs import (
    Decision,
    Publication,
    decide,
    decisions,
    find_proposal,
    list_proposals,
    publish,
    refusals,
)
from clearway_models.emission_jobs import EmissionAccount, build_emissions
from clearway_models.proposal_jobs import propose_charge
from clearway_models.zone_jobs import show_zone

if TYPE_CHECKING:
    from clearway_core.city import City
    from clearway_core.lake import Lake
    from clearway_models.calibration_jobs import CalibrationAccount
    from clearway_models.forecast_jobs import ForecastAccount


def train_calibration(
    collocation: Path, *, data_dir: Path, sensor_model: str, progress: Progress = silent
) -> CalibrationAccount:
    """Train a PM2.5 calibration; see `clearway_models.calibration_jobs.train_calibration`."""
    from clearway_models import calibration_jobs  # scikit-learn takes seconds to load

    return calibration_jobs.train_calibration(
        collocation, data_dir=data_dir, sensor_model=sensor_model, progress=progress
    )


def build_forecast(
    lake: Lake,
    *,
    data_dir: Path,
    resolution: int = 9,
    window_minutes: int = 15,
    city: City | None = None,
    progress: Progress = silent,
) -> ForecastAccount:
    """Forecast the next hour; see `clearway_models.forecast_jobs.build_forecast`."""
    from clearway_models import forecast_jobs  # scikit-learn takes seconds to load

    return forecast_jobs.build_forecast(
        lake,
        data_dir=data_dir,
        resolution=resolution,
        window_minutes=window_minutes,
        city=city,
        progress=progress,
    )


__all__ = [
    "Decision",
    "EmissionAccount",
    "Publication",
    "build_emissions",
    "build_forecast",
    "decide",
    "decisions",
    "find_proposal",
    "list_proposals",
    "propose_charge",
    "publish",
    "refusals",
    "show_zone",
    "train_calibration",
]
