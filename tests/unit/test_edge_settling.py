"""How batches leave the books, also after damage: page by page, in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clearway_core.contracts.wire import GPS_PING
from clearway_core.stream.batch import Batch, encode
from clearway_edge.outbox.batch_store import Head, Row, row_id
from clearway_edge.outbox.ledger import PAST, Draft, Ledger, Opened, Page
from clearway_edge.outbox.memory_outbox import MemoryBatches
from clearway_edge.outbox.outbox import DAMAGED, EVICTED_SIZE, Stream
from clearway_edge.outbox.settling import (
    arrived_after_all,
    bring_over,
    leave,
    strayed,
)

GPS = Stream(contract="gps_ping/1", boot=7, run=7)
OPENED = Opened(at_ms=3_600_000, monotonic_ms=0)
PAGE = Page(
    id=1,
    stream=GPS,
    number=0,
    hour_start_ms=3_600_000,
    seq_first=0,
    seq_next=20,
    opened=OPENED,
    read=20,
    spooled=20,
    spooled_bytes=200,
)


def draft_of(*pages: Page) -> Draft:
    return Draft(Ledger(pages))


def row(counter: int = 1, *, n: int = 10, page: int = 1, payload: bytes = b"x" * 100, **more):
    number = row_id(counter, "gps_ping/1", more.pop("clock", None), held=more.pop("held", False))
    return Row(number, page, n, 0, None, payload, **more)


def batch_of(n: int, boot: int = 7) -> bytes:
    names = [f"{number:032x}" for number in range(n)]
    batch = Batch(
        contract="gps_ping/1", gateway="gw", boot=boot, seq=range(n), columns={"vehicle": names}
    )
    return encode(batch, GPS_PING)


def held_in(store: MemoryBatches) -> list[Row]:
    return store.ready(99, None)


def test_batch_without_a_page_goes_and_the_others_are_counted():
    draft, store = draft_of(PAGE), MemoryBatches()
    rows = [row(1, page=9), row(2)]
    for each in rows:
        store.insert(each)
    leave(draft, store, [each.head for each in rows], None)
    assert held_in(store) == []
    assert (draft.page(1).spooled, draft.page(1).delivered) == (10, 10)
    assert draft.find(9) is None


def test_damaged_batch_leaves_no_more_records_and_bytes_than_its_page_has():
    draft, store = draft_of(PAGE), MemoryBatches()
    leave(draft, store, [Head(row(1).id, 1, 15, 900, 0)], DAMAGED)
    assert (draft.page(1).spooled, draft.page(1).spooled_bytes) == (5, 0)
    draft = draft_of(PAGE)
    leave(draft, store, [Head(row(1).id, 1, 25, 60, 0)], DAMAGED)
    page = draft.page(1)
    assert (page.spooled, page.spooled_bytes, page.dropped) == (0, 0, {DAMAGED: 20})
    assert (page.account.missing, draft.waiting_bytes) == (0, 0)


def test_page_knows_how_far_its_batches_have_left_of_those_that_leave_in_order():
    page = draft_of(PAGE)
    for counter, more, left_to in (
        (8, {"clock": "start-1"}, 0), (9, {"held": True}, 0), (5, {}, 5), (3, {}, 5), (7, {}, 7),
    ):  # fmt: skip
        head = Head(row(counter, **more).id, 1, 1, 1, 0)
        leave(page, MemoryBatches(), [head], None)
        assert page.page(1).left_to == left_to


@pytest.mark.parametrize(
    ("dropped", "delivered", "left"),
    [
        ({EVICTED_SIZE: 25, "late": 1}, 10, {EVICTED_SIZE: 15, "late": 1}),
        ({EVICTED_SIZE: 6}, 6, {}),  # it was damaged: fewer were counted
        ({"late": 1}, 0, {"late": 1}),
    ],
)
def test_batch_that_arrived_after_all_takes_back_what_was_counted_for_it(dropped, delivered, left):
    draft = draft_of(replace(PAGE, dropped=dropped))
    arrived_after_all(draft, row(1).head, EVICTED_SIZE)
    assert (draft.page(1).delivered, draft.page(1).dropped) == (delivered, left)


def test_batch_that_arrived_after_its_page_had_left_changes_nothing():
    draft = draft_of(PAGE)
    arrived_after_all(draft, row(1, page=9).head, EVICTED_SIZE)
    assert draft.changed == {}


def test_batch_whose_page_is_lost_is_counted_by_what_it_says_and_goes_on():
    draft, store = draft_of(PAGE), MemoryBatches()
    for counter, n in ((1, 4), (2, 6)):
        lost = row(counter, n=n, page=9, payload=batch_of(n, boot=8))
        store.insert(lost)
        strayed(draft, store, lost, OPENED)
    [first, second] = held_in(store)
    assert first.page == second.page != 9
    page = draft.page(first.page)
    assert (page.stream, page.number) == (Stream(contract="gps_ping/1", boot=8, run=8), PAST)
    assert (page.read, page.spooled, page.account.missing) == (10, 10, 0)
    assert page.spooled_bytes == len(batch_of(4, boot=8)) + len(batch_of(6, boot=8))
    assert page.hour_start_ms == OPENED.at_ms


def test_batch_whose_page_is_lost_and_that_says_nothing_goes():
    draft, store = draft_of(PAGE), MemoryBatches()
    lost = row(1, page=9, payload=b"junk")
    store.insert(lost)
    strayed(draft, store, lost, OPENED)
    assert held_in(store) == []
    assert draft.changed == {}


ASIDE = replace(PAGE, aside=20, spooled_bytes=0)
"""All of it still lies in a damaged file."""


def bring(draft, store, each, max_bytes=10_000):
    bring_over(draft, store, each, max_bytes=max_bytes, opened=OPENED)


def test_batch_of_a_damaged_file_waits_again_as_it_did():
    draft, store = draft_of(ASIDE), MemoryBatches()
    bring(draft, store, row(1), max_bytes=100)
    assert held_in(store) == [row(1)]
    page = draft.page(1)
    assert (page.aside, page.spooled, page.spooled_bytes) == (10, 20, 100)
    assert draft.waiting_bytes == 100


def test_batch_of_a_damaged_file_that_finds_no_room_is_given_up_as_the_oldest():
    draft, store = draft_of(ASIDE), MemoryBatches()
    bring(draft, store, row(1), max_bytes=100)
    bring(draft, store, row(2), max_bytes=199)
    assert held_in(store) == [row(1)]
    page = draft.page(1)
    assert (page.aside, page.spooled, page.dropped) == (0, 10, {EVICTED_SIZE: 10})
    assert page.account.missing == 0


def test_batch_of_a_damaged_file_that_had_left_already_stays_there():
    draft, store = draft_of(replace(ASIDE, aside=9)), MemoryBatches()
    bring(draft, store, row(1))
    assert held_in(store) == []
    assert draft.changed == {}


def test_last_batch_of_a_damaged_file_comes_over_too():
    draft, store = draft_of(replace(ASIDE, aside=10)), MemoryBatches()
    bring(draft, store, row(1))
    assert draft.page(1).aside == 0
    assert held_in(store) == [row(1)]


def test_batch_of_a_damaged_file_whose_page_is_lost_is_counted_by_what_it_says():
    draft, store = draft_of(), MemoryBatches()
    lost = row(1, n=3, page=9, payload=batch_of(3))
    bring(draft, store, lost)
    [kept] = held_in(store)
    assert draft.page(kept.page).account.spooled == 3
