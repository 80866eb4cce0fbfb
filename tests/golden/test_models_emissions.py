"""Emission factors against values computed from the guidebook's coefficients."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from clearway_models.emissions.curves import (
    clamped,
    class_emission,
    hot_emission_factor,
    suspended_wear_gkm,
    wear_emission,
)
from clearway_models.emissions.factors import FactorSet, read_factor_set

SPEEDS = np.array([10.0, 20.0, 30.0, 50.0, 80.0])

# EMEP/EEA 1.A.3.b appendix 4 coefficients, evaluated by hand to five digits.
TABLE = [
    ("car_petrol_euro_1", "nox", [0.43410, 0.36218, 0.30898, 0.25874, 0.32378]),
    ("car_petrol_euro_4", "nox", [0.09123, 0.07756, 0.06531, 0.04507, 0.02536]),
    ("car_petrol_euro_6", "nox", [0.04900, 0.03937, 0.03303, 0.02460, 0.01696]),
    ("car_diesel_euro_3", "nox", [1.21143, 0.90379, 0.77876, 0.68225, 0.67573]),
    ("car_diesel_euro_4", "nox", [0.92124, 0.76416, 0.63676, 0.47100, 0.44496]),
    ("car_diesel_euro_5", "nox", [0.99391, 0.79008, 0.67371, 0.53680, 0.48091]),
    ("car_diesel_euro_6abc", "nox", [0.81867, 0.65079, 0.55493, 0.44216, 0.39612]),
    ("car_diesel_euro_6d", "nox", [0.07951, 0.06321, 0.05390, 0.04294, 0.03847]),
    ("car_diesel_euro_4", "pm_exhaust", [0.03996, 0.03561, 0.03196, 0.02675, 0.02415]),
    ("car_diesel_euro_6d", "pm_exhaust", [0.00403, 0.00266, 0.00204, 0.00146, 0.00109]),
    ("car_petrol_euro_4", "energy", [4.70093, 3.55718, 2.97585, 2.45844, 2.31275]),
    ("car_diesel_euro_4", "energy", [3.62034, 2.71816, 2.30996, 1.95992, 1.85197]),
    ("bus_15_18t_euro_3", "nox", [18.753, 11.284, 8.4265, 6.044]),
    ("bus_15_18t_euro_5", "nox", [15.274, 8.6704, 5.6711, 2.8972]),
    ("bus_15_18t_euro_6", "nox", [1.0145, 0.55161, 0.38252, 0.20332]),
    ("truck_rigid_14_20t_euro_3", "nox", [12.215, 8.512, 6.6623, 5.2113]),
    ("truck_rigid_14_20t_euro_6", "nox", [2.1437, 0.88936, 0.53974, 0.27286]),
    ("lcv_diesel_euro_5", "nox", [1.6282, 1.3072, 1.1962, 1.1181]),
    ("lcv_diesel_euro_6d", "nox", [0.12223, 0.09813, 0.08980, 0.08394]),
]


@pytest.fixture(scope="module")
def factors() -> FactorSet:
    return read_factor_set()


@pytest.mark.parametrize(("emission_class", "quantity", "expected"), TABLE)
def test_factor_at_five_speeds_is_the_published_one(
    factors: FactorSet, emission_class: str, quantity: str, expected: list[float]
) -> None:
    values = hot_emission_factor(factors.hot[emission_class, quantity], SPEEDS[: len(expected)])

    # Half a unit of the last printed digit: five decimals for cars, five digits for the rest.
    np.testing.assert_allclose(values, expected, rtol=6e-5, atol=6e-6)


@pytest.mark.parametrize("emission_class", ["bus_15_18t_euro_3", "truck_rigid_14_20t_euro_3"])
def test_speed_below_the_curve_is_clamped_and_counted(
    factors: FactorSet, emission_class: str
) -> None:
    curve = factors.hot[emission_class, "nox"]
    slow, least = np.array([1.0, 10.0]), np.array([curve.min_speed_kmh])

    assert clamped(curve, slow).tolist() == [True, True]
    assert clamped(curve, least).tolist() == [False]
    np.testing.assert_array_equal(
        hot_emission_factor(curve, slow), np.repeat(hot_emission_factor(curve, least), 2)
    )


def test_negative_reduction_fraction_multiplies(factors: FactorSet) -> None:
    assert factors.hot["lcv_diesel_euro_5", "nox"].reduction_fraction == pytest.approx(-4.067863)


def test_wear_of_a_car_follows_speed(factors: FactorSet) -> None:
    speeds = np.array([20.0, 50.0, 80.0, 110.0])
    car = factors.classes["car_petrol_euro_4"]

    fine = wear_emission(factors, car, speeds) * 1000
    coarse = wear_emission(factors, car, speeds, size="pm10") * 1000

    np.testing.assert_allclose(fine, [15.181, 13.956, 10.273, 8.645], atol=6e-4)
    np.testing.assert_allclose(coarse, [28.698, 26.091, 18.262, 14.651], atol=6e-4)


def test_wear_of_a_half_loaded_bus_with_two_axles(factors: FactorSet) -> None:
    bus = factors.classes["bus_15_18t_euro_5"]

    assert suspended_wear_gkm(factors, bus, "tyre") == pytest.approx(0.022470, abs=1e-6)
    assert suspended_wear_gkm(factors, bus, "brake") == pytest.approx(0.032748, abs=1e-6)


def test_cell_of_three_classes_at_three_speeds(factors: FactorSet) -> None:
    speeds = np.array([15.0, 20.0, 30.0])
    mix = {"car_petrol_euro_4": 0.5, "car_diesel_euro_5": 0.3, "car_diesel_euro_6d": 0.2}

    grams = sum(
        3000 * share * class_emission(factors, name, "nox", speed_kmh=speeds).exhaust
        for name, share in mix.items()
    )

    np.testing.assert_allclose(grams, [953.70, 865.33, 736.64], atol=0.006)


def test_ten_kilometres_at_twenty_cost_what_the_handbook_values_say(factors: FactorSet) -> None:
    at = np.array([20.0])
    nox = {
        name: float(class_emission(factors, name, "nox", speed_kmh=at).exhaust[0]) * 10 / 1000
        for name in ("car_diesel_euro_5", "car_petrol_euro_4", "car_diesel_euro_6d")
    }
    fine = class_emission(factors, "car_diesel_euro_5", "pm2_5", speed_kmh=at)

    assert nox["car_diesel_euro_5"] * 21.3 == pytest.approx(0.16829, abs=5e-6)
    assert nox["car_petrol_euro_4"] * 21.3 == pytest.approx(0.01652, abs=5e-6)
    assert nox["car_diesel_euro_6d"] * 21.3 == pytest.approx(0.01346, abs=5e-6)
    # Exhaust 3.486 mg/km by the filed curve (which gives the workbook's check value exactly) and
    # wear 15.181 mg/km. A figure of 0.02359 is also about; it takes 4.0 mg/km of exhaust, which
    # this curve has near 15 km/h.
    assert float((fine.exhaust + fine.wear)[0]) * 10 / 1000 * 123 == pytest.approx(
        0.02296, abs=5e-6
    )


_SEGMENT = {
    "motorcycle_euro_2": ("MC", "G", "Motorcycles 4-stroke <250 cc", "II"),
    "motorcycle_euro_3": ("MC", "G", "Motorcycles 4-stroke <250 cc", "III"),
    "car_petrol_euro_1": ("PC", "G", "Medium", "I"),
    "car_petrol_euro_4": ("PC", "G", "Medium", "IV"),
    "car_petrol_euro_6": ("PC", "G", "Medium", "VI D"),
    "car_diesel_euro_3": ("PC", "D", "Medium", "III"),
    "car_diesel_euro_4": ("PC", "D", "Medium", "IV"),
    "car_diesel_euro_5": ("PC", "D", "Medium", "V"),
    "car_diesel_euro_6abc": ("PC", "D", "Medium", "VI A/B/C"),
    "car_diesel_euro_6d": ("PC", "D", "Medium", "VI D"),
    "lcv_diesel_euro_5": ("LCV", "D", "N1-III", "V"),
    "lcv_diesel_euro_6d": ("LCV", "D", "N1-III", "VI D"),
    "truck_rigid_14_20t_euro_3": ("TRUCKS", "D", "Rigid 14 - 20 t", "III"),
    "truck_rigid_14_20t_euro_6": ("TRUCKS", "D", "Rigid 14 - 20 t", "VI A/B/C"),
    "bus_15_18t_euro_3": ("BUS", "D", "Urban Buses Standard 15 - 18 t", "III"),
    "bus_15_18t_euro_5": ("BUS", "D", "Urban Buses Standard 15 - 18 t", "V"),
    "bus_15_18t_euro_6": ("BUS", "D", "Urban Buses Standard 15 - 18 t", "VI A/B/C"),
}
_POLLUTANT = {"nox": "NOx", "pm_exhaust": "PM", "energy": "EC"}
# Our file takes these technologies; the first that the table has.
_TECHNOLOGIES = ("SCR", "GDI", "DPF", "DPF+SCR", "")


@pytest.mark.real_data
def test_every_shipped_curve_gives_the_workbooks_own_check_value(
    factors: FactorSet, real_data: Path
) -> None:
    table = real_data / "context" / "emissions" / "emep_hot_slope0_load50.csv.gz"
    with gzip.open(table, "rt", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    compared = 0
    for (name, quantity), factor in factors.hot.items():
        matching = [
            row
            for row in rows
            if (row["Category"], row["Fuel"], row["Segment"], row["EuroStandard"]) == _SEGMENT[name]
            and row["Pollutant"] == _POLLUTANT[quantity]
            and row["Mode"] in {"", "Urban Peak"}
        ]
        technology = next(
            t for t in _TECHNOLOGIES if any(row["Technology"] == t for row in matching)
        )
        row = next(row for row in matching if row["Technology"] == technology)
        at = np.array([float(row["check_speed_kmh"])])

        value = hot_emission_factor(factor, at)[0]

        # The file keeps ten digits and leaves out fitted residues below 1e-9.
        assert value == pytest.approx(float(row["EF_gkm_or_ECF_MJkm"]), rel=1e-7), (name, quantity)
        assert factor.min_speed_kmh == float(row["MinSpeed_kmh"])
        assert factor.max_speed_kmh == float(row["MaxSpeed_kmh"])
        compared += 1
    assert compared == 51
