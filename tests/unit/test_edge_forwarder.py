"""What waits leaves in few, full messages, urgent ones first, within the budget."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from doubles.edge_doubles import NOON, MemoryLog, TurnableClock

from clearway_core.contracts.wire import AIR_READING, GATEWAY_HEALTH, GPS_PING, WIRE_CONTRACTS
from clearway_core.errors import DeliveryFailed, LogRefused, MessageTooLarge, SettingsError
from clearway_core.stream.batch import Batch, decode, encode
from clearway_core.stream.log import CLOCK_HEADER, Message
from clearway_edge.forwarding.bandwidth import BURST_S, Bandwidth
from clearway_edge.forwarding.forwarder import Forwarder
from clearway_edge.forwarding.forwarder_state import ForwarderState
from clearway_edge.outbox.memory_outbox import MemoryOutbox
from clearway_edge.outbox.outbox import MESSAGE_TOO_LARGE, Parcel, Stream
from clearway_edge.settings.settings import ForwardSettings

GPS, AIR, HEALTH = GPS_PING.identifier, AIR_READING.identifier, GATEWAY_HEALTH.identifier
TEXT_COLUMN = {GPS: "vehicle", AIR: "sensor", HEALTH: "version"}


def parcel(first: int, n: int = 100, *, contract: str = GPS, **more: object) -> Parcel:
    texts = [f"{Random(seq).getrandbits(128):032x}" for seq in range(first, first + n)]
    batch = Batch(
        contract=contract,
        gateway="gw-1",
        boot=7,
        seq=range(first, first + n),
        columns={TEXT_COLUMN[contract]: texts},
    )
    stream = Stream(contract=contract, boot=7, run=7)
    made = Parcel(
        stream=stream,
        payload=encode(batch, WIRE_CONTRACTS[contract]),
        n_read=n,
        n_records=n,
        next_seq=first + n,
    )
    return replace(made, **more)


def account(box: MemoryOutbox, contract: str = GPS):
    return box.account(Stream(contract=contract, boot=7, run=7))


class Setup:
    """An outbox, a log and a forwarder on a clock that is turned by hand."""

    def __init__(self, log: MemoryLog | None = None, **settings: float) -> None:
        self.clock = TurnableClock()
        self.box = MemoryOutbox(clock=self.clock)
        self.log = log or MemoryLog()
        self.forwarder = Forwarder(
            self.box,
            lambda: self.log,
            gateway="gw-1",
            settings=ForwardSettings(**settings),
            clock=self.clock,
            random=Random(1),
        )

    def sent(self) -> list[tuple[str, list[int]]]:
        """Send once and return the contract and numbers of each message."""
        before = len(self.log.messages)
        self.forwarder.send_once()
        return [
            (decode(message.value).contract, list(decode(message.value).seq))
            for _, message in self.log.messages[before:]
        ]


def test_small_batches_gather_until_the_oldest_has_waited_and_leave_as_one_message():
    setup = Setup(latency_s=5)
    setup.box.put(parcel(0))
    assert setup.sent() == []
    setup.clock.forward(4)
    setup.box.put(parcel(100))
    assert setup.forwarder.send_once().due_in_s == pytest.approx(1)
    setup.clock.forward(1.1)
    assert setup.sent() == [(GPS, list(range(200)))]
    assert (account(setup.box).delivered, account(setup.box).spooled) == (200, 0)


def test_full_message_does_not_wait_and_the_rest_gathers_on():
    setup = Setup(latency_s=5, max_records=250)
    setup.box.put(*(parcel(first) for first in range(0, 500, 100)))
    assert setup.sent() == [(GPS, list(range(200))), (GPS, list(range(200, 400)))]
    assert account(setup.box).spooled == 100


def test_backlog_leaves_in_full_messages():
    setup = Setup(latency_s=5)
    setup.box.put(*(parcel(first, 40) for first in range(0, 10_000, 40)))
    setup.clock.forward(3600)
    assert [len(seqs) for _, seqs in setup.sent()] == [5000, 5000]


def test_clock_that_was_set_back_keeps_nothing_waiting():
    setup = Setup(latency_s=5)
    setup.box.put(parcel(0))
    setup.clock.jump_to(NOON - timedelta(days=4000))
    assert setup.sent() == [(GPS, list(range(100)))]


def test_stopping_gateway_lets_nothing_gather():
    setup = Setup(latency_s=600)
    setup.box.put(parcel(0))
    setup.forwarder.hurry()
    assert setup.sent() == [(GPS, list(range(100)))]
    assert not setup.forwarder.idle.is_set()
    setup.forwarder.send_once()
    assert setup.forwarder.idle.is_set()


def test_streams_clocks_and_boots_are_never_merged():
    setup = Setup(latency_s=0)
    later = replace(parcel(0), stream=Stream(contract=GPS, boot=8, run=8))
    setup.box.put(parcel(0, 3), parcel(3, 3), parcel(6, 3, clock="start"), later)
    setup.box.put(parcel(0, 3, contract=AIR), parcel(0, 1, contract=HEALTH))
    assert [(contract, len(seqs)) for contract, seqs in setup.sent()] == [
        (HEALTH, 1), (AIR, 3), (GPS, 6), (GPS, 3), (GPS, 100),
    ]  # fmt: skip


def test_columns_that_only_some_batches_have_are_missing_in_the_others():
    setup = Setup(latency_s=0)
    batch = Batch(contract=GPS, gateway="gw-1", boot=7, seq=[3, 9], columns={"lon_deg": [1.5, 2.0]})
    odd = replace(parcel(3, 2), payload=encode(batch, GPS_PING))
    # Released after newer ones, as trip ends are: the message counts upwards all the same.
    setup.box.put(parcel(4, 2), odd)
    setup.forwarder.send_once()
    [merged] = setup.log.batches()
    assert list(merged.seq) == [3, 4, 5, 9]
    assert merged.columns["lon_deg"] == [1.5, None, None, 2.0]
    assert [vehicle is None for vehicle in merged.columns["vehicle"]] == [True, False, False, True]


def test_health_and_books_leave_at_once():
    setup = Setup(latency_s=60)
    setup.box.put(parcel(0), parcel(0, 1, contract=HEALTH))
    setup.clock.forward(1.1)
    assert setup.sent() == [(HEALTH, [0])]


@pytest.mark.parametrize("limit", [2000, 6000, 40_000])
def test_message_over_the_brokers_limit_is_split_in_order_and_the_limit_learned(limit):
    setup = Setup(MemoryLog(max_bytes=limit), latency_s=0)
    setup.box.put(*(parcel(first) for first in range(0, 5000, 100)))
    while setup.forwarder.send_once().n_batches:
        pass
    sizes = [len(message.value) for _, message in setup.log.messages]
    assert max(sizes) <= limit
    seqs = [seq for batch in setup.log.batches() for seq in batch.seq]
    assert seqs == list(range(5000))
    assert (account(setup.box).delivered, account(setup.box).spooled) == (5000, 0)


class PickyLog(MemoryLog):
    """A log that takes no message with one certain record."""

    def append(self, topic: str, messages: Sequence[Message]) -> None:
        for message in messages:
            if 150 in decode(message.value).seq:
                raise MessageTooLarge("too large")
        super().append(topic, messages)


def test_record_that_never_fits_is_dropped_from_its_own_batch_only():
    setup = Setup(PickyLog(), latency_s=0)
    setup.box.put(*(parcel(first) for first in range(0, 300, 100)))
    while setup.forwarder.send_once().n_batches:
        pass
    seqs = {seq for batch in setup.log.batches() for seq in batch.seq}
    assert seqs == set(range(300)) - {150}
    books = account(setup.box)
    assert (books.delivered, books.dropped) == (299, {MESSAGE_TOO_LARGE: 1})
    assert books.missing == 0


class BreakingLog(MemoryLog):
    """A log that breaks after so many messages."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.left = after

    def append(self, topic: str, messages: Sequence[Message]) -> None:
        if self.left < len(messages):
            raise DeliveryFailed("the broker is down", retry_after_s=0.01)
        self.left -= len(messages)
        super().append(topic, messages)


