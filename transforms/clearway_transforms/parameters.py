"""Thresholds and factors, read once from the files in ``params/`` that give their sources."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from clearway_core.settings import Section, open_toml, raise_faults

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

PARAMETER_FOLDER = Path(__file__).parent / "params"

STATUSES = ("verified", "computed", "design", "unverified")
"""How well a parameter is known; see the head of each file."""

Parameters = TypeVar("Parameters", bound="DataclassInstance")


@dataclass(frozen=True, slots=True, kw_only=True)
class CongestionParameters:
    """Thresholds of the way from GPS fixes to congestion; meanings stand in ``congestion.toml``."""

    max_speed_kmh: float
    max_acceleration_ms2: float
    max_accuracy_m: float
    service_area_margin_km: float
    max_clock_ahead_s: float
    repeat_window_s: float
    two_gateways_s: float
    road_distance_m: float
    max_far_share: float
    min_fixes_for_share: int
    max_gap_s: float
    max_gap_sparse_s: float
    sparse_median_gap_s: float
    dwell_radius_m: float
    dwell_s: float
    boarding_s: float
    boarding_m: float
    classes_apart: tuple[str, ...]
    queue_speed_kmh: float
    queue_min_vehicles: int
    queue_own_s: float
    reported_max_gap_s: float
    path_min_gap_s: float
    interval_level: float
    cv_floor: float
    typical_vehicle_cv: float
    typical_vehicles: int
    interval_cv_floor: float
    quality_a_vehicles: int
    quality_a_cv: float
    quality_b_vehicles: int
    quality_b_cv: float
    free_flow_quantile: float
    off_peak_from_hour: int
    off_peak_to_hour: int
    free_flow_windows: int
    free_flow_vehicles: int
    free_flow_days: int
    free_flow_own_windows: int
    look_back_days: int


@cache
def congestion_parameters() -> CongestionParameters:
    """Return the shipped thresholds of the congestion chain."""
    return read_parameters(PARAMETER_FOLDER / "congestion.toml", CongestionParameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlendParameters:
    """Thresholds of blending; meanings stand in ``blend.toml``."""

    min_rows: int
    slowest_kmh: float
    cv_floor: float
    working_variance: float
    near_windows: int
    far_windows: int
    pair_windows: float
    weeks: int
    prior_degrees: float
    interval_level: float

    @property
    def floor(self) -> float:
        """Return the smallest variance of log pace [1]."""
        return self.cv_floor**2


@cache
def blend_parameters() -> BlendParameters:
    """Return the shipped thresholds of blending."""
    return read_parameters(PARAMETER_FOLDER / "blend.toml", BlendParameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class CorridorParameters:
    """Thresholds of travel times along corridors; meanings stand in ``corridors.toml``."""

    segment_length_m: float
    match_radius_m: float
    beyond_m: float
    max_gap_s: float
    bridge_gap_s: float
    max_detour: float
    reversal_m: float
    min_pass_m: float
    trim_m: float
    segment_min_vehicles: int
    segment_min_passes: float
    min_length_share: float
    verify_min_drives: int
    verify_tolerance: float
    verify_widest: float


@cache
def corridor_parameters() -> CorridorParameters:
    """Return the shipped thresholds of travel times along corridors."""
    return read_parameters(PARAMETER_FOLDER / "corridors.toml", CorridorParameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityParameters:
    """Periods, and what reliability, bottlenecks and anomalies need; see ``reliability.toml``."""

    morning_peak_from_hour: int
    midday_from_hour: int
    evening_peak_from_hour: int
    overnight_from_hour: int
    reliable_lottr: float
    min_window_vehicles: int
    min_workdays: int
    min_rest_days: int
    min_windows: int
    phed_floor_mph: float
    phed_limit_share: float
    phed_most_s: float
    congested_index: float
    recurring_share: float
    recurring_days: int
    anomaly_days: int
    anomaly_z: float
    anomaly_slots: int
    look_back_days: int
    night_look_back_days: int


@cache
def reliability_parameters() -> ReliabilityParameters:
    """Return the shipped periods and thresholds of reliability."""
    return read_parameters(PARAMETER_FOLDER / "reliability.toml", ReliabilityParameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonParameters:
    """Demands on a comparison; meanings stand in ``comparison.toml``."""

    comparison_level: float
    band_city: float
    band_place: float
    min_days: int
    min_stratum_days: int
    min_row_vehicles: int
    min_places: int
    min_covered: float
    vehicle_style_cv: float
    min_hours: int


@cache
def comparison_parameters() -> ComparisonParameters:
    """Return the shipped demands."""
    return read_parameters(PARAMETER_FOLDER / "comparison.toml", ComparisonParameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseParameters:
    """Thresholds of the gate; meanings stand in ``release.toml``."""

    min_vehicles: int
    min_providers: int
    max_vehicle_share: float
    closed_hours: float


@cache
def release_parameters() -> ReleaseParameters:
    """Return the shipped thresholds of the gate."""
    return read_parameters(PARAMETER_FOLDER / "release.toml", ReleaseParameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class AirParameters:
    """Thresholds of the rules; meanings stand in ``air.toml``."""

    pm_range_low_ugm3: float
    pm_range_high_ugm3: float
    ab_difference_ugm3: float
    ab_relative_difference: float
    stuck_s: float
    spike_window: int
    spike_mad: float
    spike_ugm3: float
    completeness_pct: float
    default_interval_s: float


@cache
def air_parameters() -> AirParameters:
    """Return the shipped thresholds of the air rules."""
    return read_parameters(PARAMETER_FOLDER / "air.toml", AirParameters)


def read_parameters(file: Path, kind: type[Parameters]) -> Parameters:
    """Return the values of a parameter file as a frozen dataclass.

    Parameters
    ----------
    file
        TOML with one table ``[parameters.<name>]`` per field: value, unit, source, status,
        valid_from.
    kind
        Dataclass whose fields are numbers or tuples of names.

    Raises
    ------
    SettingsError
        With every missing, unknown or mistyped key of the file.
    """
    top, faults = open_toml(file)
    table = top.section("parameters")
    values: dict[str, object] = {}
    for field in fields(kind):
        entry = table.section(field.name)
        values[field.name] = _value(entry, str(field.type))
        _check_origin(entry)
    table.finish()
    top.finish()
    raise_faults(faults)
    return kind(**values)


def _value(entry: Section, kind: str) -> object:
    if kind in {"int", str(int)}:
        return entry.whole("value")
    return entry.texts("value") if kind.startswith("tuple") else entry.number("value")


def _check_origin(entry: Section) -> None:
    for key in ("unit", "source", "valid_from"):
        entry.text(key)
    entry.text("status", allowed=STATUSES)
    entry.finish()
