"""Fixes that cannot be right are marked with the rule they break; nothing goes uncounted.

The steps run in this order, each on what the one before has left: `flag_unusable`,
`flag_duplicates`, `flag_repeats`, `flag_jumps`. Each returns all its rows with a column ``fault``
(null where the fix is good), so that the caller counts before it filters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from clearway_core.units import EARTH_RADIUS_M
from clearway_transforms.parameters import CongestionParameters
from clearway_transforms.sphere import distance_m, distances_m

KM_PER_DEGREE = EARTH_RADIUS_M * np.pi / 180_000
"""Length of one degree of latitude [km]."""

RULES = (
    "zero_position",
    "outside_service_area",
    "wrong_clock",
    "low_accuracy",
    "duplicate",
    "repeated_position",
    "jump",
)
"""Every value that ``fault`` can take, in the order of the rules."""

TIME_BITS = 42
"""Milliseconds since 1970 fit until the year 2109, and leave room for four million vehicles."""


def flag_unusable(
    pings: pl.LazyFrame,
    parameters: CongestionParameters,
    *,
    service_area_deg: tuple[float, float, float, float] | None = None,
) -> pl.LazyFrame:
    """Return the fixes with the first rule that each breaks on its own.

    Parameters
    ----------
    pings
        Rows of ``gps_pings``.
    parameters
        Thresholds.
    service_area_deg
        (west, south, east, north) of the city; None leaves that rule out. [°]

    Returns
    -------
    polars.LazyFrame
        All rows with ``fault``.
    """
    rules = [
        _fault("zero_position", pl.col("lon_deg").eq(0) & pl.col("lat_deg").eq(0)),
        _fault(
            "wrong_clock",
            pl.col("observed_at") - pl.col("received_at")
            > pl.duration(seconds=parameters.max_clock_ahead_s),
        ),
        _fault("wrong_clock", _flagged("observed_at_far_from_clock")),
        _fault("low_accuracy", pl.col("accuracy_m") > parameters.max_accuracy_m),
        _fault("low_accuracy", _flagged("hdop_high")),
    ]
    if service_area_deg is not None:
        outside = ~_inside(service_area_deg, parameters.service_area_margin_km)
        rules.insert(1, _fault("outside_service_area", outside))
    return pings.with_columns(fault=pl.coalesce(rules))


def flag_duplicates(pings: pl.LazyFrame) -> pl.LazyFrame:
    """Return the fixes ordered by vehicle and time; of several at one instant the first is good.

    First is the one with the lowest (gateway, boot, seq), whatever order they arrived in. Adds
    ``vehicle_code``, a number that is the same for all fixes of a vehicle of this frame, and
    ``observed_ms``.
    """
    code = pl.concat_str("provider", "vehicle", separator=" ").cast(pl.Categorical).to_physical()
    ordered = (
        pings.drop("fault", strict=False)
        .with_columns(
            vehicle_code=code.cast(pl.Int64), observed_ms=pl.col("observed_at").dt.epoch("ms")
        )
        .with_columns(order=pl.col("vehicle_code") * 2**TIME_BITS + pl.col("observed_ms"))
        .sort("order", "gateway", "boot", "seq", "lon_deg", "lat_deg", "occupied", "speed_kmh")
    )
    repeated = pl.col("order").eq(pl.col("order").shift(1)).fill_null(value=False)
    return ordered.with_columns(fault=_fault("duplicate", repeated)).drop("order")


def flag_repeats(fixes: pl.LazyFrame, parameters: CongestionParameters) -> pl.LazyFrame:
    """Return ordered fixes; one at the place of the one just before, a second later, is a fault.

    Parameters
    ----------
    fixes
        Ordered by vehicle and time.
    parameters
        Thresholds.

    Notes
    -----
    The receiver's speed tells a fix of a standing vehicle in a one-second feed from a message that
    was sent twice: where it is reported the fix stays.
    """
    again = (
        pl.col("vehicle_code").eq(pl.col("vehicle_code").shift(1))
        & pl.col("lon_deg").eq(pl.col("lon_deg").shift(1))
        & pl.col("lat_deg").eq(pl.col("lat_deg").shift(1))
        & (pl.col("observed_ms").diff() <= round(parameters.repeat_window_s * 1000))
        & pl.col("speed_kmh").is_null()
    )
    return fixes.with_columns(fault=_fault("repeated_position", again.fill_null(value=False)))


def flag_jumps(fixes: pl.LazyFrame, parameters: CongestionParameters) -> pl.LazyFrame:
    """Return ordered fixes; one that no car could have reached from the last good one is a fault.

    Parameters
    ----------
    fixes
        Ordered by vehicle and time, no two at one instant.
    parameters
        Thresholds.

    Notes
    -----
    The point goes, not the pair: its neighbours are judged again without it. Where the first fix
    of a stretch is the odd one out, it goes instead of those that follow. No pair is judged after
    ``max_gap_sparse_s``, so that one bad fix cannot spoil more than that.
    """

    def jumps(columns: Sequence[pl.Series]) -> pl.Series:
        vehicle, time_ms, lon, lat = (column.to_numpy() for column in columns)
        return pl.Series(
            jump_mask(
                vehicle,
                time_ms,
                lon,
                lat,
                max_speed_kmh=parameters.max_speed_kmh,
                max_gap_ms=round(parameters.max_gap_sparse_s * 1000),
            )
        )

    jumped = pl.map_batches(
        ["vehicle_code", "observed_ms", "lon_deg", "lat_deg"], jumps, return_dtype=pl.Boolean
    )
    return fixes.with_columns(fault=_fault("jump", jumped))


def out_of_order(fixes: pl.LazyFrame) -> pl.LazyFrame:
    """Return how many ordered fixes their gateway had read after a later one of the same vehicle.

    They are sorted, not dropped; the number says how well a source keeps its order.
    """
    late = (
        pl.col("vehicle_code").eq(pl.col("vehicle_code").shift(1))
        & pl.col("gateway").eq(pl.col("gateway").shift(1))
        & pl.col("boot").eq(pl.col("boot").shift(1))
        & (pl.col("seq") < pl.col("seq").shift(1))
    )
    return fixes.select(n_sorted=late.sum())


def jump_mask(
    vehicle: np.ndarray,
    time_ms: np.ndarray,
    lon_deg: np.ndarray,
    lat_deg: np.ndarray,
    *,
    max_speed_kmh: float,
    max_gap_ms: int,
) -> np.ndarray:
    """Return which fixes are jumps.

    Parameters
    ----------
    vehicle, time_ms, lon_deg, lat_deg
        Fixes ordered by vehicle and time. [1], [ms], [°], [°]
    max_speed_kmh
        No car is faster. [km/h]
    max_gap_ms
        Pairs further apart are not judged. [ms]

    Returns
    -------
    numpy.ndarray
        True where the fix goes.
    """
    dropped = np.zeros(len(vehicle), dtype=bool)
    if len(vehicle) < 2:  # noqa: PLR2004 -- a pair
        return dropped
    track = _Track(vehicle, time_ms, lon_deg, lat_deg, max_speed_kmh / 3600, max_gap_ms)
    gap = np.diff(time_ms)
    judged = (np.diff(vehicle) == 0) & (gap <= max_gap_ms)
    length = distances_m(lon_deg[:-1], lat_deg[:-1], lon_deg[1:], lat_deg[1:])
    bad = np.flatnonzero(judged & (length > track.reach_m_per_ms * gap)).tolist()
    done = 0
    for number, anchor in enumerate(bad):
        if anchor < done:
            continue
        done = track.reached_from(anchor)
        first = anchor == 0 or not judged[anchor - 1]
        if first and track.cost_without(anchor, bad[number + 1 :][:1]) < done - anchor - 1:
            # Nothing before it speaks for the first fix: the choice that costs fewer fixes wins.
            dropped[anchor] = True
            done = anchor + 1
        else:
            dropped[anchor + 1 : done] = True
    return dropped


@dataclass(frozen=True, slots=True)
class _Track:
    """Fixes ordered by vehicle and time, and how far a car gets."""

    vehicle: np.ndarray
    time_ms: np.ndarray
    lon_deg: np.ndarray
    lat_deg: np.ndarray
    reach_m_per_ms: float
    max_gap_ms: int

    def reached_from(self, anchor: int) -> int:
        """Return the first later fix that a car could reach or that is not judged."""
        here = anchor + 1
        while here < len(self.vehicle) and self.vehicle[here] == self.vehicle[anchor]:
            gap_ms = self.time_ms[here] - self.time_ms[anchor]
            metres = distance_m(
                self.lon_deg[anchor], self.lat_deg[anchor], self.lon_deg[here], self.lat_deg[here]
            )
            if gap_ms > self.max_gap_ms or metres <= self.reach_m_per_ms * gap_ms:
                break
            here += 1
        return here

    def cost_without(self, anchor: int, next_bad: list[int]) -> int:
        """Return how many fixes go if this one does, those of the next bad pair included."""
        cost = 1
        for after in next_bad:
            near = self.time_ms[after] - self.time_ms[anchor] <= self.max_gap_ms
            if near and self.vehicle[after] == self.vehicle[anchor]:
                cost += self.reached_from(after) - after - 1
        return cost


def _fault(rule: str, condition: pl.Expr) -> pl.Expr:
    return pl.when(condition).then(pl.lit(rule))


def _flagged(flag: str) -> pl.Expr:
    """Return whether the gateway set a flag."""
    return pl.col("flags").str.split(" ").list.contains(flag)


def _inside(area_deg: tuple[float, float, float, float], margin_km: float) -> pl.Expr:
    west, south, east, north = area_deg
    high = margin_km / KM_PER_DEGREE
    wide = high / max(float(np.cos(np.radians(max(abs(south), abs(north))))), 0.01)
    return pl.col("lon_deg").is_between(west - wide, east + wide) & pl.col("lat_deg").is_between(
        south - high, north + high
    )
