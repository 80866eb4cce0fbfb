"""Thresholds of the gateway's checks, read from ``params/checks.toml`` that gives their sources."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from clearway_core.settings import open_toml, raise_faults

_FILE = Path(__file__).parent / "params" / "checks.toml"
_STATUSES = ("verified", "design", "unverified")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckParameters:
    """Thresholds; meanings stand in ``checks.toml``."""

    stuck_s: float
    stuck_readings: float
    gap_s: float
    spike_window: float
    spike_min_readings: float
    spike_mad: float
    spike_ugm3: float
    ab_difference_ugm3: float
    ab_relative_difference: float
    ab_window_s: float
    humidity_limit_pct: float
    humidity_limit_sds_pct: float
    humidity_window_s: float
    jump_speed_kmh: float
    jump_slack_m: float
    jump_window_s: float
    max_vehicles: float
    max_sensors: float


@cache
def check_parameters() -> CheckParameters:
    """Return the thresholds.

    Raises
    ------
    SettingsError
        If the file lacks one, or one lacks its source.
    """
    top, faults = open_toml(_FILE)
    tables = top.section("parameters")
    values = {}
    for name in CheckParameters.__dataclass_fields__:
        table = tables.section(name)
        values[name] = table.number("value", minimum=0.0)
        table.text("unit")
        table.text("source")
        table.text("status", allowed=_STATUSES)
        table.text("valid_from")
        table.finish()
    tables.finish()
    top.finish()
    raise_faults(faults)
    return CheckParameters(**values)
