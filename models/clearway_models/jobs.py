"""The work of this stage as plain functions over a lake; commands, DAGs and tests call these."""

from __future__ import annotations

from clearway_models.decision_jobs import (
    Decision,
    Publication,
    decide,
    decisions,
    find_proposal,
    list_proposals,
    publish,
    refusals,
)
from clearway_models.emission_jobs import EmissionAccount, build_emissions
from clearway_models.proposal_jobs import propose_charge
from clearway_models.zone_jobs import show_zone

__all__ = [
    "Decision",
    "EmissionAccount",
    "Publication",
    "build_emissions",
    "decide",
    "decisions",
    "find_proposal",
    "list_proposals",
    "propose_charge",
    "publish",
    "refusals",
    "show_zone",
]
