"""What a zone is made of, and how much of it was observed."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from clearway_core import geo
from clearway_core.errors import InsufficientData
from clearway_core.lake import Lake
from clearway_models import lake as tables
from clearway_models.charge.zone import read_zone


def show_zone(lake: Lake, *, zone: Path, resolution: int | None = None) -> dict[str, object]:
    """Return cells, area and coverage of a zone.

    Parameters
    ----------
    lake
        Lake; without a congestion table the coverage is null.
    zone
        GeoJSON or H3 cells.
    resolution
        H3 resolution; None takes that of the congestion table, or 9.

    Raises
    ------
    UsageError
        If the zone file has faults.
    """
    try:
        grid = tables.find_grid(lake, resolution=resolution)
    except InsufficientData:
        grid = None
    used = grid.resolution if grid else resolution or geo.DEFAULT_RESOLUTION
    area = read_zone(zone, resolution=used)
    driven = None
    if grid is not None:
        rows = tables.zone_windows(lake, area.cells, grid, version=None)
        driven = int(
            rows.filter(pl.col("source_class").eq("observed"))
            .select(pl.col("h3_cell").n_unique())
            .collect()
            .item()
        )
    return {
        "name": area.name,
        "resolution": used,
        "n_cells": len(area.cells),
        "area_km2": round(area.area_km2, 3),
        "mean_crossing_km": round(area.crossing_km, 3),
        "n_driven_cells": driven,
        "driven_share": None if driven is None else round(driven / len(area.cells), 3),
        "cells": [geo.cell_text(cell) for cell in area.cells],
    }
