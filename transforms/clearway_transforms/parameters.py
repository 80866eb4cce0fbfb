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
    max_gap_s: float
    max_gap_sparse_s: float
    sparse_median_gap_s: float
    dwell_radius_m: float
    dwell_s: float
    boarding_s: float
    boarding_m: float
    queue_speed_kmh: float
    queue_min_vehicles: int
    reported_max_gap_s: float
    path_min_gap_s: float
    samples_per_edge: int
    edge_m_r9: float
    edge_m_r10: float
    interval_level: float
    cv_floor: float
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
    public_min_vehicles: int
    public_min_providers: int
    public_max_vehicle_share: float

    def edge_m(self, resolution: int) -> float:
        """Return the average edge of a hexagon at a base resolution, 9 or 10 [m]."""
        return {9: self.edge_m_r9, 10: self.edge_m_r10}[resolution]


@cache
def congestion_parameters() -> CongestionParameters:
    """Return the shipped thresholds of the congestion chain."""
    return read_parameters(PARAMETER_FOLDER / "congestion.toml", CongestionParameters)


def read_parameters(file: Path, kind: type[Parameters]) -> Parameters:
    """Return the values of a parameter file as a frozen dataclass.

    Parameters
    ----------
    file
        TOML with one table ``[parameters.<name>]`` per field: value, unit, source, status,
        valid_from.
    kind
        Dataclass whose fields are numbers.

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
        whole = field.type in {"int", int}
        values[field.name] = entry.whole("value") if whole else entry.number("value")
        _check_origin(entry)
    table.finish()
    top.finish()
    raise_faults(faults)
    return kind(**values)


def _check_origin(entry: Section) -> None:
    for key in ("unit", "source", "valid_from"):
        entry.text(key)
    entry.text("status", allowed=STATUSES)
    entry.finish()
