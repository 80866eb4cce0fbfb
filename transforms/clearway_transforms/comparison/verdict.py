"""What may be said of a change, given its interval, and what stands against saying it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import polars as pl


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