def test_log_that_breaks_in_the_middle_gets_the_rest_and_nothing_else_again():
    log = BreakingLog(after=16)
    setup = Setup(log, latency_s=0, max_records=10)
    setup.box.put(*(parcel(first, 10) for first in range(0, 200, 10)))
    assert setup.forwarder.send_once().retry_after_s is not None
    assert account(setup.box).delivered == 160
    log.left = 100
    setup.forwarder.send_once()
    assert [seq for batch in log.batches() for seq in batch.seq] == list(range(200))


class TurnableClockState:
    """Knows the base of some starts, and of this one from some moment on."""

    def __init__(self, bases: dict[str, int | str | None]) -> None:
        self.start = "this"
        self.bases = bases

    def base_ms(self, tag: str) -> int | str | None:
        return self.bases.get(tag, "unknown")


def test_readings_of_an_unsynchronised_clock_wait_for_it_and_carry_its_base():
    setup = Setup()
    state = TurnableClockState({"this": None, "before": 1_700_000_000_000})
    forwarder = Forwarder(
        setup.box, lambda: setup.log, gateway="gw-1", clock=setup.clock, clock_state=state
    )
    setup.box.put(
        parcel(0, clock="this"), parcel(100, clock="before"), parcel(200, clock="lost"), parcel(300)
    )
    forwarder.send_once()
    forwarder.send_once()
    headers = [message.headers.get(CLOCK_HEADER) for _, message in setup.log.messages]
    assert sorted(map(str, headers)) == ["1700000000000", "None", "unknown"]
    assert forwarder.state == "draining: 2 kB wait until the clock is synchronised"
    assert forwarder.idle.is_set()
    state.bases["this"] = 5
    forwarder.send_once()
    assert setup.log.messages[-1][1].headers[CLOCK_HEADER] == "5"
    assert account(setup.box).spooled == 0


