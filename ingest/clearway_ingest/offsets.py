"""What is committed: per table in its own commits, and for all of them in ``ingest_commits``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import polars as pl

from clearway_core.errors import UsageError
from clearway_core.lake import Lake
from clearway_core.stream.log import TopicPartition
from clearway_ingest.ranges import Counter

_SHARE = re.compile(r"([1-9]\d{0,3})/([1-9]\d{0,3})")
_PARTITION = ("log_id", "topic", "log_partition")
_COUNTER = {"contract": pl.String(), "gateway": pl.String(), "boot": pl.Int64()}


@dataclass(frozen=True, slots=True)
class Share:
    """Part `number` of `count` parts of the log's partitions.

    Parameters
    ----------
    number, count
        ``1`` and ``3`` for the first of three; each part is for one process only.
    """

    number: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            message = (
                f"a share is k/n with k from 1 to n, got {self.number}/{self.count}: three "
                "processes take 1/3, 2/3 and 3/3"
            )
            raise UsageError(message)

    def __contains__(self, where: TopicPartition) -> bool:
        return where.partition % self.count == self.number - 1


def parse_share(text: str) -> Share:
    """Return the share that a text such as ``1/3`` means.

    Raises
    ------
    UsageError
        If it means none.
    """
    match = _SHARE.fullmatch(text.strip())
    if match is None:
        message = f"a share looks like 1/3 (the first of three processes), got {text!r}"
        raise UsageError(message)
    return Share(int(match[1]), int(match[2]))


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
    rows = _below_committed(lake.table("received_ranges").scan(), lake)
    return rows.select(*Counter._fields, "seq_first", "seq_last").collect()


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
