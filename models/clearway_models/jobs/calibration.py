"""Trains a sensor calibration, keeps it with its card, and loads it again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl
from skops import io
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from clearway_core.data_dir import DataDir
from clearway_core.errors import InsufficientData, UsageError
from clearway_core.progress import Progress, silent
from clearway_core.settings import open_toml, raise_faults
from clearway_models.calibration import (
    FEATURES,
    Calibration,
    Collocation,
    Estimator,
    Score,
    coefficients,
    train,
)
from clearway_models.calibration_card import card_text
from clearway_models.kept_models import TREES, load_kept, versions, write_json
from clearway_models.parameters import PARAMETER_FOLDER, Parameter, read_table

CALIBRATION_FOLDER = "calibration"

TRUSTED_TYPES = frozenset(
    {
        "clearway_models.calibration.RawOnly",
        TREES,
    }
)
"""Types beyond skops' own that a calibration may hold; a file with any other is not loaded."""

_COLUMNS = ("hour_start", "site", "sensor", *FEATURES, "reference_ugm3")
_TARGETS = {
    "slope_low": "1",
    "slope_high": "1",
    "intercept": "µg/m³",
    "r2": "1",
    "rmse": "µg/m³",
    "nrmse": "%",
}
_COLLOCATION = {
    "min_days": "d",
    "min_hours_per_day": "h",
    "max_humidity": "%",
    "max_pm2_5": "µg/m³",
}
_MIN_PAIRS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationAccount:
    """What was trained.

    Parameters
    ----------
    calibration_id
        Name in outputs.
    chosen
        Model that won on unseen weeks.
    n_hours, n_left_out
        Hours that were used, and that were incomplete, too humid or out of range.
    n_days, n_sensors, n_sites
        Of the hours that were used.
    scores
        Daily scores on unseen weeks by model; ``raw`` without any.
    meets_targets
        Whether the chosen model meets every EPA target on daily means.
    status
        ``candidate``, until enough days and targets are met: then ``trained``.
    files
        Record, model and card.
    """

    calibration_id: str
    chosen: str
    n_hours: int
    n_left_out: int
    n_days: int
    n_sensors: int
    n_sites: int
    scores: dict[str, dict[str, float]]
    meets_targets: bool
    status: str
    files: tuple[str, ...]


def train_calibration(
    collocation: Path,
    *,
    data_dir: Path,
    sensor_model: str,
    progress: Progress = silent,
) -> CalibrationAccount:
    """Train a PM2.5 calibration from sensors that stood beside a reference.

    Parameters
    ----------
    collocation
        CSV or Parquet with ``hour_start`` (UTC), ``site``, ``sensor``, ``pm2_5_cf1_ugm3``,
        ``humidity_pct``, ``temperature_c`` and ``reference_ugm3``, one row per sensor and hour.
    data_dir
        The installation's data folder; files go to its ``models/calibration``.
    sensor_model
        Model of the sensors, such as ``plantower_pms5003``; they are calibrated together.
    progress
        Told of each step.

    Raises
    ------
    UsageError
        If the file cannot be read or lacks a column.
    InsufficientData
        If fewer than 200 hours or 3 weeks are usable.
    """
    targets, limits = read_targets()
    progress(0, 3, "reading the collocation")
    frame, left_out = _read(collocation, limits)
    data = _arrays(frame)
    progress(1, 3, "training on all but one week, each week once")
    # One thread: a few thousand hours are quick, and spinning threads slow each other on a busy
    # machine (26 s with two, below 2 s with one).
    with threadpool_limits(1):
        calibration = train(data, min_hours_per_day=limits["min_hours_per_day"].value)
    progress(2, 3, "keeping the model")
    digest = hashlib.sha256(collocation.read_bytes()).hexdigest()
    calibration_id = f"{sensor_model}-pm2_5-{digest[:8]}"
    chosen = next(c for c in calibration.candidates if c.name == calibration.chosen)
    meets = meets_targets(chosen.daily, targets)
    n_days = len(np.unique(data.day))
    record = _record(
        calibration,
        calibration_id=calibration_id,
        sensor_model=sensor_model,
        status="trained" if meets and n_days >= limits["min_days"].value else "candidate",
    )
    made_from = {
        "collocation_sha256": digest,
        "n_hours_left_out": left_out,
        "targets": {name: parameter.record() for name, parameter in targets.items()},
        "meets_targets": meets,
    }
    card = record | _card(calibration, data, frame, limits=limits) | made_from
    folder = DataDir(data_dir).models / CALIBRATION_FOLDER
    files = _write(folder, calibration, record, card)
    progress(3, 3, "done")
    return CalibrationAccount(
        calibration_id=calibration_id,
        chosen=calibration.chosen,
        n_hours=len(data.reference_ugm3),
        n_left_out=left_out,
        n_days=n_days,
        n_sensors=len(np.unique(data.sensor)),
        n_sites=len(np.unique(data.site)),
        scores={
            "raw": asdict(calibration.raw_daily),
            **{c.name: asdict(c.daily) for c in calibration.candidates},
        },
        meets_targets=meets,
        status=str(record["status"]),
        files=files,
    )


def read_targets() -> tuple[Mapping[str, Parameter], Mapping[str, Parameter]]:
    """Return the targets of a calibrated sensor and the limits of a collocation."""
    top, faults = open_toml(PARAMETER_FOLDER / "sensor_targets.toml")
    targets = read_table(top, "pm2_5", _TARGETS)
    limits = read_table(top, "collocation", _COLLOCATION)
    top.finish()
    raise_faults(faults)
    return targets, limits


