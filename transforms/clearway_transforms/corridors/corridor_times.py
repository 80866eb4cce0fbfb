"""Travel time from end to end of a corridor, how sure it is, and what it is without congestion."""

from __future__ import annotations

import polars as pl

from clearway_core.contracts.corridor_tables import CORRIDOR_STATUSES, WINDOW
from clearway_transforms.corridors.segment_sums import LINE, SPAN, VEHICLE
from clearway_transforms.estimators import student_t, weighted_quantile
from clearway_transforms.parameters import CongestionParameters, CorridorParameters

MS_PER_MINUTE = 60_000

METHODS = ("night_p85", "own_p85", "segments_p85")
"""Steps of the ladder to the time without congestion, best first."""

_OBSERVED, _NOT_ENOUGH = CORRIDOR_STATUSES
_CLASS = [*LINE, "vehicle_class"]
_ROW = (*SPAN, "vehicle_class")


def corridor_times(
    travel: pl.LazyFrame,
    segments: pl.LazyFrame,
    parameters: CorridorParameters,
    *,
    interval_level: float,
) -> pl.LazyFrame:
    r"""Return the travel time of each corridor, direction, span and class.

    Parameters
    ----------
    travel
        From `clearway_transforms.corridors.segment_sums.by_span`, with all classes.
    segments
        ``segment_length_mm`` of every segment of every corridor.
    parameters
        What makes a segment and a corridor observed.
    interval_level
        Probability that the interval holds the time. [1]

    Returns
    -------
    polars.LazyFrame
        Columns of ``corridor_times`` but for window_date and those of free flow.

    Notes
    -----
    .. math:: T = \\sum_s L_s \\frac{T_s}{D_s}, \\qquad
       u_j = \\sum_s \\frac{L_s}{D_s} \\sqrt{\\frac{n_s}{n_s - 1}} \\, (T_{js} - p_s D_{js}),
       \\qquad var(T) = \\sum_j u_j^2

    over the segments s that were observed, with at least ``segment_min_vehicles`` vehicles that
    together drove ``segment_min_passes`` of its length. The vehicle j is the cluster: one that
    was slow on every segment counts once. Where at least ``min_length_share`` of the length was
    observed the rest is filled in at the mean pace of the observed, and the spread of
    pace between segments is added to the variance for it. The interval is symmetric in the
    logarithm, with Student's t for one degree less than there are vehicles. It has no floor
    as that of cells has: a corridor crosses many signals, whose shares even out.

    References
    ----------
    W. G. Cochran, "Sampling Techniques", 3rd ed., Wiley, 1977, chapter 6 (ratio estimators).
    """
    by_segment = _observed_segments(travel, segments, parameters)
    whole = segments.group_by(LINE).agg(
        length_mm=pl.col("segment_length_mm").sum(), n_segments=pl.len().cast(pl.Int64)
    )
    rows = (
        _counts(travel)
        .join(_paces(by_segment), on=_ROW, how="left", validate="1:1")
        .join(_squares(travel, by_segment), on=_ROW, how="left", validate="1:1")
        .join(whole, on=LINE, how="inner", validate="m:1")
    )
    share = (pl.col("observed_mm") / pl.col("length_mm")).fill_null(0.0)
    least_mm = parameters.min_length_share * pl.col("length_mm")
    enough = (pl.col("observed_mm").fill_null(0) >= least_mm) & (
        pl.col("n_vehicles") >= 2  # noqa: PLR2004 -- one vehicle has no spread
    )
    fill = pl.col("length_mm") / pl.col("observed_mm")
    spread = student_t(pl.col("n_vehicles") - 1, interval_level)
    return (
        rows.with_columns(observed_length_share=share)
        .with_columns(
            status=pl.when(enough).then(pl.lit(_OBSERVED)).otherwise(pl.lit(_NOT_ENOUGH)),
            time_ms=pl.when(enough).then(pl.col("time_us") / 1000 * fill),
            variance=pl.col("square_ms2") * fill * fill + _fill_variance(),
        )
        .with_columns(factor=(spread * pl.col("variance").sqrt() / pl.col("time_ms")).exp())
        .with_columns(
            length_m=pl.col("length_mm") / 1000,
            travel_time_min=pl.col("time_ms") / MS_PER_MINUTE,
            interval_low_min=pl.col("time_ms") / MS_PER_MINUTE / pl.col("factor"),
            interval_high_min=pl.col("time_ms") / MS_PER_MINUTE * pl.col("factor"),
        )
    )


