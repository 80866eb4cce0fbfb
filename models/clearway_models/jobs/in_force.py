"""Prices that are paid already."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from clearway_core.lake import Lake
from clearway_models.charge.proposal import prices_of


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
