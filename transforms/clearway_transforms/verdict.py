"""What may be said of a change, given its interval, and what stands against saying it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

import polars as pl

from clearway_transforms.parameters import PARAMETER_FOLDER, read_parameters

_MANY = 200
"""From here on Student's t and the normal quantile differ by less than 0.5 %."""


class Verdict(StrEnum):
    """What can be said of a change."""

    WORSE = "worse"
    BETTER = "better"
    NO_CHANGE = "no_detectable_change"
    CANNOT_TELL = "cannot_tell"


class Reason(StrEnum):
    """Why nothing can be said."""

    FEW_DAYS = "few_days"
    FEW_PLACES = "few_places"
    FEW_VEHICLES = "few_vehicles"
    LITTLE_COVERED = "little_covered"
    WIDE_INTERVAL = "wide_interval"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonParameters:
    """Demands on a comparison; meanings stand in ``comparison.toml``."""

    comparison_level: float
    band_city: float
    band_place: float
    min_days: int
    min_stratum_days: int
    min_row_vehicles: int
    min_places: int
    min_covered: float
    vehicle_style_cv: float
    min_hours: int


@cache
def comparison_parameters() -> ComparisonParameters:
    """Return the shipped demands."""
    return read_parameters(PARAMETER_FOLDER / "comparison.toml", ComparisonParameters)


def student_t(degrees: pl.Expr, level: float) -> pl.Expr:
    """Return Student's t of a two-sided interval; fractions of a degree are cut off.

    Parameters
    ----------
    degrees
        Degrees of freedom; below 1 counts as 1. [1]
    level
        Probability that the interval holds the value. [1]
    """
    whole = degrees.cast(pl.Int64).clip(1, _MANY)
    return whole.replace_strict(_t_table(level), return_dtype=pl.Float64)


@cache
def _t_table(level: float) -> dict[int, float]:
    # Imported here because it takes most of a second, and most importers compare nothing.
    from scipy.stats import t  # noqa: PLC0415

    return {degrees: float(t.ppf((1 + level) / 2, degrees)) for degrees in range(1, _MANY + 1)}


def verdict_and_reasons(
    *, band: float, missing: Mapping[Reason, pl.Expr]
) -> tuple[pl.Expr, pl.Expr]:
    """Return the verdict on rows with ``log_change`` and ``half``, and the reasons for none.

    Parameters
    ----------
    band
        Logarithm of the relative change that does not matter. [1]
    missing
        What an answer may lack, beside a narrow enough interval.

    Returns
    -------
    tuple of polars.Expr
        `Verdict` and a list of `Reason`. A change is worse or better if its interval leaves out
        zero and it is itself beyond the band; there is no detectable change if the whole interval
        lies within the band; all else cannot be told.
    """
    low, high = pl.col("log_change") - pl.col("half"), pl.col("log_change") + pl.col("half")
    within = (low >= -band) & (high <= band)
    slower = (low > 0) & (pl.col("log_change") > band)
    faster = (high < 0) & (pl.col("log_change") < -band)
    lacking = {**missing, Reason.WIDE_INTERVAL: ~(within | slower | faster)}
    reasons = pl.concat_list(
        pl.when(lacks).then(pl.lit(str(reason))) for reason, lacks in lacking.items()
    ).list.drop_nulls()
    verdict = (
        pl.when(pl.any_horizontal(lacking.values()))
        .then(pl.lit(str(Verdict.CANNOT_TELL)))
        .when(within)
        .then(pl.lit(str(Verdict.NO_CHANGE)))
        .when(slower)
        .then(pl.lit(str(Verdict.WORSE)))
        .otherwise(pl.lit(str(Verdict.BETTER)))
    )
    return verdict, reasons
