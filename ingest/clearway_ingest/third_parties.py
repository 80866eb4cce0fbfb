"""Records without identity: known by their table's key, against the lake and among themselves."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from clearway_core.lake import Table
from clearway_core.stream.log import TopicPartition
from clearway_ingest.batch import HAS_IDENTITY, POSITION

_ROW = "row"


def drop_known(
    rows: pl.DataFrame, table: Table, held: Callable[[TopicPartition], int]
) -> pl.DataFrame:
    """Return the rows without those that have no identity and whose key was there before.

    Only the days that such rows touch are read, and only the time that they span. A message that
    the table already covers keeps the verdict that it got then: its rows are in the table, or they
    were known already.

    Parameters
    ----------
    rows
        Valid rows in the order of arrival, with ``has_identity``.
    table
        The table that they are for.
    held
        Next offset that the table lacks, per partition.
    """
    if rows[HAS_IDENTITY].all():
        return rows
    key = list(table.contract.key)
    rows = rows.with_row_index(_ROW)
    keyed = rows.filter(~pl.col(HAS_IDENTITY))
    seen = _same_time(table, keyed).select(*key, *POSITION).collect()
    first = rows.filter(pl.int_range(pl.len()).over(key) == 0).select(_ROW)
    covered = _covered(keyed, held)
    again = (
        keyed.filter(covered)
        .unique([*key, *POSITION], keep="first")
        .join(seen, on=[*key, *POSITION], how="semi")
    )
    fresh = keyed.filter(~covered).join(first, on=_ROW, how="semi").join(seen, on=key, how="anti")
    kept = pl.concat([again.select(_ROW), fresh.select(_ROW)])
    return rows.join(
        pl.concat([kept, rows.filter(pl.col(HAS_IDENTITY)).select(_ROW)]),
        on=_ROW,
        how="semi",
        maintain_order="left",
    ).drop(_ROW)


def _same_time(table: Table, keyed: pl.DataFrame) -> pl.LazyFrame:
    days = sorted(set(keyed["observed_date"].to_list()))
    partitions: list[tuple[str, str, object]] = [("observed_date", "in", days)]
    if "vehicle_bucket" in keyed.columns:
        buckets = sorted(set(keyed["vehicle_bucket"].to_list()))
        partitions.append(("vehicle_bucket", "in", buckets))
    low, high = keyed["observed_at"].min(), keyed["observed_at"].max()
    return table.scan(partitions).filter(pl.col("observed_at").is_between(low, high))


def _covered(rows: pl.DataFrame, held: Callable[[TopicPartition], int]) -> pl.Series:
    partitions = rows.select("topic", "log_partition").unique()
    covered = pl.repeat(value=False, n=len(rows), dtype=pl.Boolean, eager=True)
    for topic, number in partitions.iter_rows():
        where = (pl.col("topic") == topic) & (pl.col("log_partition") == number)
        below = pl.col("log_offset") < held(TopicPartition(topic, number))
        covered = covered | rows.select(where & below).to_series()
    return covered
