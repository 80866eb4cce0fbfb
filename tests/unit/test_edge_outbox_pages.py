"""Pages of the books, and what gives way in a full outbox, over every outbox."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from doubles.edge_doubles import TurnableClock
from doubles.edge_outboxes import OUTBOXES, Outboxes

from clearway_core.clock import from_ms, to_ms
from clearway_core.errors import OutboxFull
from clearway_edge.condition.gateway_status import read_status
from clearway_edge.outbox.books import books_parcel
from clearway_edge.outbox.outbox import (
    EVICTED_AGE,
    EVICTED_SIZE,
    Bounds,
    Parcel,
    Stream,
)
from clearway_edge.outbox.sqlite_outbox import SqliteOutbox

GPS = Stream(contract="gps_ping/1", boot=7, run=7)
AIR = Stream(contract="air_reading/1", boot=7, run=7)
HEALTH = Stream(contract="gateway_health/1", boot=7, run=7)
HOUR_MS = 3_600_000


def parcel(payload=b"x" * 100, n=10, stream=GPS, next_seq=10, **more):
    return Parcel(stream=stream, payload=payload, n_read=n, n_records=n, next_seq=next_seq, **more)


@pytest.fixture(params=OUTBOXES)
def make(request, tmp_path):
    boxes = Outboxes(request.param, tmp_path)
    yield lambda bounds=None, clock=None, **more: boxes(bounds, clock or TurnableClock(), **more)
    boxes.close()


def tell(box, seq=0):
    made = books_parcel("gw-1", box.pages(), observed_at_ms=0, boot=9, first_seq=seq)
    if made is not None:
        box.put(made)
    return made


def deliver(box):
    while batches := box.waiting(100):
        box.accept([batch.id for batch in batches])


@pytest.mark.parametrize("turn", [timedelta(hours=1), timedelta(hours=-1), timedelta(days=-400)])
def test_hour_that_changes_in_either_direction_begins_a_new_page(make, turn):
    clock = TurnableClock()
    box = make(clock=clock)
    box.put(parcel(next_seq=10))
    clock.jump_to(clock.now() + turn)
    box.put(parcel(next_seq=20))
    clock.jump_to(clock.now() - turn)
    box.put(parcel(next_seq=30))
    pages = box.pages()
    assert [page.number for page in pages] == [0, 1, 2]
    assert [(page.seq_first, page.seq_next) for page in pages] == [(0, 10), (10, 20), (20, 30)]
    assert pages[0].hour_start_ms == pages[2].hour_start_ms != pages[1].hour_start_ms
    assert sum(page.account.read for page in pages) == box.account(GPS).read == 30


def test_what_is_given_up_is_counted_on_the_page_that_read_it(make):
    clock = TurnableClock()
    box = make(Bounds(max_bytes=250, max_age_s=7000), clock)
    box.put(parcel(next_seq=10))
    clock.forward(3600)
    box.put(parcel(next_seq=20))
    box.put(parcel(next_seq=30))
    clock.forward(3600)
    box.put(parcel(b"y" * 50, next_seq=40))
    clock.forward(4000)
    assert box.expire() == 20
    dropped = [page.account.dropped for page in box.pages()]
    assert dropped == [{EVICTED_SIZE: 10}, {EVICTED_AGE: 20}, {}]
    assert all(page.account.missing == 0 for page in box.pages())


def test_gps_gives_way_first_then_air_and_health_last(make):
    box = make(Bounds(max_bytes=400))
    box.put(parcel(b"h" * 100, stream=HEALTH))
    box.put(parcel(b"a" * 100, stream=AIR))
    box.put(parcel(b"g" * 100))
    box.put(parcel(b"f" * 100, held=True))
    box.put(parcel(b"b" * 100, stream=AIR))
    assert [b.payload[:1] for b in [*box.waiting(9), *box.held()]] == [b"h", b"a", b"b", b"f"]
    box.put(parcel(b"i" * 100, stream=HEALTH))
    box.put(parcel(b"j" * 100, stream=HEALTH))
    assert [b.payload[:1] for b in box.waiting(9)] == [b"h", b"i", b"j", b"b"]
    assert box.held() == []


def test_new_fixes_never_take_the_place_of_older_air_readings(make):
    box = make(Bounds(max_bytes=250))
    box.put(parcel(b"a" * 100, stream=AIR))
    box.put(parcel(b"b" * 100, stream=AIR))
    with pytest.raises(OutboxFull, match="may not give way"):
        box.put(parcel(b"g" * 100))
    assert [b.payload[:1] for b in box.waiting(9)] == [b"a", b"b"]
    assert box.account(GPS).read == 0


def test_page_leaves_once_its_last_word_was_delivered_and_not_before(make):
    clock = TurnableClock()
    box = make(clock=clock)
    box.put(parcel())
    first = tell(box)
    assert first is not None
    assert first.n_records == 1
    assert tell(box) is None  # nothing has changed
    deliver(box)
    assert [page.changed for page in box.pages()] == [True]  # delivered, but the hour goes on
    clock.forward(3600)
    assert tell(box, seq=1) is not None
    assert [(page.closed, page.changed) for page in box.pages()] == [(True, False)]
    deliver(box)
    assert box.pages() == []
    assert box.account(GPS).delivered == 10


def test_page_whose_hour_goes_on_stays_when_its_word_was_delivered(make):
    box = make()
    box.put(parcel())
    tell(box)
    [_, batch] = box.waiting(9)
    box.accept([batch.id])
    tell(box, seq=1)
    deliver(box)
    assert [(page.closed, page.changed) for page in box.pages()] == [(False, False)]


def test_word_that_was_evicted_is_told_again_and_no_other(make):
    box = make()
    for stream in (GPS, AIR):
        box.put(Parcel(stream=stream, payload=b"", n_read=1, n_records=0, next_seq=0,
                       dropped={"bad_checksum": 1}))  # fmt: skip
        tell(box)
    first, second = box.waiting(9)
    box.reject([first.id], EVICTED_SIZE)
    assert [page.changed for page in box.pages()] == [True, False]
    box.accept([second.id])
    assert [page.changed for page in box.pages()] == [True, False]


def test_delivered_word_lets_only_its_own_page_leave(make):
    clock = TurnableClock()
    box = make(clock=clock)
    for stream in (GPS, AIR):
        box.put(replace(parcel(b"", 0, stream), n_read=1, dropped={"bad_checksum": 1}))
    clock.forward(3600)
    for page in box.pages():
        word = books_parcel("gw-1", [page], observed_at_ms=0, boot=9, first_seq=page.id)
        assert word is not None
        box.put(word)
    for left in ([AIR], []):
        box.accept([batch.id for batch in box.waiting(1)])
        assert [page.stream for page in box.pages()] == left
    assert {stream: box.account(stream).read for stream in (GPS, AIR)} == {GPS: 1, AIR: 1}


def test_word_that_was_delivered_is_not_told_again_after_a_restart(tmp_path):
    for _ in range(2):
        box = SqliteOutbox(tmp_path / "outbox.sqlite", None, TurnableClock())
        if not box.pages():
            box.put(parcel())
            tell(box)
            [word, _] = box.waiting(9)
            box.accept([word.id])
        assert [page.changed for page in box.pages()] == [False]
        box.close()


def test_word_that_was_evicted_is_told_again(make):
    clock = TurnableClock()
    box = make(clock=clock)
    box.put(parcel())
    deliver(box)
    clock.forward(3600)
    tell(box)
    box.reject([batch.id for batch in box.waiting(9)], EVICTED_SIZE)
    assert [page.changed for page in box.pages()] == [True]


def test_word_of_which_the_log_took_all_is_not_told_again(make):
    box = make()
    box.put(parcel())
    tell(box)
    [word, _] = box.waiting(9)
    box.settle(word.id, n_dropped=0, reason="message_too_large")
    assert [page.changed for page in box.pages()] == [False]


def test_word_that_the_log_did_not_take_is_told_again(make):
    clock = TurnableClock()
    box = make(clock=clock)
    box.put(parcel())
    deliver(box)
    clock.forward(3600)
    tell(box)
    [word] = box.waiting(9)
    box.settle(word.id, n_dropped=1, reason="message_too_large")
    assert [(page.closed, page.changed) for page in box.pages()] == [(True, True)]


def test_page_that_changed_after_its_word_stays(make):
    clock = TurnableClock()
    box = make(clock=clock)
    box.put(parcel())
    clock.forward(3600)
    tell(box)
    deliver(box)  # the batch itself left after the word: the page says something new
    [page] = box.pages()
    assert (page.closed, page.changed, page.account.delivered) == (True, True, 10)


def test_exchange_counts_on_the_pages_that_read_the_records(make):
    clock = TurnableClock()
    box = make(clock=clock)
    box.put(parcel(b"one", held=True))
    clock.forward(3600)
    box.put(parcel(b"two", next_seq=20, held=True))
    one, two = box.held()
    box.exchange(
        [one.id, two.id],
        replace(parcel(b"cut"), n_records=7, n_read=0, page=two.page),
        dropped={GPS: {"trip_end": 13}},
    )
    first, second = (page.account for page in box.pages())
    assert (first.spooled, first.dropped) == (0, {"trip_end": 10})
    assert (second.spooled, second.dropped) == (7, {"trip_end": 3})
    assert first.missing == second.missing == 0


def test_exchange_gives_up_no_more_than_it_was_told_over_all_pages(make):
    clock = TurnableClock()
    box = make(clock=clock)
    box.put(parcel(b"one", held=True))
    clock.forward(3600)
    box.put(parcel(b"two", next_seq=20, held=True))
    held = box.held()
    cut = replace(parcel(b"cut"), n_records=5, n_read=0, page=held[1].page)
    with pytest.raises(ValueError, match="unaccounted"):
        box.exchange([batch.id for batch in held], cut, dropped={GPS: {"trip_end": 13}})
    assert box.held() == held


def test_hours_of_an_unsynchronised_clock_are_corrected_and_nothing_expires_before(make):
    clock = TurnableClock()
    right_ms = to_ms(clock.now())
    base_ms = right_ms - 100_250
    clock.elapsed_s = 100.25
    clock.jump_to(clock.now() - timedelta(days=2000))
    tags = ["start-1"]
    box = make(Bounds(max_age_s=86_400), clock, tag=lambda: tags[0])
    box.put(parcel())
    clock.jump_to(from_ms(right_ms))
    clock.forward(60)
    tags[0] = None
    assert box.expire() == 0
    assert box.clock_tags() == {"start-1"}
    box.put(parcel(next_seq=20))
    [_, known] = box.pages()
    box.set_hours("start-1", base_ms)
    assert box.clock_tags() == set()
    [page, same] = box.pages()
    assert same == known
    assert page.hour_start_ms == right_ms - right_ms % HOUR_MS
    assert box.oldest_created_at_ms() == right_ms
    assert [b.created_at_ms for b in box.waiting(9)] == [right_ms, right_ms + 60_000]
    assert box.expire() == 0
    clock.forward(86_341)
    assert box.expire() == 10
    clock.forward(60)
    assert box.expire() == 10


def test_batches_without_an_hour_keep_no_other_from_expiring(make):
    clock = TurnableClock()
    tags = ["start-1"]
    box = make(Bounds(max_age_s=3600), clock, tag=lambda: tags[0])
    box.put(parcel())
    tags[0] = None
    box.put(parcel(n=5, next_seq=20))
    clock.forward(4000)
    assert box.expire() == 5


def test_word_about_a_page_that_has_left_is_a_batch_like_others(make):
    box = make()
    box.put(parcel(tells={99: 1}))
    assert len(box.waiting(9)) == 1


def test_crash_is_counted_on_the_last_page_of_what_devices_gave(tmp_path):
    clock = TurnableClock()
    box = SqliteOutbox(tmp_path / "outbox.sqlite", None, clock)
    box.put(parcel(n=40, next_seq=40, from_devices=True))
    clock.forward(3600)
    box.put(
        parcel(n=5, next_seq=45, from_devices=True), parcel(n=3, next_seq=48, from_devices=True)
    )
    box.put(parcel(n=90, stream=AIR, next_seq=90))  # from senders, who were told
    box._db.close()
    for _ in range(2):  # the second start follows no crash of that run
        box = SqliteOutbox(tmp_path / "outbox.sqlite", None, clock)
        stops = [(page.n_unclean_stops, page.n_unclean_at_most) for page in box.pages()]
        assert stops == [(0, 0), (1, 8), (0, 0)]
        box._db.close()
    assert SqliteOutbox(tmp_path / "outbox.sqlite", None, clock).unclean_stops == 3


def test_own_reports_are_counted_but_not_told(make):
    box = make()
    box.put(parcel(stream=HEALTH))
    assert box.pages() == []
    assert box.account(HEALTH).spooled == 10
    assert tell(box) is None


def test_status_reads_a_running_outbox_without_a_trace(tmp_path):
    box = SqliteOutbox(tmp_path / "gw/outbox.sqlite", None, TurnableClock())
    box.put(parcel(), parcel(stream=HEALTH))
    before = {file.name: file.read_bytes() for file in (tmp_path / "gw").iterdir()}
    status = read_status(tmp_path / "gw/outbox.sqlite")
    after = {file.name: file.read_bytes() for file in (tmp_path / "gw").iterdir()}
    assert (status["read"], status["spooled"], status["pages_that_wait"]) == (10, 10, 1)
    assert status["own_reports"] == {"read": 10, "delivered": 0, "spooled": 10, "dropped": 0}
    assert [name for name in before if name[-4:] != "-shm" and before[name] != after[name]] == []
    box.close()
