"""What a set of prices would do, with 90 % intervals from one set of common random numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clearway_models.charge.balance import Response, Traffic, efficient_response, respond
from clearway_models.charge.demand import marginal_external_delay
from clearway_models.charge.effect import Effect, Interval, interval_of
from clearway_models.charge.parameters import ChargeParameters
from clearway_models.charge.valuation import Valuation
from clearway_models.emissions.curves import (
    SPEED_GRID_KMH,
    ClassEmission,
    EmissionDraws,
    draw_errors,
    spread_class_emission,
)
from clearway_models.emissions.factors import FactorSet, Fleet
from clearway_models.parameters import Parameter

Numbers = NDArray[np.float64]

PRICED_POLLUTANTS = ("nox", "pm2_5")
"""CO2 is left out of the price: fuel duty already bears on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodTraffic:
    """Observed traffic of the zone in one period.

    Parameters
    ----------
    period
        Name of the period.
    pace_h_per_km, free_pace_h_per_km
        Time per kilometre now and without congestion. [h/km]
    pace_cv
        Relative standard error of the first. [1]
    in_force_per_km
        Prices that are paid already, by class; None at introduction. [currency/km]
    """

    period: str
    pace_h_per_km: float
    free_pace_h_per_km: float
    pace_cv: float
    in_force_per_km: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """Random values that every period and scenario shares; the first axis is the draw.

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

    def __len__(self) -> int:
        return int(self.bpr_exponent.shape[0])


class ChargeModel:
    """The chain from observed traffic to prices and effects, for one fleet and valuation.

    Parameters
    ----------
    parameters
        Responses, bounds and seeds.
    valuation
        Money values of the city.
    factor_set, fleet
        Emission factors and mix.
    zone_crossing_km
        Mean way inside the zone. [km]
    """

    def __init__(
        self,
        parameters: ChargeParameters,
        valuation: Valuation,
        *,
        factor_set: FactorSet,
        fleet: Fleet,
        zone_crossing_km: float,
    ) -> None:
        self._parameters = parameters
        self._valuation = valuation
        self._factors = factor_set
        self._crossing_km = zone_crossing_km
        self.draws = self._draw(fleet)
        self._members = self._group()
        self.classes = tuple(self._members)
        self._mix = np.array([[fleet.shares[n] for n in self.draws.emission.classes]])
        self._tables: dict[str, list[ClassEmission]] = {
            pollutant: [
                spread_class_emission(factor_set, name, pollutant, speed_kmh=SPEED_GRID_KMH)
                for name in self.draws.emission.classes
            ]
            for pollutant in PRICED_POLLUTANTS
        }

    def central_shares(self) -> dict[str, float]:
        """Return the share of vehicle-kilometres of each charge class [1]."""
        return dict(zip(self.classes, self._shares(self._mix)[0].tolist(), strict=True))

    def efficient_costs(self, traffic: PeriodTraffic) -> tuple[dict[str, float], dict[str, float]]:
        """Return congestion and environment cost by class, where each just pays what it costs.

        Central values. [currency/km]
        """
        central = self._central(traffic)
        balance = efficient_response(central, self._environment_central)
        environment = self._environment_central(balance.pace_h_per_km)
        congestion = balance.congestion_cost_per_km
        return (
            dict(zip(self.classes, congestion[0].tolist(), strict=True)),
            dict(zip(self.classes, environment[0].tolist(), strict=True)),
        )

    def cost_intervals(
        self, traffic: PeriodTraffic
    ) -> tuple[dict[str, Interval], dict[str, Interval]]:
        """Return the same costs with intervals, money in units of the currency per kilometre."""
        drawn = self._drawn(traffic)
        balance = efficient_response(drawn, self._environment_drawn)
        environment = self._environment_drawn(balance.pace_h_per_km)
        unit = f"{self._valuation.currency}/km"
        return (
            self._by_class(balance.congestion_cost_per_km, unit),
            self._by_class(environment, unit),
        )

    def delay_imposed(self, traffic: PeriodTraffic) -> Interval:
        """Return the time that one more kilometre costs all others today [s/km]."""
        drawn = self._drawn(traffic)
        delay = marginal_external_delay(
            drawn.pace_h_per_km, drawn.free_pace_h_per_km, exponent=drawn.bpr_exponent
        )
        return interval_of(delay[:, 0] * 3600, "s/km")

    def effect(self, traffic: PeriodTraffic, price_per_km: Mapping[str, float]) -> Effect | None:
        """Return what prices do in a period, or None where demand and speed find no balance.

        Parameters
        ----------
        traffic
            Observed traffic of the period.
        price_per_km
            By class; a class that is missing pays nothing. [currency/km]
        """
        drawn = self._drawn(traffic)
        prices = np.array([[price_per_km.get(name, 0.0) for name in self.classes]])
        response = respond(drawn, prices)
        if not response.converged:
            return None
        return Effect(
            vehicle_km_ratio=np.sum(drawn.shares * response.demand_ratio, axis=1),
            nox_before_gkm=self._mean_emission(drawn, drawn.pace_h_per_km, None),
            nox_after_gkm=self._mean_emission(drawn, response.pace_h_per_km, response),
            pace_before=drawn.pace_h_per_km[:, 0],
            pace_after=response.pace_h_per_km[:, 0],
            paid_per_km=np.sum(drawn.shares * response.demand_ratio * prices, axis=1),
        )

    def _mean_emission(self, drawn: Traffic, pace: Numbers, response: Response | None) -> Numbers:
        ratio = 1.0 if response is None else response.demand_ratio
        per_class = self._emission("nox", pace, self.draws.emission.shares, drawn=True)
        total: Numbers = np.sum(drawn.shares * ratio * per_class, axis=1)
        return total

    def _by_class(self, values: Numbers, unit: str) -> dict[str, Interval]:
        return {name: interval_of(values[:, i], unit) for i, name in enumerate(self.classes)}

    def _group(self) -> dict[str, list[int]]:
        """Return the columns of each charge class of the fleet, in the order of the tariff."""
        known = self._factors.classes
        names = self.draws.emission.classes
        members = {
            item: [i for i, name in enumerate(names) if known[name].charge_class == item]
            for item in self._parameters.classes
        }
        return {item: columns for item, columns in members.items() if columns}

    def _draw(self, fleet: Fleet) -> Draws:
        p, n = self._parameters, int(self._parameters.simulation["draws"].value)
        seed = int(p.simulation["seed"].value)
        present = {self._factors.classes[name].charge_class for name in fleet.shares}
        classes = [item for name, item in p.classes.items() if name in present]
        random = np.random.default_rng(seed)
        vot = self._valuation.value_of_time_per_h
        cost = self._valuation.operating_cost_per_km
        # One draw for all classes: if time is worth more here, it is for everyone.
        common_time, common_cost = random.standard_normal((2, n, 1))
        transfer = self._valuation.transfer_gsd ** random.standard_normal((n, 1))
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
            elasticity=np.hstack(
                [np.minimum(_normal(random, c.elasticity, n), 0.0) for c in classes]
            ),
            damage_per_kg={
                pollutant: self._valuation.damage_per_kg[pollutant]
                * transfer
                * p.damage_cost[pollutant].gsd ** random.standard_normal((n, 1))
                for pollutant in PRICED_POLLUTANTS
            },
            emission=draw_errors(self._factors, fleet, draws=n, seed=seed + 1),
        )

    def _shares(self, emission_shares: Numbers) -> Numbers:
        return np.stack(
            [emission_shares[:, columns].sum(axis=1) for columns in self._members.values()], axis=1
        )

    def _row(self, values: Mapping[str, float]) -> Numbers:
        return np.array([[values[name] for name in self.classes]])

    def _in_force_row(self, traffic: PeriodTraffic) -> Numbers:
        return self._row({n: (traffic.in_force_per_km or {}).get(n, 0.0) for n in self.classes})

    def _central(self, traffic: PeriodTraffic) -> Traffic:
        p = self._parameters
        trip = np.array([[p.response["trip_length"].value]])
        damp = 1.0 if traffic.in_force_per_km is None else p.response["change_factor"].value
        return Traffic(
            pace_h_per_km=np.array([[traffic.pace_h_per_km]]),
            free_pace_h_per_km=np.array([[traffic.free_pace_h_per_km]]),
            bpr_exponent=np.array([[p.congestion["bpr_exponent"].value]]),
            shares=self._shares(self._mix),
            passenger_car_units=self._pcu(),
            value_of_time_per_h=self._row(self._valuation.value_of_time_per_h),
            operating_cost_per_km=self._row(self._valuation.operating_cost_per_km),
            elasticity=damp * self._row({k: c.elasticity.value for k, c in p.classes.items()}),
            trip_length_km=trip,
            zone_length_km=np.minimum(trip, self._crossing_km),
            price_in_force_per_km=self._in_force_row(traffic),
        )

    def _drawn(self, traffic: PeriodTraffic) -> Traffic:
        d = self.draws
        sd = float(np.sqrt(np.log1p(traffic.pace_cv**2)))
        damp = 1.0 if traffic.in_force_per_km is None else d.change_factor
        return Traffic(
            pace_h_per_km=traffic.pace_h_per_km * np.exp(sd * d.pace_z),
            free_pace_h_per_km=traffic.free_pace_h_per_km / d.free_flow_factor,
            bpr_exponent=d.bpr_exponent,
            shares=self._shares(d.emission.shares),
            passenger_car_units=self._pcu(),
            value_of_time_per_h=d.value_of_time,
            operating_cost_per_km=d.operating_cost,
            elasticity=damp * d.elasticity,
            trip_length_km=d.trip_length_km,
            zone_length_km=np.minimum(d.trip_length_km, self._crossing_km),
            price_in_force_per_km=self._in_force_row(traffic),
        )

    def _pcu(self) -> Numbers:
        return self._row(
            {k: c.passenger_car_units.value for k, c in self._parameters.classes.items()}
        )

    def _environment_central(self, pace_h_per_km: Numbers) -> Numbers:
        total = np.zeros((1, len(self.classes)))
        for pollutant in PRICED_POLLUTANTS:
            grams = self._emission(pollutant, pace_h_per_km, self._mix, drawn=False)
            total = total + grams / 1000 * self._valuation.damage_per_kg[pollutant]
        return total

    def _environment_drawn(self, pace_h_per_km: Numbers) -> Numbers:
        total = np.zeros((len(self.draws), len(self.classes)))
        for pollutant in PRICED_POLLUTANTS:
            shares = self.draws.emission.shares
            grams = self._emission(pollutant, pace_h_per_km, shares, drawn=True)
            total = total + grams / 1000 * self.draws.damage_per_kg[pollutant]
        return total

    def _emission(
        self, pollutant: str, pace_h_per_km: Numbers, shares: Numbers, *, drawn: bool
    ) -> Numbers:
        """Return grams per kilometre by charge class, weighted by the shares inside it."""
        speed = 1 / pace_h_per_km[:, 0]
        errors = self.draws.emission
        grams = np.empty((len(speed), len(errors.classes)))
        for column, part in enumerate(self._tables[pollutant]):
            exhaust = np.interp(speed, SPEED_GRID_KMH, part.exhaust)
            wear = np.interp(speed, SPEED_GRID_KMH, part.wear)
            if drawn:
                exhaust = exhaust * errors.exhaust[pollutant][:, column]
                wear = wear * errors.wear
            grams[:, column] = exhaust + wear
        weighted = grams * shares
        return np.stack(
            [
                weighted[:, columns].sum(axis=1) / np.maximum(shares[:, columns].sum(axis=1), 1e-12)
                for columns in self._members.values()
            ],
            axis=1,
        )


def _normal(random: np.random.Generator, parameter: Parameter, draws: int) -> Numbers:
    values: Numbers = parameter.value + parameter.sd * random.standard_normal((draws, 1))
    return values


def _log_normal(random: np.random.Generator, parameter: Parameter, draws: int) -> Numbers:
    values: Numbers = parameter.value * parameter.gsd ** random.standard_normal((draws, 1))
    return values
