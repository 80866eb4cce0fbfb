"""Prices that are paid already, and the bounds that any new price keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from clearway_core.errors import UsageError
from clearway_core.lake import Lake
from clearway_models.charge.parameters import ChargeParameters
from clearway_models.charge.prices import PriceBounds


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """The newest published proposal of a zone, whose prices are paid already."""

    proposal_id: str
    prices: Mapping[str, Mapping[str, int]]
    currency: str

    def record(self) -> dict[str, object]:
        """Return it as JSON-ready values."""
        return {
            "proposal_id": self.proposal_id,
            "currency": self.currency,
            "prices": {period: dict(classes) for period, classes in self.prices.items()},
        }


def price_bounds(parameters: ChargeParameters, valuation: Mapping[str, object]) -> PriceBounds:
    """Return the bounds of a tariff.

    Parameters
    ----------
    parameters
        Class ratios.
    valuation
        A valuation's record, as a proposal carries it: bounds in minor units.
    """

    def whole(key: str) -> int:
        value = valuation[key]
        if not isinstance(value, int):
            message = f"valuation.{key}: expected a whole number of minor units, got {value!r}"
            raise UsageError(message)
        return value

    classes = parameters.classes
    return PriceBounds(
        rounding_minor=whole("rounding_minor"),
        cap_minor=whole("cap_minor_per_km"),
        max_step_minor=whole("max_step_minor_per_km"),
        ratio_low={name: item.ratio_to_car_low.value for name, item in classes.items()},
        ratio_high={name: item.ratio_to_car_high.value for name, item in classes.items()},
    )


def prices_in_force(lake: Lake, zone_name: str) -> InForce | None:
    """Return the prices that were published last for a zone of that name, or None."""
    published = (
        lake.table("charge_decisions")
        .scan()
        .filter(pl.col("decision").eq("published"))
        .select("proposal_id", "decided_at")
    )
    newest = (
        lake.table("charge_proposals")
        .scan()
        .filter(pl.col("zone_name").eq(zone_name))
        .join(published, on="proposal_id", how="inner")
        .sort("decided_at", "proposal_id")
        .tail(1)
        .collect()
    )
    if newest.is_empty():
        return None
    row = newest.row(0, named=True)
    return InForce(
        proposal_id=row["proposal_id"],
        prices=prices_of(json.loads(row["body_json"])),
        currency=row["currency"],
    )


def prices_of(body: Mapping[str, object]) -> dict[str, dict[str, int]]:
    """Return the stated prices of a proposal by period and class [minor units/km]."""
    prices: dict[str, dict[str, int]] = {}
    rows = body["prices"]
    for row in rows if isinstance(rows, list) else []:
        if row["price_minor_per_km"] is not None:
            prices.setdefault(row["period"], {})[row["charge_class"]] = row["price_minor_per_km"]
    return prices
