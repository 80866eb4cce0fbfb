"""Pages of the books: their bytes, their numbers, and drafts that may be thrown away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clearway_edge.outbox.ledger import PAST, Draft, Ledger, Opened, Page
from clearway_edge.outbox.outbox import Account, Stream

GPS = Stream(contract="gps_ping/1", boot=7, run=7)
HEALTH = Stream(contract="gateway_health/1", boot=7, run=7)
HOUR_MS = 3_600_000
PAGE = Page(
    id=3,
    stream=GPS,
    number=2,
    hour_start_ms=HOUR_MS,
    seq_first=10,
    seq_next=20,
    opened=Opened(at_ms=HOUR_MS + 5, monotonic_ms=7, tag="start-1"),
    read=12,
    delivered=4,
    spooled=5,
    spooled_bytes=50,
    dropped={"trip_end": 3},
    notes={"flagged.x": 1},
    most_at_once=6,
    told_in=9,
)


def at(hours: float, tag: str | None = None) -> Opened:
    return Opened(at_ms=round(hours * HOUR_MS), monotonic_ms=0, tag=tag)


def test_page_comes_back_from_its_bytes_as_it_was():
    assert Page.from_bytes(PAGE.to_bytes()) == PAGE


def test_page_is_not_believed_once_one_of_its_bytes_has_changed():
    body = PAGE.to_bytes()
    for place in range(len(body)):
        changed = bytearray(body)
        changed[place] ^= 1
        assert Page.from_bytes(bytes(changed)) is None


@pytest.mark.parametrize("data", [None, 1, "text", b""])
def test_what_is_no_page_is_none(data):
    assert Page.from_bytes(data) is None


def test_new_page_has_counted_nothing_and_was_never_told():
    draft = Draft(Ledger())
    page = draft.page_for(GPS, at(2.5, "start-1"))
    assert page.account == Account()
    assert (page.number, page.hour_start_ms, page.seq_first, page.seq_next) == (
        0,
        2 * HOUR_MS,
        0,
        0,
    )
    assert (page.spooled_bytes, page.most_at_once, page.aside, page.left_to, page.shift_ms) == (
        0,
    ) * 5
    assert (page.n_unclean_stops, page.n_unclean_at_most, page.told_in) == (0, 0, None)
    ledger = Ledger()
    ledger.take(draft)
    assert [(told.changed, told.closed) for told in ledger.accounts()] == [(True, False)]


def test_numbers_go_on_after_the_pages_of_the_past_and_of_other_runs_of_a_start():
    past = replace(PAGE, id=1, number=PAST, seq_next=9)
    assert Draft(Ledger([past])).page_for(GPS, at(1)).number == 0
    other_run = replace(PAGE, stream=replace(GPS, run=8))
    page = Draft(Ledger([past, other_run])).page_for(GPS, at(1))
    assert (page.id, page.number, page.seq_first) == (4, 3, 9)


def test_pages_of_one_draft_follow_each_other():
    draft = Draft(Ledger())
    first = draft.page_for(GPS, at(1))
    draft.set(first, seq_next=5)
    second = draft.page_for(GPS, at(2))
    assert (second.id, second.number, second.seq_first) == (first.id + 1, 1, 5)
    assert draft.page_for(GPS, at(2.9)) == second


def test_page_of_another_hour_or_clock_is_a_new_one_but_for_own_reports():
    draft = Draft(Ledger())
    ids = [draft.page_for(GPS, opened).id for opened in (at(1), at(1, "s"), at(2, "s"), at(2, "s"))]
    assert len(set(ids)) == 3
    own = [draft.page_for(HEALTH, opened).id for opened in (at(1), at(1, "s"), at(2))]
    assert len(set(own)) == 1


def test_draft_that_is_thrown_away_changes_nothing():
    ledger = Ledger([PAGE])
    draft = Draft(ledger)
    draft.remove(PAGE)
    draft.page_for(GPS, at(5))
    assert draft.waiting_bytes == 0
    assert (list(ledger.pages.values()), ledger.current, ledger.waiting_bytes) == ([PAGE], {}, 50)


def test_bytes_that_wait_are_those_of_the_pages_whatever_is_done_to_them():
    ledger = Ledger([PAGE, replace(PAGE, id=4, number=3, spooled_bytes=7)])
    draft = Draft(ledger)
    draft.mark(PAGE, spooled_bytes=20)
    draft.keep(replace(PAGE, id=4, spooled_bytes=1))
    draft.keep(replace(PAGE, id=9, spooled_bytes=2))
    assert draft.waiting_bytes == 20 + 1 + 2
    assert draft.page_for(GPS, at(1)).id == 10
    ledger.take(draft)
    assert ledger.waiting_bytes == 23
    draft = Draft(ledger)
    draft.remove(draft.page(9))
    ledger.take(draft)
    assert ledger.waiting_bytes == 21


def test_page_that_waits_for_nothing_is_over_once_its_hour_is():
    ledger = Ledger()
    draft = Draft(ledger)
    page = draft.set(draft.page_for(GPS, at(1)), spooled=1)
    own = draft.page_for(HEALTH, at(1))
    ledger.take(draft)
    ledger.turn(round(1.9 * HOUR_MS))
    assert ledger.current == {GPS: page.id, HEALTH: own.id}
    ledger.turn(2 * HOUR_MS)
    assert ledger.current == {HEALTH: own.id}
    assert [told.closed for told in ledger.accounts()] == [False]
    draft = Draft(ledger)
    draft.set(page, spooled=0)
    ledger.take(draft)
    assert [told.closed for told in ledger.accounts()] == [True]


def test_settled_pages_of_a_stream_are_summed_up_on_one_that_is_never_told():
    settled = replace(PAGE, spooled=0, spooled_bytes=0)
    ledger = Ledger([settled, replace(settled, id=4, number=3, seq_next=30)])
    draft = Draft(ledger)
    for page in list(ledger.pages.values()):
        draft.fold(page)
    ledger.take(draft)
    [past] = ledger.pages.values()
    assert (past.number, past.seq_next) == (PAST, 30)
    assert past.account == Account(
        read=24, delivered=8, dropped={"trip_end": 6}, notes={"flagged.x": 2}
    )
    assert (ledger.accounts(), ledger.current, ledger.streams()) == ([], {}, [GPS])
    draft = Draft(ledger)
    assert draft.past(GPS, at(1)) == past
    assert draft.latest(GPS) is None
    assert draft.page_for(GPS, at(1)).seq_first == 30


def test_latest_page_of_a_stream_is_the_one_with_the_highest_number():
    draft = Draft(Ledger([replace(PAGE, id=1, number=5), PAGE, replace(PAGE, id=9, stream=HEALTH)]))
    assert draft.latest(GPS) == replace(PAGE, id=1, number=5)


def test_page_without_numbers_leaves_the_first_one_to_the_next():
    ledger = Ledger()
    draft = Draft(ledger)
    draft.page_for(GPS, at(1))
    ledger.take(draft)
    assert Draft(ledger).page_for(GPS, at(2)).seq_first == 0


def test_stream_whose_open_page_was_removed_begins_another():
    ledger = Ledger()
    draft = Draft(ledger)
    page = draft.page_for(GPS, at(1))
    ledger.take(draft)
    draft = Draft(ledger)
    draft.remove(page)
    ledger.take(draft)
    ledger.turn(HOUR_MS)
    assert ledger.accounts() == []
    assert Draft(ledger).page_for(GPS, at(1)).id != page.id


def test_page_that_must_be_there_and_is_not_is_an_error():
    with pytest.raises(LookupError, match="page 8"):
        Draft(Ledger([PAGE])).page(8)
