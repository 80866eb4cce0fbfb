"""What is known of a place when a forecast is issued, and what the plain forecasts make of it.

All functions take origins: a window (the newest that is known) and a place each. They read windows
up to the origin only; beyond it just the calendar.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clearway_models.forecast.panel import DAYS_PER_WEEK, MINUTES_PER_DAY, Numbers, Panel, Places

PERSISTENCE = "persistence"
HISTORICAL_AVERAGE = "historical_average"
SAME_TIME_LAST_WEEK = "same_time_last_week"
EWMA_BLEND = "ewma_blend"
BASELINES = (PERSISTENCE, HISTORICAL_AVERAGE, SAME_TIME_LAST_WEEK, EWMA_BLEND)

FEATURES = (
    *("pace", "change_1", "change_2", "change_3", "change_7", "neighbours", "neighbours_change"),
    *("neighbours_change_3", "yesterday", "last_week", "usual", "usual_low", "usual_high"),
    *("usual_now", "day_sin", "day_cos", "week_sin", "week_cos", "day_off", "n_vehicles", "stale"),
)
"""Columns of `features`. ``pace`` is log pace at the origin; paces after it are relative to it."""

_LAGS = (1, 2, 3, 7)
_EWMA_LAGS = 8
_EWMA_DECAY = 0.5
_BLENDS = np.linspace(0, 1, 11)
_WEEKS_BACK, _DAYS_BACK = 8, 14
_FEWEST_WEEKS = 3
"""Weeks of which a profile by hour of the week can tell a weekday from a single day."""


@dataclass(frozen=True, slots=True)
class Origins:
    """Where and when forecasts are issued: `window` and `place` are indices of a panel."""

    window: Places
    place: Places

    def __len__(self) -> int:
        return len(self.window)

    def chosen(self, which: NDArray[np.bool_] | Places) -> Origins:
        """Return some of them."""
        return Origins(self.window[which], self.place[which])


def origins(panel: Panel, *, first: int, end: int, max_stale_minutes: float) -> Origins:
    """Return all origins in windows [first, end) whose place was observed lately enough."""
    fresh = panel.seen[first:end]
    age = np.arange(first, end)[:, None] - fresh
    window, place = np.nonzero((fresh >= 0) & (age * panel.step_minutes <= max_stale_minutes))
    return Origins(window + first, place)


def target(panel: Panel, at: Origins, steps: int) -> Numbers:
    """Return log pace of the window that is forecast; NaN where it was not observed or not yet."""
    return _look(panel.log_pace, at.window + steps, at.place)


def features(panel: Panel, at: Origins, steps: int) -> Numbers:
    """Return the features of origins for one horizon, columns as in `FEATURES`.

    Parameters
    ----------
    panel
        Log paces and calendar.
    at
        Origins whose place was observed.
    steps
        Horizon in windows.
    """
    seen = panel.seen[at.window, at.place]
    now = panel.log_pace[seen, at.place]
    day, ahead = panel.day, at.window + steps
    nearby = _look(panel.neighbour_pace, at.window, at.place)
    usual, low, high = usual_pace(panel, at, steps)
    week = _circle(panel.week_minute[ahead], DAYS_PER_WEEK * MINUTES_PER_DAY)
    # With less, the hour of the week would be the name of a single day.
    several_weeks = at.window >= _FEWEST_WEEKS * DAYS_PER_WEEK * day
    columns = [
        now,
        *(_look(panel.log_pace, at.window - lag, at.place) - now for lag in _LAGS),
        nearby - now,
        *(nearby - _look(panel.neighbour_pace, at.window - lag, at.place) for lag in (1, 3)),
        _look(panel.log_pace, ahead - day, at.place) - now,
        _look(panel.log_pace, ahead - DAYS_PER_WEEK * day, at.place) - now,
        *(value - now for value in (usual, low, high, usual_pace(panel, at, 0)[0])),
        *_circle(panel.day_minute[ahead], MINUTES_PER_DAY),
        *(np.where(several_weeks, value, np.nan) for value in week),
        panel.day_off[ahead].astype(float),
        np.log1p(panel.n_vehicles[seen, at.place]),
        (at.window - seen).astype(float),
    ]
    return np.column_stack(columns)


def usual_pace(panel: Panel, at: Origins, steps: int) -> tuple[Numbers, Numbers, Numbers]:
    """Return median, least and largest earlier log pace at the time of the target.

    Of the same hour of the week in up to 8 weeks where 3 of them were observed, else of the same
    time on up to 14 days of the same kind (workday or day off), else on any of those days; NaN
    where the place was never observed at that time.
    """
    ahead, day = at.window + steps, panel.day
    back = day * np.arange(1, _DAYS_BACK + 1)
    held = ahead[:, None] - back
    days = _look(panel.log_pace, held, at.place[:, None])
    same = panel.day_off[np.maximum(held, 0)] == panel.day_off[ahead][:, None]
    kind = np.where(same, days, np.nan)
    weeks = _look(
        panel.log_pace,
        ahead[:, None] - DAYS_PER_WEEK * day * np.arange(1, _WEEKS_BACK + 1),
        at.place[:, None],
    )
    days = np.where(np.isfinite(kind).any(axis=1, keepdims=True), kind, days)
    use_weeks = np.isfinite(weeks).sum(axis=1) >= _FEWEST_WEEKS
    filler = np.full((len(at), _DAYS_BACK - _WEEKS_BACK), np.nan)
    chosen = np.where(use_weeks[:, None], np.hstack([weeks, filler]), days)
    return _median_and_range(chosen)


def baseline_paces(panel: Panel, at: Origins, steps: int, *, blend: float) -> dict[str, Numbers]:
    """Return what each plain forecast says, as log pace; where one knows nothing, persistence.

    Parameters
    ----------
    panel, at, steps
        As in `features`.
    blend
        Weight of the smoothed present in the EWMA blend, the rest being the usual pace. [1]
    """
    now = panel.log_pace[panel.seen[at.window, at.place], at.place]
    usual = usual_pace(panel, at, steps)[0]
    ahead, day = at.window + steps, panel.day
    week = _look(panel.log_pace, ahead - DAYS_PER_WEEK * day, at.place)
    yesterday = _look(panel.log_pace, ahead - day, at.place)
    found = {
        PERSISTENCE: now,
        HISTORICAL_AVERAGE: usual,
        SAME_TIME_LAST_WEEK: np.where(np.isnan(week), yesterday, week),
        EWMA_BLEND: blend * _smoothed(panel, at) + (1 - blend) * usual,
    }
    return {name: np.where(np.isnan(value), now, value) for name, value in found.items()}


def best_blend(panel: Panel, at: Origins, steps: int) -> float:
    """Return the weight of the EWMA blend that had the least absolute error of speed."""
    usual, smooth = usual_pace(panel, at, steps)[0], _smoothed(panel, at)
    truth = np.exp(-target(panel, at, steps))
    errors = [np.abs(np.exp(-w * smooth - (1 - w) * usual) - truth) for w in _BLENDS]
    if not np.isfinite(errors[0]).any():
        return 1.0
    return float(_BLENDS[int(np.argmin([np.nanmean(error) for error in errors]))])


def _smoothed(panel: Panel, at: Origins) -> Numbers:
    """Return log pace smoothed over the last windows, each counting half of the next newer."""
    lags = np.arange(_EWMA_LAGS)
    value = _look(panel.log_pace, at.window[:, None] - lags, at.place[:, None])
    weight = np.where(np.isnan(value), 0.0, _EWMA_DECAY**lags)
    total = weight.sum(axis=1)
    mean: Numbers = np.divide(
        np.nansum(value * weight, axis=1), total, out=np.full(len(at), np.nan), where=total > 0
    )
    return mean


def _look(values: Numbers, window: Places, place: Places) -> Numbers:
    """Return values at windows and places; NaN outside the panel."""
    inside = (window >= 0) & (window < len(values))
    found: Numbers = values[np.where(inside, window, 0), place]
    return np.where(inside, found, np.nan)


def _median_and_range(values: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Return median, least and largest of each row without its NaN; NaN of a row of them."""
    ordered = np.sort(values, axis=1)  # NaN last
    n = np.isfinite(values).sum(axis=1)
    row = np.arange(len(values))
    last = np.maximum(n - 1, 0)
    median = (ordered[row, last // 2] + ordered[row, (last + 1) // 2]) / 2
    return median, ordered[:, 0], ordered[row, last]


def _circle(minute: Places, length: int) -> tuple[Numbers, Numbers]:
    angle = 2 * np.pi * minute / length
    return np.sin(angle), np.cos(angle)
