"""Values of Europe in a city's money, and bounds in its smallest coin."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from doubles.models_lake import write_city

from clearway_core.errors import SettingsError
from clearway_models.charge.parameters import read_charge_parameters
from clearway_models.charge.valuation import Valuation, european_reference, value_for

PARAMETERS = read_charge_parameters()


def valued(folder: Path, currency: str, prices: str = "") -> Valuation:
    city = write_city(folder / "city", currency=currency, optional=False)
    if prices:
        (city.folder / "prices.toml").write_text(prices, encoding="utf-8")
    valuation = value_for(PARAMETERS, city)
    assert valuation is not None
    return valuation


def test_without_city_or_currency_nothing_is_valued(tmp_path: Path) -> None:
    assert value_for(PARAMETERS, None) is None
    assert value_for(PARAMETERS, write_city(tmp_path / "city", currency=None)) is None


def test_values_are_carried_over_by_purchasing_power_income_and_inflation(tmp_path: Path) -> None:
    thb = valued(tmp_path, "THB")

    # currencies.csv: 17.7 THB per euro, income 0.41 of Europe's, 1.4 % a year from 2016 to 2026.
    elasticity = PARAMETERS.transfer["income_elasticity"].value
    per_eur = 17.7 * 0.41**elasticity * 1.014**10
    assert thb.per_eur == pytest.approx(per_eur)
    assert thb.damage_per_kg["nox"] == pytest.approx(21.3 * per_eur)
    assert thb.value_of_time_per_h["car"] == pytest.approx(15.0 * per_eur)
    assert thb.operating_cost_per_km["car"] == pytest.approx(0.20 * per_eur)
    assert thb.transfer_gsd == PARAMETERS.transfer["gsd"].value > 1
    assert (thb.currency, thb.price_year, thb.minor_digits) == ("THB", 2026, 2)
    assert thb.minor_per_unit == 100
    cap = PARAMETERS.tariff["cap_per_km"].value * per_eur * 100
    assert thb.rounding_minor == 50
    assert thb.cap_minor_per_km % 50 == 0
    assert cap - 50 < thb.cap_minor_per_km <= cap
    assert [file.name for file in thb.files] == ["currencies.csv"]


def test_income_counts_by_its_elasticity_and_a_bound_is_one_unit_at_least(tmp_path: Path) -> None:
    half = replace(PARAMETERS.transfer["income_elasticity"], value=0.5)
    little = replace(PARAMETERS.tariff["cap_per_km"], value=0.0001)
    parameters = replace(
        PARAMETERS,
        transfer={**PARAMETERS.transfer, "income_elasticity": half},
        tariff={**PARAMETERS.tariff, "cap_per_km": little},
    )
    city = write_city(tmp_path / "city", currency="THB", optional=False)

    thb = value_for(parameters, city)

    assert thb is not None
    assert thb.per_eur == pytest.approx(17.7 * 0.41**0.5 * 1.014**10)
    assert thb.cap_minor_per_km == thb.rounding_minor == 50


@pytest.mark.parametrize("line", ["surprise = 1", "[damage_per_kg]\nco2 = 0.1"])
def test_value_that_nothing_knows_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(SettingsError, match="unknown key"):
        valued(tmp_path, "THB", f'source = "x"\n{line}\n')


def test_currency_without_a_minor_unit_counts_whole_units(tmp_path: Path) -> None:
    vnd = valued(tmp_path, "VND")

    assert (vnd.minor_digits, vnd.minor_per_unit, vnd.rounding_minor) == (0, 1, 100)


def test_filed_values_are_in_euro_of_2016_and_sure_of_their_money() -> None:
    eur = european_reference(PARAMETERS)

    assert (eur.currency, eur.price_year, eur.per_eur, eur.transfer_gsd) == ("EUR", 2016, 1.0, 1.0)
    assert (eur.minor_digits, eur.rounding_minor) == (2, 5)
    tariff = PARAMETERS.tariff
    assert eur.cap_minor_per_km == round(100 * tariff["cap_per_km"].value)
    assert eur.cap_minor_per_day == round(100 * tariff["cap_per_day"].value)
    assert eur.max_step_minor_per_km == round(100 * tariff["max_step_per_km"].value)
    assert eur.status == "unverified"


def test_record_names_every_value(tmp_path: Path) -> None:
    usd = valued(tmp_path, "USD")

    record = usd.record()

    assert record["currency_per_eur_2016"] == usd.per_eur
    assert record["damage_per_kg"] == usd.damage_per_kg
    assert set(record) == {
        *("currency", "price_year", "minor_digits", "currency_per_eur_2016", "transfer_gsd"),
        *("damage_per_kg", "value_of_time_per_h", "operating_cost_per_km", "rounding_minor"),
        *("cap_minor_per_km", "cap_minor_per_day", "max_step_minor_per_km", "source", "status"),
    }


def test_currency_that_is_not_filed_needs_every_value_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        valued(tmp_path, "XAU", 'source = "Council"\ncap_minor_per_km = 100\n')

    text = str(caught.value)
    for key in ("minor_digits", "rounding_minor", "cap_minor_per_day", "max_step_minor_per_km"):
        assert key in text
    assert "damage_per_kg.nox" in text
    assert "operating_cost_per_km.car" in text
    assert "value_of_time_per_h.car" in text


def test_whole_prices_of_a_city_make_a_currency(tmp_path: Path) -> None:
    classes = "\n".join(f"{name} = 2.0" for name in PARAMETERS.classes)
    xau = valued(
        tmp_path,
        "XAU",
        'source = "Council"\nminor_digits = 0\nrounding_minor = 1\ncap_minor_per_km = 3\n'
        "cap_minor_per_day = 40\nmax_step_minor_per_km = 1\n"
        "[damage_per_kg]\nnox = 0.0\npm2_5 = 90.0\n"
        f"[value_of_time_per_h]\n{classes}\n[operating_cost_per_km]\n{classes}\n",
    )

    assert (xau.minor_digits, xau.minor_per_unit, xau.rounding_minor) == (0, 1, 1)
    assert (xau.cap_minor_per_km, xau.cap_minor_per_day, xau.max_step_minor_per_km) == (3, 40, 1)
    assert xau.damage_per_kg == {"nox": 0.0, "pm2_5": 90.0}
    assert (xau.status, xau.source, xau.transfer_gsd) == ("city", "Council", 1.0)
    assert [file.name for file in xau.files] == ["currencies.csv", "prices.toml"]


@pytest.mark.parametrize(
    "line", ["cap_minor_per_km = 0", "rounding_minor = 0", "minor_digits = -1"]
)
def test_own_bound_of_nothing_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(SettingsError, match=line.split(maxsplit=1)[0]):
        valued(tmp_path, "THB", f'source = "x"\n{line}\n')


@pytest.mark.parametrize("key", ["cap_minor_per_km", "cap_minor_per_day", "max_step_minor_per_km"])
def test_own_bound_off_the_rounding_unit_is_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(SettingsError, match=f"{key}: 1001 is not a multiple of rounding_minor 50"):
        valued(tmp_path, "THB", f'source = "x"\n{key} = 1001\n')


def test_own_damage_below_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nox"):
        valued(tmp_path, "THB", 'source = "x"\n[damage_per_kg]\nnox = -1.0\n')
