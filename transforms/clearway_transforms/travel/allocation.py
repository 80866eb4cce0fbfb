"""Distance and time of legs, shared out exactly among the cells and windows that they cross.

All sums are whole millimetres and milliseconds: they are the same in whatever order, batches or
number of buckets the rows are added.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from clearway_transforms.geometry.crossings import Chords, pieces_of
from clearway_transforms.geometry.outlines import known_outlines
from clearway_transforms.travel.legs import CLASS, OUTLINE_COUNTS, within_column
from clearway_transforms.travel.trips import COUNTED

BASE_WINDOW_MINUTES = 15
WINDOW_MS = BASE_WINDOW_MINUTES * 60_000

_GAP_LIMITS_MS = (15_000, 60_000, 120_000)
_GAP_CLASSES = ("gap_15s_ms", "gap_60s_ms", "gap_120s_ms", "gap_long_ms")

SUMS = (
    "distance_mm",
    "duration_ms",
    "dwell_ms",
    "n_pings",
    "n_legs",
    *_GAP_CLASSES,
    "reported_ms",
)
"""Additive columns of ``vehicle_travel``."""

GROUP = ("vehicle_code", "vehicle_class", "h3_cell", "window")
_PIECE_GROUP = (*GROUP, "sort_of_time")

_INT64_0, _INT64_1 = (pl.lit(number, dtype=pl.Int64) for number in (0, 1))

_PIECE_COLUMNS = (
    *("vehicle_code", "vehicle_class", "kind", "start_ms", "start_cell"),
    *("distance_mm", "duration_ms"),
)


def allocate(legs: pl.LazyFrame, resolution: int) -> pl.LazyFrame:
    """Return each leg's share of every cell and 15-minute window that it crosses.

    Parameters
    ----------
    legs
        From `clearway_transforms.travel.legs.counted_legs`.
    resolution
        H3 resolution of the cells.

    Returns
    -------
    polars.LazyFrame
        Pieces with `GROUP`, ``sort_of_time``, ``distance_mm``, ``time_ms`` and ``n_legs``.
        Distance and time of the pieces of a leg add up to the leg's own, exactly. Nearly all are in
        the order of the legs.

    Notes
    -----
    A leg is driven along its chord at one speed. It is cut where the chord crosses the border of a
    cell and where the window ends, both to the millisecond. Whole numbers are shared by rounding
    the running total, so no part is off by a whole unit. The leg itself is counted once, where its
    middle lies.
    """
    return share_out(cut_by_cell(legs, resolution))


def cut_by_cell(legs: pl.LazyFrame, resolution: int) -> pl.LazyFrame:
    """Return the pieces of legs, each within one cell.

    Parameters
    ----------
    legs
        From `clearway_transforms.travel.legs.counted_legs`.
    resolution
        H3 resolution of the cells.

    Returns
    -------
    polars.LazyFrame
        Per piece its leg's columns, ``h3_cell``, and ``from_ms`` and ``to_ms`` from the leg's
        beginning. In the order of the legs.
    """

    def cut(whole: pl.DataFrame) -> pl.DataFrame:
        moves = (pl.col("start_cell") != pl.col("end_cell")) & (pl.col("kind") != "dwell")
        across = whole.select(moves).to_series().to_numpy()
        row, cell, from_ms = _crossings(whole.filter(across), resolution)
        n_pieces = np.ones(whole.height, dtype=np.int64)
        n_pieces[across] = np.bincount(row, minlength=np.count_nonzero(across))
        return _cut_into(whole, n_pieces, across, cell, from_ms)

    held = legs.collect_schema()
    schema = {name: held[name] for name in _PIECE_COLUMNS if name != "start_cell"} | {
        "h3_cell": pl.UInt64(),
        "from_ms": pl.Int64(),
        "to_ms": pl.Int64(),
    }
    return legs.map_batches(cut, schema=schema, predicate_pushdown=False, projection_pushdown=False)


def share_out(pieces: pl.LazyFrame) -> pl.LazyFrame:
    """Return pieces cut at the end of the window, each with its share of its leg.

    Parameters
    ----------
    pieces
        From `cut_by_cell`.
    """
    begin = pl.col("start_ms") + pl.col("from_ms")
    last = (pl.col("start_ms") + pl.col("to_ms") - 1) // WINDOW_MS
    pieces = pieces.with_columns(window=begin // WINDOW_MS, sort_of_time=_sort_of_time())
    pieces = pieces.with_columns(crosses=last > pl.col("window"))
    border = (pl.col("window") + 1) * WINDOW_MS - pl.col("start_ms")
    before = pieces.with_columns(to_ms=pl.when("crosses").then(border).otherwise("to_ms"))
    after = pieces.filter("crosses").with_columns(from_ms=border, window=pl.col("window") + 1)
    return pl.concat([before, after]).select(*_PIECE_GROUP, *_shares())


def count_fixes(paired: pl.LazyFrame, resolution: int) -> pl.LazyFrame:
    """Return the number of fixes at an end of a counted leg, per vehicle, cell and window.

    Those that also lie within the outline of the cell's parents are in `OUTLINE_COUNTS`. A vehicle
    may have several rows for a cell and window; `add_up` adds them up.
    """
    counts = pl.col("kind").is_in(COUNTED).fill_null(value=False)
    within = {
        name: pl.col(within_column(each)).cast(pl.Int64) if each < resolution else _INT64_1
        for each, name in OUTLINE_COUNTS.items()
    }
    return _neighbours_added_up(
        paired.filter(counts | counts.shift(-1, fill_value=False)).select(
            "vehicle_code",
            CLASS,
            "h3_cell",
            window=pl.col("observed_ms") // WINDOW_MS,
            n_pings=_INT64_1,
            **within,
        ),
        GROUP,
    )


def add_up(pieces: pl.LazyFrame, fixes: pl.LazyFrame) -> pl.LazyFrame:
    """Return the sums of `SUMS` and `OUTLINE_COUNTS` per vehicle, class, cell and window."""
    by_sort = _neighbours_added_up(pieces, _PIECE_GROUP)
    return (
        pl.concat([by_sort.select(*GROUP, *_sums_by_sort()), fixes], how="diagonal")
        .group_by(GROUP)
        .agg(pl.col(name).sum() for name in (*SUMS, *OUTLINE_COUNTS.values()))
    )


def named(sums: pl.LazyFrame, paired: pl.LazyFrame) -> pl.LazyFrame:
    """Return sums with names and instants in the place of codes and numbers.

    Parameters
    ----------
    sums
        With ``vehicle_code``, ``vehicle_class`` and ``window``.
    paired
        Fixes of those vehicles.

    Returns
    -------
    polars.LazyFrame
        With ``provider``, ``vehicle``, ``pseudonym_epoch`` (empty where there is none) and
        ``window_start`` instead.
    """
    vehicles = paired.group_by("vehicle_code").agg(
        pl.col("provider", "vehicle").first().cast(pl.String),
        pl.col("pseudonym_epoch").min().cast(pl.String).fill_null(""),
    )
    instant = pl.from_epoch(pl.col("window") * WINDOW_MS, time_unit="ms")
    return (
        sums.join(vehicles, on="vehicle_code", validate="m:1")
        .with_columns(
            pl.col("vehicle_class").cast(pl.String),
            window_start=instant.cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
        )
        .drop("vehicle_code", "window")
    )


def _neighbours_added_up(rows: pl.LazyFrame, group: Sequence[str]) -> pl.LazyFrame:
    """Return the sums of neighbouring rows of one group; the same group may come again.

    A vehicle's rows stand in order of time, so this leaves few rows to be grouped, and costs little
    itself: the difference of running totals where a run of rows ends.
    """
    sums = [name for name in rows.collect_schema().names() if name not in group]
    differs = pl.any_horizontal(pl.col(name).ne(pl.col(name).shift(-1)) for name in group)
    return (
        rows.with_columns(pl.col(sums).cum_sum(), ends=differs.fill_null(value=True))
        .filter("ends")
        .select(*group, *(pl.col(name) - pl.col(name).shift(1, fill_value=0) for name in sums))
    )


def _sort_of_time() -> pl.Expr:
    """Return 0 for dwell, else 2 x the place of the gap in `_GAP_CLASSES`, + 1 if reported, + 1."""
    gap_class = pl.sum_horizontal(
        (pl.col("duration_ms") > limit_ms).cast(pl.Int8) for limit_ms in _GAP_LIMITS_MS
    )
    reported = (pl.col("kind") == "reported").cast(pl.Int8)
    moving = (2 * gap_class + reported + 1).cast(pl.Int8)
    return pl.when(pl.col("kind") == "dwell").then(pl.lit(0, dtype=pl.Int8)).otherwise(moving)


def _crossings(legs: pl.DataFrame, resolution: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return row, cell and first millisecond of each piece of legs that end in another cell."""
    lon, lat, end_lon, end_lat, duration_ms = (
        legs[name].to_numpy()
        for name in ("start_lon_deg", "start_lat_deg", "end_lon_deg", "end_lat_deg", "duration_ms")
    )
    # The short way round, also where a leg crosses the 180th meridian.
    chords = Chords(lon, lat, (end_lon - lon + 540) % 360 - 180, end_lat - lat, duration_ms)
    return pieces_of(
        chords,
        legs["start_cell"].to_numpy(),
        legs["end_cell"].to_numpy(),
        resolution=resolution,
        outlines=known_outlines(),
    )


