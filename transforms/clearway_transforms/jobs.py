"""The work of this stage as plain functions over a lake; commands, DAGs and tests call these."""

from __future__ import annotations

from clearway_transforms.air_jobs import AirAccount, build_air
from clearway_transforms.congestion_jobs import CongestionAccount, build_congestion
from clearway_transforms.release_jobs import released

__all__ = ["AirAccount", "CongestionAccount", "build_air", "build_congestion", "released"]
