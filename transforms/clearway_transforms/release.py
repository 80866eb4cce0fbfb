"""The gate that every row passes before it leaves the house.

A row is released if it rests on enough distinct vehicles, on enough distinct providers once the
data hold that many, and if no single vehicle makes up most of it. Counts are those of the row's own
cell and window, recounted from ``vehicle_travel`` at each roll-up.

Only rows of class 'all' are released: with rows per class beside them, the one class that was
held back could be found by subtraction.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from clearway_core.errors import UsageError
from clearway_transforms.cells import ALL_CLASSES
from clearway_transforms.parameters import CongestionParameters

LEAST_VEHICLES = 3
"""No setting goes below this: of two vehicles, each knows the other's values."""


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


def public_rule(parameters: CongestionParameters, *, n_providers: int) -> ReleaseRule:
    """Return the rule for open data.

    Parameters
    ----------
    parameters
        Thresholds.
    n_providers
        Distinct providers in all the data; with one, the provider rule cannot apply.
    """
    several = n_providers >= parameters.public_min_providers
    return ReleaseRule(
        min_vehicles=parameters.public_min_vehicles,
        min_providers=parameters.public_min_providers if several else 1,
        max_vehicle_share=parameters.public_max_vehicle_share,
    )


def passes(rule: ReleaseRule) -> pl.Expr:
    """Return whether a row's own counts pass; a missing count does not."""
    enough = (pl.col("n_vehicles") >= rule.min_vehicles) & (
        pl.col("n_providers") >= rule.min_providers
    )
    return enough.fill_null(value=False)


def release(
    rows: pl.LazyFrame, rule: ReleaseRule, *, cell_travel: pl.LazyFrame | None = None
) -> pl.LazyFrame:
    """Return the rows that may leave the house; the others are absent, not blanked.

    Parameters
    ----------
    rows
        Rows with ``n_vehicles`` and ``n_providers``, such as those of ``congestion``.
    rule
        What each needs.
    cell_travel
        Sums of the same cells and windows, for the dominance rule; a row without its sums is not
        released. None where rows carry no window of their own.
    """
    columns = rows.collect_schema().names()
    if "vehicle_class" in columns:
        rows = rows.filter(pl.col("vehicle_class") == ALL_CLASSES)
    rows = rows.filter(passes(rule))
    if cell_travel is None:
        return rows
    shared = cell_travel.filter(
        (pl.col("vehicle_class") == ALL_CLASSES)
        & (pl.col("top_vehicle_ms") <= rule.max_vehicle_share * pl.col("duration_ms"))
        & passes(rule)
    )
    key = ["resolution", "window_minutes", "h3_cell", "window_start"]
    return rows.join(shared, on=key, how="semi", maintain_order="left")
