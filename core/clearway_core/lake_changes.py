"""What has been added to a table since a version, read from its log."""

from __future__ import annotations

import polars as pl
from deltalake.exceptions import DeltaError

from clearway_core.lake import Table

_ADDS_ROWS = "WRITE"
"""Delta's name of the operation that brings new rows; compaction and deletion have others."""


def files_added(table: Table, since: int) -> pl.DataFrame | None:
    """Return the files that brought new rows after a version, or None if that cannot be told.

    Parameters
    ----------
    table
        One that is only appended to, with statistics of ``observed_at``.
    since
        A version of it.

    Returns
    -------
    polars.DataFrame
        As `Table.files`. Files of compactions and deletions hold rows that were there
        before, and are left out. None where the log of those versions is gone.
    """
    delta = table.handle()
    nothing = table.files().clear()
    if delta is None:
        return nothing
    now = int(delta.version())
    if since >= now:
        return nothing if since == now else None
    commits = delta.history(limit=now - since)
    operations = {int(entry.get("version", -1)): entry["operation"] for entry in commits}
    versions = range(since + 1, now + 1)
    if any(version not in operations for version in versions):
        return None
    found = []
    try:
        for first, last in _runs([v for v in versions if operations[v] == _ADDS_ROWS]):
            before, after = table.files(first - 1), table.files(last)
            found.append(after.join(before, on="path", how="anti"))
    except DeltaError:
        return None
    return pl.concat([nothing, *found])


def rows_held(table: Table) -> pl.DataFrame:
    """Return ``n_rows`` per combination of partition values, from the log alone."""
    return table.files().group_by(table.contract.partition_by).agg(pl.col("n_rows").sum())


def _runs(versions: list[int]) -> list[tuple[int, int]]:
    """Return first and last of each run of successive versions."""
    runs: list[tuple[int, int]] = []
    for version in versions:
        if runs and runs[-1][1] == version - 1:
            runs[-1] = (runs[-1][0], version)
        else:
            runs.append((version, version))
    return runs
