"""The gate that every row passes before it leaves the house.

A row is released if it rests on enough distinct vehicles, on enough distinct providers once the
data hold that many, and if no single vehicle makes up most of it. Counts are those of the row's own
cell and window, recounted from ``vehicle_travel`` at each roll-up.

Only rows of class 'all' are released: with rows per class beside them, the one class that was
held back could be found by subtraction. What else subtraction could find is kept back by
`clearway_transforms.release.complementary`.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from clearway_core.errors import UsageError
from clearway_transforms.congestion.cells import ALL_CLASSES
from clearway_transforms.parameters import release_parameters

LEAST_VEHICLES = 3
"""No setting goes below this: of two vehicles, each knows the other's values."""

LADDER = ((9, 15), (8, 60), (8, 1440))
"""Resolution and window [min] of the public products: for a map, for open data, for a day.

Each is nested in the next, so that the public rows are nested or apart. No others are public:
resolution 8 by 15 minutes, say, would cross resolution 9 by 60, and sums that cross can be
subtracted in more ways than a gate can close; cells of resolution 10 are a few houses. Every
further step costs rows: with 9 by 60 between them, 9 % of the rows of 9 by 15 have to give way in
San Francisco, without it 0.4 %.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRule:
    """What a row needs to be released.

    Parameters
    ----------
    min_vehicles
        Distinct vehicles behind the row, at least 3.
    min_providers
        Distinct providers behind the row, where the data hold as many; else 1.
    max_vehicle_share
        Largest share of the row's time that one vehicle may have. [1]

    Raises
    ------
    UsageError
        If fewer than 3 vehicles are asked for.
    """

    min_vehicles: int
    min_providers: int
    max_vehicle_share: float

    def __post_init__(self) -> None:
        if self.min_vehicles < LEAST_VEHICLES:
            message = (
                f"a released row rests on at least {LEAST_VEHICLES} vehicles, got "
                f"{self.min_vehicles}: ask for {LEAST_VEHICLES} or more"
            )
            raise UsageError(message)


def public_rule(*, n_providers: int) -> ReleaseRule:
    """Return the rule for open data.

    Parameters
    ----------
    n_providers
        Distinct providers in all the data; with one, the provider rule cannot apply.
    """
    parameters = release_parameters()
    several = n_providers >= parameters.min_providers
    return ReleaseRule(
        min_vehicles=parameters.min_vehicles,
        min_providers=parameters.min_providers if several else 1,
        max_vehicle_share=parameters.max_vehicle_share,
    )


def release(rows: pl.LazyFrame, rule: ReleaseRule) -> pl.LazyFrame:
    """Return the rows that pass by what they carry themselves; the others are absent.

    A missing count or share does not pass.

    Parameters
    ----------
    rows
        Rows with ``n_vehicles``, ``n_providers`` and either ``top_vehicle_share`` or
        ``top_vehicle_ms`` and ``duration_ms``.
    rule
        What each needs.

    Raises
    ------
    UsageError
        If the rows do not carry what the gate asks for.
    """
    columns = set(rows.collect_schema().names())
    if {"top_vehicle_ms", "duration_ms"} <= columns:
        even = pl.col("top_vehicle_ms") <= rule.max_vehicle_share * pl.col("duration_ms")
    elif "top_vehicle_share" in columns:
        even = pl.col("top_vehicle_share") <= rule.max_vehicle_share
    else:
        message = (
            "expected top_vehicle_share, or top_vehicle_ms and duration_ms, found neither: rows "
            "that do not say how much one vehicle makes up cannot be released"
        )
        raise UsageError(message)
    if "vehicle_class" in columns:
        rows = rows.filter(pl.col("vehicle_class") == ALL_CLASSES)
    return rows.filter(
        pl.col("n_vehicles") >= rule.min_vehicles,
        pl.col("n_providers") >= rule.min_providers,
        even,
    )
