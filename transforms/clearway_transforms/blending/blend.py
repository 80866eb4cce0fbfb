"""A cell's own speed blended with its history, adjacent windows, neighbours and parents."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from statistics import NormalDist

import numpy as np
import polars as pl

from clearway_core.contracts.derived_tables import PRIOR_SOURCES
from clearway_transforms.blending import cell_grid, pace_field, pace_prior
from clearway_transforms.blending.evidence import Evidence, Floats, Ints, pace_variance, shrink
from clearway_transforms.blending.pace_field import Span
from clearway_transforms.blending.pace_prior import Prior
from clearway_transforms.blending.usual_pace import UsualPace, usual_pace
from clearway_transforms.congestion.cells import KMH_PER_MM_MS
from clearway_transforms.congestion.speed import BLENDED
from clearway_transforms.parameters import BlendParameters, CongestionParameters

_KEY = ("vehicle_class", "h3_cell", "window_start")
_ROUNDS = 30
"""Rounds of the fixed point in `_with_tails`, which halves its error in each."""

_SCALES = (0.25, 4.0)
"""The prior's variance is not believed to be wrong by more than this."""


def days_needed(day: date, parameters: BlendParameters) -> list[date]:
    """Return the UTC days whose rows a day is blended from: itself and days before it only."""
    back = {7 * week + step for week in range(parameters.weeks + 1) for step in (0, 1)}
    return sorted(day - timedelta(days=number) for number in back)


def blend(
    cell_travel: pl.DataFrame,
    parameters: BlendParameters,
    limits: CongestionParameters,
    *,
    day: date,
    resolution: int,
    window_minutes: int,
) -> pl.DataFrame:
    """Return the blended speed of each row of a day.

    Parameters
    ----------
    cell_travel
        Rows of `days_needed`, all of one resolution and window, in any order.
    parameters, limits
        Of blending and of the congestion chain.
    day
        UTC day; others are read but not returned.
    resolution, window_minutes
        Of the rows. [1], [min]

    Returns
    -------
    polars.DataFrame
        Key columns and `BLENDED`, for the rows of the day in which a vehicle was seen. With fewer
        than ``min_rows`` rows of a vehicle class nothing is borrowed: the value is the cell's own,
        its weight 1, its source null.

    Notes
    -----
    In the logarithm of pace (Fay and Herriot 1979). The prior of a row does not contain the row's
    own evidence; its variance is set so that over all rows it foretells own evidence as well as it
    claims. Where own evidence contradicts it by much it is believed less, as if what it misses had
    the tails of Student's t: an incident is not shrunk away.
    """
    seen = (pl.col("n_vehicles") > 0) & (pl.col("duration_ms") > 0)
    rows = cell_travel.filter(seen).sort(_KEY)
    empty = pl.DataFrame(schema={**rows.select(_KEY).schema, **BLENDED})
    length = timedelta(minutes=window_minutes)
    parts = [
        _blend_class(part, parameters, limits, day=day, resolution=resolution, length=length)
        for part in rows.partition_by("vehicle_class", maintain_order=True)
    ]
    return pl.concat([empty, *parts])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Blended:
    """Blended log pace of rows with its standard deviation, weight of own evidence and source."""

    log_pace: Floats
    sd: Floats
    weight: Floats
    source: list[str | None]


def _blend_class(
    rows: pl.DataFrame,
    parameters: BlendParameters,
    limits: CongestionParameters,
    *,
    day: date,
    resolution: int,
    length: timedelta,
) -> pl.DataFrame:
    of_day = (rows["window_start"].dt.date() == day).to_numpy()
    variance = pace_variance(rows, parameters.floor)
    speed = rows["distance_mm"].to_numpy() / rows["duration_ms"].to_numpy() * KMH_PER_MM_MS
    log_pace = -np.log(np.clip(speed, parameters.slowest_kmh, limits.max_speed_kmh))
    if variance is None or rows.height < parameters.min_rows:
        n = int(of_day.sum())
        sd = np.full(n, np.nan) if variance is None else np.sqrt(variance[of_day])
        found = _Blended(log_pace=log_pace[of_day], sd=sd, weight=np.ones(n), source=[None] * n)
    else:
        cells, cell = np.unique(rows["h3_cell"].to_numpy(), return_inverse=True)
        window = rows["window_start"].dt.epoch("s").to_numpy() // round(length.total_seconds())
        evidence = Evidence(log_pace=log_pace, variance=variance, cell=cell, window=window)
        found = _borrow(
            evidence,
            of_day,
            cells,
            span=_span(day, length),
            parameters=parameters,
            resolution=resolution,
        )
    return _columns(rows.filter(of_day), found, parameters, limits.max_speed_kmh)


