"""Somebody knows one vehicle's whole day, and asks whether it is in the published data.

The attacker is strong: it knows from other days the exact mean and spread of every value before the
gate, which the published data never show; it knows the vehicle's distances, times and fixes in each
cell and window; it takes out what moves the whole city on a day; and for each published value (and
for each that is missing) it weighs how likely it is with the vehicle against without. How much
each kind of value is worth it learns from days on which it knows the answer.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from doubles import attack_fleets as fleets
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from clearway_core.geo import parent_of
from clearway_transforms.congestion import cells
from clearway_transforms.release import gate
from clearway_transforms.release.public_values import _STEPS

Product = tuple[int, int]
View = dict[Product, np.ndarray]
"""Of each product, one row per cell and window, with the columns of `VALUES`; NaN is absent."""

VALUES = ("n_vehicles", "n_pings", "n_legs", "pace")
N_COUNTS = 3
MOST = 3.0
"""Evidence of one value is bounded, so that one badly known spread does not decide."""

PLACES = {
    resolution: {
        cell: n
        for n, cell in enumerate(sorted({parent_of(cell, resolution) for cell in fleets.CELLS}))
    }
    for resolution in {resolution for resolution, _ in gate.LADDER}
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What one day published, and the truth about each target.

    Parameters
    ----------
    present
        Whether each target is in the data.
    own
        For each product: target, place in the view, and its part in the values: vehicles (1),
        fixes, legs, distance [mm] and time [ms].
    views
        What is published, by kind of publication.
    """

    present: np.ndarray
    own: Mapping[Product, np.ndarray]
    views: Mapping[str, View]


