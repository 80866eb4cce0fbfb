"""Distance and time of legs, shared out exactly among the cells and windows that they cross.

All sums are whole millimetres and milliseconds: they are the same in whatever order, batches or
number of buckets the rows are added.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import polars_h3

from clearway_core.contracts.wire import VEHICLE_CLASSES
from clearway_transforms.parameters import CongestionParameters
from clearway_transforms.sphere import distance_between_m
from clearway_transforms.trips import COUNTED, HOUR_MS

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

OUTLINE_COUNTS = {resolution: f"n_pings_r{resolution}" for resolution in (7, 8, 9)}
"""Columns with the fixes that also lie within the outline of a coarser cell.

An H3 parent is not exactly the union of its children: a fix near the border may lie in a child, but
outside the parent's hexagon, which is what a map shows.
"""

GROUP = ("vehicle_code", "vehicle_class", "h3_cell", "window")
_PIECE_GROUP = (*GROUP, "sort_of_time")

_CLASS = pl.col("vehicle_class").fill_null("unknown").cast(pl.Enum(VEHICLE_CLASSES))

_INT64_0, _INT64_1 = (pl.lit(number, dtype=pl.Int64) for number in (0, 1))

_LEG_COLUMNS = (
    "vehicle_code",
    "vehicle_class",
    "kind",
    "start_ms",
    "end_ms",
    "start_lon_deg",
    "start_lat_deg",
    "start_cell",
    "end_lon_deg",
    "end_lat_deg",
    "end_cell",
    "reported_mm",
)


def cell_of(lon: str, lat: str, resolution: int) -> pl.Expr:
    """Return the H3 cell of two columns of degrees, as uint64."""
    cell: pl.Expr = polars_h3.latlng_to_cell(lat, lon, resolution, return_dtype=pl.UInt64)
    return cell


def counted_legs(
    paired: pl.LazyFrame, parameters: CongestionParameters, resolution: int
) -> pl.LazyFrame:
    """Return the legs that count, short path pairs joined, with distance and cells of their ends.

    Parameters
    ----------
    paired
        From `clearway_transforms.trips.pair_fixes`.
    parameters
        Thresholds.
    resolution
        H3 resolution of the cells.

    Returns
    -------
    polars.LazyFrame
        One row per leg with ``distance_mm`` and ``duration_ms``; a dwelling leg has distance 0.

    Notes
    -----
    Fixes are sampled evenly in time, so the mean of reported speeds, weighted by time, is the
    space-mean speed (Edie 1963); distance is then the mean of the leg's two speeds times its gap.
    Without reported speeds distance is the chord between the fixes; pairs closer than
    ``path_min_gap_s`` would turn position noise into speed and are joined to longer ones.
    """
    legs = (
        paired.with_columns(
            end_cell=cell_of("lon_deg", "lat_deg", resolution),
            vehicle_class=_CLASS,
        )
        .with_columns(start_cell=pl.col("end_cell").shift(1), chain=_chain(parameters))
        .filter(pl.col("kind").is_in(COUNTED) & (pl.col("chain") >= 0))
        .rename({"observed_ms": "end_ms", "lon_deg": "end_lon_deg", "lat_deg": "end_lat_deg"})
        .with_columns(
            reported_mm=((pl.col("start_speed_kmh") + pl.col("speed_kmh")) / 7.2 * pl.col("gap_ms"))
        )
        .select("chain", *_LEG_COLUMNS)
    )
    # Only members of a joined chain share its number; all others have one of their own.
    alone = legs.filter(pl.col("chain") == 0).drop("chain")
    joined = (
        legs.filter(pl.col("chain") > 0)
        .group_by("chain", maintain_order=True)
        .agg(
            pl.col("vehicle_code", "vehicle_class", "kind").first(),
            pl.col("^start_.*$").first(),
            pl.col("^end_.*$").last(),
            pl.col("reported_mm").first(),
        )
        .select(_LEG_COLUMNS)
    )
    return pl.concat([alone, joined]).with_columns(
        distance_mm=_distance_mm(), duration_ms=pl.col("end_ms") - pl.col("start_ms")
    )


def allocate(legs: pl.LazyFrame, parameters: CongestionParameters, resolution: int) -> pl.LazyFrame:
    """Return each leg's share of every cell and 15-minute window that it crosses.

    Parameters
    ----------
    legs
        From `counted_legs`.
    parameters
        Thresholds.
    resolution
        H3 resolution of the cells.

    Returns
    -------
    polars.LazyFrame
        Pieces with `GROUP`, ``sort_of_time``, ``distance_mm``, ``time_ms`` and ``n_legs``.
        Distance and time of the pieces of a leg add up to the leg's own, exactly.

    Notes
    -----
    A leg is cut at the window's border to the millisecond, then along its chord into equal parts
    of at most a quarter of a cell's edge, each given to the cell of its middle. Whole numbers are
    shared by rounding the running total, so no part is off by a whole unit. The leg itself is
    counted once, where its middle lies.
    """
    first = pl.col("start_ms") // WINDOW_MS
    last = (pl.col("end_ms") - 1) // WINDOW_MS
    legs = legs.with_columns(window=first, crosses=last > first, sort_of_time=_sort_of_time())
    whole = legs.filter(~pl.col("crosses")).with_columns(
        part_start_ms="start_ms", part_end_ms="end_ms"
    )
    border = (pl.col("window") + 1) * WINDOW_MS
    cut = legs.filter("crosses")
    before = cut.with_columns(part_start_ms="start_ms", part_end_ms=border)
    after = cut.with_columns(
        part_start_ms=border, part_end_ms="end_ms", window=pl.col("window") + 1
    )
    parts = pl.concat([whole, before, after])
    still = (pl.col("start_cell") == pl.col("end_cell")) | (pl.col("kind") == "dwell")
    inside = parts.filter(still).with_columns(
        h3_cell="start_cell", piece=_INT64_0, n_pieces=_INT64_1
    )
    across = _sampled(parts.filter(~still), parameters, resolution)
    return pl.concat([each.select(*_PIECE_GROUP, *_shares()) for each in (_timed(inside), across)])


def count_fixes(paired: pl.LazyFrame, resolution: int) -> pl.LazyFrame:
    """Return the number of fixes at an end of a counted leg, per vehicle, cell and window.

    Those that also lie within the outline of the cell's parents are in `OUTLINE_COUNTS`.
    """
    counts = pl.col("kind").is_in(COUNTED).fill_null(value=False)
    return (
        paired.filter(counts | counts.shift(-1, fill_value=False))
        .select(
            "vehicle_code",
            _CLASS,
            cell_of("lon_deg", "lat_deg", resolution).alias("h3_cell"),
            (pl.col("observed_ms") // WINDOW_MS).alias("window"),
            "lon_deg",
            "lat_deg",
        )
        .with_columns(
            _lies_within(coarser, resolution).alias(name)
            for coarser, name in OUTLINE_COUNTS.items()
        )
        .group_by(GROUP)
        .agg(
            pl.len().cast(pl.Int64).alias("n_pings"),
            *(pl.col(name).sum().cast(pl.Int64) for name in OUTLINE_COUNTS.values()),
        )
    )


def _lies_within(coarser: int, resolution: int) -> pl.Expr:
    """Return whether a fix lies in the hexagon of its cell's parent."""
    if coarser >= resolution:
        return pl.lit(value=True)
    parent = polars_h3.cell_to_parent(pl.col("h3_cell"), coarser).cast(pl.UInt64)
    return cell_of("lon_deg", "lat_deg", coarser).eq(parent)