def meets_targets(score: Score, targets: Mapping[str, Parameter]) -> bool:
    """Return whether a score of daily means meets every target; RMSE or NRMSE suffices."""
    limit = {name: parameter.value for name, parameter in targets.items()}
    return (
        limit["slope_low"] <= score.slope <= limit["slope_high"]
        and abs(score.intercept_ugm3) <= limit["intercept"]
        and score.r2 >= limit["r2"]
        and (score.rmse_ugm3 <= limit["rmse"] or score.nrmse_pct <= limit["nrmse"])
    )


def load_model(file: Path) -> Estimator:
    """Return a kept model.

    Raises
    ------
    ContractViolation
        If the file holds a type that a calibration never has: it may run foreign code.
    """
    kept = load_kept(
        file,
        trusted=TRUSTED_TYPES,
        kind="a calibration",
        remedy="Train it again from the collocation.",
    )
    return cast("Estimator", kept)


def _read(file: Path, limits: Mapping[str, Parameter]) -> tuple[pl.DataFrame, int]:
    """Return usable hours in order, and how many were left out."""
    try:
        frame = (
            pl.read_parquet(file)
            if file.suffix == ".parquet"
            else pl.read_csv(file, try_parse_dates=True, infer_schema_length=None)
        )
    except (OSError, pl.exceptions.PolarsError) as error:
        message = f"{file}: cannot be read as CSV or Parquet ({error})"
        raise UsageError(message) from error
    missing = [name for name in _COLUMNS if name not in frame.columns]
    if missing:
        message = f"{file}: expected the columns {', '.join(_COLUMNS)}; missing {missing}"
        raise UsageError(message)
    if not isinstance(frame.schema["hour_start"], pl.Datetime):
        message = f"{file}: hour_start must be a time such as 2019-08-01T05:00:00Z"
        raise UsageError(message)
    numbers = [*FEATURES, "reference_ugm3"]
    usable = (
        frame.select(
            "hour_start",
            pl.col("site", "sensor").cast(pl.String),
            *(pl.col(name).cast(pl.Float64, strict=False).fill_nan(None) for name in numbers),
        )
        .drop_nulls()
        .filter(
            pl.col("humidity_pct").is_between(0, limits["max_humidity"].value)
            & pl.col("pm2_5_cf1_ugm3").is_between(0, limits["max_pm2_5"].value)
        )
        .unique(["sensor", "hour_start"], keep="first", maintain_order=True)
        .sort("sensor", "hour_start")
    )
    if usable.height < _MIN_PAIRS:
        message = (
            f"{file}: expected at least {_MIN_PAIRS} usable hours, got {usable.height} of "
            f"{frame.height}. Collect more, or check units and missing values."
        )
        raise InsufficientData(message)
    return usable, frame.height - usable.height


def _arrays(frame: pl.DataFrame) -> Collocation:
    return Collocation(
        features=frame.select(FEATURES).to_numpy(),
        reference_ugm3=frame["reference_ugm3"].to_numpy(),
        week=np.array(frame["hour_start"].dt.strftime("%G-W%V").to_list()),
        day=np.array(frame["hour_start"].dt.strftime("%Y-%m-%d").to_list()),
        site=np.array(frame["site"].to_list()),
        sensor=np.array(frame["sensor"].to_list()),
    )


def _record(
    calibration: Calibration, *, calibration_id: str, sensor_model: str, status: str
) -> dict[str, object]:
    """Return the plain linear record, which the air values are computed from."""
    intercept, slopes = coefficients(calibration.linear)
    return {
        "calibration_id": calibration_id,
        "sensor_model": sensor_model,
        "pollutant": "pm2_5",
        "model": calibration.linear_name,
        "intercept": intercept,
        "coefficients": slopes,
        "domain": {name: list(bounds) for name, bounds in calibration.domain.items()},
        "residual_sd": calibration.residual_sd_ugm3,
        "unit": "µg/m³",
        "status": status,
    }


def _card(
    calibration: Calibration,
    data: Collocation,
    frame: pl.DataFrame,
    *,
    limits: Mapping[str, Parameter],
) -> dict[str, object]:
    hours = limits["min_hours_per_day"].value
    return {
        "chosen": calibration.chosen,
        "n_hours": len(data.reference_ugm3),
        "n_days": len(np.unique(data.day)),
        "sensors": np.unique(data.sensor).tolist(),
        "sites": np.unique(data.site).tolist(),
        "period": [str(frame["hour_start"].min()), str(frame["hour_start"].max())],
        "validation": "Blocked by ISO weeks, each week predicted from all others; leave one site "
        f"out where there are several; daily means of at least {hours:.0f} hours",
        "raw_daily": asdict(calibration.raw_daily),
        "candidates": [asdict(candidate) for candidate in calibration.candidates],
        "versions": versions(),
    }


def _write(
    folder: Path, calibration: Calibration, record: dict[str, object], card: dict[str, object]
) -> tuple[str, ...]:
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / str(record["calibration_id"])
    paths = {
        name: stem.with_name(f"{stem.name}{name}")
        for name in (".json", ".skops", ".card.json", ".md")
    }
    write_json(paths[".json"], record)
    io.dump(calibration.estimator, paths[".skops"])
    write_json(paths[".card.json"], card)
    paths[".md"].write_text(card_text(card), encoding="utf-8")
    return tuple(str(path) for path in paths.values())
