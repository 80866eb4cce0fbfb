"""Values that a charge rests on: the central ones, and random ones around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clearway_models.charge.parameters import ChargeParameters
from clearway_models.charge.valuation import Valuation
from clearway_models.emissions.curves import EmissionDraws
from clearway_models.parameters import Parameter

Numbers = NDArray[np.float64]

PRICED_POLLUTANTS = ("nox", "pm2_5")
"""CO2 is left out of the price: fuel duty already bears on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """Values that every period and scenario shares; the first axis is the draw.

    Parameters
    ----------
    bpr_exponent, trip_length_km, change_factor, pace_z, free_flow_factor
        One column.
    value_of_time, operating_cost, elasticity
        By class.
    damage_per_kg
        One column by pollutant.
    emission
        Errors of emission factors and of the fleet mix.
    """

    bpr_exponent: Numbers
    trip_length_km: Numbers
    change_factor: Numbers
    pace_z: Numbers
    free_flow_factor: Numbers
    value_of_time: Numbers
    operating_cost: Numbers
    elasticity: Numbers
    damage_per_kg: Mapping[str, Numbers]
    emission: EmissionDraws


def drawn_values(
    parameters: ChargeParameters,
    valuation: Valuation,
    names: Sequence[str],
    emission: EmissionDraws,
) -> Draws:
    """Return random values for these charge classes; the same seed gives the same values."""
    p, n = parameters, int(parameters.simulation["draws"].value)
    classes = [p.classes[name] for name in names]
    random = np.random.default_rng(int(p.simulation["seed"].value))
    # One draw for all classes: if time is worth more here, it is for everyone.
    common_time, common_cost = random.standard_normal((2, n, 1))
    transfer = valuation.transfer_gsd ** random.standard_normal((n, 1))
    vot, cost = valuation.value_of_time_per_h, valuation.operating_cost_per_km
    return Draws(
        bpr_exponent=np.maximum(_normal(random, p.congestion["bpr_exponent"], n), 1.0),
        trip_length_km=_log_normal(random, p.response["trip_length"], n),
        change_factor=np.clip(_normal(random, p.response["change_factor"], n), 0.0, 1.0),
        pace_z=random.standard_normal((n, 1)),
        free_flow_factor=np.exp(
            p.congestion["free_flow_cv"].value * random.standard_normal((n, 1))
        ),
        value_of_time=np.hstack(
            [vot[c.name] * transfer * c.value_of_time.gsd**common_time for c in classes]
        ),
        operating_cost=np.hstack(
            [cost[c.name] * transfer * c.operating_cost.gsd**common_cost for c in classes]
        ),
        elasticity=np.hstack([np.minimum(_normal(random, c.elasticity, n), 0.0) for c in classes]),
        damage_per_kg={
            pollutant: valuation.damage_per_kg[pollutant]
            * transfer
            * p.damage_cost[pollutant].gsd ** random.standard_normal((n, 1))
            for pollutant in PRICED_POLLUTANTS
        },
        emission=emission,
    )


def central_values(
    parameters: ChargeParameters,
    valuation: Valuation,
    names: Sequence[str],
    emission: EmissionDraws,
) -> Draws:
    """Return the central values of these charge classes as a single draw."""
    p = parameters

    def one(value: float) -> Numbers:
        return np.array([[value]])

    def row(values: Mapping[str, float]) -> Numbers:
        return np.array([[values[name] for name in names]])

    return Draws(
        bpr_exponent=one(p.congestion["bpr_exponent"].value),
        trip_length_km=one(p.response["trip_length"].value),
        change_factor=one(p.response["change_factor"].value),
        pace_z=one(0.0),
        free_flow_factor=one(1.0),
        value_of_time=row(valuation.value_of_time_per_h),
        operating_cost=row(valuation.operating_cost_per_km),
        elasticity=row({name: item.elasticity.value for name, item in p.classes.items()}),
        damage_per_kg={name: one(valuation.damage_per_kg[name]) for name in PRICED_POLLUTANTS},
        emission=emission,
    )


def _normal(random: np.random.Generator, parameter: Parameter, draws: int) -> Numbers:
    values: Numbers = parameter.value + parameter.sd * random.standard_normal((draws, 1))
    return values


def _log_normal(random: np.random.Generator, parameter: Parameter, draws: int) -> Numbers:
    values: Numbers = parameter.value * parameter.gsd ** random.standard_normal((draws, 1))
    return values