def add_up(pieces: pl.LazyFrame, fixes: pl.LazyFrame) -> pl.LazyFrame:
    """Return the sums of `SUMS` and `OUTLINE_COUNTS` per vehicle, class, cell and window."""
    by_sort = pieces.group_by(_PIECE_GROUP).agg(pl.col("distance_mm", "time_ms", "n_legs").sum())
    return (
        pl.concat([by_sort.select(*GROUP, *_sums_by_sort()), fixes], how="diagonal")
        .group_by(GROUP)
        .agg(pl.col(name).sum() for name in (*SUMS, *OUTLINE_COUNTS.values()))
    )


def joined_chains(gap_ms: np.ndarray, run: np.ndarray, *, at_least_ms: int) -> np.ndarray:
    """Return which successive legs are joined, so that each joined one is long enough.

    Parameters
    ----------
    gap_ms
        Gaps of legs in order. [ms]
    run
        Legs are joined only within one run; equal numbers stand together.
    at_least_ms
        A leg this long stands alone. [ms]

    Returns
    -------
    numpy.ndarray
        Per leg: the number from 1 of the joined leg that it belongs to, 0 if it stands alone, -1
        if its whole run is too short.

    Notes
    -----
    Legs are taken up until the sum is long enough. What is left at the end of a run goes to the
    joined leg before it.
    """
    member = np.zeros(len(gap_ms), dtype=np.int64)
    number, total, current_run, open_from, previous = 0, 0, None, 0, 0
    gaps, runs = gap_ms.tolist(), run.tolist()
    for index in range(len(gaps) + 1):
        ended = index == len(gaps) or runs[index] != current_run
        if ended and total:
            member[open_from:index] = previous or -1
        if index == len(gaps):
            break
        if ended:
            current_run, total, previous = runs[index], 0, 0
        if total == 0:
            open_from = index
        total += gaps[index]
        if total >= at_least_ms:
            number += 1
            member[open_from : index + 1] = previous = number
            total = 0
    return member


