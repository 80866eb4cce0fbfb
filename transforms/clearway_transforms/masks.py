"""Yes or no for each row of a frame, from functions of whole numpy columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl


def where(
    mask: Callable[..., np.ndarray], columns: Sequence[str | pl.Expr], **limits: float
) -> pl.Expr:
    """Return whether a mask is true, row by row.

    Parameters
    ----------
    mask
        Takes the columns as arrays, then the limits, and returns an array of booleans.
    columns
        In the order of the mask's arguments.
    limits
        Its other arguments.
    """

    def ask(series: Sequence[pl.Series]) -> pl.Series:
        return pl.Series(mask(*(each.to_numpy() for each in series), **limits))

    return pl.map_batches(columns, ask, return_dtype=pl.Boolean)
