"""The work of this stage as plain functions over a lake; commands, DAGs and tests call these.

`jobs.forecast` and `jobs.calibration` are asked for by name: scikit-learn takes seconds to load.
"""

from __future__ import annotations

from clearway_models.jobs.decision import (
    Decision,
    Publication,
    decide,
    decisions,
    find_proposal,
    list_proposals,
    publish,
    refusals,
)
from clearway_models.jobs.emissions import EmissionAccount, build_emissions
from clearway_models.jobs.proposal import propose_charge
from clearway_models.jobs.zone import show_zone

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
