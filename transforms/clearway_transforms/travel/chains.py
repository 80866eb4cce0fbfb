"""Legs too short to tell a speed by their positions are joined to longer ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from clearway_transforms.parameters import CongestionParameters
from clearway_transforms.travel.trips import HOUR_MS


def chain(parameters: CongestionParameters) -> pl.Expr:
    """Return, for fixes with the leg that ends at them, the number of `joined_chains`."""
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


def _short_runs(
    is_path: pl.Series, runs: pl.Series, gaps: pl.Series, at_least_ms: int
) -> pl.Series:
    return runs.filter(is_path & (gaps < at_least_ms)).unique().implode()
