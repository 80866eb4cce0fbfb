"""Where straight legs cross the borders of H3 cells, to the millisecond."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clearway_transforms.geometry.location import asked
from clearway_transforms.geometry.outlines import Outlines

MOST_CELLS = 4096
"""A leg is searched for so many cells at most; one of 300 s at 160 km/h crosses about 50."""


@dataclass(frozen=True, slots=True)
class Chords:
    """Straight lines in longitude and latitude, each driven at one speed.

    Parameters
    ----------
    lon_deg, lat_deg
        Beginnings. [°]
    east_deg, north_deg
        How far each goes, the short way round. [°]
    duration_ms
        How long it takes. [ms]
    """

    lon_deg: np.ndarray
    lat_deg: np.ndarray
    east_deg: np.ndarray
    north_deg: np.ndarray
    duration_ms: np.ndarray

    def crossed_ms(
        self, outlines: Outlines, rows: np.ndarray, cells: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return when each of these lines enters and leaves a cell, from its beginning [ms]."""
        enters, leaves = outlines.crossed(
            outlines.places(cells),
            self.lon_deg[rows],
            self.lat_deg[rows],
            east_deg=self.east_deg[rows],
            north_deg=self.north_deg[rows],
        )
        return enters * self.duration_ms[rows], leaves * self.duration_ms[rows]

    def cell_at(self, rows: np.ndarray, at_ms: np.ndarray, resolution: int) -> np.ndarray:
        """Return the cell in which each of these lines is at an instant."""
        share = at_ms / self.duration_ms[rows]
        lon = self.lon_deg[rows] + share * self.east_deg[rows]
        lat = self.lat_deg[rows] + share * self.north_deg[rows]
        return asked((lon + 180) % 360 - 180, lat, resolution)


def pieces_of(
    chords: Chords,
    start_cell: np.ndarray,
    end_cell: np.ndarray,
    *,
    resolution: int,
    outlines: Outlines,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the cells that each line runs through, in order, and when it enters them.

    Parameters
    ----------
    chords
        Lines whose ends lie in different cells.
    start_cell, end_cell
        Those cells.
    resolution
        H3 resolution.
    outlines
        Of the cells known so far.

    Returns
    -------
    tuple
        Row of the line, cell, and milliseconds from its beginning at which it enters.

    Notes
    -----
    The line leaves its first cell and enters its last where it crosses their sides. If that is not
    the same instant, the cell at half time between is looked up, and the two stretches that it
    leaves over likewise, until none is longer than a millisecond.
    """
    rows = np.arange(start_cell.size)
    after = np.clip(chords.crossed_ms(outlines, rows, start_cell)[1], 0, chords.duration_ms)
    until = np.clip(chords.crossed_ms(outlines, rows, end_cell)[0], after, chords.duration_ms)
    found_rows, found_cells = [np.repeat(rows, 2)], [np.ravel((start_cell, end_cell), order="F")]
    found_ms = [np.ravel((np.zeros(rows.size), until), order="F")]
    for _ in range(MOST_CELLS):
        open_ = until - after > 1
        rows, after, until = rows[open_], after[open_], until[open_]
        if rows.size == 0:
            break
        middle = (after + until) / 2
        cells = chords.cell_at(rows, middle, resolution)
        enters, leaves = chords.crossed_ms(outlines, rows, cells)
        # At least a millisecond of the middle, whatever rounding does to a clipped corner.
        enters = np.clip(enters, after, middle - 0.5)
        leaves = np.clip(leaves, middle + 0.5, until)
        found_rows.append(rows)
        found_cells.append(cells)
        found_ms.append(enters)
        rows = np.concatenate((rows, rows))
        after, until = np.concatenate((after, leaves)), np.concatenate((enters, until))
    # Halves always up: entries a millisecond apart stay apart.
    at_ms = np.floor(np.concatenate(found_ms) + 0.5).astype(np.int64)
    row = np.concatenate(found_rows)
    order = np.argsort(row * 2**32 + at_ms, kind="stable")
    return row[order], np.concatenate(found_cells)[order], at_ms[order]
