"""The parameters of a charge: damage costs, values of time, responses, bounds, evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clearway_core.settings import Section, open_toml, raise_faults
from clearway_models.charge.periods import Period, read_periods
from clearway_models.parameters import (
    PARAMETER_FOLDER,
    Parameter,
    ParameterFile,
    parameter_file,
    read_parameter,
    read_table,
)

REFERENCE_CLASS = "car"
"""Class that the price ratios of the other classes are bounded against."""

_CLASS_UNITS = {
    "passenger_car_units": "1",
    "value_of_time": "EUR/h",
    "operating_cost": "EUR/km",
    "elasticity": "1",
    "ratio_to_car_low": "1",
    "ratio_to_car_high": "1",
}
_TABLE_UNITS: Mapping[str, Mapping[str, str]] = {
    "damage_cost": {"nox": "EUR/kg", "pm2_5": "EUR/kg"},
    "congestion": {
        "bpr_exponent": "1",
        "bpr_coefficient": "1",
        "speed_cv_floor": "1",
        "free_flow_cv": "1",
    },
    "response": {
        "trip_length": "km",
        "change_factor": "1",
        "displaced_low": "1",
        "displaced_high": "1",
    },
    "tariff": {
        "cap_per_km": "EUR/km",
        "cap_per_day": "EUR",
        "max_step_per_km": "EUR/km",
        "evasion": "1",
    },
    "transfer": {"income_elasticity": "1", "gsd": "1"},
    "evidence": {
        "min_days": "d",
        "min_days_per_period": "d",
        "min_driven_share": "1",
        "min_good_share": "1",
        "min_good_windows": "1",
        "min_free_flow_days": "d",
    },
    "release": {"min_vehicles": "1", "max_vehicle_share": "1"},
    "simulation": {"draws": "1", "seed": "1"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeClass:
    """A class of the tariff.

    Parameters
    ----------
    name, label
        For machines and for people.
    exempt
        Whether it never pays.
    passenger_car_units
        Road space relative to a car. [1]
    value_of_time
        Of one vehicle with all on board. [EUR/h]
    operating_cost
        Cost of driving without time. [EUR/km]
    elasticity
        Of vehicle-kilometres with respect to the generalised cost of the trip; at most 0. [1]
    ratio_to_car_low, ratio_to_car_high
        Bounds of its price over the price of a car. [1]
    """

    name: str
    label: str
    exempt: bool
    passenger_car_units: Parameter
    value_of_time: Parameter
    operating_cost: Parameter
    elasticity: Parameter
    ratio_to_car_low: Parameter
    ratio_to_car_high: Parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeParameters:
    """Everything of ``charge.toml``; each map is one of its tables."""

    damage_cost: Mapping[str, Parameter]
    congestion: Mapping[str, Parameter]
    response: Mapping[str, Parameter]
    tariff: Mapping[str, Parameter]
    transfer: Mapping[str, Parameter]
    evidence: Mapping[str, Parameter]
    release: Mapping[str, Parameter]
    simulation: Mapping[str, Parameter]
    classes: Mapping[str, ChargeClass]
    periods: tuple[Period, ...]
    file: ParameterFile

    def all_parameters(self) -> list[Parameter]:
        """Return every parameter, in the order of the file's tables."""
        tables = [getattr(self, name) for name in _TABLE_UNITS]
        found = [parameter for table in tables for parameter in table.values()]
        for item in self.classes.values():
            found += [getattr(item, name) for name in _CLASS_UNITS]
        return found


def read_charge_parameters(path: Path = PARAMETER_FOLDER / "charge.toml") -> ChargeParameters:
    """Return the parameters of a ``charge.toml``.

    Raises
    ------
    SettingsError
        With every fault: a missing or unknown key, a wrong unit, a value out of bounds.
    """
    top, faults = open_toml(path)
    tables = {name: read_table(top, name, units, minimum=0) for name, units in _TABLE_UNITS.items()}
    section = top.section("classes")
    classes = {name: _read_class(section, name) for name in section.keys()}  # noqa: SIM118 -- a Section
    if REFERENCE_CLASS not in classes:
        section.fault(REFERENCE_CLASS, "missing; the ratios of all other classes refer to it")
    section.finish()
    parameters = ChargeParameters(
        **tables, classes=classes, periods=read_periods(top), file=parameter_file(path)
    )
    top.finish()
    raise_faults(faults)
    return parameters


def _read_class(above: Section, name: str) -> ChargeClass:
    section = above.section(name)
    prefix = f"classes.{name}"
    values = {
        key: read_parameter(
            section,
            key,
            prefix=prefix,
            unit=unit,
            minimum=float("-inf") if key == "elasticity" else 0.0,
            maximum=0.0 if key == "elasticity" else float("inf"),
        )
        for key, unit in _CLASS_UNITS.items()
    }
    item = ChargeClass(
        name=name,
        label=section.text("label"),
        exempt=section.flag("exempt"),
        **values,
    )
    section.finish()
    return item
