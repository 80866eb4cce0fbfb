"""What has been added to a table since a version, read from its log."""

from __future__ import annotations

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from clearway_core.contracts.field import Contract
from clearway_core.lake import Table
from clearway_core.schema import polars_schema

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
        The partition columns, ``first_at`` and ``last_at`` (null where a file has no statistics)
        and ``n_rows``, a row per file. Files of compactions and deletions hold rows that were there
        before, and are left out. None where the log of those versions is gone.
    """
    delta = table.handle()
    nothing = _files(None, table.contract).drop("path")
    if delta is None:
        return nothing
    now = int(delta.version())
    if since >= now:
        return nothing if since == now else None
    operations = {int(entry.get("version", -1)): entry["operation"] for entry in delta.history()}
    versions = range(since + 1, now + 1)
    if any(version not in operations for version in versions):
        return None
    found = []
    try:
        for first, last in _runs([v for v in versions if operations[v] == _ADDS_ROWS]):
            before = _files(table.handle_at(first - 1), table.contract)
            after = _files(table.handle_at(last), table.contract)
            found.append(after.join(before.select("path"), on="path", how="anti"))
    except DeltaError:
        return None
    return pl.concat([nothing, *(each.drop("path") for each in found)])


def rows_held(table: Table) -> pl.DataFrame:
    """Return ``n_rows`` per combination of partition values, from the log alone."""
    files = _files(table.handle(), table.contract)
    return files.group_by(table.contract.partition_by).agg(pl.col("n_rows").sum())


def _runs(versions: list[int]) -> list[tuple[int, int]]:
    """Return first and last of each run of successive versions."""
    runs: list[tuple[int, int]] = []
    for version in versions:
        if runs and runs[-1][1] == version - 1:
            runs[-1] = (runs[-1][0], version)
        else:
            runs.append((version, version))
    return runs


def _files(delta: DeltaTable | None, contract: Contract) -> pl.DataFrame:
    names = contract.partition_by
    schema = {
        "path": pl.String(),
        **{name: polars_schema(contract)[name] for name in names},
        "first_at": pl.Datetime("us", "UTC"),
        "last_at": pl.Datetime("us", "UTC"),
        "n_rows": pl.Int64(),
    }
    if delta is None:
        return pl.DataFrame(schema=schema)
    actions = pl.DataFrame(delta.get_add_actions(flatten=True))
    wanted = {
        "path": "path",
        **{f"partition.{name}": name for name in names},
        "min.observed_at": "first_at",
        "max.observed_at": "last_at",
        "num_records": "n_rows",
    }
    return actions.select(
        (pl.col(old) if old in actions.columns else pl.lit(None)).cast(schema[new]).alias(new)
        for old, new in wanted.items()
    )