def test_budget_holds_on_average_and_messages_are_as_small_as_it_asks():
    bytes_s = 1000.0
    setup = Setup(latency_s=0, max_bytes_s=bytes_s)
    setup.box.put(*(parcel(first) for first in range(0, 5000, 100)))
    while setup.forwarder.send_once().n_batches:
        pass
    sizes = [len(message.value) for _, message in setup.log.messages]
    assert max(sizes) <= bytes_s * BURST_S
    assert sum(sizes) <= bytes_s * (setup.clock.elapsed_s + BURST_S)
    assert sum(sizes) >= 0.9 * bytes_s * setup.clock.elapsed_s
    assert account(setup.box).delivered == 5000


def test_health_and_air_overtake_fixes_that_wait_for_the_budget():
    setup = Setup(latency_s=0, max_bytes_s=200)
    setup.box.put(*(parcel(first) for first in range(0, 2000, 100)))
    put_at_s: list[float] = []
    arrived_at_s: list[float] = []
    append, sleep = setup.log.append, setup.clock.sleep

    def noted(topic: str, messages: Sequence[Message]) -> None:
        append(topic, messages)
        if "gps" not in topic:
            arrived_at_s.append(setup.clock.elapsed_s)

    def slept(duration_s: float) -> None:
        if setup.clock.elapsed_s > 10 * (len(put_at_s) + 1) and len(put_at_s) < 6:
            contract = (HEALTH, AIR)[len(put_at_s) % 2]
            put_at_s.append(setup.clock.elapsed_s)
            setup.box.put(parcel(len(put_at_s), 1, contract=contract))
        sleep(duration_s)

    setup.log.append, setup.clock.sleep = noted, slept
    while setup.forwarder.send_once().n_batches:
        pass
    assert setup.clock.elapsed_s > 100
    assert len(arrived_at_s) == 6
    # A small message waits for the budget of its own few bytes only.
    assert max(a - p for a, p in zip(arrived_at_s, put_at_s, strict=True)) < 3


def test_budget_lets_one_message_pass_that_is_larger_than_all_it_saves():
    clock = TurnableClock()
    budget = Bandwidth(10.0, clock)
    assert budget.wait_s(500, urgent=True) == 0
    budget.spend(500)
    assert budget.wait_s(1, urgent=True) == pytest.approx(40.1)
    clock.forward(41)
    assert budget.wait_s(1, urgent=True) == 0
    assert budget.wait_s(1, urgent=False) > 0


class SlowLog(MemoryLog):
    """A log behind a slow link, that gives up on an append after ten seconds."""

    def __init__(self, clock: TurnableClock, bytes_s: float) -> None:
        super().__init__()
        self.clock = clock
        self.bytes_s = bytes_s

    def append(self, topic: str, messages: Sequence[Message]) -> None:
        takes_s = sum(len(message.value) for message in messages) / self.bytes_s
        self.clock.forward(min(takes_s, 10.0))
        if takes_s > 10:
            raise DeliveryFailed("not confirmed within 10 s", retry_after_s=0.01)
        super().append(topic, messages)


