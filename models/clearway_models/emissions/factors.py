"""Emission factors as they are filed: vehicle classes, hot exhaust, wear, fleet mix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from clearway_core.settings import open_toml, raise_faults
from clearway_models.parameters import (
    PARAMETER_FOLDER,
    Parameter,
    ParameterFile,
    Status,
    parameter_file,
    read_rows,
    read_table,
    row_number,
)

QUANTITIES: Mapping[str, str] = {"nox": "g/km", "pm_exhaust": "g/km", "energy": "MJ/km"}
"""What hot-exhaust rows give, with their units."""

POWERTRAINS = ("petrol", "diesel", "electric")
WEAR_GROUPS = ("car", "light_goods", "two_wheeler", "heavy")
WEAR_SOURCES = ("tyre", "brake", "road")

_HEAVY_FORM = ("tyre_intercept", "tyre_load_slope", "brake_factor", "brake_load_slope")
_WEAR_SPEED_UNITS = {
    "low": "1",
    "slope": "h/km",
    "intercept": "1",
    "high": "1",
    "lower_limit": "km/h",
    "upper_limit": "km/h",
}
_UNCERTAINTY = (
    *("nox", "pm_exhaust", "energy", "wear"),
    *("default_fleet_concentration", "surveyed_fleet_concentration", "flow"),
)

_HOT_COLUMNS = [
    "emission_class",
    "quantity",
    "unit",
    "min_speed_kmh",
    "max_speed_kmh",
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "zeta",
    "eta",
    "reduction_fraction",
    "edition",
    "table",
    "valid_from",
    "status",
]
_CLASS_COLUMNS = [
    "emission_class",
    "label",
    "charge_class",
    "powertrain",
    "wear_group",
    "axles",
    "load_fraction",
]
_DEFAULT_FLEET_COLUMNS = ("emission_class", "share", "source", "valid_from", "status")
_CITY_FLEET_COLUMNS = ("emission_class", "share", "source")

_SHARE_TOLERANCE = 0.005
"""How far shares may miss 1 in all: city tables are often rounded to whole percent per class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HotFactor:
    """Coefficients of one hot-exhaust curve.

    Parameters
    ----------
    min_speed_kmh, max_speed_kmh
        Range that the curve was fitted in; outside, the speed is clamped. [km/h]
    alpha, beta, gamma, delta, epsilon, zeta, eta
        Coefficients, named as in the guidebook's equation.
    reduction_fraction
        Fraction taken off, although its column is titled in percent. May be negative. [1]
    unit
        ``g/km`` or ``MJ/km``.
    source, status
        Edition and table, and how far they may be trusted.
    """

    min_speed_kmh: float
    max_speed_kmh: float
    alpha: float
    beta: float
    gamma: float
    delta: float
    epsilon: float
    zeta: float
    eta: float
    reduction_fraction: float
    unit: str
    source: str
    status: Status


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleClass:
    """A row of the vehicle classes.

    Parameters
    ----------
    label
        For people.
    charge_class
        Class of the tariff that it pays in.
    powertrain
        One of `POWERTRAINS`.
    wear_group
        One of `WEAR_GROUPS`.
    axles
        Number of axles; used for heavy vehicles only.
    load_fraction
        Part of the payload that is loaded; used for heavy vehicles only. [1]
    """

    emission_class: str
    label: str
    charge_class: str
    powertrain: str
    wear_group: str
    axles: float
    load_fraction: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WearSpeed:
    """Speed factor of one wear source: constant, line, constant."""

    low: Parameter
    slope: Parameter
    intercept: Parameter
    high: Parameter
    lower_limit: Parameter
    upper_limit: Parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class EmissionParameters:
    """Everything of ``emissions.toml``; maps are keyed as their tables."""

    co2: Mapping[str, Parameter]
    wear: Mapping[str, Mapping[str, Parameter]]
    heavy_form: Mapping[str, Parameter]
    pm2_5_fraction: Mapping[str, Parameter]
    pm10_fraction: Mapping[str, Parameter]
    wear_speed: Mapping[str, WearSpeed]
    electric: Mapping[str, Parameter]
    sigma_log_pace: Parameter
    uncertainty: Mapping[str, Parameter]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Shares of vehicle-kilometres by emission class; they add up to 1.

    Parameters
    ----------
    surveyed
        Whether the city gave it; otherwise it is the labelled default.
    """

    shares: Mapping[str, float]
    source: str
    surveyed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorSet:
    """All that emissions are computed from, with the files that it came from."""

    classes: Mapping[str, VehicleClass]
    hot: Mapping[tuple[str, str], HotFactor]
    parameters: EmissionParameters
    files: tuple[ParameterFile, ...]

    @property
    def identifier(self) -> str:
        """Name and first 12 hex digits of SHA-256 of each file, as rows of emissions carry it."""
        return " ".join(f"{file.name}:{file.sha256[:12]}" for file in self.files)


def read_factor_set(folder: Path = PARAMETER_FOLDER) -> FactorSet:
    """Return the factor set of a parameter folder.

    Raises
    ------
    SettingsError
        With every fault of its files, file, line or key and value named.
    """
    faults: list[str] = []
    paths = [folder / n for n in ("vehicle_classes.csv", "hot_exhaust.csv", "emissions.toml")]
    classes = _read_classes(paths[0], faults)
    hot = _read_hot(paths[1], classes, faults)
    parameters = read_emission_parameters(paths[2])
    faults += [
        f"{paths[1]}: {name} has no row for {quantity}"
        for name, vehicle in classes.items()
        for quantity in QUANTITIES
        if vehicle.powertrain != "electric" and (name, quantity) not in hot
    ]
    raise_faults(faults)
    return FactorSet(
        classes=MappingProxyType(classes),
        hot=MappingProxyType(hot),
        parameters=parameters,
        files=tuple(parameter_file(path) for path in paths),
    )


def read_fleet(classes: Mapping[str, VehicleClass], path: Path | None = None) -> Fleet:
    """Return the fleet mix of a city's ``fleet.csv``, or the labelled default without one.

    Parameters
    ----------
    classes
        Emission classes that there are factors for.
    path
        The city's file with emission_class, share (of vehicle-kilometres) and source.

    Raises
    ------
    SettingsError
        If a class is unknown or doubled, a share negative, or the shares do not add up to 1.
    """
    surveyed = path is not None
    file = path or PARAMETER_FOLDER / "default_fleet.csv"
    faults: list[str] = []
    shares: dict[str, float] = {}
    sources: dict[str, None] = {}
    columns = _CITY_FLEET_COLUMNS if surveyed else _DEFAULT_FLEET_COLUMNS
    for line, row in enumerate(read_rows(file, columns), start=2):
        where = f"{file}: line {line}"
        name = row["emission_class"]
        share = row_number(row, "share", where=where, faults=faults)
        if name not in classes:
            faults.append(f"{where}: unknown emission_class {name!r}; known: {', '.join(classes)}")
        if name in shares:
            faults.append(f"{where}: emission_class {name!r} stands twice")
        if share < 0:
            faults.append(f"{where}: share = {share} is below 0")
        shares[name] = share
        sources[row["source"]] = None
    total = sum(shares.values())
    if abs(total - 1) > _SHARE_TOLERANCE:
        faults.append(f"{file}: the shares add up to {total:.4f}, expected 1")
    raise_faults(faults)
    return Fleet(
        shares=MappingProxyType({name: share / total for name, share in shares.items()}),
        source="; ".join(sources),
        surveyed=surveyed,
    )


def read_emission_parameters(path: Path) -> EmissionParameters:
    """Return the parameters of an ``emissions.toml``.

    Raises
    ------
    SettingsError
        With every fault: a missing or unknown key, a wrong unit, a value out of bounds.
    """
    top, faults = open_toml(path)
    wear = top.section("wear")
    speed = wear.section("speed")

    def of_wear(key: str, names: Sequence[str], unit: str = "1") -> Mapping[str, Parameter]:
        return read_table(wear, key, dict.fromkeys(names, unit), named=f"wear.{key}")

    parameters = EmissionParameters(
        co2=read_table(top, "co2", dict.fromkeys(("petrol", "diesel"), "g/MJ")),
        wear={group: of_wear(group, WEAR_SOURCES, "g/km") for group in WEAR_GROUPS},
        heavy_form=of_wear("heavy_form", _HEAVY_FORM),
        pm2_5_fraction=of_wear("pm2_5_fraction", WEAR_SOURCES),
        pm10_fraction=of_wear("pm10_fraction", WEAR_SOURCES),
        wear_speed={
            source: WearSpeed(
                **read_table(speed, source, _WEAR_SPEED_UNITS, named=f"wear.speed.{source}")
            )
            for source in ("tyre", "brake")
        },
        electric=read_table(top, "electric", dict.fromkeys(("brake_factor", "tyre_factor"), "1")),
        sigma_log_pace=read_table(top, "speed_spread", {"sigma_log_pace": "1"})["sigma_log_pace"],
        uncertainty=read_table(top, "uncertainty", dict.fromkeys(_UNCERTAINTY, "1")),
    )
    for section in (speed, wear, top):
        section.finish()
    raise_faults(faults)
    return parameters


def _read_classes(path: Path, faults: list[str]) -> dict[str, VehicleClass]:
    classes: dict[str, VehicleClass] = {}
    for line, row in enumerate(read_rows(path, _CLASS_COLUMNS), start=2):
        where = f"{path}: line {line}"
        if row["powertrain"] not in POWERTRAINS:
            faults.append(f"{where}: powertrain {row['powertrain']!r} is not one of {POWERTRAINS}")
        if row["wear_group"] not in WEAR_GROUPS:
            faults.append(f"{where}: wear_group {row['wear_group']!r} is not one of {WEAR_GROUPS}")
        classes[row["emission_class"]] = VehicleClass(
            emission_class=row["emission_class"],
            label=row["label"],
            charge_class=row["charge_class"],
            powertrain=row["powertrain"],
            wear_group=row["wear_group"],
            axles=row_number(row, "axles", where=where, faults=faults),
            load_fraction=row_number(row, "load_fraction", where=where, faults=faults),
        )
    return classes


def _read_hot(
    path: Path, classes: Mapping[str, VehicleClass], faults: list[str]
) -> dict[tuple[str, str], HotFactor]:
    hot: dict[tuple[str, str], HotFactor] = {}
    numbers = _HOT_COLUMNS[3:13]
    for line, row in enumerate(read_rows(path, _HOT_COLUMNS), start=2):
        where = f"{path}: line {line}"
        key = (row["emission_class"], row["quantity"])
        if key[0] not in classes or key in hot:
            faults.append(f"{where}: emission_class {key[0]!r} is unknown, or {key} stands twice")
        if QUANTITIES.get(row["quantity"]) != row["unit"]:
            faults.append(f"{where}: {row['quantity']} in {row['unit']!r}; expected {QUANTITIES}")
        if row["status"] not in tuple(Status):
            faults.append(f"{where}: status {row['status']!r} is not one of {tuple(Status)}")
            continue
        values = {name: row_number(row, name, where=where, faults=faults) for name in numbers}
        if not 0 < values["min_speed_kmh"] < values["max_speed_kmh"]:
            faults.append(f"{where}: min_speed_kmh must be above 0 and below max_speed_kmh")
        hot[key] = HotFactor(
            **values,
            unit=row["unit"],
            source=f"{row['edition']}; {row['table']}",
            status=Status(row["status"]),
        )
    return hot
