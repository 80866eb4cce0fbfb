"""Calibrations of raw sensor values: published ones and those that a city trained itself.

Published ones stand in ``params/calibrations.toml``; trained ones are records in the data folder,
``models/calibration/<id>.json``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, reduce
from pathlib import Path

import polars as pl

from clearway_core.errors import UsageError
from clearway_core.settings import Section, open_toml, raise_faults
from clearway_transforms.parameters import PARAMETER_FOLDER, STATUSES

NONE = "none"
"""Identifier of values without calibration."""


OUTSIDE_DOMAIN_SD = 2.0
"""Outside of what a calibration was trained on its uncertainty is this many times larger. [1]"""

_FEATURES = ("pm2_5_cf1_ugm3", "humidity_pct", "temperature_c")

Domain = Mapping[str, tuple[float, float]]
"""Least and largest value of each feature that a calibration was trained on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearCalibration:
    """PM2.5 as a linear function of the raw CF=1 value, humidity and temperature.

    Parameters
    ----------
    calibration_id
        Name in outputs.
    sensor_models
        Models that it was made for.
    default
        Whether it is used for those models unless something else is asked for.
    slope, humidity_slope, temperature_slope, intercept_ugm3
        Coefficients. [1], [µg/m³ per %], [µg/m³ per °C], [µg/m³]
    raw_max_ugm3
        It gives values for raw values below this. [µg/m³]
    sd_ugm3
        Standard uncertainty of a calibrated hour. [µg/m³]
    domain
        What it was trained on; empty where only `raw_max_ugm3` is known.
    """

    calibration_id: str
    sensor_models: tuple[str, ...]
    default: bool
    slope: float
    humidity_slope: float
    temperature_slope: float = 0.0
    intercept_ugm3: float
    raw_max_ugm3: float
    sd_ugm3: float
    domain: Domain = field(default_factory=dict)

    def apply(self, raw_ugm3: pl.Expr, humidity_pct: pl.Expr, *, temperature_c: pl.Expr) -> pl.Expr:
        """Return the calibrated value; null where an input that it uses is null or too large.

        Parameters
        ----------
        raw_ugm3
            Hourly mean of the CF=1 value, of both channels where there are two. [µg/m³]
        humidity_pct, temperature_c
            Hourly means beside the sensor; only those with a coefficient are asked for. [%], [°C]

        Returns
        -------
        polars.Expr
            PM2.5. [µg/m³]; may be negative, as a mean of clean hours needs its sign.
        """
        value = self.slope * raw_ugm3 + self.intercept_ugm3
        for slope, feature in (
            (self.humidity_slope, humidity_pct),
            (self.temperature_slope, temperature_c),
        ):
            if slope != 0:
                value = value + slope * feature
        return pl.when(raw_ugm3 < self.raw_max_ugm3).then(value)

    def uncertainty(
        self, raw_ugm3: pl.Expr, humidity_pct: pl.Expr, *, temperature_c: pl.Expr
    ) -> pl.Expr:
        """Return the standard uncertainty [µg/m³]: doubled outside of the domain.

        The parameters are those of `apply`. A feature without a coefficient counts too: hours of a
        heat that no training hour had are unlike those hours, whatever the model uses. One that is
        null and not used does not.
        """
        values = zip(_FEATURES, (raw_ugm3, humidity_pct, temperature_c), strict=True)
        outside = [
            ~value.is_between(*self.domain[name]) for name, value in values if name in self.domain
        ]
        beyond = reduce(lambda a, b: a | b.fill_null(value=False), outside, pl.lit(value=False))
        return pl.when(beyond).then(self.sd_ugm3 * OUTSIDE_DOMAIN_SD).otherwise(self.sd_ugm3)


@cache
def calibrations() -> Mapping[str, LinearCalibration]:
    """Return the shipped calibrations by identifier."""
    top, faults = open_toml(PARAMETER_FOLDER / "calibrations.toml")
    table = top.section("calibrations")
    found = {name: _read(name, table.section(name)) for name in table.keys()}  # noqa: SIM118
    table.finish()
    top.finish()
    raise_faults(faults)
    return found


def chosen(name: str | None, trained: Path | None = None) -> tuple[LinearCalibration, ...]:
    """Return the calibrations that a name stands for.

    Parameters
    ----------
    name
        An identifier; ``none`` for raw values only; None for the default of each sensor model.
    trained
        Folder with the records of trained calibrations, if there may be any. They are used only
        by name.

    Raises
    ------
    UsageError
        If there is no such calibration, or its record cannot be read.
    """
    shipped = calibrations()
    if name is None:
        return tuple(each for each in shipped.values() if each.default)
    if name == NONE:
        return ()
    if name in shipped:
        return (shipped[name],)
    records = {} if trained is None else {path.stem: path for path in trained.glob("*.json")}
    own = {stem: path for stem, path in records.items() if not stem.endswith(".card")}
    if name in own:
        return (read_trained(own[name]),)
    message = f"calibration is one of {', '.join((NONE, *shipped, *sorted(own)))}, got {name!r}"
    raise UsageError(message)


def read_trained(path: Path) -> LinearCalibration:
    """Return a trained calibration from its record.

    Parameters
    ----------
    path
        JSON with ``calibration_id``, ``sensor_model``, ``pollutant`` pm2_5, ``unit`` µg/m³,
        ``intercept``, ``coefficients``, ``domain`` and ``residual_sd``.

    Raises
    ------
    UsageError
        If it is not such a record.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        slopes = {name: _finite(record["coefficients"][name]) for name in _FEATURES}
        domain = {
            name: (_finite(low), _finite(high)) for name, (low, high) in record["domain"].items()
        }
        calibration = LinearCalibration(
            calibration_id=str(record["calibration_id"]),
            sensor_models=(str(record["sensor_model"]),),
            default=False,
            slope=slopes["pm2_5_cf1_ugm3"],
            humidity_slope=slopes["humidity_pct"],
            temperature_slope=slopes["temperature_c"],
            intercept_ugm3=_finite(record["intercept"]),
            raw_max_ugm3=math.inf,
            sd_ugm3=_finite(record["residual_sd"]),
            domain=domain,
        )
        kind = (record["pollutant"], record["unit"], calibration.calibration_id)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        message = (
            f"{path}: expected the record of a trained calibration, got {error!r}. Train it again "
            "with `clearway build calibration`."
        )
        raise UsageError(message) from error
    if kind != ("pm2_5", "µg/m³", path.stem):
        message = f"{path}: expected pm2_5 in µg/m³ under the name {path.stem}, got {kind}"
        raise UsageError(message)
    return calibration


def _finite(value: object) -> float:
    number = float(str(value))
    if not math.isfinite(number):
        message = f"expected a finite number, got {value!r}"
        raise ValueError(message)
    return number


def _read(name: str, section: Section) -> LinearCalibration:
    calibration = LinearCalibration(
        calibration_id=name,
        sensor_models=section.texts("sensor_models"),
        default=section.flag("default"),
        slope=section.number("slope"),
        humidity_slope=section.number("humidity_slope"),
        intercept_ugm3=section.number("intercept_ugm3"),
        raw_max_ugm3=section.number("raw_max_ugm3"),
        sd_ugm3=section.number("sd_ugm3"),
    )
    for key in ("averaging", "source", "sd_source", "valid_from"):
        section.text(key)
    for key in ("status", "sd_status"):
        section.text(key, allowed=STATUSES)
    section.finish()
    return calibration
