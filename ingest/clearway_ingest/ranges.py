"""Which sequence numbers of each gateway have arrived, so that a resent batch adds nothing.

Whether a record is new may depend only on what is committed and on earlier messages of the same
partition. Then a restart, which reads the same messages again in other portions, decides the same
for every record, and a table that already has a message's rows can skip it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import NamedTuple, TypeVar

import numpy as np
import polars as pl

Value = TypeVar("Value")


class Counter(NamedTuple):
    """Whose numbers these are: they count from 0 per contract, gateway and boot."""

    contract: str
    gateway: str
    boot: int


class Span(NamedTuple):
    """Consecutive numbers, both ends included."""

    first: int
    last: int


class Spans:
    """A set of whole numbers, kept as disjoint spans in rising order."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    def __iter__(self) -> Iterator[Span]:
        return map(Span, self._firsts, self._lasts)

    def copy(self) -> Spans:
        """Return an independent copy."""
        twin = Spans()
        twin._firsts, twin._lasts = list(self._firsts), list(self._lasts)
        return twin

    def within(self, first: int, stop: int) -> list[Span]:
        """Return the numbers from `first` to before `stop`, in rising order."""
        if stop <= first:
            return []
        low = bisect_left(self._lasts, first)
        high = bisect_left(self._firsts, stop, lo=low)
        return [
            Span(max(self._firsts[at], first), min(self._lasts[at], stop - 1))
            for at in range(low, high)
        ]

    def add(self, span: Span) -> list[Span]:
        """Add the numbers and return those that were not there yet, in rising order."""
        # Everything that overlaps or touches the span: [low, high) of the lists.
        low = bisect_left(self._lasts, span.first - 1)
        high = bisect_right(self._firsts, span.last + 1, lo=low)
        new: list[Span] = []
        at = span.first
        for first, last in zip(self._firsts[low:high], self._lasts[low:high], strict=True):
            if at < first:
                new.append(Span(at, min(first - 1, span.last)))
            at = max(at, last + 1)
        if at <= span.last:
            new.append(Span(at, span.last))
        if high > low:
            span = Span(min(span.first, self._firsts[low]), max(span.last, self._lasts[high - 1]))
        self._firsts[low:high] = [span.first]
        self._lasts[low:high] = [span.last]
        return new


def spans_of(spans: Iterable[Span]) -> Spans:
    """Return the set of all numbers in the spans."""
    together = Spans()
    for span in spans:
        together.add(span)
    return together


def size(spans: Iterable[Span]) -> int:
    """Return how many numbers disjoint spans hold."""
    return sum(span.last - span.first + 1 for span in spans)


@dataclass(frozen=True, slots=True)
class Taken:
    """What of a batch is new.

    Parameters
    ----------
    spans
        The new numbers.
    mask
        Whether each record is new, or None if all are.
    """

    spans: Sequence[Span]
    mask: Sequence[bool] | None

    def pick(self, values: Sequence[Value]) -> Sequence[Value]:
        """Return the values of the new records."""
        return values if self.mask is None else list(compress(values, self.mask))


class Received:
    """The numbers that have arrived: committed ones of every log, then those of each partition.

    Parameters
    ----------
    committed
        Rows of ``received_ranges`` below the committed offset of their partition. Those above it
        belong to messages that will be read again.
    """

    def __init__(self, committed: pl.DataFrame) -> None:
        self._committed: dict[Counter, Spans] = {}
        for contract, gateway, boot, first, last in merged(committed).iter_rows():
            counter = Counter(contract, gateway, boot)
            self._committed.setdefault(counter, Spans()).add(Span(first, last))
        self._by_partition: dict[tuple[int, Counter], Spans] = {}

    def take(self, partition: int, counter: Counter, seq: Sequence[int]) -> Taken:
        """Note the numbers of a batch as arrived and say which of its records are new.

        Parameters
        ----------
        partition
            Partition of the topic that the batch came through.
        counter
            Whose numbers they are.
        seq
            Numbers in the batch's order; a number that repeats is new once.
        """
        known = self._by_partition.get((partition, counter))
        if known is None:
            known = self._committed.get(counter, Spans()).copy()
            self._by_partition[partition, counter] = known
        spans: list[Span] = []
        mask = np.zeros(len(seq), dtype=bool)
        for start, run in _runs(seq):
            for new in known.add(run):
                spans.append(new)
                mask[start + new.first - run.first : start + new.last - run.first + 1] = True
        return Taken(spans, None if mask.all() else mask.tolist())


def merged(ranges: pl.DataFrame) -> pl.DataFrame:
    """Return ranges with those that overlap or touch joined: a row per message is too many."""
    counter = list(Counter._fields)
    highest_so_far = pl.col("seq_last").cum_max().shift().over(counter)
    begins = (pl.col("seq_first") - 1 > highest_so_far).fill_null(value=True)
    return (
        ranges.sort(*counter, "seq_first")
        .with_columns(run=begins.cum_sum())
        .group_by(*counter, "run", maintain_order=True)
        .agg(pl.col("seq_first").min(), pl.col("seq_last").max())
        .select(*counter, "seq_first", "seq_last")
    )


def _runs(seq: Sequence[int]) -> Iterator[tuple[int, Span]]:
    """Yield each run of consecutive numbers with the position of its first record."""
    if not seq:
        return
    numbers = np.asarray(seq, dtype=np.int64)
    starts = np.concatenate(([0], np.flatnonzero(np.diff(numbers) != 1) + 1))
    ends = np.concatenate((starts[1:] - 1, [len(numbers) - 1]))
    for start, first, last in zip(
        starts.tolist(), numbers[starts].tolist(), numbers[ends].tolist(), strict=True
    ):
        yield start, Span(first, last)
