"""One suite over every outbox."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from doubles.edge_doubles import TurnableClock
from doubles.edge_outboxes import OUTBOXES, Outboxes

from clearway_core.clock import to_ms
from clearway_core.errors import OutboxFull
from clearway_edge.outbox.outbox import (
    EVICTED_AGE,
    EVICTED_SIZE,
    Bounds,
    Parcel,
    Stream,
    WhenFull,
)

STREAM = Stream(contract="gps_ping/1", boot=7, run=7)


def parcel(payload=b"x" * 100, n=10, dropped=None, stream=STREAM, next_seq=10):
    dropped = dropped or {}
    n_records = n if payload else 0
    return Parcel(
        stream=stream,
        payload=payload,
        n_read=n_records + sum(dropped.values()),
        n_records=n_records,
        next_seq=next_seq,
        dropped=dropped,
        notes={"flagged.x": 1},
    )


@pytest.fixture(params=OUTBOXES)
def make(request, tmp_path):
    boxes = Outboxes(request.param, tmp_path)
    yield lambda bounds=None, clock=None: boxes(bounds, clock or TurnableClock())
    boxes.close()


def test_accepted_batch_is_delivered_and_gone(make):
    box = make()
    box.put(parcel(dropped={"null_island": 3}))
    assert box.account(STREAM).spooled == 10
    box.accept([batch.id for batch in box.waiting(10)])
    account = box.account(STREAM)
    assert (account.read, account.delivered, account.spooled) == (13, 10, 0)
    assert account.dropped == {"null_island": 3}
    assert account.notes == {"flagged.x": 1}
    assert account.missing == 0
    assert box.waiting(10) == []
    assert box.oldest_created_at_ms() is None


def test_rejected_batch_is_dropped_under_its_reason(make):
    box = make()
    box.put(parcel())
    box.reject([box.waiting(1)[0].id], "message_too_large")
    account = box.account(STREAM)
    assert account.dropped == {"message_too_large": 10}
    assert account.missing == 0


def test_kept_batch_comes_again_in_order(make):
    box = make()
    for number in range(3):
        box.put(parcel(payload=bytes([number]) * 10))
    first = [batch.payload for batch in box.waiting(2)]
    assert [batch.payload for batch in box.waiting(2)] == first == [b"\0" * 10, b"\1" * 10]


def test_a_look_for_nothing_finds_nothing(make):
    box = make()
    box.put(parcel())
    assert box.waiting(0) == []
    assert box.account(STREAM).spooled == 10


def test_what_comes_while_batches_are_on_their_way_waits_behind_those_that_are_kept(make):
    box = make()
    for payload in (b"1", b"2", b"3"):
        box.put(parcel(payload))
    box.waiting(2)
    box.put(parcel(b"4"))
    assert [batch.payload for batch in box.waiting(9)] == [b"1", b"2", b"3", b"4"]


def test_batches_accepted_from_the_middle_leave_the_others_in_order(make):
    box = make()
    for payload in (b"1", b"2", b"3", b"4"):
        box.put(parcel(payload))
    _, second, third, _ = box.waiting(9)
    box.accept([third.id, second.id])
    box.put(parcel(b"5"))
    assert [batch.payload for batch in box.waiting(9)] == [b"1", b"4", b"5"]


def test_drained_outbox_gives_nothing_and_takes_again(make):
    box = make()
    for payload in (b"first", b"again"):
        box.put(parcel(payload))
        [batch] = box.waiting(9)
        assert batch.payload == payload
        box.accept([batch.id])
        assert box.waiting(9) == []
    assert box.account(STREAM).delivered == 20


@pytest.fixture(params=["full", "old"])
def overtaken(request, make):
    """An outbox, and a batch that it has given up while it was on its way to the log."""
    clock = TurnableClock()
    box = make(Bounds(max_bytes=100, max_age_s=3600), clock)
    box.put(parcel())
    [batch] = box.waiting(9)
    if request.param == "full":
        box.put(parcel(b"y" * 100, next_seq=20))
        box.put(parcel(b"z" * 100, next_seq=30))
    else:
        clock.forward(4000)
        assert box.expire() == 10
        box.put(parcel(b"y" * 100, next_seq=20))
        clock.forward(4000)
        assert box.expire() == 10
    [(reason, n_dropped)] = box.account(STREAM).dropped.items()
    assert n_dropped == 20
    return box, batch, reason


def test_batch_that_was_given_up_on_its_way_counts_as_delivered_once_it_arrives(overtaken):
    box, batch, reason = overtaken
    for _ in range(2):
        box.accept([batch.id])
        account = box.account(STREAM)
        assert (account.delivered, account.dropped) == (10, {reason: 10})


def test_batch_that_was_given_up_on_its_way_counts_what_the_log_did_not_take(overtaken):
    box, batch, reason = overtaken
    for _ in range(2):
        box.settle(batch.id, n_dropped=4, reason="message_too_large")
        account = box.account(STREAM)
        assert account.delivered == 6
        assert account.dropped == {"message_too_large": 4, reason: 10}


def test_batch_that_was_given_up_on_its_way_and_whose_books_are_closed_changes_nothing(overtaken):
    box, batch, _ = overtaken
    box.accept([waiting.id for waiting in box.waiting(9)])
    box.forget(STREAM)
    box.settle(batch.id, n_dropped=4, reason="message_too_large")
    box.accept([batch.id])
    assert box.streams() == []


def test_batch_that_was_given_up_on_its_way_and_is_kept_never_comes_again(overtaken):
    box, batch, _ = overtaken
    assert batch.payload not in [waiting.payload for waiting in box.waiting(9)]
    box.reject([batch.id], "late")
    assert "late" not in box.account(STREAM).dropped


def test_settled_batch_counts_both_parts(make):
    box = make()
    box.put(parcel())
    box.settle(box.waiting(1)[0].id, n_dropped=4, reason="message_too_large")
    account = box.account(STREAM)
    assert (account.delivered, account.dropped) == (6, {"message_too_large": 4})
    assert account.missing == 0


def test_accepting_twice_counts_once(make):
    box = make()
    box.put(parcel())
    ids = [box.waiting(1)[0].id]
    box.accept(ids)
    box.accept(ids)
    box.reject(ids, "late")
    assert box.account(STREAM).delivered == 10
    assert box.account(STREAM).missing == 0


def test_parcel_without_payload_keeps_its_counts(make):
    box = make()
    box.put(parcel(payload=b"", dropped={"bad_checksum": 2}, next_seq=0))
    assert box.account(STREAM).read == 2
    assert box.waiting(5) == []


def test_full_outbox_refuses_and_keeps_nothing_of_the_parcel(make):
    box = make(Bounds(max_bytes=250, when_full=WhenFull.REFUSE))
    box.put(parcel())
    box.put(parcel())
    with pytest.raises(OutboxFull, match="bring the log back"):
        box.put(parcel(dropped={"null_island": 1}))
    account = box.account(STREAM)
    assert (account.read, account.spooled, account.dropped) == (20, 20, {})
    box.accept([box.waiting(1)[0].id])
    box.put(parcel())
    assert box.account(STREAM).missing == 0


def test_full_outbox_drops_the_oldest_and_counts_it(make):
    box = make(Bounds(max_bytes=250))
    for number in range(4):
        box.put(parcel(payload=bytes([number]) * 100))
    assert [batch.payload[:1] for batch in box.waiting(9)] == [b"\2", b"\3"]
    account = box.account(STREAM)
    assert account.dropped == {EVICTED_SIZE: 20}
    assert account.missing == 0
    assert box.waiting_bytes == 200


@pytest.mark.parametrize(("max_bytes", "left"), [(299, [b"3"]), (300, [b"2", b"3"])])
def test_full_outbox_gives_up_to_the_last_byte_what_does_not_fit(make, max_bytes, left):
    box = make(Bounds(max_bytes=max_bytes))
    for payload in (b"1" * 99, b"2" * 100, b"3" * 200):
        box.put(parcel(payload))
    assert [batch.payload[:1] for batch in box.waiting(9)] == left


def test_parcels_that_come_together_never_push_each_other_out(make):
    box = make(Bounds(max_bytes=150))
    with pytest.raises(OutboxFull):
        box.put(parcel(), parcel(next_seq=20))
    assert (box.waiting(9), box.streams()) == ([], [])


def test_batch_larger_than_the_whole_outbox_is_refused_not_looped(make):
    box = make(Bounds(max_bytes=50))
    with pytest.raises(OutboxFull):
        box.put(parcel())
    assert box.account(STREAM).read == 0


def test_old_batches_expire_by_age(make):
    clock = TurnableClock()
    box = make(Bounds(max_age_s=3600), clock)
    box.put(parcel())
    clock.forward(3000)
    box.put(parcel())
    clock.forward(600)
    assert box.expire() == 0
    clock.forward(0.001)
    assert box.expire() == 10
    assert box.account(STREAM).dropped == {EVICTED_AGE: 10}
    assert box.account(STREAM).spooled == 10


def test_nothing_expires_where_age_has_no_bound(make):
    clock = TurnableClock()
    box = make(clock=clock)
    box.put(parcel())
    clock.forward(1e8)
    assert box.expire() == 0
    assert len(box.waiting(9)) == 1


def test_clock_set_back_expires_nothing(make):
    clock = TurnableClock()
    box = make(Bounds(max_age_s=3600), clock)
    box.put(parcel())
    clock.jump_to(clock.now() - timedelta(days=400))
    box.put(parcel())
    assert box.expire() == 0
    assert len(box.waiting(5)) == 2


def test_books_of_a_stream_are_forgotten_only_when_nothing_waits(make):
    clock = TurnableClock()
    box = make(clock=clock)
    box.put(parcel())
    box.forget(STREAM)
    assert box.account(STREAM).read == 10
    box.accept([box.waiting(1)[0].id])
    clock.forward(3600)
    box.put(parcel(next_seq=20))
    box.forget(STREAM)  # its second page waits
    assert box.account(STREAM).read == 20
    box.accept([box.waiting(1)[0].id])
    box.forget(STREAM)
    assert box.account(STREAM).read == 0
    assert (box.streams(), box.pages()) == ([], [])


def test_next_seq_never_goes_back(make):
    box = make()
    box.put(parcel(next_seq=10))
    box.put(parcel(next_seq=4))
    assert [(page.seq_first, page.seq_next) for page in box.pages()] == [(0, 10)]


AIR = Stream(contract="air_reading/1", boot=7, run=7)
HEALTH = Stream(contract="gateway_health/1", boot=7, run=7)


def tagged(payload, n=10, **more):
    return replace(parcel(payload, n), **more)


def test_health_goes_first_then_air_then_gps_each_oldest_first(make):
    box = make()
    for payload, stream in ((b"g1", STREAM), (b"a1", AIR), (b"g2", STREAM), (b"h1", HEALTH),
                            (b"a2", AIR)):  # fmt: skip
        box.put(parcel(payload, stream=stream))
    assert [batch.payload for batch in box.waiting(9)] == [b"h1", b"a1", b"a2", b"g1", b"g2"]
    assert [batch.payload for batch in box.waiting(2)] == [b"h1", b"a1"]


def test_batches_of_the_clock_that_is_not_known_yet_stay(make):
    box = make()
    box.put(tagged(b"old", clock="start-1"))
    box.put(parcel(b"plain"))
    box.put(tagged(b"new", clock="start-2"))
    box.put(parcel(b"later"))
    found = box.waiting(9, skip_clock="start-2")
    assert [(batch.payload, batch.clock) for batch in found] == [
        (b"old", "start-1"), (b"plain", None), (b"later", None),
    ]  # fmt: skip
    assert [batch.payload for batch in box.waiting(9)] == [b"old", b"plain", b"new", b"later"]


def test_held_batches_are_no_backlog(make):
    clock = TurnableClock()
    box = make(clock=clock)
    box.put(tagged(b"private", 10, held=True))
    assert box.oldest_created_at_ms() is None
    clock.forward(60)
    box.put(parcel(b"taxi", 10, next_seq=20))
    assert box.oldest_created_at_ms() == to_ms(clock.now())


def test_held_batches_are_not_sent_until_they_are_exchanged(make):
    box = make()
    box.put(tagged(b"private", 10, held=True), parcel(b"taxi", 10, next_seq=20))
    assert [batch.payload for batch in box.waiting(9)] == [b"taxi"]
    [batch] = box.held()
    ready = tagged(b"cut", 6, page=batch.page)
    rest = tagged(b"rest", 1, page=batch.page, held=True)
    done = box.exchange(
        [batch.id], ready, rest, dropped={STREAM: {"trip_end": 3}}, note=b"half a trip"
    )
    assert done
    assert [batch.payload for batch in box.waiting(9)] == [b"taxi", b"cut"]
    assert [batch.payload for batch in box.held()] == [b"rest"]
    assert box.note() == b"half a trip"
    account = box.account(STREAM)
    assert (account.read, account.spooled, account.dropped) == (20, 17, {"trip_end": 3})
    assert account.missing == 0


def test_exchange_of_a_batch_that_is_gone_changes_nothing(make):
    box = make()
    box.put(tagged(b"one", held=True), tagged(b"two", held=True, next_seq=20))
    first, second = box.held()
    box.reject([second.id], EVICTED_SIZE)
    dropped = {STREAM: {"trip_end": 20}}
    assert box.exchange([first.id, second.id], dropped=dropped, note=b"x") is False
    assert [batch.payload for batch in box.held()] == [b"one"]
    assert box.note() is None
    assert box.account(STREAM).dropped == {EVICTED_SIZE: 10}


def test_exchange_without_payload_or_note_leaves_no_batch_and_the_last_note(make):
    box = make()
    box.put(tagged(b"one", held=True))
    [batch] = box.held()
    box.exchange([], note=b"half a trip")
    gone = tagged(b"", 0, page=batch.page)
    assert box.exchange([batch.id], gone, dropped={STREAM: {"trip_end": 10}})
    assert (box.held(), box.waiting(9), box.note()) == ([], [], b"half a trip")


def test_exchange_that_forgets_records_is_refused(make):
    box = make()
    box.put(tagged(b"one", held=True))
    with pytest.raises(ValueError, match="unaccounted"):
        box.exchange([box.held()[0].id], dropped={STREAM: {"trip_end": 9}})
    assert [batch.payload for batch in box.held()] == [b"one"]
    assert box.account(STREAM).missing == 0
