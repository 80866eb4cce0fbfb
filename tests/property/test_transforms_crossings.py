"""Cells of fixes and of the pieces of legs are those that H3 gives, however they are found."""

from __future__ import annotations

import numpy as np
import polars as pl
import polars_h3
from hypothesis import given, settings
from hypothesis import strategies as st

from clearway_transforms.geometry.crossings import Chords, pieces_of
from clearway_transforms.geometry.location import asked, cells_of, within_parent
from clearway_transforms.geometry.outlines import Outlines

FEW = settings(max_examples=25, deadline=None)
WIDTH_DEG = 0.03


@st.composite
def tracks(draw):
    """Positions that wander about, in any part of the world, over the poles' rim and the 180th."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    lat = draw(st.floats(-85, 85)) + np.cumsum(rng.normal(0, 0.0004, 300))
    step = 0.0004 / np.cos(np.radians(lat))
    lon = draw(st.sampled_from([-180.0, 179.999, 0.0, 100.5, -122.4])) + np.cumsum(
        rng.normal(0, step)
    )
    return (lon + 180) % 360 - 180, lat


@FEW
@given(track=tracks(), resolution=st.sampled_from([9, 10]))
def test_cells_found_by_outlines_are_those_of_h3(track, resolution):
    lon, lat = track
    wanted = asked(lon, lat, resolution)
    assert (cells_of(lon, lat, resolution, Outlines()) == wanted).all()


@FEW
@given(track=tracks(), parent=st.sampled_from([7, 8]))
def test_fixes_within_a_parents_outline_are_those_that_h3_finds_there(track, parent):
    lon, lat = track
    cells = asked(lon, lat, 9)
    parents = pl.DataFrame({"cell": cells}).select(
        polars_h3.cell_to_parent(pl.col("cell"), parent).cast(pl.UInt64)
    )
    wanted = asked(lon, lat, parent) == parents.to_series().to_numpy()
    found = within_parent(cells, lon, lat, resolution=parent, outlines=Outlines())
    assert (found == wanted).all()


@FEW
@given(
    seed=st.integers(0, 2**32 - 1),
    lat_deg=st.floats(-65, 65),
    lon_deg=st.sampled_from([-180.0, 0.0, 100.5]),
    resolution=st.sampled_from([9, 10]),
)
def test_at_every_instant_a_piece_lies_in_the_cell_that_h3_names(
    seed, lat_deg, lon_deg, resolution
):
    rng = np.random.default_rng(seed)
    n = 40
    lat = lat_deg + rng.uniform(-0.01, 0.01, n)
    lon = (lon_deg + rng.uniform(-0.01, 0.01, n) + 180) % 360 - 180
    reach = rng.choice([0.0005, 0.003, WIDTH_DEG], n)
    chords = Chords(
        lon,
        lat,
        reach * rng.uniform(-1, 1, n),
        reach * rng.uniform(-1, 1, n),
        rng.integers(1, 300_000, n),
    )
    rows = np.arange(n)
    first = chords.cell_at(rows, np.zeros(n), resolution)
    last = chords.cell_at(rows, chords.duration_ms.astype(float), resolution)
    row, cell, from_ms = pieces_of(chords, first, last, resolution=resolution, outlines=Outlines())
    same = row[1:] == row[:-1]
    assert (np.unique(row) == rows).all()
    assert (np.diff(from_ms)[same] >= 0).all()
    until_ms = np.where(np.append(same, False), np.append(from_ms[1:], 0), chords.duration_ms[row])
    for share in (0.02, 0.5, 0.98):
        at_ms = from_ms + share * (until_ms - from_ms)
        found = chords.cell_at(row, at_ms, resolution)
        near_border = np.minimum(at_ms - from_ms, until_ms - at_ms) <= 1.5
        assert ((found == cell) | near_border).all()
