"""The work of this stage as plain functions over a lake; commands, DAGs and tests call these."""

from __future__ import annotations

from clearway_transforms.jobs.air import AirAccount, build_air
from clearway_transforms.jobs.congestion import CongestionAccount, build_congestion
from clearway_transforms.jobs.release import (
    LADDER_TABLES,
    gated,
    released,
    settle_release,
    settled_spans,
)
from clearway_transforms.release.gate import LADDER

__all__ = [
    "LADDER",
    "LADDER_TABLES",
    "AirAccount",
    "CongestionAccount",
    "build_air",
    "build_congestion",
    "gated",
    "released",
    "settle_release",
    "settled_spans",
]
