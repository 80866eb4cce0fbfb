"""Draws of what prices do, and their published form: median and 90 % interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

_LOW_PCT, _HIGH_PCT = 5.0, 95.0
_NOTHING = 1e-9
"""What is left of a 0 after adding floating-point numbers; below any published digit."""


def two_digits(value: float) -> float:
    """Return the value rounded to 2 significant digits, as every prediction is published.

    Halves go to the even digit. Below 1e-9 it is 0: what is left of a 0 after adding is no
    prediction.
    """
    if abs(value) < _NOTHING:
        return 0.0
    return float(f"{value:.1e}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Median and 90 % interval of a predicted value, rounded to 2 significant digits."""

    median: float
    low: float
    high: float
    unit: str

    def record(self) -> dict[str, object]:
        """Return the interval as JSON-ready values."""
        return {"median": self.median, "low": self.low, "high": self.high, "unit": self.unit}


def interval_of(draws: Numbers, unit: str) -> Interval:
    """Return the median and the 5th and 95th percentile of draws, to 2 significant digits.

    Percentiles are interpolated linearly between draws; one draw is its own interval.
    """
    low, median, high = (
        two_digits(float(v)) for v in np.percentile(draws, [_LOW_PCT, 50.0, _HIGH_PCT])
    )
    return Interval(median=median, low=low, high=high, unit=unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Draws of what prices do in one period; the arrays have one value per draw.

    Parameters
    ----------
    vehicle_km_ratio
        Vehicle-kilometres after over before. [1]
    nox_before_gkm, nox_after_gkm
        NOx per kilometre driven before. [g/km]
    pace_before, pace_after
        Time per kilometre. [h/km]
    paid_per_km
        Charges due per kilometre driven before. [currency/km]
    """

    vehicle_km_ratio: Numbers
    nox_before_gkm: Numbers
    nox_after_gkm: Numbers
    pace_before: Numbers
    pace_after: Numbers
    paid_per_km: Numbers

    def traffic_change_pct(self) -> Interval:
        """Return the change of vehicle-kilometres in the zone [%]."""
        return interval_of(100 * (self.vehicle_km_ratio - 1), "%")

    def nox_change_pct(self) -> Interval:
        """Return the change of NOx emitted in the zone [%]."""
        return interval_of(100 * (self.nox_after_gkm / self.nox_before_gkm - 1), "%")

    def speed_change_pct(self) -> Interval:
        """Return the change of the mean speed in the zone [%]."""
        return interval_of(100 * (self.pace_before / self.pace_after - 1), "%")


def combined(effects: Sequence[Effect], weights: Sequence[float]) -> Effect:
    """Return the effect over several periods, weighted by the kilometres driven in each.

    Parameters
    ----------
    effects
        At least one; draw by draw with the same random numbers.
    weights
        Kilometres driven before, at least one above 0. [km]

    Notes
    -----
    The pace afterwards is time over the kilometres that remain, not the mean of the paces.
    """
    total = sum(weights)

    def mean(values: Sequence[Numbers]) -> Numbers:
        added = np.zeros_like(values[0])
        for weight, value in zip(weights, values, strict=True):
            added = added + weight / total * value
        return added

    ratio = mean([e.vehicle_km_ratio for e in effects])
    after = mean([e.vehicle_km_ratio * e.pace_after for e in effects])
    return Effect(
        vehicle_km_ratio=ratio,
        nox_before_gkm=mean([e.nox_before_gkm for e in effects]),
        nox_after_gkm=mean([e.nox_after_gkm for e in effects]),
        pace_before=mean([e.pace_before for e in effects]),
        pace_after=after / ratio,
        paid_per_km=mean([e.paid_per_km for e in effects]),
    )
