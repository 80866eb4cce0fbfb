"""Speeds of many places side by side: one row per window, one column per place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

from clearway_core.calendar import WORKDAY, Calendar
from clearway_core.geo import disk

Numbers: TypeAlias = NDArray[np.float64]
Places: TypeAlias = NDArray[np.int64]

MINUTES_PER_DAY = 1440
DAYS_PER_WEEK = 7
AHEAD_MINUTES = 60
"""How far the calendar reaches beyond the newest window: as far as the longest horizon."""

_QUALITY = ("A", "B", "C")
_PEAK_HOURS = ((6, 10), (16, 20))
"""Local hours of workdays, as in the periods that congestion is reported by. [h]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Log pace of places over time; a window that was not observed is NaN.

    Parameters
    ----------
    start
        Start of the first window, UTC.
    step_minutes
        Length of a window. [min]
    places
        Number of each column: an H3 cell, a detector.
    log_pace
        Natural logarithm of pace in hours per kilometre, windows x places.
    neighbour_pace
        Mean of the neighbours' log pace in the same window.
    seen
        Newest observed window up to each; -1 where there is none.
    n_vehicles
        Vehicles behind each value; NaN where not known.
    quality
        0 to 2 for classes A to C.
    day_minute, day_off, week_minute
        Local calendar of the windows, and of `AHEAD_MINUTES` more: it is known beforehand.
    """

    start: datetime
    step_minutes: int
    places: NDArray[np.uint64]
    log_pace: Numbers
    neighbour_pace: Numbers
    seen: Places
    n_vehicles: Numbers
    quality: NDArray[np.int8]
    day_minute: Places
    week_minute: Places
    day_off: NDArray[np.bool_]

    @property
    def n_windows(self) -> int:
        """Windows of the panel."""
        return len(self.log_pace)

    @property
    def day(self) -> int:
        """Windows in 24 hours."""
        return MINUTES_PER_DAY // self.step_minutes

    @property
    def days(self) -> float:
        """How long the panel is. [d]."""
        return self.n_windows / self.day

    @property
    def peak(self) -> NDArray[np.bool_]:
        """Whether each window, and those ahead, lies in a workday's peak."""
        hour = self.day_minute // 60
        inside = [(low <= hour) & (hour < high) for low, high in _PEAK_HOURS]
        return np.logical_or(*inside) & ~self.day_off

    def at(self, window: int) -> datetime:
        """Return the start of a window, UTC."""
        return self.start + timedelta(minutes=self.step_minutes * window)

    def window_of(self, instant: datetime) -> int:
        """Return the window that starts at an instant; the first or the end if it lies outside."""
        window = (instant - self.start) // timedelta(minutes=self.step_minutes)
        return min(max(window, 0), self.n_windows)

    def until(self, n_windows: int) -> Panel:
        """Return the panel as it was when only its first windows were known."""
        ahead = n_windows + AHEAD_MINUTES // self.step_minutes
        return replace(
            self,
            log_pace=self.log_pace[:n_windows],
            neighbour_pace=self.neighbour_pace[:n_windows],
            seen=self.seen[:n_windows],
            n_vehicles=self.n_vehicles[:n_windows],
            quality=self.quality[:n_windows],
            day_minute=self.day_minute[:ahead],
            week_minute=self.week_minute[:ahead],
            day_off=self.day_off[:ahead],
        )


