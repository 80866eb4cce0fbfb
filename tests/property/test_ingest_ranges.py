"""Received numbers behave as a set of numbers."""

from __future__ import annotations

from itertools import pairwise

import polars as pl
from hypothesis import example, given
from hypothesis import strategies as st

from clearway_ingest.ranges import Counter, Received, Span, Spans, merged, size, spans_of

SPAN = st.tuples(st.integers(0, 40), st.integers(0, 8)).map(lambda p: Span(p[0], p[0] + p[1]))
GW = Counter("gps_ping/1", "gw-1", 1)
SCHEMA = {
    "contract": pl.String,
    "gateway": pl.String,
    "boot": pl.Int64,
    "seq_first": pl.Int64,
    "seq_last": pl.Int64,
}


def _numbers(spans):
    return [number for span in spans for number in range(span.first, span.last + 1)]


@given(st.lists(SPAN, max_size=12))
def test_adding_spans_returns_exactly_the_numbers_that_were_not_there(spans):
    held, model = Spans(), set()
    for span in spans:
        wanted = sorted(set(_numbers([span])) - model)
        new = held.add(span)
        assert _numbers(new) == wanted
        assert all(part.first <= part.last for part in new)
        model.update(wanted)
        assert _numbers(held) == sorted(model)
    kept = list(held)
    # Spans that touch are joined: memory grows with gaps, not with batches.
    assert all(a.last + 1 < b.first for a, b in pairwise(kept))


@given(st.lists(SPAN, max_size=12), st.integers(-1, 60), st.integers(-1, 60))
@example([Span(0, 9)], 5, 5)
@example([Span(0, 5), Span(9, 12)], 5, 9)
def test_what_lies_within_bounds_is_what_a_set_of_numbers_says(spans, first, stop):
    held = spans_of(spans)
    assert size(held) == len(set(_numbers(spans)))
    found = held.within(first, stop)
    assert _numbers(found) == sorted(n for n in set(_numbers(spans)) if first <= n < stop)
    assert all(span.first <= span.last for span in found)


@given(st.lists(SPAN, max_size=6), st.lists(SPAN, max_size=6))
def test_a_copy_and_its_original_go_their_own_ways(spans, more):
    held = spans_of(spans)
    twin = held.copy()
    for span in more:
        twin.add(span)
    assert _numbers(held) == sorted(set(_numbers(spans)))
    assert _numbers(twin) == sorted(set(_numbers([*spans, *more])))


@given(st.lists(st.tuples(st.integers(1, 2), SPAN), max_size=12), st.integers(0, 12))
@example([(1, Span(0, 1)), (1, Span(3, 4)), (1, Span(5, 6))], 1)
def test_ranges_are_joined_into_as_few_as_there_are_gaps_in_whatever_pieces(rows, cut):
    frames = [
        pl.DataFrame([(*GW._replace(boot=b), *s) for b, s in part], schema=SCHEMA, orient="row")
        for part in (rows, rows[:cut], rows[cut:])
    ]
    found = merged(frames[0])
    wanted = [
        (*GW._replace(boot=boot), *span)
        for boot in (1, 2)
        for span in spans_of(span for b, span in rows if b == boot)
    ]
    assert found.rows() == wanted
    assert merged(pl.concat(merged(part) for part in frames[1:])).rows() == wanted


@given(st.lists(st.lists(st.integers(0, 30), max_size=12), max_size=6))
def test_each_number_is_new_once_in_any_order_and_batch(batches):
    received, model = Received(pl.DataFrame(schema=SCHEMA)), set()
    for seq in batches:
        wanted = []
        for number in seq:
            wanted.append(number not in model)
            model.add(number)
        taken = received.take(0, GW, seq)
        assert taken.pick(wanted) == [True] * sum(wanted)
        assert taken.pick(seq) == [n for n, new in zip(seq, wanted, strict=True) if new]
        assert sorted(_numbers(taken.spans)) == sorted(taken.pick(seq))


@given(st.lists(SPAN, max_size=12), st.lists(st.integers(0, 60), max_size=20, unique=True))
def test_committed_ranges_are_known_in_whatever_pieces_they_were_written(spans, seq):
    rows = [(*GW, *span) for span in spans] + [(*GW._replace(boot=2), 0, 100)]
    received = Received(pl.DataFrame(rows, schema=SCHEMA, orient="row"))
    known = set(_numbers(spans))
    assert list(received.take(0, GW, seq).pick(seq)) == [n for n in seq if n not in known]


def test_partitions_do_not_see_what_others_have_not_committed():
    received = Received(pl.DataFrame(schema=SCHEMA))
    assert received.take(0, GW, [1, 2]).mask is None
    assert received.take(1, GW, [1, 2]).mask is None
    assert received.take(0, GW, [1, 2]).mask == [False, False]
