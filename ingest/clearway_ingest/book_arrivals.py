"""What the lake holds of numbered records: which numbers arrived, and which rows lie in tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

import numpy as np
import polars as pl

from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.lake import Lake, Table
from clearway_ingest.flush import TABLE_OF
from clearway_ingest.offsets import committed_places
from clearway_ingest.ranges import Counter, Span, Spans, merged

_PLACE = ("topic", "log_partition")


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
    counters
        Whose numbers.
    """

    def __init__(self, lake: Lake, counters: Iterable[Counter]) -> None:
        self._lake = lake
        self._places = committed_places(lake, counters)
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
            if contract in TABLE_OF:
                _count(self._lake.table(TABLE_OF[contract]), contract, places, (asked, stored))
            _count(self._lake.table("quarantine"), contract, places, (asked, quarantined))
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


def _count(
    table: Table,
    contract: str,
    places: pl.DataFrame,
    into: tuple[Sequence[Asked], list[int]],
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
    if "contract" in LAKE_CONTRACTS[table.contract.name].columns:
        where &= pl.col("contract") == contract
    asked, counts = into
    by_origin: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for at, each in enumerate(asked):
        if each.counter.contract == contract:
            by_origin[each.counter.gateway, each.counter.boot].append(at)
    for day in _days(table):
        rows = table.scan(day).filter(where).select("gateway", "boot", "seq").collect()
        for (gateway, boot), part in rows.group_by("gateway", "boot"):
            _add(part["seq"], by_origin.get((str(gateway), int(str(boot))), ()), asked, counts)


def _add(
    seq: pl.Series, positions: Iterable[int], asked: Sequence[Asked], counts: list[int]
) -> None:
    numbers = np.sort(seq.to_numpy())
    for at in positions:
        firsts = np.array([span.first for span in asked[at].spans], dtype=np.int64)
        lasts = np.array([span.last for span in asked[at].spans], dtype=np.int64)
        found = np.searchsorted(numbers, lasts, "right") - np.searchsorted(numbers, firsts, "left")
        counts[at] += int(found.sum())


def _days(table: Table) -> list[list[tuple[str, str, object]]]:
    """Return the conditions that read a table piece by piece: memory for a day, not for all."""
    if "observed_date" not in table.contract.partition_by:
        return [[]]
    held: Mapping[str, pl.Series] = table.partition_values().to_dict()
    return [[("observed_date", "=", day)] for day in held["observed_date"].unique().sort()]
