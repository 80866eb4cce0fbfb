"""What the lake holds of numbered records: which numbers arrived, and which rows lie in tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import or_

import numpy as np
import numpy.typing as npt
import polars as pl

from clearway_core.lake import Lake, Table
from clearway_ingest.flush import TABLE_OF
from clearway_ingest.offsets import committed_places, written_after
from clearway_ingest.ranges import Counter, Span, Spans, merged

_PLACE = ("log_id", "topic", "log_partition")


HOSTS_APART = timedelta(hours=1)
"""Two ingest processes write the same tables by the clocks of two machines."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Numbers of one counter whose rows are to be counted."""

    counter: Counter
    spans: Sequence[Span]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that were counted."""

    n_stored: int
    n_quarantined: int


class Arrivals:
    """The committed numbers of some counters.

    Parameters
    ----------
    lake
        The lake.
    floors
        Lowest number that is wanted, by counter.
    """

    def __init__(self, lake: Lake, floors: Mapping[Counter, int]) -> None:
        self._lake = lake
        self._places = committed_places(lake, floors)
        self._spans: defaultdict[Counter, Spans] = defaultdict(Spans)
        for contract, gateway, boot, first, last in merged(self._places).iter_rows():
            self._spans[Counter(contract, gateway, boot)].add(Span(first, last))

    def of(self, counter: Counter) -> Spans:
        """Return the numbers of a counter that have arrived."""
        return self._spans[counter]

    def rows(self, asked: Sequence[Asked]) -> list[Rows]:
        """Return how many rows the tables hold of each set of numbers, doubles counted twice.

        Only messages that brought such numbers are looked at: which those are stands in
        ``received_ranges``.
        """
        stored, quarantined = [0] * len(asked), [0] * len(asked)
        for contract in sorted({each.counter.contract for each in asked}):
            places = self._messages(contract, asked)
            if places.is_empty():
                continue
            since = written_after(self._lake, places)
            if contract in TABLE_OF:
                table = self._lake.table(TABLE_OF[contract])
                _count(table, places, since, (_of(contract, asked), stored))
            _count(
                self._lake.table("quarantine"), places, since, (_of(contract, asked), quarantined)
            )
        return [Rows(*both) for both in zip(stored, quarantined, strict=True)]

    def _messages(self, contract: str, asked: Sequence[Asked]) -> pl.DataFrame:
        """Return first and last offset per partition of the messages that brought the numbers."""
        hull = pl.DataFrame(
            [
                (*each.counter, each.spans[0].first, each.spans[-1].last)
                for each in asked
                if each.counter.contract == contract and each.spans
            ],
            schema={
                **{name: self._places.schema[name] for name in Counter._fields},
                "wanted_first": pl.Int64(),
                "wanted_last": pl.Int64(),
            },
            orient="row",
        )
        keys = list(Counter._fields)
        widest = hull.group_by(keys).agg(pl.min("wanted_first"), pl.max("wanted_last"))
        return (
            self._places.join(widest, on=keys, how="inner", validate="m:1")
            .filter(
                (pl.col("seq_last") >= pl.col("wanted_first"))
                & (pl.col("seq_first") <= pl.col("wanted_last"))
            )
            .group_by(_PLACE)
            .agg(
                pl.col("log_offset").min().alias("offset_first"),
                pl.col("log_offset").max().alias("offset_last"),
                pl.col("boot").unique().alias("boots"),
            )
            .sort(_PLACE)
        )


Wanted = Mapping[tuple[str, int], Sequence[tuple[int, Asked]]]
"""Places in a list of counts, and the numbers that each is for, by gateway and boot."""


def _of(contract: str, asked: Sequence[Asked]) -> Wanted:
    wanted: defaultdict[tuple[str, int], list[tuple[int, Asked]]] = defaultdict(list)
    for at, each in enumerate(asked):
        if each.counter.contract == contract:
            wanted[each.counter.gateway, each.counter.boot].append((at, each))
    return wanted


def _count(
    table: Table, places: pl.DataFrame, since: datetime | None, into: tuple[Wanted, list[int]]
) -> None:
    """Add the rows of each set of numbers to its count, one day of the table at a time."""
    where = reduce(
        or_,
        (
            (pl.col("topic") == row["topic"])
            & (pl.col("log_partition") == row["log_partition"])
            & pl.col("log_offset").is_between(row["offset_first"], row["offset_last"])
            & pl.col("boot").is_in(row["boots"])
            for row in places.iter_rows(named=True)
        ),
    )
    wanted, counts = into
    for day in _days(table, since):
        rows = table.scan(day).filter(where).select("gateway", "boot", "seq").collect()
        for (gateway, boot), part in rows.group_by("gateway", "boot"):
            numbers = np.sort(part["seq"].to_numpy())
            for at, each in wanted.get((str(gateway), int(str(boot))), ()):
                counts[at] += _found(numbers, each.spans)


def _found(numbers: npt.NDArray[np.int64], spans: Sequence[Span]) -> int:
    """Return how many of sorted numbers lie in the spans."""
    firsts = np.array([span.first for span in spans], dtype=np.int64)
    lasts = np.array([span.last for span in spans], dtype=np.int64)
    found = np.searchsorted(numbers, lasts, "right") - np.searchsorted(numbers, firsts, "left")
    return int(found.sum())


def _days(table: Table, since: datetime | None) -> list[list[tuple[str, str, object]]]:
    """Return the conditions that read a table piece by piece: memory for a day, not for all.

    Days that no file was written for since are left out. Compaction writes, too; what it joins
    was written before.
    """
    if "observed_date" not in table.contract.partition_by:
        return [[]]
    times = table.partition_times()
    if since is not None:
        times = times.filter(pl.col("written_at") >= since - HOSTS_APART)
    return [[("observed_date", "=", day)] for day in times["observed_date"].unique().sort()]
