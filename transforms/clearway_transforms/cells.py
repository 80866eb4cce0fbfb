"""From what each vehicle drove to sums per cell and window, at any resolution.

Distances and times add up; distinct vehicles do not: each roll-up starts again from
``vehicle_travel`` and counts them anew. Pseudonyms turn every day, so over several epochs the same
vehicle has several: the count is that of the largest epoch, never the sum.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import polars_h3

from clearway_transforms.parameters import CongestionParameters
from clearway_transforms.travel import BASE_WINDOW_MINUTES, OUTLINE_COUNTS, SUMS

ALL_CLASSES = "all"

KMH_PER_MM_MS = 3.6
"""Millimetres per millisecond are metres per second."""

_VEHICLE = ("provider", "vehicle", "pseudonym_epoch")
_CELL = ("h3_cell", "window_start", "vehicle_class")


def count_queues(vehicle_travel: pl.LazyFrame, parameters: CongestionParameters) -> pl.LazyFrame:
    """Return vehicle travel in which standing time counts wherever the moving vehicles crawl too.

    Parameters
    ----------
    vehicle_travel
        Rows at the base resolution and window.
    parameters
        ``queue_speed_kmh`` and ``queue_min_vehicles``.

    Returns
    -------
    polars.LazyFrame
        Same rows; in a queue ``duration_ms`` has taken over ``dwell_ms``, with the longest gap
        class.
    """
    place = ["h3_cell", "window_start"]
    moving = pl.col("duration_ms") > 0
    queues = (
        vehicle_travel.filter(moving)
        .group_by(place)
        .agg(
            speed=pl.col("distance_mm").sum() / pl.col("duration_ms").sum() * KMH_PER_MM_MS,
            vehicles=pl.struct("provider", "vehicle").n_unique(),
        )
        .filter(
            (pl.col("speed") < parameters.queue_speed_kmh)
            & (pl.col("vehicles") >= parameters.queue_min_vehicles)
        )
        .select(*place, queue=pl.lit(value=True))
    )
    added = pl.when("queue").then("dwell_ms").otherwise(0)
    return (
        vehicle_travel.join(queues, on=place, how="left", validate="m:1")
        .with_columns(
            duration_ms=pl.col("duration_ms") + added,
            gap_long_ms=pl.col("gap_long_ms") + added,
            dwell_ms=pl.col("dwell_ms") - added,
        )
        .drop("queue")
    )


def roll_up(
    vehicle_travel: pl.LazyFrame,
    *,
    resolution: int,
    window_minutes: int,
    time_zone: str = "UTC",
) -> pl.LazyFrame:
    """Return what each vehicle drove per coarser cell and longer window.

    Parameters
    ----------
    vehicle_travel
        Rows at the base resolution and window.
    resolution
        H3 resolution, not finer than that of the rows.
    window_minutes
        15, 60 or 1440.
    time_zone
        IANA name; hours and days begin by its clock. ``window_start`` stays UTC.

    Returns
    -------
    polars.LazyFrame
        `SUMS` per cell, window, class and vehicle, and ``n_seen``: its fixes within the outline of
        the coarser cell.
    """
    in_outline = pl.col(OUTLINE_COUNTS.get(resolution, "n_pings")).fill_null(pl.col("n_pings"))
    cell = polars_h3.cell_to_parent(pl.col("h3_cell"), resolution).cast(pl.UInt64)
    start = pl.col("window_start")
    if window_minutes != BASE_WINDOW_MINUTES:
        length = "1d" if window_minutes == 1440 else f"{window_minutes}m"  # noqa: PLR2004
        start = start.dt.convert_time_zone(time_zone).dt.truncate(length)
        start = start.dt.convert_time_zone("UTC")
    return (
        vehicle_travel.with_columns(h3_cell=cell, window_start=start)
        .group_by(*_CELL, *_VEHICLE)
        .agg(*(pl.col(name).sum() for name in SUMS), n_seen=in_outline.sum())
    )


def with_all_classes(vehicle_travel: pl.LazyFrame, apart: Sequence[str] = ()) -> pl.LazyFrame:
    """Return the rows of class 'all', and of each class on days that saw more than one.

    Each vehicle has one row per cell and window within 'all', however many classes it reported.

    Parameters
    ----------
    vehicle_travel
        One row per cell, window, class and vehicle, of whole UTC days of ``window_start``.
    apart
        Classes that 'all' leaves out on days that saw any other: motorcycles pass a queue, buses
        halt at stops, and a mean over both kinds is the speed of neither.
    """
    day = pl.col("window_start").dt.date().alias("day")
    days = vehicle_travel.group_by(day).agg(
        several=pl.col("vehicle_class").n_unique() > 1,
        only_apart=pl.col("vehicle_class").is_in(list(apart)).all(),
    )
    known = vehicle_travel.with_columns(day).join(days, on="day", how="left", validate="m:1")
    together = (
        known.filter(pl.col("only_apart") | ~pl.col("vehicle_class").is_in(list(apart)))
        .group_by("h3_cell", "window_start", *_VEHICLE)
        .agg(pl.col(name).sum() for name in (*SUMS, "n_seen"))
        .with_columns(vehicle_class=pl.lit(ALL_CLASSES))
    )
    columns = [*_CELL, *_VEHICLE, *SUMS, "n_seen"]
    return pl.concat([together.select(columns), known.filter("several").select(columns)])


def cell_travel(vehicle_travel: pl.LazyFrame) -> pl.LazyFrame:
    """Return the sums and distinct counts per cell, window and class.

    Parameters
    ----------
    vehicle_travel
        One row per cell, window, class and vehicle, as from `with_all_classes`.

    Returns
    -------
    polars.LazyFrame
        Columns of ``cell_travel`` but for resolution, window_minutes and window_date. Cells in
        which no vehicle moved have no row.

    Notes
    -----
    A vehicle counts where it moved and was seen, with a fix of its own inside the cell's outline
    and the window. The
    straight line between two fixes a minute apart also crosses cells in which nobody was seen, even
    open water: their sums are kept, so that nothing is lost in a roll-up, but nobody counts there.
    """
    distance_dm = (pl.col("distance_mm") + 50) // 100
    duration_ds = (pl.col("duration_ms") + 50) // 100
    seen = (pl.col("duration_ms") > 0) & (pl.col("n_seen") > 0)
    squares = ("distance_sq_dm2", "duration_sq_ds2", "distance_duration_dm_ds")
    by_epoch = vehicle_travel.group_by(*_CELL, "pseudonym_epoch").agg(
        *(pl.col(name).sum() for name in SUMS),
        n_vehicles=pl.struct("provider", "vehicle").filter(seen).n_unique(),
        providers=pl.col("provider").filter(seen).unique(),
        top_vehicle_ms=pl.col("duration_ms").max(),
        distance_sq_dm2=(distance_dm * distance_dm).sum(),
        duration_sq_ds2=(duration_ds * duration_ds).sum(),
        distance_duration_dm_ds=(distance_dm * duration_ds).sum(),
    )
    return (
        by_epoch.group_by(_CELL)
        .agg(
            *(pl.col(name).sum() for name in SUMS),
            pl.col("n_vehicles").max().cast(pl.Int64),
            n_providers=pl.col("providers").list.explode().drop_nulls().n_unique().cast(pl.Int64),
            top_vehicle_ms=pl.col("top_vehicle_ms").max(),
            **{name: pl.col(name).sum() for name in squares},
        )
        .filter(pl.col("duration_ms") > 0)
    )
