"""From cleaned fixes to the tables of corridors. A city pack without corridors costs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from functools import cache

import polars as pl

from clearway_core.calendar import read_calendar
from clearway_core.city import City
from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.corridor_lines import Corridor, read_corridors
from clearway_core.lake import Lake
from clearway_core.schema import polars_schema
from clearway_transforms.congestion import cells
from clearway_transforms.corridors import corridor_passes, corridor_times, segment_sums
from clearway_transforms.corridors.corridor_segments import CorridorIndex
from clearway_transforms.parameters import (
    congestion_parameters,
    corridor_parameters,
    reliability_parameters,
)
from clearway_transforms.reliability.periods import days_frame
from clearway_transforms.travel import allocation

_REDRAWN_MM = 1
"""Lines whose length differs by more have been redrawn. [mm]"""


def corridor_index(city: City | None) -> CorridorIndex | None:
    """Return the corridors of a city pack ready for matching, or None where it has none."""
    lines = read_corridors(city)
    return _index(lines) if lines else None


@cache
def _index(lines: tuple[Corridor, ...]) -> CorridorIndex:
    return CorridorIndex(lines, corridor_parameters())


def vehicle_corridor_travel_of(
    paired: pl.DataFrame, index: CorridorIndex | None, day: date
) -> pl.DataFrame:
    """Return what some vehicles drove along corridors in the windows of one UTC day.

    Parameters
    ----------
    paired
        From `clearway_transforms.travel.trips.pair_fixes`, ordered by vehicle and time.
    index
        Corridors; None gives no rows.
    day
        UTC day.

    Returns
    -------
    polars.DataFrame
        Rows of ``vehicle_corridor_travel`` but for window_date.
    """
    columns = [
        name for name in LAKE_CONTRACTS["vehicle_corridor_travel"].columns if name != "window_date"
    ]
    if index is None:
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.Null))
    travel = corridor_passes.corridor_travel(paired, index, corridor_parameters())
    names = {number: each.name for number, each in enumerate(index.corridors)}
    directions = {number: each.direction for number, each in enumerate(index.corridors)}
    return (
        allocation.named(travel.lazy(), paired.lazy())
        .filter(pl.col("window_start").dt.date() == day)
        .with_columns(
            pl.col("segment").cast(pl.Int32),
            corridor=pl.col("corridor").replace_strict(names, return_dtype=pl.String),
            direction=pl.col("corridor").replace_strict(directions, return_dtype=pl.String),
        )
        .select(columns)
        .collect()
    )


def write_vehicle_travel(
    lake: Lake, parts: Sequence[pl.DataFrame], index: CorridorIndex | None, day: date
) -> None:
    """Put what vehicles drove along corridors in the place of the day's rows."""
    if index is not None:
        _replace(lake, "vehicle_corridor_travel", pl.concat(parts).lazy(), [day])
    elif lake.table("vehicle_corridor_travel").exists():
        _forget(lake, "vehicle_corridor_travel", [day])


def build_corridors(lake: Lake, city: City | None, days: Sequence[date]) -> None:
    """Write ``corridor_travel`` and ``corridor_times`` of the days that these fixes touch.

    Parameters
    ----------
    lake
        Holds ``vehicle_corridor_travel`` of the days.
    city
        Its corridors, clock and calendar.
    days
        UTC days whose fixes were read again. Hours and periods that began the day before are
        written again with them, unless what vehicles drove then has been deleted.
    """
    index = corridor_index(city)
    if index is None or city is None:
        for table in ("corridor_travel", "corridor_times"):
            _forget(lake, table, days)
        return
    segments = segment_frame(index)
    held = lake.table("vehicle_corridor_travel").partition_values()["window_date"].to_list()
    touched = {day - timedelta(days=back) for day in days for back in (0, 1)}
    written = sorted(touched & {*held, *days})
    for day in written:
        rows = cells.with_all_classes(
            _counted(lake, [day]),
            congestion_parameters().classes_apart,
            place=segment_sums.SEGMENT,
            sums=corridor_passes.SUMS,
        )
        _replace(lake, "corridor_travel", segment_sums.corridor_travel(rows, segments), [day])
    times = pl.concat([_times_of(lake, city, segments, day) for day in written])
    known = _with_free_flow(lake, times, segments, time_zone=city.time_zone.key, written=written)
    _replace(lake, "corridor_times", known, written)


