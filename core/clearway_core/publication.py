"""Which version of a table the outside may see: the newest that passed its quality gate."""

from __future__ import annotations

import polars as pl

from clearway_core.lake import Lake

JOURNAL = "quality_checks"


def passed_version(lake: Lake, table: str) -> int | None:
    """Return the newest version of a table that passed the gate, or None if none did.

    Whatever is published is read at this version. Where one version was checked twice, the later
    result counts: a table that passed before its contract was tightened does not stay passed.

    Parameters
    ----------
    lake
        Lake with the table and the journal of checks.
    table
        Name of the table.
    """
    newest = (
        lake.table(JOURNAL)
        .scan()
        .filter(pl.col("table_name") == table)
        .sort("checked_at", maintain_order=True)
        .group_by("table_version")
        .agg(pl.col("passed").last())
        .filter("passed")
        .select(pl.col("table_version").max())
        .collect()
        .item()
    )
    return None if newest is None else int(newest)
