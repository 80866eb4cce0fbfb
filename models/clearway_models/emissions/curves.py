"""What one vehicle emits per kilometre at a mean travel speed, and what a mixed fleet does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clearway_models.emissions.factors import (
    WEAR_SOURCES,
    FactorSet,
    Fleet,
    HotFactor,
    VehicleClass,
)

Numbers = NDArray[np.float64]

POLLUTANTS = ("nox", "pm2_5", "co2")

_NODES = np.array([-np.sqrt(3.0), 0.0, np.sqrt(3.0)])
_WEIGHTS = np.array([1 / 6, 2 / 3, 1 / 6])
"""Three-point Gauss-Hermite rule for a standard normal variable."""

Z_90 = 1.6448536269514722
"""Standard normal quantile of 0.95: 90 % of the probability lies within plus and minus it."""


def hot_emission_factor(factor: HotFactor, speed_kmh: Numbers) -> Numbers:
    r"""Return the hot-exhaust factor at a mean travel speed.

    Parameters
    ----------
    factor
        Coefficients of one vehicle class and quantity.
    speed_kmh
        Mean travel speed, stops included (distance over time). Clamped to the range of the curve,
        never extrapolated: the term in 1/V diverges. Count the clamps with `clamped`. [km/h]

    Returns
    -------
    NDArray
        Factor in the unit of `factor`, g/km or MJ/km.

    Notes
    -----
    .. math:: EF(V) = \frac{\alpha V^2 + \beta V + \gamma + \delta / V}
                           {\varepsilon V^2 + \zeta V + \eta} (1 - RF)

    RF is a fraction although its column is titled in percent, and it may be negative (van N1-III
    diesel Euro 5: -4.07, a factor of 5.07 on NOx); it is not clipped.

    References
    ----------
    EMEP/EEA air pollutant emission inventory guidebook 2023, 1.A.3.b.i-iv, equation 25 and
    appendix 4, doi:10.2800/795737.
    """
    v = np.clip(speed_kmh, factor.min_speed_kmh, factor.max_speed_kmh)
    upper = factor.alpha * v**2 + factor.beta * v + factor.gamma + factor.delta / v
    lower = factor.epsilon * v**2 + factor.zeta * v + factor.eta
    value: Numbers = upper / lower * (1 - factor.reduction_fraction)
    return value


def clamped(factor: HotFactor, speed_kmh: Numbers) -> NDArray[np.bool_]:
    """Return where a speed [km/h] lies outside the range of the curve."""
    below: NDArray[np.bool_] = speed_kmh < factor.min_speed_kmh
    return below | (speed_kmh > factor.max_speed_kmh)


def wear_emission(
    factor_set: FactorSet, vehicle: VehicleClass, speed_kmh: Numbers, *, size: str = "pm2_5"
) -> Numbers:
    """Return what tyres, brakes and road surface give off per kilometre [g/km].

    Parameters
    ----------
    factor_set
        Wear factors.
    vehicle
        Its wear group, axles, load and powertrain count.
    speed_kmh
        Mean travel speed. [km/h]
    size
        ``pm2_5`` or ``pm10``.

    Notes
    -----
    Resuspension is not included. A source that is widely copied (vein's ``ef_wear``) tests
    ``speed > 40`` for the low-speed branch; here the line runs between 40 and 90 (tyre) or 95
    (brake) km/h.

    References
    ----------
    EMEP/EEA guidebook 2019, 1.A.3.b.vi-vii, tyre, brake and road surface wear, doi:10.2800/293657.
    """
    p = factor_set.parameters
    fractions = p.pm2_5_fraction if size == "pm2_5" else p.pm10_fraction
    total = np.zeros_like(speed_kmh, dtype=float)
    for source in WEAR_SOURCES:
        grams = suspended_wear_gkm(factor_set, vehicle, source)
        total = total + grams * fractions[source].value * _wear_speed(factor_set, source, speed_kmh)
    return total


def suspended_wear_gkm(factor_set: FactorSet, vehicle: VehicleClass, source: str) -> float:
    """Return the suspended wear (TSP) of one source before its speed factor [g/km].

    Heavy vehicles wear by axles and load, an electric vehicle's tyres more and its brakes less than
    those of a car with an engine; the road is not told apart.

    Parameters
    ----------
    factor_set, vehicle
        As in `wear_emission`.
    source
        ``tyre``, ``brake`` or ``road``.

    References
    ----------
    As `wear_emission`; factors of electric vehicles are the parameter file's own.
    """
    p = factor_set.parameters
    grams = p.wear[vehicle.wear_group][source].value
    if vehicle.wear_group == "heavy":
        form = {name: parameter.value for name, parameter in p.heavy_form.items()}
        load = vehicle.load_fraction
        if source == "tyre":
            grams *= vehicle.axles / 2 * (form["tyre_intercept"] + form["tyre_load_slope"] * load)
        elif source == "brake":
            grams *= form["brake_factor"] * (1 + form["brake_load_slope"] * load)
    if vehicle.powertrain == "electric" and source != "road":
        grams *= p.electric[f"{source}_factor"].value
    return grams


def _wear_speed(factor_set: FactorSet, source: str, speed_kmh: Numbers) -> Numbers:
    if source not in factor_set.parameters.wear_speed:
        return np.ones_like(speed_kmh, dtype=float)
    s = factor_set.parameters.wear_speed[source]
    line = s.slope.value * speed_kmh + s.intercept.value
    low = np.where(speed_kmh < s.lower_limit.value, s.low.value, line)
    return np.where(speed_kmh > s.upper_limit.value, s.high.value, low)


def speeds_around(speed_kmh: Numbers, sigma_log_pace: float) -> Numbers:
    r"""Return three speeds per value whose weighted mean pace is the pace of the value [km/h].

    Parameters
    ----------
    speed_kmh
        Mean travel speeds, above 0. [km/h]
    sigma_log_pace
        Standard deviation of the logarithm of pace; at 0 all three are the mean. [1]

    Returns
    -------
    NDArray
        Shape (3, …), from fast to slow, as `mean_over_speeds` weighs them. [km/h]

    Notes
    -----
    Log-pace is taken as normal around a mean such that the mean pace stays 1/V; the nodes are those
    of a 3-point Gauss-Hermite rule, exact for polynomials up to the fifth order.

    References
    ----------
    M. Abramowitz, I. Stegun, "Handbook of Mathematical Functions", 1964, 25.4.46 and table 25.10.
    """
    log_pace = -np.log(speed_kmh) - sigma_log_pace**2 / 2
    shape = (3,) + (1,) * np.ndim(speed_kmh)
    nodes: Numbers = np.exp(-(log_pace + sigma_log_pace * _NODES.reshape(shape)))
    return nodes


def mean_over_speeds(values: Numbers) -> Numbers:
    """Return the mean over the three nodes of `speeds_around`, which are the first axis."""
    mean: Numbers = np.tensordot(_WEIGHTS, values, axes=1)
    return mean


@dataclass(frozen=True, slots=True)
class ClassEmission:
    """Parts of one class's emission whose errors are independent [g/km].

    Parameters
    ----------
    exhaust
        From the tailpipe.
    wear
        From tyres, brakes and road; 0 for gases.
    """

    exhaust: Numbers
    wear: Numbers


def class_emission(
    factor_set: FactorSet, emission_class: str, pollutant: str, *, speed_kmh: Numbers
) -> ClassEmission:
    """Return the emission of one vehicle class at exactly these speeds [g/km].

    An electric vehicle has no exhaust; CO2 is that of the fuel burnt, and gases have no wear.

    Parameters
    ----------
    factor_set
        Factors.
    emission_class
        Row of the vehicle classes.
    pollutant
        ``nox``, ``pm2_5`` (exhaust and wear) or ``co2`` (from the energy used).
    speed_kmh
        Mean travel speed. [km/h]
    """
    vehicle = factor_set.classes[emission_class]
    nothing = np.zeros_like(speed_kmh, dtype=float)
    wear = wear_emission(factor_set, vehicle, speed_kmh) if pollutant == "pm2_5" else nothing
    if vehicle.powertrain == "electric":
        return ClassEmission(nothing, wear)
    if pollutant == "co2":
        energy = hot_emission_factor(factor_set.hot[emission_class, "energy"], speed_kmh)
        per_mj = factor_set.parameters.co2[vehicle.powertrain].value
        return ClassEmission(energy * per_mj, wear)
    quantity = "pm_exhaust" if pollutant == "pm2_5" else pollutant
    return ClassEmission(
        hot_emission_factor(factor_set.hot[emission_class, quantity], speed_kmh), wear
    )


def spread_class_emission(
    factor_set: FactorSet, emission_class: str, pollutant: str, *, speed_kmh: Numbers
) -> ClassEmission:
    """Return the emission averaged over the spread of speeds around a mean speed [g/km].

    Parameters
    ----------
    factor_set, emission_class, pollutant, speed_kmh
        As in `class_emission`; speeds above 0.

    Notes
    -----
    The curve is convex at low speed, so its value at the mean speed is too low (Jensen). The
    guidebook takes the value at the mean speed of a trip; a cell's mean hides more, so the spread
    is added here. Each of the three speeds is clamped to the range of the curve by itself.
    """
    sigma = factor_set.parameters.sigma_log_pace.value
    nodes = speeds_around(speed_kmh, sigma)
    parts = class_emission(factor_set, emission_class, pollutant, speed_kmh=nodes)
    return ClassEmission(mean_over_speeds(parts.exhaust), mean_over_speeds(parts.wear))


@dataclass(frozen=True, slots=True)
class EmissionDraws:
    """Random errors that all cells, windows and scenarios share (common random numbers).

    Parameters
    ----------
    shares
        Fleet shares, draws x classes; each row adds up to 1.
    exhaust
        Factor on exhaust by pollutant, draws x classes.
    wear
        Factor on wear, one per draw.
    classes
        Order of the classes.
    """

    shares: Numbers
    exhaust: Mapping[str, Numbers]
    wear: Numbers
    classes: tuple[str, ...]


def draw_errors(factor_set: FactorSet, fleet: Fleet, *, draws: int, seed: int) -> EmissionDraws:
    """Return the random errors of factors and fleet; the same seed gives the same errors.

    Parameters
    ----------
    factor_set
        Widths of the errors.
    fleet
        Mix; a class with a share of 0 is left out.
    draws, seed
        How many, and where the generator starts.

    Notes
    -----
    Fleet shares are Dirichlet around the mix, wide for an assumed and narrow for a surveyed one.
    Factors are log-normal per class with median 1; wear has one factor for all classes, since its
    curves come from one source. The guidebook gives no distributions: widths are
    ``emissions.toml``'s.
    """
    random = np.random.default_rng(seed)
    gsd = {name: p.value for name, p in factor_set.parameters.uncertainty.items()}
    classes = tuple(name for name, share in fleet.shares.items() if share > 0)
    mix = np.array([fleet.shares[name] for name in classes])
    kind = "surveyed" if fleet.surveyed else "default"
    shares = random.dirichlet(mix * gsd[f"{kind}_fleet_concentration"], size=draws)
    width = {"nox": gsd["nox"], "pm2_5": gsd["pm_exhaust"], "co2": gsd["energy"]}
    exhaust = {
        pollutant: np.exp(np.log(width[pollutant]) * random.standard_normal((draws, len(classes))))
        for pollutant in POLLUTANTS
    }
    wear = np.exp(np.log(gsd["wear"]) * random.standard_normal(draws))
    return EmissionDraws(shares, exhaust, wear, classes)


def without_error(draws: EmissionDraws, shares: Numbers) -> EmissionDraws:
    """Return a single draw in which every factor is the filed one, with these fleet shares."""
    ones = np.ones((1, len(draws.classes)))
    exhaust = dict.fromkeys(draws.exhaust, ones)
    return EmissionDraws(shares, exhaust, np.ones(1), draws.classes)


@dataclass(frozen=True, slots=True)
class EmissionCurve:
    """Emission per kilometre over a grid of speeds, with the spread of its logarithm.

    Parameters
    ----------
    speed_kmh
        Grid. [km/h]
    central_gkm
        Value with central factors and mix. [g/km]
    log_sd
        Standard deviation of the natural logarithm from factors and fleet. [1]
    """

    speed_kmh: Numbers
    central_gkm: Numbers
    log_sd: Numbers

    def at(self, speed_kmh: Numbers) -> Numbers:
        """Return the central value at any speed, by linear interpolation on the grid [g/km]."""
        return np.interp(speed_kmh, self.speed_kmh, self.central_gkm)

    def interval(
        self, speed_kmh: Numbers, low_kmh: Numbers, high_kmh: Numbers
    ) -> tuple[Numbers, Numbers]:
        """Return the 90 % interval that also holds the uncertainty of the speed [g/km].

        Parameters
        ----------
        speed_kmh, low_kmh, high_kmh
            Mean speed with its 90 % interval. [km/h]
        """
        central = self.at(speed_kmh)
        ends = np.log(np.maximum(self.at(low_kmh), 1e-12) / np.maximum(self.at(high_kmh), 1e-12))
        sd = np.hypot(np.interp(speed_kmh, self.speed_kmh, self.log_sd), ends / (2 * Z_90))
        return central * np.exp(-Z_90 * sd), central * np.exp(Z_90 * sd)


SPEED_GRID_KMH: Numbers = np.concatenate([np.arange(1.0, 20.0, 0.1), np.arange(20.0, 161.0, 1.0)])
"""Linear interpolation on it misses no curve by more than 0.5 % (tested)."""


def emission_curves(
    factor_set: FactorSet, fleet: Fleet, *, draws: int, seed: int
) -> dict[tuple[str, str], EmissionCurve]:
    """Return the curve of every class of the fleet and of ``fleet``, keyed (class, pollutant)."""
    errors = draw_errors(factor_set, fleet, draws=draws, seed=seed)
    grid = SPEED_GRID_KMH
    mix = np.array([fleet.shares[name] for name in errors.classes])
    curves: dict[tuple[str, str], EmissionCurve] = {}
    for pollutant in POLLUTANTS:
        parts = [
            spread_class_emission(factor_set, name, pollutant, speed_kmh=grid)
            for name in errors.classes
        ]
        exhaust = np.stack([part.exhaust for part in parts])
        wear = np.stack([part.wear for part in parts])
        for column, name in enumerate(errors.classes):
            drawn = (
                errors.exhaust[pollutant][:, column, None] * exhaust[column]
                + errors.wear[:, None] * wear[column]
            )
            curves[name, pollutant] = _curve(exhaust[column] + wear[column], drawn)
        weights = errors.shares * errors.exhaust[pollutant]
        drawn = weights @ exhaust + errors.wear[:, None] * (errors.shares @ wear)
        curves["fleet", pollutant] = _curve(mix @ (exhaust + wear), drawn)
    return curves


def _curve(central: Numbers, drawn: Numbers) -> EmissionCurve:
    if not np.any(central > 0):  # an electric car's gases: nothing, and certainly so
        return EmissionCurve(SPEED_GRID_KMH, central, np.zeros_like(central))
    return EmissionCurve(SPEED_GRID_KMH, central, np.std(np.log(np.maximum(drawn, 1e-12)), axis=0))