def make_panel(
    speed_kmh: Numbers,
    *,
    start: datetime,
    step_minutes: int,
    weights: csr_array,
    calendar: Calendar,
    places: NDArray[np.uint64] | None = None,
) -> Panel:
    """Return the panel of a table of speeds.

    Parameters
    ----------
    speed_kmh
        Windows x places; NaN, or a value not above 0, is not observed. [km/h]
    start
        Start of the first window, UTC.
    step_minutes
        Length of a window. [min]
    weights
        Places x places: how much each neighbour counts; the diagonal is left out.
    calendar
        Days off, and the clock.
    places
        Names of the columns; left out, numbers from 0.
    """
    known = np.where(speed_kmh > 0, speed_kmh, np.nan)
    log_pace = -np.log(known)
    rows = np.arange(len(known))[:, None]
    ahead = len(known) + AHEAD_MINUTES // step_minutes
    local = [
        (start + timedelta(minutes=step_minutes * n)).astimezone(calendar.time_zone)
        for n in range(ahead)
    ]
    off = {day: calendar.day_type(day) != WORKDAY for day in {at.date() for at in local}}
    day_minute = np.array([60 * at.hour + at.minute for at in local])
    return Panel(
        start=start,
        step_minutes=step_minutes,
        places=np.arange(known.shape[1], dtype=np.uint64) if places is None else places,
        log_pace=log_pace,
        neighbour_pace=_neighbour_mean(log_pace, weights),
        seen=np.maximum.accumulate(np.where(np.isnan(log_pace), -1, rows), axis=0),
        n_vehicles=np.full(known.shape, np.nan),
        quality=np.zeros(known.shape, dtype=np.int8),
        day_minute=day_minute,
        week_minute=day_minute + MINUTES_PER_DAY * np.array([at.weekday() for at in local]),
        day_off=np.array([off[at.date()] for at in local]),
    )


def cell_panel(
    rows: pl.DataFrame, *, step_minutes: int, calendar: Calendar, min_share: float
) -> Panel:
    """Return the panel of observed cells.

    Parameters
    ----------
    rows
        At least one row with a speed: ``h3_cell``, ``window_start``, ``space_mean_kmh``,
        ``n_vehicles``, ``quality``; unique in cell and window.
    step_minutes
        Length of a window. [min]
    calendar
        Days off, and the clock.
    min_share
        A cell that was observed in a smaller share of the windows is left out. [1]
    """
    first, last = rows["window_start"].min(), rows["window_start"].max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        message = "expected rows with a window_start, got none"
        raise TypeError(message)
    step = timedelta(minutes=step_minutes)
    n_windows = (last - first) // step + 1
    kept = rows.filter(pl.len().over("h3_cell") >= min_share * n_windows)
    places = kept["h3_cell"].unique().sort()
    column = np.searchsorted(places.to_numpy(), kept["h3_cell"].to_numpy())
    row = (kept["window_start"] - first).dt.total_minutes().to_numpy() // step_minutes
    shape = (n_windows, len(places))
    speed, vehicles = np.full(shape, np.nan), np.full(shape, np.nan)
    quality = np.full(shape, len(_QUALITY) - 1, dtype=np.int8)
    speed[row, column] = kept["space_mean_kmh"].to_numpy()
    vehicles[row, column] = kept["n_vehicles"].to_numpy()
    classes = {name: number for number, name in enumerate(_QUALITY)}
    quality[row, column] = kept["quality"].replace_strict(classes, return_dtype=pl.Int8).to_numpy()
    panel = make_panel(
        speed,
        start=first.astimezone(UTC),
        step_minutes=step_minutes,
        weights=ring_weights(places.to_numpy()),
        calendar=calendar,
        places=places.to_numpy(),
    )
    return replace(panel, n_vehicles=vehicles, quality=quality)


def ring_weights(places: NDArray[np.uint64]) -> csr_array:
    """Return equal weights for the cells next to each other, sorted cells on both sides."""
    column = {int(cell): number for number, cell in enumerate(places)}
    pairs = [
        (number, column[other])
        for cell, number in column.items()
        for other in disk(cell, 1)
        if other in column
    ]
    rows, columns = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(places), len(places)))


def _neighbour_mean(log_pace: Numbers, weights: csr_array) -> Numbers:
    """Return the weighted mean over observed neighbours; NaN where none was observed."""
    others = weights - diags_array(weights.diagonal())
    seen = ~np.isnan(log_pace)
    total = (others @ np.where(seen, log_pace, 0.0).T).T
    weight = (others @ seen.astype(float).T).T
    mean: Numbers = np.divide(total, weight, out=np.full(log_pace.shape, np.nan), where=weight > 0)
    return mean
