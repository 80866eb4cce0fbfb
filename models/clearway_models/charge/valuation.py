"""What an hour, a kilogram and a price bound are worth in the city's money.

Values are filed in euro of 2016. They are carried over by purchasing power, income and inflation,
unless the city pack has a ``prices.toml`` with its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from clearway_core.city import City
from clearway_core.settings import Section, open_toml, raise_faults
from clearway_models.charge.parameters import ChargeParameters
from clearway_models.parameters import (
    PARAMETER_FOLDER,
    ParameterFile,
    parameter_file,
    read_rows,
    row_number,
)

REFERENCE_YEAR = 2016
PRICES_FILE = "prices.toml"
CURRENCIES_FILE = "currencies.csv"

_CURRENCY_COLUMNS = [
    "currency",
    "minor_digits",
    "ppp_per_eur",
    "income_ratio",
    "inflation_per_year",
    "rounding_minor",
    "source",
    "valid_from",
    "status",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Valuation:
    """Money values in the city's currency, and the bounds of the tariff in minor units.

    Parameters
    ----------
    currency, price_year
        ISO 4217 code and year of all values.
    minor_digits
        Decimal digits of the currency's minor unit.
    per_eur
        Units of the city's currency that carry what a euro of 2016 does. [currency/EUR]
    transfer_gsd
        Uncertainty of that; 1 for values that the city gave itself. [1]
    damage_per_kg
        Damage of a kilogram by pollutant. [currency/kg]
    value_of_time_per_h
        By charge class. [currency/h]
    operating_cost_per_km
        By charge class. [currency/km]
    rounding_minor, cap_minor_per_km, cap_minor_per_day, max_step_minor_per_km
        Bounds of the tariff; caps and steps are multiples of the rounding unit. [minor units]
    source, status
        Where the values come from.
    files
        Files that decided them.
    """

    currency: str
    price_year: int
    minor_digits: int
    per_eur: float
    transfer_gsd: float
    damage_per_kg: Mapping[str, float]
    value_of_time_per_h: Mapping[str, float]
    operating_cost_per_km: Mapping[str, float]
    rounding_minor: int
    cap_minor_per_km: int
    cap_minor_per_day: int
    max_step_minor_per_km: int
    source: str
    status: str
    files: tuple[ParameterFile, ...]

    @property
    def minor_per_unit(self) -> int:
        """Minor units in one unit of the currency."""
        return int(10**self.minor_digits)

    def record(self) -> dict[str, object]:
        """Return the valuation as JSON-ready values."""
        return {
            "currency": self.currency,
            "price_year": self.price_year,
            "minor_digits": self.minor_digits,
            "currency_per_eur_2016": self.per_eur,
            "transfer_gsd": self.transfer_gsd,
            "damage_per_kg": dict(self.damage_per_kg),
            "value_of_time_per_h": dict(self.value_of_time_per_h),
            "operating_cost_per_km": dict(self.operating_cost_per_km),
            "rounding_minor": self.rounding_minor,
            "cap_minor_per_km": self.cap_minor_per_km,
            "cap_minor_per_day": self.cap_minor_per_day,
            "max_step_minor_per_km": self.max_step_minor_per_km,
            "source": self.source,
            "status": self.status,
        }


def value_for(parameters: ChargeParameters, city: City | None) -> Valuation | None:
    r"""Return the valuation for a city, or None where no price can be stated.

    Parameters
    ----------
    parameters
        Values in euro of 2016.
    city
        Gives currency and price year, and perhaps a ``prices.toml``.

    Raises
    ------
    SettingsError
        If the city's ``prices.toml`` has faults.

    Notes
    -----
    A value of V euro of 2016 becomes

    .. math:: V \cdot PPP \cdot (Y / Y_{EU})^{\eta} (1 + i)^{t - 2016}

    with purchasing power, income per head with its elasticity, and inflation up to the price year.
    Caps and steps are rounded down to the rounding unit, and are one unit at least.

    References
    ----------
    European Commission, "Handbook on the external costs of transport", version 2019 1.1, 2020, on
    value transfer, doi:10.2832/51388. It transfers between countries of the EU; that it holds
    elsewhere is an assumption, which ``transfer.gsd`` widens the intervals for.
    """
    if city is None or city.currency is None or city.price_year is None:
        return None
    table = PARAMETER_FOLDER / CURRENCIES_FILE
    rows = {row["currency"]: row for row in read_rows(table, _CURRENCY_COLUMNS)}
    row = rows.get(city.currency)
    own = city.file(PRICES_FILE)
    if row is None and own is None:
        return None
    faults: list[str] = []
    number = {
        name: row_number(row, name, where=f"{table}: {city.currency}", faults=faults)
        for name in ("ppp_per_eur", "income_ratio", "inflation_per_year")
        if row is not None
    }
    raise_faults(faults)
    income = number.get("income_ratio", 1.0) ** parameters.transfer["income_elasticity"].value
    inflation = (1 + number.get("inflation_per_year", 0.0)) ** (city.price_year - REFERENCE_YEAR)
    per_eur = number.get("ppp_per_eur", 1.0) * income * inflation
    transferred = _valuation(
        parameters,
        currency=city.currency,
        price_year=city.price_year,
        per_eur=per_eur,
        row=row,
        files=(parameter_file(table),),
    )
    return transferred if own is None else _own_prices(transferred, own, known=row is not None)


def european_reference(parameters: ChargeParameters) -> Valuation:
    """Return the values as they are filed, in euro of 2016."""
    table = PARAMETER_FOLDER / CURRENCIES_FILE
    return _valuation(
        parameters,
        currency="EUR",
        price_year=REFERENCE_YEAR,
        per_eur=1.0,
        row=None,
        files=(parameter_file(table),),
    )


def _valuation(
    parameters: ChargeParameters,
    *,
    currency: str,
    price_year: int,
    per_eur: float,
    row: Mapping[str, str] | None,
    files: tuple[ParameterFile, ...],
) -> Valuation:
    digits = int(row["minor_digits"]) if row is not None else 2
    rounding = int(row["rounding_minor"]) if row is not None else 5
    minor = per_eur * 10**digits

    def bound(name: str) -> int:
        steps = int(parameters.tariff[name].value * minor / rounding + 1e-9)
        return max(steps, 1) * rounding

    return Valuation(
        currency=currency,
        price_year=price_year,
        minor_digits=digits,
        per_eur=per_eur,
        transfer_gsd=1.0 if per_eur == 1.0 else parameters.transfer["gsd"].value,
        damage_per_kg={k: p.value * per_eur for k, p in parameters.damage_cost.items()},
        value_of_time_per_h={
            k: c.value_of_time.value * per_eur for k, c in parameters.classes.items()
        },
        operating_cost_per_km={
            k: c.operating_cost.value * per_eur for k, c in parameters.classes.items()
        },
        rounding_minor=rounding,
        cap_minor_per_km=bound("cap_per_km"),
        cap_minor_per_day=bound("cap_per_day"),
        max_step_minor_per_km=bound("max_step_per_km"),
        source=row["source"] if row is not None else "Values as filed, in euro of 2016",
        status=row["status"] if row is not None else "unverified",
        files=files,
    )


def _own_prices(transferred: Valuation, path: Path, *, known: bool) -> Valuation:
    """Return the valuation with a city's own values; all of them if the currency is not filed."""
    top, faults = open_toml(path)

    def whole(key: str, default: int, minimum: int = 1) -> int:
        return top.whole(key, default if known else None, minimum=minimum)

    valuation = replace(
        transferred,
        minor_digits=whole("minor_digits", transferred.minor_digits, 0),
        rounding_minor=whole("rounding_minor", transferred.rounding_minor),
        cap_minor_per_km=whole("cap_minor_per_km", transferred.cap_minor_per_km),
        cap_minor_per_day=whole("cap_minor_per_day", transferred.cap_minor_per_day),
        max_step_minor_per_km=whole("max_step_minor_per_km", transferred.max_step_minor_per_km),
        damage_per_kg=_own(top, "damage_per_kg", transferred.damage_per_kg, known=known),
        value_of_time_per_h=_own(
            top, "value_of_time_per_h", transferred.value_of_time_per_h, known=known
        ),
        operating_cost_per_km=_own(
            top, "operating_cost_per_km", transferred.operating_cost_per_km, known=known
        ),
        source=top.text("source"),
        status="city",
        files=(*transferred.files, parameter_file(path)),
    )
    for key in ("cap_minor_per_km", "cap_minor_per_day", "max_step_minor_per_km"):
        value = getattr(valuation, key)
        if valuation.rounding_minor > 0 and value % valuation.rounding_minor:
            top.fault(
                key, f"{value} is not a multiple of rounding_minor {valuation.rounding_minor}"
            )
    top.finish()
    raise_faults(faults)
    return valuation


def _own(
    top: Section, name: str, transferred: Mapping[str, float], *, known: bool
) -> dict[str, float]:
    section = top.section(name)
    values = {
        key: section.number(key, value if known else None, minimum=0.0)
        for key, value in transferred.items()
    }
    section.finish()
    return values