def _observed_segments(
    travel: pl.LazyFrame, segments: pl.LazyFrame, parameters: CorridorParameters
) -> pl.LazyFrame:
    """Return distance, time and vehicles of every segment that was observed."""
    return (
        travel.filter(pl.col("duration_ms") > 0)
        .group_by(*_ROW, "segment")
        .agg(
            segment_mm=pl.col("distance_mm").sum(),
            segment_ms=pl.col("duration_ms").sum(),
            segment_vehicles=pl.struct("provider", "vehicle").n_unique().cast(pl.Int64),
        )
        .join(segments, on=[*LINE, "segment"], how="inner", validate="m:1")
        .filter(
            (pl.col("segment_vehicles") >= parameters.segment_min_vehicles)
            & (pl.col("segment_mm") >= parameters.segment_min_passes * pl.col("segment_length_mm"))
        )
    )


def _paces(by_segment: pl.LazyFrame) -> pl.LazyFrame:
    """Return observed length, its time [µs], and sums of pace [ms/km] over the segments."""
    pace = pl.col("segment_ms") / pl.col("segment_mm")
    whole_pace = (pace * 1_000_000).round().cast(pl.Int64)
    return by_segment.group_by(_ROW).agg(
        observed_mm=pl.col("segment_length_mm").sum(),
        time_us=(pace * pl.col("segment_length_mm") * 1000).round().cast(pl.Int64).sum(),
        n_observed=pl.len().cast(pl.Int64),
        pace_sum=whole_pace.sum(),
        pace_sq_sum=(whole_pace * whole_pace).sum(),
    )


def _fill_variance() -> pl.Expr:
    """Return the variance of the time of unseen segments, by the spread of the seen [ms²]."""
    n = pl.col("n_observed")
    spread = (pl.col("pace_sq_sum") - pl.col("pace_sum") ** 2 / n).clip(lower_bound=0)
    variance = spread / pl.max_horizontal(n - 1, 1)
    missing = pl.col("n_segments") - n
    segment_km = pl.col("length_mm") / pl.col("n_segments") / 1_000_000
    return variance * segment_km.pow(2) * missing * (1 + missing / n)


def _squares(travel: pl.LazyFrame, by_segment: pl.LazyFrame) -> pl.LazyFrame:
    """Return the sum over vehicles of the squared influence on the travel time [ms²]."""
    n = pl.col("segment_vehicles")
    off_ms = pl.col("duration_ms") - pl.col("segment_ms") / pl.col("segment_mm") * pl.col(
        "distance_mm"
    )
    influence = pl.col("segment_length_mm") / pl.col("segment_mm") * off_ms * (n / (n - 1)).sqrt()
    columns = ["segment_length_mm", "segment_mm", "segment_ms", "segment_vehicles"]
    return (
        travel.join(
            by_segment.select(*_ROW, "segment", *columns),
            on=[*_ROW, "segment"],
            how="inner",
            validate="m:1",
        )
        .with_columns(influence_ms=influence.round().cast(pl.Int64))
        .group_by(*_ROW, *VEHICLE)
        .agg(pl.col("influence_ms").sum())
        .group_by(_ROW)
        .agg(square_ms2=(pl.col("influence_ms") ** 2).sum())
    )


def _counts(travel: pl.LazyFrame) -> pl.LazyFrame:
    """Return distinct vehicles and providers, legs, and the largest share of one vehicle."""
    by_vehicle = (
        travel.group_by(*_ROW, *VEHICLE)
        .agg(pl.col("duration_ms").sum(), pl.col("n_legs").sum())
        .filter(pl.col("duration_ms") > 0)
    )
    by_epoch = by_vehicle.group_by(*_ROW, "pseudonym_epoch").agg(
        pl.col("duration_ms").sum(),
        pl.col("n_legs").sum(),
        n_vehicles=pl.struct("provider", "vehicle").n_unique().cast(pl.Int64),
        providers=pl.col("provider").unique(),
        top_ms=pl.col("duration_ms").max(),
    )
    return by_epoch.group_by(_ROW).agg(
        pl.col("n_vehicles").max(),
        pl.col("n_legs").sum(),
        n_providers=pl.col("providers").list.explode().n_unique().cast(pl.Int64),
        top_vehicle_share=pl.col("top_ms").max() / pl.col("duration_ms").sum(),
    )


