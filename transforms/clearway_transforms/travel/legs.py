"""Pairs of fixes that count, as legs with distance, duration and the cells of their ends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from clearway_core.contracts.wire import VEHICLE_CLASSES
from clearway_transforms.geometry.location import cells_of, within_parent
from clearway_transforms.geometry.outlines import known_outlines
from clearway_transforms.geometry.sphere import distance_between_m
from clearway_transforms.parameters import CongestionParameters
from clearway_transforms.travel.chains import chain
from clearway_transforms.travel.trips import COUNTED

OUTLINE_COUNTS = {resolution: f"n_pings_r{resolution}" for resolution in (7, 8, 9)}
"""Columns with the fixes that also lie within the outline of a coarser cell.

An H3 parent is not exactly the union of its children: a fix near the border may lie in a child, but
outside the parent's hexagon, which is what a map shows.
"""

CLASS = pl.col("vehicle_class").fill_null("unknown").cast(pl.Enum(VEHICLE_CLASSES))
"""Of a fix; unknown where it was not told."""

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


def located(fixes: pl.LazyFrame, resolution: int) -> pl.LazyFrame:
    """Return fixes with their cell, and whether they lie within the outlines of its parents.

    Adds ``h3_cell`` and, for the coarser of `OUTLINE_COUNTS`, ``within_r7`` and the like. Fixes
    that have a cell already are returned as they are.
    """
    schema = fixes.collect_schema()
    if "h3_cell" in schema:
        return fixes
    coarser = [each for each in OUTLINE_COUNTS if each < resolution]

    def locate(rows: pl.DataFrame) -> pl.DataFrame:
        outlines = known_outlines()
        lon, lat = rows["lon_deg"].to_numpy(), rows["lat_deg"].to_numpy()
        cells = cells_of(lon, lat, resolution, outlines)
        within = {
            within_column(each): within_parent(cells, lon, lat, resolution=each, outlines=outlines)
            for each in coarser
        }
        return rows.with_columns(h3_cell=cells, **within)

    added = {"h3_cell": pl.UInt64(), **{within_column(each): pl.Boolean() for each in coarser}}
    return fixes.map_batches(
        locate,
        schema={**schema, **added},
        predicate_pushdown=False,
        projection_pushdown=False,
    )


def within_column(resolution: int) -> str:
    """Return the column that says whether a fix lies within its cell's parent."""
    return f"within_r{resolution}"


def counted_legs(paired: pl.LazyFrame, parameters: CongestionParameters) -> pl.LazyFrame:
    """Return the legs that count, short path pairs joined, with distance and cells of their ends.

    Parameters
    ----------
    paired
        From `clearway_transforms.travel.trips.pair_fixes`, with the cells of `located`.
    parameters
        Thresholds.

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
            vehicle_class=CLASS,
            end_cell="h3_cell",
            start_cell=pl.col("h3_cell").shift(1),
            chain=chain(parameters),
        )
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


def _distance_mm() -> pl.Expr:
    """Return the distance of legs; chords are worked out only where they are asked for."""
    ends = ("start_lon_deg", "start_lat_deg", "end_lon_deg", "end_lat_deg")

    def chords(columns: Sequence[pl.Series]) -> pl.Series:
        path, *positions = columns
        asked = pl.DataFrame(positions).filter(path)
        chord_m = distance_between_m(*(pl.col(name) for name in ends))
        millimetres = np.zeros(len(path))
        millimetres[path.to_numpy()] = asked.select(chord_m * 1000).to_series().to_numpy()
        return pl.Series(millimetres)

    told = pl.when(pl.col("kind") == "reported").then(pl.col("reported_mm"))
    chord_mm = pl.map_batches([pl.col("kind") == "path", *ends], chords, return_dtype=pl.Float64)
    return told.otherwise(chord_mm).round().cast(pl.Int64)