def slot(rows: pl.DataFrame, product: Product) -> np.ndarray:
    """Return the place of each row in a view."""
    resolution, minutes = product
    cell = np.array([PLACES[resolution][cell] for cell in rows["h3_cell"].to_list()], dtype=int)
    window = (rows["window_start"] - fleets.DAY).dt.total_minutes().to_numpy() // minutes
    return cell * (1440 // minutes) + window


def view_of(published: Mapping[Product, pl.DataFrame]) -> View:
    """Return published rows, which have ``space_mean_kmh`` and counts, as a view."""
    found = {}
    for product, rows in published.items():
        size = len(PLACES[product[0]]) * (1440 // product[1])
        values = np.full((size, len(VALUES)), np.nan)
        columns = rows.select(*VALUES[:N_COUNTS], pace=-pl.col("space_mean_kmh").log())
        values[slot(rows, product)] = columns.to_numpy()
        found[product] = values
    return found


def own_parts(vehicle_travel: pl.DataFrame, targets: Sequence[str]) -> dict[Product, np.ndarray]:
    """Return what each target would add to each value, which the attacker knows."""
    number = {name: n for n, name in enumerate(targets)}
    parts = {}
    for product in gate.LADDER:
        rows = cells.roll_up(
            vehicle_travel.lazy(), resolution=product[0], window_minutes=product[1]
        ).collect()
        parts[product] = np.column_stack(
            [
                [number[name] for name in rows["vehicle"].to_list()],
                slot(rows, product),
                (rows["n_seen"] > 0).to_numpy(),
                rows.select("n_pings", "n_legs", "distance_mm", "duration_ms").to_numpy(),
            ]
        ).astype(float)
    return parts


class Attacker:
    """Decides from one kind of publication who is in it.

    Parameters
    ----------
    view
        Kind of publication.
    least
        A value that is missing means fewer vehicles than this.
    exact
        Whether counts are exact; else rounded down to 1, 2 or 5 times a power of ten.
    """

    def __init__(self, view: str, *, least: int, exact: bool) -> None:
        self.view, self.least, self.exact = view, least, exact
        self._model = LogisticRegression(C=0.1)

    def learn(self, history: Sequence[Day], answered: Sequence[Day]) -> None:
        """Learn usual values from one set of days, and what evidence is worth from another."""
        self._usual = {}
        for product in gate.LADDER:
            exact = np.array([day.views["ungated"][product] for day in history])
            counts = np.nan_to_num(exact[:, :, :N_COUNTS])
            # Cells that nobody entered have no mean, and one day has no spread: both are meant.
            with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
                pace = np.nanmean(exact[:, :, N_COUNTS], axis=0)
                spread = np.nanstd(exact[:, :, N_COUNTS], axis=0)
            often = np.isfinite(exact[:, :, N_COUNTS]).sum(axis=0) >= 4
            typical = np.nanmean(np.where(often, spread, np.nan))
            shown = np.array([np.nansum(day.views[self.view][product], axis=0) for day in history])
            self._usual[product] = (
                counts.mean(axis=0),
                counts.std(axis=0, ddof=1) + 0.5,
                np.where(often, pace, np.nan),
                np.hypot(spread, 0.3 * typical),
                shown.mean(axis=0),
            )
        evidence = np.vstack([self.evidence(day) for day in answered])
        self._model.fit(evidence, np.concatenate([day.present for day in answered]))

    def scores(self, days: Sequence[Day]) -> np.ndarray:
        """Return for each target of each day how sure the attacker is that it was there."""
        return self._model.decision_function(np.vstack([self.evidence(day) for day in days]))

    def evidence(self, day: Day) -> np.ndarray:
        """Return log likelihood ratios per target, added up by product and kind of value."""
        return np.hstack([self._of_product(day, product) for product in gate.LADDER])

    def _of_product(self, day: Day, product: Product) -> np.ndarray:
        mean, spread, usual_pace, pace_spread, usual_total = self._usual[product]
        shown = day.views[self.view][product]
        target, place, *parts = day.own[product].T
        target, place = target.astype(int), place.astype(int)
        found = np.zeros((len(day.present), len(VALUES)))
        total = np.nansum(shown, axis=0)
        for kind in range(N_COUNTS):
            scale = total[kind] / usual_total[kind] if usual_total[kind] else 1.0
            low, high = self._bounds(shown[place, kind])
            centre, sd = mean[place, kind] * scale, spread[place, kind]
            half = parts[kind] / 2
            likely = [
                norm.cdf(high, centre + sign * half, sd) - norm.cdf(low, centre + sign * half, sd)
                for sign in (1, -1)
            ]
            ratio = np.log((likely[0] + 1e-9) / (likely[1] + 1e-9))
            if kind:
                ratio = np.where(np.isfinite(shown[place, kind]), ratio, 0)
            np.add.at(found[:, kind], target, np.clip(ratio, -MOST, MOST))
        pace = shown[:, N_COUNTS] - usual_pace
        both = np.isfinite(pace)
        offset = np.median(pace[both]) if both.any() else 0.0
        error = pace[place] - offset
        distance, duration = parts[3], parts[4]
        # The others' distance and time, from how many there usually are.
        others = np.maximum(mean[place, 0] - 0.5, 0.5)
        with np.errstate(all="ignore"):
            own = np.log(duration / distance / 3.6) - usual_pace[place]
            shift = np.log1p((np.exp(own) - 1) / (others + 1))
            ratio = (2 * error * shift) / (2 * pace_spread[place] ** 2)
        ratio = np.where(np.isfinite(ratio), ratio, 0)
        np.add.at(found[:, N_COUNTS], target, np.clip(ratio, -MOST, MOST))
        return found

    def _bounds(self, shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return between which counts the true one lies."""
        absent = ~np.isfinite(shown)
        value = np.where(absent, 0, shown)
        if self.exact:
            low, high = value - 0.5, value + 0.5
        else:
            steps = np.array([0, *_STEPS], dtype=float)
            at = np.searchsorted(steps, value, side="right")
            low, high = steps[at - 1] - 0.5, steps[at] - 0.5
        return np.where(absent, -1e9, low), np.where(absent, self.least - 0.5, high)
