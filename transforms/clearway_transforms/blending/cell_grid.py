"""Neighbours and parents of H3 cells, as numbers within a list of cells."""

from __future__ import annotations

import numpy as np
import polars as pl
import polars_h3
from h3.api import basic_int as h3

from clearway_transforms.blending.evidence import Floats, Ints

RING = 6
"""Neighbours of a hexagon; a pentagon has one less."""


def neighbours(cells: np.ndarray) -> Ints:
    """Return the numbers of each cell's neighbours, -1 where one is not in the list.

    Parameters
    ----------
    cells
        Distinct H3 cells in rising order, uint64.
    """
    found = np.full((len(cells), RING), -1, dtype=np.int64)
    number = {cell: index for index, cell in enumerate(cells.tolist())}
    for index, cell in enumerate(cells.tolist()):
        ring = sorted(set(h3.grid_disk(cell, 1)) - {cell})
        for place, other in enumerate(ring):
            found[index, place] = number.get(other, -1)
    return found


def distances(cells: np.ndarray, neighbours: Ints) -> Floats:
    """Return how far a cell and its neighbours lie from each other, in steps of the grid.

    Parameters
    ----------
    cells, neighbours
        See `neighbours`.

    Returns
    -------
    numpy.ndarray
        Cells by 7 by 7, the cell itself first; of neighbours that are not there, 0. [1]
    """
    frame = pl.DataFrame({"cell": cells}, schema={"cell": pl.UInt64}).select(
        lat=polars_h3.cell_to_lat("cell"), lon=polars_h3.cell_to_lng("cell")
    )
    lat, lon = np.radians(frame["lat"].to_numpy()), np.radians(frame["lon"].to_numpy())
    around = np.concatenate([np.arange(len(cells))[:, None], neighbours], axis=1)
    around = np.where(around >= 0, around, around[:, :1])
    north = lat[around] - lat[:, None]
    turn = (lon[around] - lon[:, None] + np.pi) % (2 * np.pi) - np.pi
    east = turn * np.cos(lat)[:, None]
    apart: Floats = np.hypot(
        north[:, :, None] - north[:, None, :], east[:, :, None] - east[:, None, :]
    )
    step = apart[:, 0, 1:][neighbours >= 0]
    return apart / np.median(step) if step.size else apart


def parents(cells: np.ndarray, resolution: int) -> Ints:
    """Return the number of each cell's parent at a coarser resolution, from 0."""
    frame = pl.DataFrame({"cell": cells}, schema={"cell": pl.UInt64})
    parent = frame.select(polars_h3.cell_to_parent("cell", resolution).cast(pl.UInt64)).to_series()
    return np.unique(parent.to_numpy(), return_inverse=True)[1].astype(np.int64)
