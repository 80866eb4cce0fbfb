"""The work of this stage as plain functions over a lake; commands, DAGs and tests call these."""

from __future__ import annotations

from clearway_transforms.air_jobs import AirAccount, build_air
from clearway_transforms.congestion_jobs import CongestionAccount, build_congestion
from clearway_transforms.release import LADDER
from clearway_transforms.release_jobs import (
    LADDER_TABLES,
    gated,
    released,
    settle_release,
    settled_spans,
)

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
