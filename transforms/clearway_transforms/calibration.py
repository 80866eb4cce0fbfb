"""Published calibrations of raw sensor values, read from ``params/calibrations.toml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import polars as pl

from clearway_core.errors import UsageError
from clearway_core.settings import Section, open_toml, raise_faults
from clearway_transforms.parameters import PARAMETER_FOLDER, STATUSES

NONE = "none"
"""Identifier of values without calibration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearCalibration:
    """PM2.5 as a linear function of the raw CF=1 value and relative humidity.

    Parameters
    ----------
    calibration_id
        Name in outputs.
    sensor_models
        Models that it was made for.
    default
        Whether it is used for those models unless something else is asked for.
    slope, humidity_slope, intercept_ugm3
        Coefficients. [1], [µg/m³ per %], [µg/m³]
    raw_max_ugm3
        It holds for raw values below this. [µg/m³]
    sd_ugm3
        Standard uncertainty of a calibrated hour. [µg/m³]
    """

    calibration_id: str
    sensor_models: tuple[str, ...]
    default: bool
    slope: float
    humidity_slope: float
    intercept_ugm3: float
    raw_max_ugm3: float
    sd_ugm3: float

    def apply(self, raw_ugm3: pl.Expr, humidity_pct: pl.Expr) -> pl.Expr:
        """Return the calibrated value; null where an input is null or out of its range.

        Parameters
        ----------
        raw_ugm3
            Hourly mean of the CF=1 value, of both channels where there are two. [µg/m³]
        humidity_pct
            Hourly mean of relative humidity beside the sensor. [%]

        Returns
        -------
        polars.Expr
            PM2.5. [µg/m³]; may be negative, as a mean of clean hours needs its sign.
        """
        value = self.slope * raw_ugm3 + self.humidity_slope * humidity_pct + self.intercept_ugm3
        return pl.when(raw_ugm3 < self.raw_max_ugm3).then(value)


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


def chosen(name: str | None) -> tuple[LinearCalibration, ...]:
    """Return the calibrations that a name stands for.

    Parameters
    ----------
    name
        An identifier; ``none`` for raw values only; None for the default of each sensor model.

    Raises
    ------
    UsageError
        If there is no such calibration.
    """
    shipped = calibrations()
    if name is None:
        return tuple(each for each in shipped.values() if each.default)
    if name == NONE:
        return ()
    if name not in shipped:
        message = f"calibration is one of {', '.join((NONE, *shipped))}, got {name!r}"
        raise UsageError(message)
    return (shipped[name],)


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
