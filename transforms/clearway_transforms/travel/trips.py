"""Pairs of successive fixes of one vehicle, and which of them tell how fast traffic moves.

A pair (a *leg*) belongs to a trip unless its gap is too long or the passenger got in or out
between its fixes. Where a feed knows about passengers only occupied legs count: waiting and
cruising cabs are not traffic. Standing at the kerb while a passenger gets in or out is not either.
Time spent standing elsewhere is kept apart, as dwell.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from clearway_transforms.geometry.sphere import METRES_PER_DEGREE, distances_m
from clearway_transforms.masks import where
from clearway_transforms.parameters import CongestionParameters

HOUR_MS = 3_600_000

KINDS = ("gap", "status_change", "vacant", "boarding", "dwell", "reported", "path")
"""What a leg is; only the last three count, and of dwell only the time."""

COUNTED = ("dwell", "reported", "path")

_KIND = pl.Enum(KINDS)

_CARRIED = ("lon_deg", "lat_deg", "speed_kmh")


def pair_fixes(fixes: pl.LazyFrame, parameters: CongestionParameters) -> pl.LazyFrame:
    """Return each fix with the leg that ends at it, and the leg's kind.

    Parameters
    ----------
    fixes
        Clean fixes ordered by vehicle and time, with ``vehicle_code`` and ``observed_ms``.
    parameters
        Thresholds.

    Returns
    -------
    polars.LazyFrame
        The fixes with ``start_ms``, ``start_lon_deg``, ``start_lat_deg``, ``start_speed_kmh`` of
        the fix before, ``gap_ms`` and ``kind`` (one of `KINDS`); all null at a vehicle's first fix.

    Notes
    -----
    Whether a feed is sparse is decided per vehicle and UTC hour, by the median of the hour's gaps
    up to the longest that any trip may have. Hours never depend on where the data were cut.
    """
    same = pl.col("vehicle_code").eq(pl.col("vehicle_code").shift(1))
    speed = pl.col("speed_kmh").clip(lower_bound=0)
    usable = pl.when(speed <= parameters.max_speed_kmh).then(speed)
    paired = fixes.with_columns(speed_kmh=usable).with_columns(
        _before("observed_ms", same).alias("start_ms"),
        *(_before(name, same).alias(f"start_{name}") for name in _CARRIED),
        occupied_before=_before("occupied", same),
        stands=_standing(parameters),
    )
    paired = paired.with_columns(gap_ms=pl.col("observed_ms") - pl.col("start_ms"))
    return (
        paired.with_columns(boards=_boarding(parameters))
        .with_columns(kind=_kind(parameters))
        .drop("occupied_before", "stands", "boards")
    )


def standing_mask(  # noqa: PLR0913 -- columns of one frame
    vehicle: np.ndarray,
    time_ms: np.ndarray,
    lon_deg: np.ndarray,
    lat_deg: np.ndarray,
    *,
    radius_m: float,
    at_least_ms: int,
    at_most_ms: int,
) -> np.ndarray:
    """Return which legs are part of a halt: a run of fixes within a radius for long enough.

    Parameters
    ----------
    vehicle, time_ms, lon_deg, lat_deg
        Fixes ordered by vehicle and time. [1], [ms], [°], [°]
    radius_m
        All fixes of a run lie this close to its first. [m]
    at_least_ms
        A run is longer than this. [ms]
    at_most_ms
        The shortest sufficient run from a fix counts only up to this length, so that a fix that
        comes back hours later decides nothing. [ms]

    Returns
    -------
    numpy.ndarray
        True at the fix where such a leg ends.

    Notes
    -----
    Every fix may start a run, so that the answer for a leg depends on its surroundings only and
    not on where the data were cut.
    """
    n = len(vehicle)
    change = np.zeros(n + 1, dtype=np.int64)
    if n == 0:
        return change[:-1].astype(bool)
    order = vehicle.astype(np.int64) * 2**42 + time_ms
    last = np.searchsorted(order, order + at_least_ms, side="right")
    start = np.flatnonzero(last < n)
    end = last[start]
    span = time_ms[end] - time_ms[start]
    inside = (vehicle[end] == vehicle[start]) & (span <= at_most_ms)
    start, end = start[inside], end[inside]

    def close(other: np.ndarray) -> np.ndarray:
        return _within(radius_m, lon_deg[start], lat_deg[start], lon_deg[other], lat_deg[other])

    # Most fixes are further apart by latitude alone.
    maybe = np.abs(lat_deg[end] - lat_deg[start]) <= 1.001 * radius_m / METRES_PER_DEGREE
    start, end = start[maybe], end[maybe]
    near = close(end)
    start, end = start[near], end[near]
    step = 1
    while start.size:
        finished = start + step >= end
        np.add.at(change, start[finished] + 1, 1)
        np.add.at(change, end[finished] + 1, -1)
        start, end = start[~finished], end[~finished]
        near = close(start + step)
        start, end = start[near], end[near]
        step += 1
    return np.cumsum(change)[:-1] > 0


def _within(radius_m: float, *ends_deg: np.ndarray) -> np.ndarray:
    """Return which pairs of places, lon and lat of one and of the other, are this close."""
    lon, lat, other_lon, other_lat = ends_deg
    # The way along a meridian and a parallel is never shorter; who stands is close even so.
    around_deg = np.abs(other_lon - lon) + np.abs(other_lat - lat)
    near: np.ndarray = 1.001 * METRES_PER_DEGREE * around_deg <= radius_m
    far = np.flatnonzero(~near)
    near[far] = distances_m(*(each[far] for each in ends_deg)) <= radius_m
    return near


def boarding_mask(  # noqa: PLR0913 -- columns of one frame
    vehicle: np.ndarray,
    time_ms: np.ndarray,
    lon_deg: np.ndarray,
    lat_deg: np.ndarray,
    changed: np.ndarray,
    *,
    within_m: float,
    within_ms: int,
) -> np.ndarray:
    """Return which legs are spent at the kerb where a passenger got in or out.

    Parameters
    ----------
    vehicle, time_ms, lon_deg, lat_deg
        Fixes ordered by vehicle and time. [1], [ms], [°], [°]
    changed
        True at the first fix with another status.
    within_m, within_ms
        A leg is at the kerb if it begins (after a change; ends, before one) less than this time
        from the change and stays this close to where it was. [m], [ms]

    Returns
    -------
    numpy.ndarray
        True at the fix where such a leg ends.
    """
    boards = np.zeros(len(vehicle), dtype=bool)
    change = np.flatnonzero(changed)
    if change.size == 0:
        return boards
    end = np.arange(1, len(vehicle))
    before = np.searchsorted(change, end - 1, side="right") - 1
    after = np.searchsorted(change, end + 1)
    known, coming = before >= 0, after < change.size
    sides = (
        (end[known], change[before[known]], 0),
        (end[coming], change[after[coming]] - 1, 1),
    )
    for leg, place, back in sides:
        near, far = leg - 1 + back, leg - back
        close = (vehicle[far] == vehicle[place]) & (abs(time_ms[near] - time_ms[place]) < within_ms)
        leg, place, far = leg[close], place[close], far[close]  # noqa: PLW2901 -- the same, fewer
        metres = distances_m(lon_deg[far], lat_deg[far], lon_deg[place], lat_deg[place])
        boards[leg[metres <= within_m]] = True
    return boards


def _before(name: str, same_vehicle: pl.Expr) -> pl.Expr:
    return pl.when(same_vehicle).then(pl.col(name).shift(1))


def _standing(parameters: CongestionParameters) -> pl.Expr:
    at_least_ms = round(parameters.dwell_s * 1000)
    return where(
        standing_mask,
        ["vehicle_code", "observed_ms", "lon_deg", "lat_deg"],
        radius_m=parameters.dwell_radius_m,
        at_least_ms=at_least_ms,
        at_most_ms=at_least_ms + round(parameters.max_gap_sparse_s * 1000),
    )


def _boarding(parameters: CongestionParameters) -> pl.Expr:
    # A longer gap does not tell when the passenger got in, and would look beyond a day's edges.
    soon = pl.col("gap_ms") <= round(parameters.max_gap_sparse_s * 1000)
    changed = pl.col("occupied").ne_missing(pl.col("occupied_before")) & soon
    return where(
        boarding_mask,
        ["vehicle_code", "observed_ms", "lon_deg", "lat_deg", changed.fill_null(value=False)],
        within_m=parameters.boarding_m,
        within_ms=round(parameters.boarding_s * 1000),
    )


def _sparse(parameters: CongestionParameters) -> pl.Expr:
    """Return whether the feed is sparse; asked only of gaps that are too long for a dense one."""
    dense_ms, longest_ms = (
        round(seconds * 1000) for seconds in (parameters.max_gap_s, parameters.max_gap_sparse_s)
    )
    at_least_ms = parameters.sparse_median_gap_s * 1000

    def sparse(columns: Sequence[pl.Series]) -> pl.Series:
        vehicle, start_ms, gap_ms = columns
        asked = (gap_ms > dense_ms) & (gap_ms <= longest_ms)
        hours = pl.DataFrame([vehicle, start_ms // HOUR_MS, gap_ms]).filter(gap_ms <= longest_ms)
        key = hours.columns[:2]
        these = hours.filter(hours.to_series(2) > dense_ms).select(key)
        medians = (
            hours.join(these.unique(), on=key, how="semi")
            .group_by(key)
            .agg(sparse=pl.col(hours.columns[2]).median() >= at_least_ms)
        )
        answers = these.join(medians, on=key, how="left", maintain_order="left")["sparse"]
        found = np.zeros(len(asked), dtype=bool)
        found[asked.fill_null(value=False).to_numpy()] = answers.to_numpy()
        return pl.Series(found)

    return pl.map_batches(["vehicle_code", "start_ms", "gap_ms"], sparse, return_dtype=pl.Boolean)


def _kind(parameters: CongestionParameters) -> pl.Expr:
    limit_s = (
        pl.when(_sparse(parameters))
        .then(pl.lit(parameters.max_gap_sparse_s))
        .otherwise(pl.lit(parameters.max_gap_s))
    )
    both_reported = pl.col("speed_kmh").is_not_null() & pl.col("start_speed_kmh").is_not_null()
    dense = pl.col("gap_ms") <= parameters.reported_max_gap_s * 1000
    return (
        pl.when(pl.col("start_ms").is_null())
        .then(None)
        .when(pl.col("gap_ms") > limit_s * 1000)
        .then(_is("gap"))
        .when(pl.col("occupied").ne_missing(pl.col("occupied_before")))
        .then(_is("status_change"))
        .when(pl.col("occupied").eq(other=False))
        .then(_is("vacant"))
        .when("boards")
        .then(_is("boarding"))
        .when("stands")
        .then(_is("dwell"))
        .when(both_reported & dense)
        .then(_is("reported"))
        .otherwise(_is("path"))
    )


def _is(kind: str) -> pl.Expr:
    return pl.lit(kind, dtype=_KIND)
