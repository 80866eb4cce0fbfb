"""Whether a forecast model still sees the city that it learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from clearway_models.forecast.evaluation import Hindcast, keep_windows
from clearway_models.forecast.features import FEATURES, Origins, features
from clearway_models.forecast.model import MODEL
from clearway_models.forecast.panel import Numbers, Panel
from clearway_models.forecast.parameters import ForecastParameters

WATCHED = ("pace", "change_3", "neighbours", "usual")
"""Features whose distribution is watched: level, movement, surroundings, habit."""

_LEAST_SHARE = 1e-4
_BINS = 10

Reference = Mapping[str, Mapping[str, Sequence[float]]]
"""By feature: ``edges`` between bins, and the ``shares`` of the training rows in them."""


def stability_index(expected: Numbers, actual: Numbers) -> float:
    r"""Return the population stability index of two distributions over the same bins.

    Notes
    -----
    .. math:: \sum_i (a_i - e_i) \ln(a_i / e_i)

    with shares of ``actual`` and ``expected``. 0 for equal ones, never below. A share below 0.0001
    counts as that much, so that an empty bin does not make it infinite; the published form leaves
    that open.

    References
    ----------
    J. du Pisanie and others, "A critical review of existing and new population stability testing
    procedures in credit risk scoring", 2023, arXiv:2303.01227.
    """
    e, a = np.maximum(expected, _LEAST_SHARE), np.maximum(actual, _LEAST_SHARE)
    return float(np.sum((a - e) * np.log(a / e)))


def reference(panel: Panel, at: Origins, steps: int) -> dict[str, dict[str, list[float]]]:
    """Return the distribution of the watched features over some origins, in ten equal parts."""
    found = {}
    for name, values in _watched(panel, at, steps).items():
        known = values[np.isfinite(values)]
        edges = np.quantile(known, np.arange(1, _BINS) / _BINS) if len(known) else np.zeros(0)
        found[name] = {"edges": edges.tolist(), "shares": _shares(known, edges).tolist()}
    return found


def shifted_features(
    learned_from: Reference, panel: Panel, at: Origins, *, steps: int, limit: float
) -> list[str]:
    """Return a sentence for each watched feature whose distribution moved."""
    found = []
    for name, values in _watched(panel, at, steps).items():
        bins = learned_from[name]
        now = _shares(values[np.isfinite(values)], np.array(bins["edges"]))
        index = stability_index(np.array(bins["shares"]), now)
        if index > limit:
            found.append(f"{name} is distributed otherwise (stability index {index:.2f})")
    return found


def worse_than_tested(
    past: Hindcast,
    panel: Panel,
    *,
    made: int,
    tested_mae_kmh: float,
    parameters: ForecastParameters,
) -> list[str]:
    """Return a sentence for each way in which a horizon does worse since its model was made.

    Parameters
    ----------
    past
        What the model would have said since it learned.
    panel
        Log paces; its end is now.
    made
        First window after those that the model was made from.
    tested_mae_kmh
        Mean absolute error of its test. [km/h]
    parameters
        Margins, and how many whole days in a row must be off.
    """
    n_days = int(parameters.coverage_days)
    margins = past.scores(MODEL).rolling(
        panel.day, parameters, keep=keep_windows(panel, parameters)
    )
    low, said, high = past.bands[MODEL].widened(margins).speeds_kmh()
    truth = np.exp(-past.truth)
    known = past.at.window + past.steps
    age = (panel.n_windows - 1 - known) // panel.day
    days = [(known >= made) & (age == back) for back in range(n_days)]
    if not all(day.any() for day in days):
        return []
    found = []
    coverage = [float(((low <= truth) & (truth <= high))[day].mean()) for day in days]
    level, margin = parameters.interval_level, parameters.coverage_margin
    if all(abs(share - level) > margin for share in coverage):
        shares = ", ".join(f"{100 * share:.0f} %" for share in reversed(coverage))
        found.append(f"intervals of the last {n_days} days held {shares}")
    recent = np.logical_or.reduce(days)
    ratio = float(np.abs(said - truth)[recent].mean()) / tested_mae_kmh
    if ratio > parameters.max_error_ratio:
        found.append(f"errors are {ratio:.2f} times those of the test")
    return found


def _watched(panel: Panel, at: Origins, steps: int) -> dict[str, Numbers]:
    rows = features(panel, at, steps)
    return {name: rows[:, FEATURES.index(name)] for name in WATCHED}


def _shares(values: Numbers, edges: Numbers) -> Numbers:
    counts = np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)
    return counts / max(len(values), 1)