def _span(day: date, length: timedelta) -> Span:
    """Return the windows from the day before through the day."""
    per_day = round(timedelta(days=1) / length)
    before = datetime.combine(day - timedelta(days=1), time(), UTC)
    # By a clock whose hours begin half an hour apart from UTC's, windows are named by the floor.
    first = round(before.timestamp()) // round(length.total_seconds())
    return Span(first=first, recent=2 * per_day, week=7 * per_day)


def _borrow(
    evidence: Evidence,
    of_day: np.ndarray,
    cells: np.ndarray,
    *,
    span: Span,
    parameters: BlendParameters,
    resolution: int,
) -> _Blended:
    usual = usual_pace(
        evidence,
        cell_grid.parents(cells, resolution - 1),
        working=parameters.working_variance,
        floor=parameters.floor,
    )
    deviation = evidence.log_pace - usual.expected
    around = cell_grid.neighbours(cells)
    field = pace_field.build_field(evidence, deviation, around, span=span, parameters=parameters)
    learnt = pace_field.covariance(field, parameters)
    prior = pace_prior.predict(
        field,
        learnt,
        pace_field.pair_shares(field, learnt, parameters),
        targets=(evidence.cell[of_day], evidence.window[of_day] - span.first),
        distances=cell_grid.distances(cells, around),
        near_windows=parameters.near_windows,
    )
    own, variance = deviation[of_day], evidence.variance[of_day]
    claimed = _calibrated(own, variance, prior, parameters.floor)
    claimed = _with_tails(own - prior.mean, variance, claimed, parameters.prior_degrees)
    weight, mean, sd = shrink(own, prior.mean, own_variance=variance, prior_variance=claimed)
    return _Blended(
        log_pace=usual.expected[of_day] + mean,
        sd=sd,
        weight=weight,
        source=_sources(prior, usual, evidence.cell[of_day]),
    )


def _calibrated(own: Floats, variance: Floats, prior: Prior, floor: float) -> Floats:
    """Return the prior's variances times the factor at which they foretell own evidence."""
    pull = 1 / (prior.variance + variance) ** 2
    missed = (own - prior.mean) ** 2 - variance
    factor = np.sum(pull * missed) / np.sum(pull * prior.variance)
    return np.maximum(prior.variance * np.clip(factor, *_SCALES), floor)


def _with_tails(missed: Floats, variance: Floats, claimed: Floats, degrees: float) -> Floats:
    """Return the prior's variances, larger where own evidence contradicts it.

    Student's t is a normal distribution whose variance is itself drawn (inverse gamma); this is its
    expectation given the row's own evidence, by expectation and maximisation. Never smaller than
    what was claimed.

    References
    ----------
    K. Lange, R. Little, J. Taylor, "Robust statistical modeling using the t distribution", Journal
    of the American Statistical Association 84, 1989, doi:10.1080/01621459.1989.10478852.
    """
    wider = claimed
    for _ in range(_ROUNDS):
        weight = wider / (wider + variance)
        square = (weight * missed) ** 2 + wider * (1 - weight)
        wider = (degrees * claimed + square) / (degrees + 1)
    return np.maximum(wider, claimed)


def _sources(prior: Prior, usual: UsualPace, cell: Ints) -> list[str | None]:
    """Return which evidence has the largest weight in each row's prior."""
    level = np.clip(1 - prior.history - prior.adjacent, 0, None)
    parent = usual.parent_share[cell] >= 0.5  # noqa: PLR2004 -- more its own than the city's
    weights = [prior.history, prior.adjacent, prior.ring, level * parent, level * ~parent]
    return [PRIOR_SOURCES[number] for number in np.argmax(weights, axis=0).tolist()]


def _columns(
    rows: pl.DataFrame, found: _Blended, parameters: BlendParameters, max_speed_kmh: float
) -> pl.DataFrame:
    spread = NormalDist().inv_cdf((1 + parameters.interval_level) / 2) * found.sd
    log_paces = (found.log_pace, found.log_pace + spread, found.log_pace - spread)
    speeds = {
        name: np.clip(np.exp(-log_pace), 0, max_speed_kmh)
        for name, log_pace in zip(tuple(BLENDED)[:3], log_paces, strict=True)
    }
    return rows.select(_KEY).with_columns(
        *(pl.Series(name, values).fill_nan(None) for name, values in speeds.items()),
        pl.Series("shrink_weight", found.weight),
        pl.Series("prior_source", found.source, dtype=pl.String),
    )
