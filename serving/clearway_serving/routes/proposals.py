"""Charge proposals as they were made, and what people decided about them."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
from fastapi import APIRouter
from starlette.responses import Response

from clearway_serving.answer import json_answer, not_found
from clearway_serving.instants import iso
from clearway_serving.site import Site

_STATE_OF = {
    "approved": "approved",
    "rejected": "rejected",
    "published": "published",
    "refused_at_publication": "refused_at_publication",
}


def router(site: Site) -> APIRouter:
    """Return the routes of charge proposals."""
    routes = APIRouter(prefix="/api/proposals", tags=["proposals"])

    @routes.get("")
    def proposals() -> Response:
        """Return every proposal in short, the newest first."""
        frame = _table(site, "charge_proposals").sort("created_at", descending=True)
        decisions = _decisions(site)
        return json_answer(
            [
                _in_short(row, decisions.get(row["proposal_id"], []))
                for row in frame.iter_rows(named=True)
            ]
        )

    @routes.get("/{proposal_id}")
    def proposal(proposal_id: str) -> Response:
        """Return one proposal whole, with its decisions in their order."""
        frame = _table(site, "charge_proposals").filter(pl.col("proposal_id") == proposal_id)
        if frame.is_empty():
            message = f"there is no proposal {proposal_id}"
            raise not_found(message)
        row = frame.row(0, named=True)
        decisions = _decisions(site).get(proposal_id, [])
        return json_answer(
            {
                **_in_short(row, decisions),
                "zone": json.loads(row["zone_geojson"]),
                "body": json.loads(row["body_json"]),
                "manifest": json.loads(row["manifest_json"]),
                "decisions": decisions,
            }
        )

    return routes


def _in_short(row: dict[str, Any], decisions: list[dict[str, object]]) -> dict[str, object]:
    copied = ("proposal_id", "zone_name", "verdict", "currency", "price_year")
    return {
        **{name: row[name] for name in copied},
        "created_at": iso(row["created_at"]),
        "state": _state(row, decisions),
    }


def _table(site: Site, name: str) -> pl.DataFrame:
    return site.published.lake.table(name).scan().collect()


def _decisions(site: Site) -> dict[str, list[dict[str, object]]]:
    """Return the decisions per proposal in the order they were taken.

    Who decided stays inside: an agency's record names them, a page for everyone does not.
    """
    by_proposal: dict[str, list[dict[str, object]]] = {}
    for row in _table(site, "charge_decisions").sort("decided_at").iter_rows(named=True):
        entry = {
            "decision": row["decision"],
            "decided_at": iso(row["decided_at"]),
            "decided_by": row["decided_by"] if site.published.internal else None,
            "note": row["note"],
            "proposal_sha256": row["proposal_sha256"],
        }
        by_proposal.setdefault(row["proposal_id"], []).append(entry)
    return by_proposal


def _state(row: dict[str, object], decisions: list[dict[str, object]]) -> str:
    """Return where the proposal stands: waiting, on hold, or what was decided last.

    A hold cannot be approved: an approval of it says that a person has seen it.
    """
    held = row["verdict"] == "hold"
    if not decisions:
        return "held" if held else "waiting"
    state = _STATE_OF[str(decisions[-1]["decision"])]
    return "acknowledged" if held and state == "approved" else state
