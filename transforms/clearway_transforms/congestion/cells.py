"""From what each vehicle drove to sums per cell and window, at any resolution.

Distances and times add up; distinct vehicles do not: each roll-up starts again from
``vehicle_travel`` and counts them anew. Pseudonyms turn every day, so over several epochs the same
vehicle has several: the count is that of the largest epoch, never the sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import polars as pl
import polars_h3

from clearway_transforms.parameters import CongestionParameters
from clearway_transforms.travel.allocation import BASE_WINDOW_MINUTES, SUMS
from clearway_transforms.travel.legs import OUTLINE_COUNTS

ALL_CLASSES = "all"

KMH_PER_MM_MS = 3.6
"""Millimetres per millisecond are metres per second."""

_NAME = ("provider", "vehicle")
_VEHICLE = (*_NAME, "pseudonym_epoch")
_CELL = ("h3_cell", "window_start", "vehicle_class")
_SQUARES = ("distance_sq_dm2", "duration_sq_ds2", "distance_duration_dm_ds")

_BITS = 62
"""Providers that one whole number tells apart."""


def count_queues(vehicle_travel: pl.LazyFrame, parameters: CongestionParameters) -> pl.LazyFrame:
    """Return vehicle travel in which standing time counts wherever somebody crawls.

    Parameters
    ----------
    vehicle_travel
        Rows at the base resolution and window.
    parameters
        ``queue_speed_kmh``, ``queue_min_vehicles`` and ``queue_own_s``.

    Returns
    -------
    polars.LazyFrame
        Same rows; in a queue ``duration_ms`` has taken over ``dwell_ms``, with the longest gap
        class.

    Notes
    -----
    It is a queue if the moving vehicles of the cell and window crawl, or if the standing vehicle
    itself crawled through the cell: whoever parks comes and leaves at the speed of the road. In a
    jam that stands, nobody but the last ones in line still moves.
    """
    place = ["h3_cell", "window_start"]
    moving = pl.col("duration_ms") > 0
    queues = (
        vehicle_travel.filter(moving)
        .group_by(place)
        .agg(
            speed=_speed_kmh(),
            vehicles=pl.struct("provider", "vehicle").n_unique(),
        )
        .filter(
            (pl.col("speed") < parameters.queue_speed_kmh)
            & (pl.col("vehicles") >= parameters.queue_min_vehicles)
        )
        .select(*place, queue=pl.lit(value=True))
    )
    crawlers = _crawlers(vehicle_travel, parameters)
    added = pl.when(pl.col("queue") | pl.col("crawls")).then("dwell_ms").otherwise(0)
    return (
        vehicle_travel.join(queues, on=place, how="left", validate="m:1")
        .join(crawlers, on=[*place, *_NAME], how="left", validate="m:1")
        .with_columns(pl.col("queue", "crawls").fill_null(value=False))
        .with_columns(
            duration_ms=pl.col("duration_ms") + added,
            gap_long_ms=pl.col("gap_long_ms") + added,
            dwell_ms=pl.col("dwell_ms") - added,
        )
        .drop("queue", "crawls")
    )


def _speed_kmh() -> pl.Expr:
    return pl.col("distance_mm").sum() / pl.col("duration_ms").sum() * KMH_PER_MM_MS


def _crawlers(vehicle_travel: pl.LazyFrame, parameters: CongestionParameters) -> pl.LazyFrame:
    """Return cells and windows in which a standing vehicle itself crawled, then or just around.

    Around is the window before and after on the same UTC day, so that it does not matter which
    days are read together.
    """
    place = ["h3_cell", "window_start", *_NAME]
    step = pl.duration(minutes=BASE_WINDOW_MINUTES)
    standing = vehicle_travel.filter(pl.col("dwell_ms") > 0).select(place).unique()
    around = pl.concat(
        standing.with_columns(near=pl.col("window_start") + number * step) for number in (-1, 0, 1)
    ).filter(pl.col("near").dt.date() == pl.col("window_start").dt.date())
    slow = pl.col("speed") < parameters.queue_speed_kmh
    long_enough = pl.col("moving_ms") >= round(parameters.queue_own_s * 1000)
    return (
        around.join(
            vehicle_travel.select(*place, "distance_mm", "duration_ms"),
            left_on=["h3_cell", "near", *_NAME],
            right_on=place,
        )
        .group_by(place)
        .agg(speed=_speed_kmh(), moving_ms=pl.col("duration_ms").sum())
        .filter(slow & long_enough)
        .select(*place, crawls=pl.lit(value=True))
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
        Rows at the base resolution and window: one per cell, window, class and vehicle.
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
    seen = vehicle_travel.with_columns(n_seen=in_outline)
    columns = [*_CELL, *_VEHICLE, *SUMS, "n_seen"]

    def roll(rows: pl.DataFrame) -> pl.DataFrame:
        if window_minutes == BASE_WINDOW_MINUTES and _all_of(rows["h3_cell"], resolution):
            return rows
        cell = polars_h3.cell_to_parent(pl.col("h3_cell"), resolution).cast(pl.UInt64)
        return (
            rows.with_columns(h3_cell=cell, window_start=_window_start(window_minutes, time_zone))
            .group_by(*_CELL, *_VEHICLE)
            .agg(pl.col(*SUMS, "n_seen").sum())
        )

    return _of_all_rows(seen.select(columns), roll)


def _all_of(cells: pl.Series, resolution: int) -> bool:
    """Return whether all H3 cells are of a resolution, which is four bits of their number."""
    return bool(((cells // 2**52) % 16 == resolution).all())


def _window_start(window_minutes: int, time_zone: str) -> pl.Expr:
    """Return the beginning of the window of so many minutes, by the clock of a time zone."""
    start = pl.col("window_start")
    if window_minutes == BASE_WINDOW_MINUTES:
        return start
    length = "1d" if window_minutes == 1440 else f"{window_minutes}m"  # noqa: PLR2004
    return start.dt.convert_time_zone(time_zone).dt.truncate(length).dt.convert_time_zone("UTC")


def _of_all_rows(
    rows: pl.LazyFrame,
    function: Callable[[pl.DataFrame], pl.DataFrame],
    schema: Mapping[str, pl.DataType] | None = None,
) -> pl.LazyFrame:
    """Return what a function makes of all rows at once; without a schema it keeps theirs."""
    return rows.map_batches(
        function,
        schema=schema or rows.collect_schema(),
        predicate_pushdown=False,
        projection_pushdown=False,
    )


def with_all_classes(
    vehicle_travel: pl.LazyFrame,
    apart: Sequence[str] = (),
    *,
    place: Sequence[str] = ("h3_cell", "window_start"),
    sums: Sequence[str] = (*SUMS, "n_seen"),
) -> pl.LazyFrame:
    """Return the rows of class 'all', and of each class on days that saw more than one.

    Each vehicle has one row per cell and window within 'all', however many classes it reported.

    Parameters
    ----------
    vehicle_travel
        One row per place, class and vehicle, of whole UTC days of ``window_start``.
    apart
        Classes that 'all' leaves out on days that saw any other: motorcycles pass a queue, buses
        halt at stops, and a mean over both kinds is the speed of neither.
    place
        Columns that say where and when, ``window_start`` among them.
    sums
        Columns that add up.
    """
    columns = [*place, "vehicle_class", *_VEHICLE, *sums]

    def with_all(rows: pl.DataFrame) -> pl.DataFrame:
        if rows["vehicle_class"].n_unique() > 1:
            return _with_all_of_several(rows, apart, place=place, sums=sums)
        # Where there is one class a vehicle has one row already.
        return rows.with_columns(vehicle_class=pl.lit(ALL_CLASSES))

    return _of_all_rows(vehicle_travel.select(columns), with_all)


def _with_all_of_several(
    rows: pl.DataFrame, apart: Sequence[str], *, place: Sequence[str], sums: Sequence[str]
) -> pl.DataFrame:
    day = pl.col("window_start").dt.date().alias("day")
    days = rows.group_by(day).agg(
        several=pl.col("vehicle_class").n_unique() > 1,
        only_apart=pl.col("vehicle_class").is_in(list(apart)).all(),
    )
    known = rows.with_columns(day).join(days, on="day", how="left", validate="m:1")
    together = (
        known.filter(~pl.col("vehicle_class").is_in(list(apart)) | pl.col("only_apart"))
        .group_by(*place, *_VEHICLE)
        .agg(pl.col(sums).sum())
        .with_columns(vehicle_class=pl.lit(ALL_CLASSES))
    )
    by_class = known.filter("several")
    return pl.concat([each.select(rows.columns) for each in (together, by_class)])


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
    columns = [*_CELL, *SUMS, "n_vehicles", "n_providers", "top_vehicle_ms", *_SQUARES]

    def add_up(rows: pl.DataFrame) -> pl.DataFrame:
        rows = rows.with_columns(
            seen=(pl.col("duration_ms") > 0) & (pl.col("n_seen") > 0),
            distance_sq_dm2=distance_dm * distance_dm,
            duration_sq_ds2=duration_ds * duration_ds,
            distance_duration_dm_ds=distance_dm * duration_ds,
        )
        bits = _provider_bits(rows)
        n_providers = (pl.col(each.name).bitwise_or().bitwise_count_ones() for each in bits)
        sums = (
            rows.with_columns(bits)
            .group_by(_CELL)
            .agg(
                pl.col(*SUMS, *_SQUARES).sum(),
                pl.col("duration_ms").max().alias("top_vehicle_ms"),
                n_vehicles=pl.col("seen").sum().cast(pl.Int64),
                n_providers=pl.sum_horizontal(n_providers).cast(pl.Int64),
            )
            .filter(pl.col("duration_ms") > 0)
        )
        return _most_of_one_epoch(sums, rows).select(columns)

    held = vehicle_travel.collect_schema()
    schema = {name: held[name] if name in held else pl.Int64() for name in columns}
    return _of_all_rows(vehicle_travel, add_up, schema)


def _provider_bits(rows: pl.DataFrame) -> list[pl.Series]:
    """Return a bit for the provider of each row that counts, in as many columns as it takes.

    Distinct providers of a cell are then the bits of its rows together, without a set per cell.
    """
    names = rows["provider"].unique().sort()
    place = rows["provider"].cast(pl.Enum(names)).to_physical().cast(pl.Int64).to_numpy()
    bits = []
    for first in range(0, max(len(names), 1), _BITS):
        here = rows["seen"].to_numpy() & (place // _BITS == first // _BITS)
        bits.append(pl.Series(f"providers_{first}", here * np.left_shift(1, place % _BITS)))
    return bits


def _most_of_one_epoch(sums: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the sums with the count of vehicles of the epoch that has most."""
    if rows["pseudonym_epoch"].n_unique() <= 1:
        return sums
    most = (
        rows.filter("seen")
        .group_by(*_CELL, "pseudonym_epoch")
        .agg(n_vehicles=pl.len().cast(pl.Int64))
        .group_by(_CELL)
        .agg(pl.col("n_vehicles").max())
    )
    return (
        sums.drop("n_vehicles")
        .join(most, on=_CELL, how="left", validate="1:1")
        .with_columns(pl.col("n_vehicles").fill_null(0))
    )
