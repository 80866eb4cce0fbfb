"""What a set of prices would do, with 90 % intervals from one set of common random numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clearway_models.charge.balance import Traffic, efficient_response, respond
from clearway_models.charge.demand import marginal_external_delay
from clearway_models.charge.draws import (
    PRICED_POLLUTANTS,
    Draws,
    central_values,
    drawn_values,
)
from clearway_models.charge.effect import Effect, Interval, interval_of
from clearway_models.charge.parameters import ChargeParameters
from clearway_models.charge.valuation import Valuation
from clearway_models.emissions.curves import (
    SPEED_GRID_KMH,
    ClassEmission,
    EmissionDraws,
    draw_errors,
    spread_class_emission,
    without_error,
)
from clearway_models.emissions.factors import FactorSet, Fleet

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodTraffic:
    """Observed traffic of the zone in one period.

    Parameters
    ----------
    pace_h_per_km, free_pace_h_per_km
        Time per kilometre now and without congestion. [h/km]
    pace_cv
        Relative standard error of the first. [1]
    in_force_per_km
        Prices that are paid already, by class; None at introduction. [currency/km]
    """

    pace_h_per_km: float
    free_pace_h_per_km: float
    pace_cv: float
    in_force_per_km: Mapping[str, float] | None = None


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
        self.parameters = parameters
        self.valuation = valuation
        self._crossing_km = zone_crossing_km
        simulation = parameters.simulation
        emission = draw_errors(
            factor_set,
            fleet,
            draws=int(simulation["draws"].value),
            seed=int(simulation["seed"].value) + 1,
        )
        self._members = _members(parameters, factor_set, emission.classes)
        self.classes = tuple(self._members)
        self._drawn = drawn_values(parameters, valuation, self.classes, emission)
        mix = np.array([[fleet.shares[name] for name in emission.classes]])
        self._central = central_values(
            parameters, valuation, self.classes, without_error(emission, mix)
        )
        self._tables: dict[str, list[ClassEmission]] = {
            pollutant: [
                spread_class_emission(factor_set, name, pollutant, speed_kmh=SPEED_GRID_KMH)
                for name in emission.classes
            ]
            for pollutant in PRICED_POLLUTANTS
        }

    def central_shares(self) -> dict[str, float]:
        """Return the share of vehicle-kilometres of each charge class [1]."""
        return self._first(self._shares(self._central.emission.shares))

    def efficient_costs(self, traffic: PeriodTraffic) -> tuple[dict[str, float], dict[str, float]]:
        """Return congestion and environment cost by class, where each just pays what it costs.

        Central values. [currency/km]
        """
        congestion, environment = self._efficient(self._central, traffic)
        return self._first(congestion), self._first(environment)

    def cost_intervals(
        self, traffic: PeriodTraffic
    ) -> tuple[dict[str, Interval], dict[str, Interval]]:
        """Return the same costs with intervals, money in units of the currency per kilometre."""
        congestion, environment = self._efficient(self._drawn, traffic)
        unit = f"{self.valuation.currency}/km"
        return self._by_class(congestion, unit), self._by_class(environment, unit)

    def delay_imposed(self, traffic: PeriodTraffic) -> Interval:
        """Return the time that one more kilometre costs all others today [s/km]."""
        drawn = self._traffic(self._drawn, traffic)
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
        drawn = self._traffic(self._drawn, traffic)
        prices = np.array([[price_per_km.get(name, 0.0) for name in self.classes]])
        response = respond(drawn, prices)
        if not response.converged:
            return None
        return Effect(
            vehicle_km_ratio=np.sum(drawn.shares * response.demand_ratio, axis=1),
            nox_before_gkm=self._nox_gkm(drawn.pace_h_per_km, drawn.shares),
            nox_after_gkm=self._nox_gkm(
                response.pace_h_per_km, drawn.shares * response.demand_ratio
            ),
            pace_before=drawn.pace_h_per_km[:, 0],
            pace_after=response.pace_h_per_km[:, 0],
            paid_per_km=np.sum(drawn.shares * response.demand_ratio * prices, axis=1),
        )

    def _efficient(self, draws: Draws, traffic: PeriodTraffic) -> tuple[Numbers, Numbers]:
        """Return the cost of congestion and of emissions in balance, by class [currency/km]."""

        def environment(pace_h_per_km: Numbers) -> Numbers:
            return self._damage_per_km(draws, pace_h_per_km)

        balance = efficient_response(self._traffic(draws, traffic), environment)
        return balance.congestion_cost_per_km, environment(balance.pace_h_per_km)

    def _nox_gkm(self, pace_h_per_km: Numbers, weights: Numbers) -> Numbers:
        total: Numbers = np.sum(
            weights * self._emission("nox", pace_h_per_km, self._drawn.emission), axis=1
        )
        return total

    def _first(self, values: Numbers) -> dict[str, float]:
        return dict(zip(self.classes, values[0].tolist(), strict=True))

    def _by_class(self, values: Numbers, unit: str) -> dict[str, Interval]:
        return {name: interval_of(values[:, i], unit) for i, name in enumerate(self.classes)}

    def _shares(self, emission_shares: Numbers) -> Numbers:
        return np.stack(
            [emission_shares[:, columns].sum(axis=1) for columns in self._members.values()], axis=1
        )

    def _row(self, values: Mapping[str, float]) -> Numbers:
        return np.array([[values[name] for name in self.classes]])

    def _traffic(self, draws: Draws, traffic: PeriodTraffic) -> Traffic:
        pcu = {k: c.passenger_car_units.value for k, c in self.parameters.classes.items()}
        paid = traffic.in_force_per_km
        sd = float(np.sqrt(np.log1p(traffic.pace_cv**2)))
        return Traffic(
            pace_h_per_km=traffic.pace_h_per_km * np.exp(sd * draws.pace_z),
            free_pace_h_per_km=traffic.free_pace_h_per_km / draws.free_flow_factor,
            bpr_exponent=draws.bpr_exponent,
            shares=self._shares(draws.emission.shares),
            passenger_car_units=self._row(pcu),
            value_of_time_per_h=draws.value_of_time,
            operating_cost_per_km=draws.operating_cost,
            elasticity=(1.0 if paid is None else draws.change_factor) * draws.elasticity,
            trip_length_km=draws.trip_length_km,
            zone_length_km=np.minimum(draws.trip_length_km, self._crossing_km),
            price_in_force_per_km=self._row({n: (paid or {}).get(n, 0.0) for n in self.classes}),
        )

    def _damage_per_km(self, draws: Draws, pace_h_per_km: Numbers) -> Numbers:
        total = np.zeros((1, len(self.classes)))
        for pollutant in PRICED_POLLUTANTS:
            grams = self._emission(pollutant, pace_h_per_km, draws.emission)
            total = total + grams / 1000 * draws.damage_per_kg[pollutant]
        return total

    def _emission(self, pollutant: str, pace_h_per_km: Numbers, errors: EmissionDraws) -> Numbers:
        """Return grams per kilometre by charge class, weighted by the shares inside it."""
        speed = 1 / pace_h_per_km[:, 0]
        grams = np.empty((len(speed), len(errors.classes)))
        for column, part in enumerate(self._tables[pollutant]):
            exhaust = np.interp(speed, SPEED_GRID_KMH, part.exhaust)
            wear = np.interp(speed, SPEED_GRID_KMH, part.wear)
            grams[:, column] = exhaust * errors.exhaust[pollutant][:, column] + wear * errors.wear
        weighted = grams * errors.shares
        return np.stack(
            [
                weighted[:, columns].sum(axis=1)
                / np.maximum(errors.shares[:, columns].sum(axis=1), 1e-12)
                for columns in self._members.values()
            ],
            axis=1,
        )


def _members(
    parameters: ChargeParameters, factor_set: FactorSet, names: Sequence[str]
) -> dict[str, list[int]]:
    """Return the columns of each charge class of the fleet, in the order of the tariff."""
    members = {
        item: [i for i, name in enumerate(names) if factor_set.classes[name].charge_class == item]
        for item in parameters.classes
    }
    return {item: columns for item, columns in members.items() if columns}