def free_flow(
    times: pl.LazyFrame,
    corridor_travel: pl.LazyFrame,
    segments: pl.LazyFrame,
    parameters: CongestionParameters,
    *,
    min_length_share: float,
    time_zone: str,
) -> pl.LazyFrame:
    """Return the time without congestion of each corridor, direction and class.

    Parameters
    ----------
    times
        Rows of ``corridor_times`` of the look-back.
    corridor_travel
        Sums per segment of the look-back.
    segments
        ``segment_length_mm`` of every segment of every corridor.
    parameters
        Percentile and demands of each step, as for cells.
    min_length_share
        Share of the length that the third step needs. [1]
    time_zone
        IANA name of the city's clock, by which it is night.

    Returns
    -------
    polars.LazyFrame
        Corridor, direction, class, ``free_flow_min`` and ``free_flow_method``; no row without
        evidence.

    Notes
    -----
    Each step takes the 85th percentile of speeds:

    1. ``night_p85``: of the observed 15-minute windows of the corridor between 22 and 5 h local,
       if there are at least 30, from at least 14 days, one of them with at least 10 vehicles;
    2. ``own_p85``: of all its observed windows, if there are at least 8;
    3. ``segments_p85``: of each segment by itself, whose windows with at least two vehicles count
       by the distance driven in them, if there are at least 8; their times are added up if they
       make up ``min_length_share``. A little faster than the other steps, since not all segments
       are fast at once.
    """
    windows = times.filter(
        (pl.col("period") == WINDOW)
        & (pl.col("window_minutes") == 15)  # noqa: PLR2004 -- the shortest
        & (pl.col("status") == _OBSERVED)
    ).with_columns(m_per_min=pl.col("length_m") / pl.col("travel_time_min"))
    local = pl.col("window_start").dt.convert_time_zone(time_zone)
    late = (local.dt.hour() >= parameters.off_peak_from_hour) | (
        local.dt.hour() < parameters.off_peak_to_hour
    )
    days = (pl.col("local_date").max() - pl.col("local_date").min()).dt.total_days() + 1
    at_night = (
        (pl.len() >= parameters.free_flow_windows)
        & (pl.col("n_vehicles").max() >= parameters.free_flow_vehicles)
        & (days >= parameters.free_flow_days)
    )
    several = pl.len() >= parameters.free_flow_own_windows
    steps = [
        _step(windows.filter(late), parameters, "night_p85", enough=at_night),
        _step(windows, parameters, "own_p85", enough=several),
        _sum_of_segments(corridor_travel, segments, parameters, min_length_share),
    ]
    return (
        pl.concat(steps)
        .sort("rank")
        .group_by(_CLASS)
        .agg(pl.col("m_per_min", "free_flow_method").first())
    )


def _sum_of_segments(
    corridor_travel: pl.LazyFrame,
    segments: pl.LazyFrame,
    parameters: CongestionParameters,
    min_length_share: float,
) -> pl.LazyFrame:
    method = "segments_p85"
    speeds = corridor_travel.filter(
        (pl.col("n_vehicles") >= 2) & (pl.col("distance_mm") > 0)  # noqa: PLR2004 -- as for cells
    ).with_columns(mm_per_ms=pl.col("distance_mm") / pl.col("duration_ms"))
    quantile = weighted_quantile("mm_per_ms", "distance_mm", parameters.free_flow_quantile)
    known = (
        speeds.group_by(*_CLASS, "segment")
        .agg(mm_per_ms=quantile, n=pl.len())
        .filter(pl.col("n") >= parameters.free_flow_own_windows)
        .join(segments, on=[*LINE, "segment"], how="inner", validate="m:1")
        .with_columns(us=(pl.col("segment_length_mm") / pl.col("mm_per_ms") * 1000).round())
        .group_by(_CLASS)
        .agg(known_mm=pl.col("segment_length_mm").sum(), us=pl.col("us").cast(pl.Int64).sum())
    )
    whole = segments.group_by(LINE).agg(length_mm=pl.col("segment_length_mm").sum())
    return (
        known.join(whole, on=LINE, how="inner", validate="m:1")
        .filter(pl.col("known_mm") >= min_length_share * pl.col("length_mm"))
        .select(
            *_CLASS,
            m_per_min=pl.col("known_mm") / pl.col("us") * MS_PER_MINUTE,
            free_flow_method=pl.lit(method),
            rank=pl.lit(METHODS.index(method)),
        )
    )


def _step(
    windows: pl.LazyFrame, parameters: CongestionParameters, method: str, *, enough: pl.Expr
) -> pl.LazyFrame:
    quantile = weighted_quantile("m_per_min", "n_legs", parameters.free_flow_quantile)
    return (
        windows.filter(pl.col("n_legs") > 0)
        .group_by(_CLASS)
        .agg(
            m_per_min=quantile,
            free_flow_method=pl.lit(method),
            rank=pl.lit(METHODS.index(method)),
            enough=enough,
        )
        .filter("enough")
        .drop("enough")
    )


def with_free_flow(times: pl.LazyFrame, free_flow: pl.LazyFrame) -> pl.LazyFrame:
    """Return the times with the time without congestion and the travel time index, at least 1."""
    index = (pl.col("travel_time_min") / pl.col("free_flow_min")).clip(lower_bound=1.0)
    return (
        times.drop("free_flow_min", "free_flow_method", "tti", strict=False)
        .join(free_flow, on=_CLASS, how="left", validate="m:1")
        .with_columns(free_flow_min=pl.col("length_m") / pl.col("m_per_min"))
        .with_columns(tti=index)
        .drop("m_per_min")
    )