def _cut_into(
    legs: pl.DataFrame,
    n_pieces: np.ndarray,
    across: np.ndarray,
    cell: np.ndarray,
    from_ms: np.ndarray,
) -> pl.DataFrame:
    """Return legs cut into so many pieces; those across begin in these cells at these times."""
    row = np.repeat(np.arange(legs.height), n_pieces)
    pieces = legs.select(_PIECE_COLUMNS)[row]
    cells, begins = pieces["start_cell"].to_numpy(writable=True), np.zeros(row.size, dtype=np.int64)
    cells[across[row]], begins[across[row]] = cell, from_ms
    ends = pieces["duration_ms"].to_numpy(writable=True)
    follows = np.flatnonzero(row[1:] == row[:-1])
    ends[follows] = begins[follows + 1]
    return pieces.drop("start_cell").with_columns(h3_cell=cells, from_ms=begins, to_ms=ends)


def _shares() -> list[pl.Expr]:
    """Return what of its leg's distance, time and count each piece gets."""
    from_ms, to_ms = pl.col("from_ms"), pl.col("to_ms")
    whole_ms, distance_mm = pl.col("duration_ms"), pl.col("distance_mm")
    middle_ms = whole_ms // 2
    holds_middle = (from_ms <= middle_ms) & (middle_ms < to_ms) & (pl.col("sort_of_time") > 0)
    return [
        (distance_mm * to_ms // whole_ms - distance_mm * from_ms // whole_ms).alias("distance_mm"),
        (to_ms - from_ms).alias("time_ms"),
        holds_middle.cast(pl.Int64).alias("n_legs"),
    ]


def _sums_by_sort() -> list[pl.Expr]:
    sort, time = pl.col("sort_of_time"), pl.col("time_ms")

    def where(condition: pl.Expr, name: str) -> pl.Expr:
        return pl.when(condition).then(time).otherwise(_INT64_0).alias(name)

    return [
        pl.col("distance_mm"),
        where(sort > 0, "duration_ms"),
        where(sort == 0, "dwell_ms"),
        _INT64_0.alias("n_pings"),
        pl.col("n_legs"),
        *(
            where(sort.is_in([2 * place + 1, 2 * place + 2]), name)
            for place, name in enumerate(_GAP_CLASSES)
        ),
        where((sort > 0) & (sort % 2 == 0), "reported_ms"),
    ]