def segment_frame(index: CorridorIndex) -> pl.LazyFrame:
    """Return ``segment_length_mm`` of every segment of every corridor."""
    rows = [
        (each.name, each.direction, segment, length_mm)
        for number, each in enumerate(index.corridors)
        for segment, length_mm in enumerate(index.segment_lengths_mm(number))
    ]
    schema = {
        "corridor": pl.String,
        "direction": pl.String,
        "segment": pl.Int32,
        "segment_length_mm": pl.Int64,
    }
    return pl.LazyFrame(rows, schema=schema, orient="row")


def _counted(lake: Lake, days: Sequence[date]) -> pl.LazyFrame:
    rows = lake.table("vehicle_corridor_travel").scan([("window_date", "in", list(days))])
    return segment_sums.count_queues(rows, congestion_parameters())


def _times_of(lake: Lake, city: City, segments: pl.LazyFrame, day: date) -> pl.DataFrame:
    """Return the times of the windows and periods that begin on a UTC day."""
    next_day = day + timedelta(days=1)
    calendar = days_frame(
        read_calendar(city), day - timedelta(days=1), next_day + timedelta(days=1)
    )
    spans = segment_sums.by_span(
        _counted(lake, [day, next_day]),
        calendar,
        reliability_parameters(),
        time_zone=city.time_zone.key,
    )
    rows = cells.with_all_classes(
        spans.filter(pl.col("window_start").dt.date() == day),
        congestion_parameters().classes_apart,
        place=(*segment_sums.SPAN, "segment"),
        sums=corridor_passes.SUMS,
    )
    return corridor_times.corridor_times(
        rows,
        segments,
        corridor_parameters(),
        interval_level=congestion_parameters().interval_level,
    ).collect()


def _with_free_flow(
    lake: Lake,
    times: pl.DataFrame,
    segments: pl.LazyFrame,
    *,
    time_zone: str,
    written: Sequence[date],
) -> pl.LazyFrame:
    """Return new times with the time without congestion, from these and the rows of before."""
    table = lake.table("corridor_times")
    held = {*table.partition_values()["window_date"].to_list(), *written}
    reach = congestion_parameters().look_back_days
    look_back = [day for day in held if (max(held) - day).days < reach]
    before = table.scan(
        [("window_date", "in", [d for d in look_back if d not in written] or [date.min])]
    )
    within = times.lazy().filter(pl.col("window_start").dt.date().is_in(look_back))
    shared = [name for name in table.contract.columns if name in times.columns]
    lengths = segments.group_by(*segment_sums.LINE).agg(pl.col("segment_length_mm").sum())
    same_line = (pl.col("length_m") * 1000 - pl.col("segment_length_mm")).abs() < _REDRAWN_MM
    windows = pl.concat([before.select(shared), within.select(shared)]).join(
        lengths, on=segment_sums.LINE, how="inner", validate="m:1"
    )
    sums = lake.table("corridor_travel").scan([("window_date", "in", look_back)])
    found = corridor_times.free_flow(
        windows.filter(same_line),
        sums,
        segments,
        congestion_parameters(),
        min_length_share=corridor_parameters().min_length_share,
        time_zone=time_zone,
    )
    return corridor_times.with_free_flow(times.lazy(), found)


def _replace(lake: Lake, table: str, rows: pl.LazyFrame, days: Sequence[date]) -> None:
    contract = LAKE_CONTRACTS[table]
    dated = rows.with_columns(window_date=pl.col("window_start").dt.date())
    written = dated.select(contract.columns).sort(contract.key).collect()
    # A table without any row would not pass the quality gate: it is not begun.
    if written.height or lake.table(table).exists():
        lake.table(table).replace(written, {"window_date": list(days)})


def _forget(lake: Lake, table: str, days: Sequence[date]) -> None:
    """Delete the rows of days: the city pack has no corridors any more."""
    if lake.table(table).exists():
        empty = pl.DataFrame(schema=polars_schema(LAKE_CONTRACTS[table]))
        lake.table(table).replace(empty, {"window_date": list(days)})
