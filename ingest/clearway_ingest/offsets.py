"""What is committed: per table in its own commits, and for all of them in ``ingest_commits``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import cast

import polars as pl

from clearway_core.lake import Lake
from clearway_core.stream.log import TopicPartition
from clearway_ingest.ranges import Counter, merged

_PARTITION = ("log_id", "topic", "log_partition")
_ROWS_AT_ONCE = 500_000
"""There is a row for each message that ever came; a few numbers are left of a million of them."""

_COUNTER = {"contract": pl.String(), "gateway": pl.String(), "boot": pl.Int64()}


def app_id(log_id: str, where: TopicPartition) -> str:
    """Return the name under which tables commit the next offset of a partition."""
    return f"clearway-ingest:{log_id}:{where.topic}:{where.partition}"


def committed_offsets(lake: Lake, log_id: str) -> Mapping[TopicPartition, int]:
    """Return where each partition of a log continues; nothing for a partition never read."""
    rows = (
        lake.table("ingest_commits")
        .scan()
        .filter(pl.col("log_id") == log_id)
        .group_by("topic", "log_partition")
        .agg(pl.col("next_offset").max())
        .collect()
    )
    return {
        TopicPartition(topic, partition): offset for topic, partition, offset in rows.iter_rows()
    }


def committed_ranges(lake: Lake) -> pl.DataFrame:
    """Return the received ranges of messages below their partition's committed offset.

    Rows above it were written by a run that did not finish: their messages will be read again and
    must not look as if they had arrived before. Ranges of other logs and partitions count, so that
    nothing is stored twice after a move to another broker or to more partitions.
    """
    rows = lake.table("received_ranges").scan()
    n_rows = rows.select(pl.len()).collect().item()
    names = (*Counter._fields, "seq_first", "seq_last")
    return pl.concat(
        merged(_below_committed(rows.slice(at, _ROWS_AT_ONCE), lake).select(names).collect())
        for at in range(0, max(n_rows, 1), _ROWS_AT_ONCE)
    )


def committed_places(lake: Lake, floors: Mapping[Counter, int]) -> pl.DataFrame:
    """Return the committed ranges of some counters, each with its message's place in the log.

    Parameters
    ----------
    lake
        The lake.
    floors
        Lowest number that is wanted, by counter.
    """
    wanted = pl.DataFrame(
        [(*counter, floor) for counter, floor in floors.items()],
        schema={**_COUNTER, "floor": pl.Int64()},
        orient="row",
    )
    boots = wanted["boot"].unique().to_list()
    rows = lake.table("received_ranges").scan().filter(pl.col("boot").is_in(boots))
    return (
        _below_committed(rows, lake)
        .join(wanted.lazy(), on=list(Counter._fields), how="inner", validate="m:1")
        .filter(pl.col("seq_last") >= pl.col("floor"))
        .select(*Counter._fields, "seq_first", "seq_last", *_PARTITION, "log_offset")
        .collect()
    )


def written_after(lake: Lake, places: pl.DataFrame) -> datetime | None:
    """Return a time before which no row of some messages was written; None for any time.

    A table gets the rows of a message after the commit before the one that covers it.

    Parameters
    ----------
    lake
        The lake.
    places
        ``log_id``, ``topic``, ``log_partition`` and ``offset_first`` of the messages.
    """
    before = (
        lake.table("ingest_commits")
        .scan()
        .join(places.lazy(), on=list(_PARTITION), how="inner")
        .filter(pl.col("next_offset") <= pl.col("offset_first"))
        .group_by(_PARTITION)
        .agg(pl.col("committed_at").max())
        .collect()
    )
    if len(before) < len(places):
        return None
    return cast("datetime | None", before["committed_at"].min())


def _below_committed(ranges: pl.LazyFrame, lake: Lake) -> pl.LazyFrame:
    commits = (
        lake.table("ingest_commits").scan().group_by(_PARTITION).agg(pl.col("next_offset").max())
    )
    return ranges.join(commits, on=_PARTITION, how="inner", validate="m:1").filter(
        pl.col("log_offset") < pl.col("next_offset")
    )