@pytest.mark.parametrize("bytes_s", [2000.0, 20_000.0, 1_000_000.0])
def test_backlog_passes_through_a_slow_link_in_appends_that_fit(bytes_s):
    setup = Setup(latency_s=0)
    setup.log = SlowLog(setup.clock, bytes_s)
    setup.box.put(*(parcel(first) for first in range(0, 20_000, 100)))
    failures = 0
    while account(setup.box).spooled:
        failures += setup.forwarder.send_once().retry_after_s is not None
    assert failures <= 10
    assert [seq for batch in setup.log.batches() for seq in batch.seq] == list(range(20_000))
    if bytes_s == 1_000_000:
        assert [len(batch) for batch in setup.log.batches()] == [5000] * 4


def test_urgent_message_waits_for_a_turn_of_a_slow_link_not_for_the_whole_backlog():
    setup = Setup(latency_s=0, max_records=100)
    setup.log = SlowLog(setup.clock, 10_000)
    setup.box.put(*(parcel(first) for first in range(0, 20_000, 100)))
    setup.forwarder.send_once()
    before = len(setup.log.messages)
    setup.box.put(parcel(0, 1, contract=HEALTH))
    setup.forwarder.send_once()
    assert before < 100
    assert setup.log.batches()[before].contract == HEALTH


REFUSED = LogRefused("Kafka said no", cause="topic not allowed: let this user write")


def test_each_change_of_state_is_one_line_in_the_log(caplog):
    caplog.set_level(logging.INFO)
    clock = TurnableClock()
    state = ForwarderState(clock)
    assert state.words == "connecting"
    for _ in range(5):
        state.failed(DeliveryFailed("nobody listens at 192.0.2.1:9093"))
    assert state.words == "connecting: nobody listens at 192.0.2.1:9093"
    for _ in range(5):
        state.failed(REFUSED)
    assert state.words == "refused: topic not allowed: let this user write"
    state.failed(SettingsError(["log.password_file cannot be read"]))
    assert state.words == "refused: log.password_file cannot be read"
    for _ in range(5):
        state.draining(1000)
        state.up_to_date()
        state.up_to_date()
    assert len(caplog.records) == 3 + 10


def test_draining_tells_how_much_is_left_and_how_long_it_takes():
    clock = TurnableClock()
    state = ForwarderState(clock)
    state.draining(3_600_000)
    assert state.words == "draining: 3.6 MB left"
    clock.forward(10)
    state.draining(3_500_000)
    assert state.words == "draining: 3.5 MB left, about 6 min"
    clock.forward(10)
    state.draining(3_700_000)
    assert state.words == "draining: 3.7 MB left, not getting less"
    clock.forward(110)
    state.draining(700_000)
    assert state.words == "draining: 700 kB left, less than a minute"


def test_up_to_date_is_said_only_once_the_log_has_taken_something():
    setup = Setup(MemoryLog(failures=1), latency_s=0)
    setup.forwarder.send_once()
    assert setup.forwarder.state == "connecting"
    setup.box.put(parcel(0))
    setup.forwarder.send_once()
    assert setup.forwarder.state == "connecting: the broker is down"
    setup.forwarder.send_once()
    assert setup.forwarder.state == "up to date"
    assert setup.forwarder.sent_bytes == sum(len(m.value) for _, m in setup.log.messages)


def test_old_backlog_is_told_as_draining_until_it_is_gone():
    setup = Setup(latency_s=5)
    setup.box.put(*(parcel(first) for first in range(0, 300, 100)))
    setup.clock.forward(600)
    setup.forwarder.send_once()
    assert setup.forwarder.state.startswith("draining: ")
    setup.forwarder.send_once()
    assert setup.forwarder.state == "up to date"


def test_what_is_released_before_a_look_is_sent_by_it():
    setup = Setup()
    forwarder = Forwarder(
        setup.box, lambda: setup.log, gateway="gw-1", clock=setup.clock,
        prepare=lambda: setup.box.put(parcel(0)),
    )  # fmt: skip
    assert forwarder.send_once().n_batches == 1
