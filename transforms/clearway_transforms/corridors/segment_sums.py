"""Sums per segment of a corridor, from what each vehicle drove along it.

Distances and times add up; distinct vehicles do not and are counted anew in every roll-up. Over
several pseudonym epochs their number is that of the largest epoch.
"""

from __future__ import annotations

import polars as pl

from clearway_core.contracts.corridor_tables import WINDOW
from clearway_transforms.congestion.cells import KMH_PER_MM_MS
from clearway_transforms.corridors.corridor_passes import SUMS
from clearway_transforms.parameters import CongestionParameters, ReliabilityParameters
from clearway_transforms.reliability.periods import with_period

LINE = ("corridor", "direction")
SEGMENT = (*LINE, "segment", "window_start")
VEHICLE = ("provider", "vehicle", "pseudonym_epoch")

SPAN = (*LINE, "period", "window_minutes", "local_date", "window_start")
"""Where and when of one row of ``corridor_times``."""

WINDOW_LENGTHS = (15, 60)
"""Of the windows for which times are told [min]."""

HOURS_PER_DAY = 24


def count_queues(
    vehicle_corridor_travel: pl.LazyFrame, parameters: CongestionParameters
) -> pl.LazyFrame:
    """Return the rows, standing time counted wherever the moving vehicles crawl too.

    Parameters
    ----------
    vehicle_corridor_travel
        Rows of 15 minutes.
    parameters
        ``queue_speed_kmh`` and ``queue_min_vehicles``, as for cells.
    """
    place = [*LINE, "segment", "window_start"]
    queues = (
        vehicle_corridor_travel.filter(pl.col("duration_ms") > 0)
        .group_by(place)
        .agg(
            kmh=pl.col("distance_mm").sum() / pl.col("duration_ms").sum() * KMH_PER_MM_MS,
            vehicles=pl.struct("provider", "vehicle").n_unique(),
        )
        .filter(
            (pl.col("kmh") < parameters.queue_speed_kmh)
            & (pl.col("vehicles") >= parameters.queue_min_vehicles)
        )
        .select(*place, queue=pl.lit(value=True))
    )
    added = pl.when("queue").then("dwell_ms").otherwise(0)
    return (
        vehicle_corridor_travel.join(queues, on=place, how="left", validate="m:1")
        .with_columns(
            duration_ms=pl.col("duration_ms") + added, dwell_ms=pl.col("dwell_ms") - added
        )
        .drop("queue")
    )


def corridor_travel(vehicle_corridor_travel: pl.LazyFrame, segments: pl.LazyFrame) -> pl.LazyFrame:
    """Return the sums and distinct counts per segment, window and class.

    Parameters
    ----------
    vehicle_corridor_travel
        One row per segment, window, class and vehicle, as from `with_all_classes`.
    segments
        ``segment_length_mm`` of every segment.

    Returns
    -------
    polars.LazyFrame
        Columns of ``corridor_travel`` but for window_date. Segments on which no vehicle moved have
        no row.
    """
    distance_dm = (pl.col("distance_mm") + 50) // 100
    duration_ds = (pl.col("duration_ms") + 50) // 100
    moved = pl.col("duration_ms") > 0
    squares = ("distance_sq_dm2", "duration_sq_ds2", "distance_duration_dm_ds")
    by_epoch = vehicle_corridor_travel.group_by(*SEGMENT, "vehicle_class", "pseudonym_epoch").agg(
        *(pl.col(name).sum() for name in SUMS),
        n_vehicles=pl.struct("provider", "vehicle").filter(moved).n_unique(),
        providers=pl.col("provider").filter(moved).unique(),
        top_vehicle_ms=pl.col("duration_ms").max(),
        distance_sq_dm2=(distance_dm * distance_dm).sum(),
        duration_sq_ds2=(duration_ds * duration_ds).sum(),
        distance_duration_dm_ds=(distance_dm * duration_ds).sum(),
    )
    return (
        by_epoch.group_by(*SEGMENT, "vehicle_class")
        .agg(
            *(pl.col(name).sum() for name in (*SUMS, *squares)),
            pl.col("n_vehicles").max().cast(pl.Int64),
            n_providers=pl.col("providers").list.explode().drop_nulls().n_unique().cast(pl.Int64),
            top_vehicle_ms=pl.col("top_vehicle_ms").max(),
        )
        .filter(pl.col("duration_ms") > 0)
        .join(segments, on=[*LINE, "segment"], how="inner", validate="m:1")
    )


def by_span(
    vehicle_corridor_travel: pl.LazyFrame,
    days: pl.LazyFrame,
    parameters: ReliabilityParameters,
    *,
    time_zone: str,
) -> pl.LazyFrame:
    """Return what each vehicle drove per segment in windows of 15 and 60 minutes and in periods.

    Parameters
    ----------
    vehicle_corridor_travel
        Rows of 15 minutes.
    days
        From `clearway_transforms.reliability.periods.days_frame`; rows of other local days are
        left out.
    parameters
        Hours at which periods begin.
    time_zone
        IANA name of the clock by which hours, days and periods begin.

    Returns
    -------
    polars.LazyFrame
        `SPAN`, ``segment``, class, vehicle and `SUMS`. ``window_start`` is where the window or
        period begins; overnight, which is the two ends of one local day, begins at its midnight.
    """
    placed = with_period(vehicle_corridor_travel, days, parameters, time_zone=time_zone)
    local = pl.col("window_start").dt.convert_time_zone(time_zone)
    placed = placed.with_columns(local=local)
    spans = [_windows(placed, minutes) for minutes in WINDOW_LENGTHS]
    spans.append(_periods(placed, parameters))
    return (
        pl.concat(spans)
        .with_columns(
            pl.col("window_minutes").cast(pl.Int32),
            window_start=pl.col("local").dt.convert_time_zone("UTC"),
        )
        .group_by(*SPAN, "segment", "vehicle_class", *VEHICLE)
        .agg(pl.col(name).sum() for name in SUMS)
    )


_KEPT = (*LINE, "segment", "vehicle_class", *VEHICLE, *SUMS, "local_date")


def _windows(placed: pl.LazyFrame, minutes: int) -> pl.LazyFrame:
    return placed.select(
        *_KEPT,
        pl.col("local").dt.truncate(f"{minutes}m"),
        period=pl.lit(WINDOW),
        window_minutes=pl.lit(minutes),
    )


def _periods(placed: pl.LazyFrame, parameters: ReliabilityParameters) -> pl.LazyFrame:
    """Return the rows with where their period begins, and how long it is."""
    morning, midday = parameters.morning_peak_from_hour, parameters.midday_from_hour
    evening, night = parameters.evening_peak_from_hour, parameters.overnight_from_hour
    hours = {
        "morning_peak": (morning, midday - morning),
        "midday": (midday, evening - midday),
        "evening_peak": (evening, night - evening),
        "daytime": (morning, night - morning),
        "overnight": (0, HOURS_PER_DAY - night + morning),
    }
    begins = {name: begin for name, (begin, _) in hours.items()}
    minutes = {name: 60 * long for name, (_, long) in hours.items()}
    hour = pl.col("period").replace_strict(begins, return_dtype=pl.Int8)
    return placed.select(
        *_KEPT,
        pl.col("local").dt.truncate("1d").dt.replace(hour=hour),
        "period",
        window_minutes=pl.col("period").replace_strict(minutes, return_dtype=pl.Int32),
    )
