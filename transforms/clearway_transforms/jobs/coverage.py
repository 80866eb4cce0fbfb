"""From the lake and the city pack to what the public figures leave out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from clearway_core.city import City
from clearway_core.geo import cells_in_geometry, parent_of
from clearway_core.lake import Lake
from clearway_transforms.congestion.cells import ALL_CLASSES
from clearway_transforms.jobs.product import Product
from clearway_transforms.release import coverage

FINER = 2
"""Steps of resolution by which an area is cut finer than the cells, to share its people out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """What the gate left out.

    Parameters
    ----------
    by_quintile
        From `clearway_transforms.release.coverage.suppression_by_quintile`. Without a city's
        people it has the row for all cells (quintile 0) and that for cells without people.
    missing
        Why there are no quintiles, such as 'not available: no population.csv'; None if there are.
    """

    by_quintile: pl.DataFrame
    missing: str | None


def suppression(
    lake: Lake,
    *,
    city: City | None,
    resolution: int = 8,
    window_minutes: int = 60,
    between: tuple[datetime, datetime] | None = None,
) -> Suppression:
    """Return which share of rows, vehicle time and populated cells is not public, and where.

    Parameters
    ----------
    lake
        Holds ``cell_travel`` of the product, and ``released_travel``.
    city
        Its ``areas.geojson`` and ``population.csv`` say who lives where.
    resolution, window_minutes
        A product of the ladder. [1], [min]
    between
        Only windows that begin in [from, to); None is all.
    """
    product = Product(resolution=resolution, window_minutes=window_minutes, city=city)
    every = product.scan(lake, "cell_travel").filter(pl.col("vehicle_class") == ALL_CLASSES)
    public = product.scan(lake, "released_travel")
    if between is not None:
        within = pl.col("window_start").is_between(*between, closed="left")
        every, public = every.filter(within), public.filter(within)
    places, missing = populated_cells(city, resolution)
    found = coverage.suppression_by_quintile(
        every.select("h3_cell", "window_start", "duration_ms").collect(),
        public.select("h3_cell", "window_start").collect(),
        places,
    )
    return Suppression(by_quintile=found, missing=missing)


def populated_cells(city: City | None, resolution: int) -> tuple[pl.DataFrame, str | None]:
    """Return the cells in which people live with their quintile, and what was missing if none.

    Parameters
    ----------
    city
        The city pack, or None.
    resolution
        H3 resolution of the cells.

    Returns
    -------
    tuple
        ``h3_cell``, ``population`` and ``quintile``, empty where the pack does not say; and why.
        An area's people are spread evenly over it; a cell is of the quintile of most of its people.
    """
    nobody = pl.DataFrame(
        schema={"h3_cell": pl.UInt64, "population": pl.Float64, "quintile": pl.Int64}
    )
    if city is None:
        return nobody, "not available: no city pack"
    population, outlines = city.file("population.csv"), city.file("areas.geojson")
    if population is None or outlines is None:
        named = (("population.csv", population), ("areas.geojson", outlines))
        absent = " and no ".join(name for name, file in named if file is None)
        return nobody, f"not available: no {absent}"
    people, shapes = pl.read_csv(population), _shapes(outlines)
    areas = coverage.with_quintile(people.filter(pl.col("area").is_in(list(shapes))))
    if areas.is_empty():
        return nobody, "not available: no area of population.csv is in areas.geojson"
    return shared_out(areas, shapes, resolution), None


def shared_out(
    areas: pl.DataFrame, shapes: dict[str, dict[str, object]], resolution: int
) -> pl.DataFrame:
    """Return cells with the people of the areas that they touch.

    Parameters
    ----------
    areas
        ``area``, ``population`` and ``quintile``.
    shapes
        GeoJSON geometry of each area.
    resolution
        H3 resolution of the cells.
    """
    parts = []
    for area, population, quintile in areas.select("area", "population", "quintile").iter_rows():
        fine = cells_in_geometry(shapes[area], resolution + FINER)
        cells = pl.Series("h3_cell", [parent_of(cell, resolution) for cell in fine], pl.UInt64)
        counts = cells.value_counts(name="n")
        parts.append(
            counts.select(
                "h3_cell",
                population=pl.col("n") / len(fine) * population,
                quintile=pl.lit(quintile, dtype=pl.Int64),
            )
        )
    return (
        pl.concat(parts)
        .group_by("h3_cell", "quintile")
        .agg(pl.col("population").sum())
        .sort("h3_cell", "population", "quintile")
        .group_by("h3_cell", maintain_order=True)
        .agg(pl.col("population").sum(), pl.col("quintile").last())
    )


def _shapes(file: Path) -> dict[str, dict[str, object]]:
    features = json.loads(file.read_text(encoding="utf-8"))["features"]
    return {feature["properties"]["name"]: feature["geometry"] for feature in features}