def _chain(parameters: CongestionParameters) -> pl.Expr:
    at_least_ms = round(parameters.path_min_gap_s * 1000)
    path = pl.col("kind").eq("path").fill_null(value=False)
    hour = pl.col("start_ms") // HOUR_MS
    run = (~path | ~path.shift(1, fill_value=False) | hour.ne(hour.shift(1))).cum_sum()

    def chains(columns: Sequence[pl.Series]) -> pl.Series:
        is_path, runs, gaps = columns
        members = np.zeros(len(is_path), dtype=np.int64)
        mask = (
            is_path.to_numpy()
            & runs.is_in(_short_runs(is_path, runs, gaps, at_least_ms)).to_numpy()
        )
        members[mask] = joined_chains(
            gaps.filter(pl.Series(mask)).to_numpy(),
            runs.filter(pl.Series(mask)).to_numpy(),
            at_least_ms=at_least_ms,
        )
        return pl.Series(members)

    return pl.map_batches([path, run, pl.col("gap_ms")], chains, return_dtype=pl.Int64)


def _short_runs(
    is_path: pl.Series, runs: pl.Series, gaps: pl.Series, at_least_ms: int
) -> pl.Series:
    return runs.filter(is_path & (gaps < at_least_ms)).unique().implode()


def _chord_m() -> pl.Expr:
    return distance_between_m(
        pl.col("start_lon_deg"),
        pl.col("start_lat_deg"),
        pl.col("end_lon_deg"),
        pl.col("end_lat_deg"),
    )


def _distance_mm() -> pl.Expr:
    return (
        pl.when(pl.col("kind") == "dwell")
        .then(_INT64_0)
        .when(pl.col("kind") == "reported")
        .then(pl.col("reported_mm").round())
        .otherwise((_chord_m() * 1000).round())
        .cast(pl.Int64)
    )


def _sort_of_time() -> pl.Expr:
    """Return 0 for dwell, else 2 x the place of the gap in `_GAP_CLASSES`, + 1 if reported, + 1."""
    gap_class = pl.sum_horizontal(
        (pl.col("duration_ms") > limit_ms).cast(pl.Int8) for limit_ms in _GAP_LIMITS_MS
    )
    reported = (pl.col("kind") == "reported").cast(pl.Int8)
    moving = (2 * gap_class + reported + 1).cast(pl.Int8)
    return pl.when(pl.col("kind") == "dwell").then(pl.lit(0, dtype=pl.Int8)).otherwise(moving)


def _timed(parts: pl.LazyFrame) -> pl.LazyFrame:
    """Return parts with the place of their time within the leg's."""
    return parts.with_columns(
        offset_ms=pl.col("part_start_ms") - pl.col("start_ms"),
        part_ms=pl.col("part_end_ms") - pl.col("part_start_ms"),
    )


def _sampled(
    parts: pl.LazyFrame, parameters: CongestionParameters, resolution: int
) -> pl.LazyFrame:
    """Return parts as pieces along their chord, each with the cell of its middle."""
    step_m = parameters.edge_m(resolution) / parameters.samples_per_edge
    whole_ms = pl.col("duration_ms")
    n_pieces = (_chord_m() * pl.col("part_ms") / whole_ms / step_m).ceil().cast(pl.Int64)
    # The short way round, also where a leg crosses the 180th meridian.
    east = (pl.col("end_lon_deg") - pl.col("start_lon_deg") + 540) % 360 - 180
    north = pl.col("end_lat_deg") - pl.col("start_lat_deg")
    begin, step = pl.col("offset_ms") / whole_ms, pl.col("part_ms") / whole_ms / pl.col("n_pieces")
    middle = pl.col("piece") + 0.5
    lon = (pl.col("lon_deg") + middle * pl.col("lon_step_deg") + 180) % 360 - 180
    return (
        _timed(parts)
        .with_columns(n_pieces=n_pieces.clip(lower_bound=1))
        .select(
            *(name for name in _PIECE_GROUP if name != "h3_cell"),
            *("distance_mm", "duration_ms", "offset_ms", "part_ms", "n_pieces"),
            lon_deg=pl.col("start_lon_deg") + begin * east,
            lat_deg=pl.col("start_lat_deg") + begin * north,
            lon_step_deg=east * step,
            lat_step_deg=north * step,
            piece=pl.int_ranges(0, pl.col("n_pieces")),
        )
        .explode("piece")
        .with_columns(lon_deg=lon, lat_deg=pl.col("lat_deg") + middle * pl.col("lat_step_deg"))
        .with_columns(h3_cell=cell_of("lon_deg", "lat_deg", resolution))
    )


def _shares() -> list[pl.Expr]:
    """Return what of its leg's distance, time and count each piece gets."""
    part, piece, n_pieces = pl.col("part_ms"), pl.col("piece"), pl.col("n_pieces")
    whole_ms, distance_mm = pl.col("duration_ms"), pl.col("distance_mm")
    from_ms = pl.col("offset_ms") + part * piece // n_pieces
    to_ms = pl.col("offset_ms") + part * (piece + 1) // n_pieces
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
