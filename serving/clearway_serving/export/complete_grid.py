"""A row for each cell and window of a file, for readers that cannot do without."""

from __future__ import annotations

import polars as pl

from clearway_core.contracts.field import Contract, DataType
from clearway_core.contracts.window_columns import WINDOW_KEY
from clearway_core.errors import UsageError

WITHHELD = -1
"""Counts of a row that is withheld or that nobody made, in the Mobility Data Specification's
metrics: few and none look the same, so the mark tells nothing about either."""


def completed(rows: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Return public rows with one for every of their cells in every of their windows.

    Parameters
    ----------
    rows
        Public rows of one product and class.
    contract
        Theirs.

    Returns
    -------
    polars.DataFrame
        Rows that were added have counts of `WITHHELD` and no other value.

    Raises
    ------
    UsageError
        If the table does not hold one row per cell and window.
    """
    if contract.key != WINDOW_KEY:
        message = (
            f"--complete is for tables with one row per cell and window, {contract.name} is none"
        )
        raise UsageError(message)
    product = [name for name in WINDOW_KEY if name not in {"h3_cell", "window_start"}]
    windows = rows.select("window_start", "window_date", *product).unique()
    grid = rows.select("h3_cell").unique().join(windows, how="cross")
    counts = [
        field.name
        for field in contract.fields
        if field.dtype is DataType.INT64 and field.name.startswith("n_")
    ]
    added = grid.join(rows, on=list(contract.key), how="anti").with_columns(
        pl.lit(WITHHELD, dtype=pl.Int64).alias(name) for name in counts
    )
    return pl.concat([rows, added], how="diagonal").select(rows.columns).sort(contract.key)
