"""Whatever the log does, every record arrives in order, or is dropped under its reason."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from doubles.edge_doubles import MemoryLog, TurnableClock
from hypothesis import given, settings
from hypothesis import strategies as st

from clearway_core.contracts.wire import GPS_PING
from clearway_core.errors import DeliveryFailed, MessageTooLarge
from clearway_core.stream.batch import Batch, decode, encode
from clearway_core.stream.log import Message
from clearway_edge.forwarding.forwarder import Forwarder
from clearway_edge.outbox.memory_outbox import MemoryOutbox
from clearway_edge.outbox.outbox import MESSAGE_TOO_LARGE, Parcel, Stream
from clearway_edge.settings.settings import ForwardSettings

STREAM = Stream(contract="gps_ping/1", boot=7, run=7)


class MoodyLog(MemoryLog):
    """A log that takes so many records a message, never some, and fails now and then.

    Parameters
    ----------
    most
        Records of a message.
    never
        Records that it never takes.
    moods
        Before each message: whether it fails now, with what came before of the append kept.
    """

    def __init__(self, most: int, never: set[int], moods: list[bool]) -> None:
        super().__init__()
        self.most = most
        self.never = never
        self.moods = moods

    def append(self, topic: str, messages: Sequence[Message]) -> None:
        for message in messages:
            if self.moods and self.moods.pop():
                raise DeliveryFailed("the broker is down", retry_after_s=0.01)
            seq = decode(message.value).seq
            if len(seq) > self.most or self.never & set(seq):
                raise MessageTooLarge("too large")
            super().append(topic, [message])


def parcel(first: int, n: int) -> Parcel:
    batch = Batch(
        contract="gps_ping/1",
        gateway="gw",
        boot=7,
        seq=range(first, first + n),
        columns={"lon_deg": [seq / 10 for seq in range(first, first + n)]},
    )
    payload = encode(batch, GPS_PING)
    return Parcel(stream=STREAM, payload=payload, n_read=n, n_records=n, next_seq=first + n)


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=12),
    max_records=st.integers(1, 40),
    most=st.integers(1, 40),
    never=st.sets(st.integers(0, 143), max_size=3),
    moods=st.lists(st.booleans(), max_size=25),
    max_bytes_s=st.none() | st.floats(5, 500),
)
def test_every_record_arrives_in_order_or_is_dropped_as_too_large(
    sizes, max_records, most, never, moods, max_bytes_s
):
    clock, log = TurnableClock(), MoodyLog(most, never, moods)
    box = MemoryOutbox(clock=clock)
    first = 0
    for size in sizes:
        box.put(parcel(first, size))
        first += size
    forwarder = Forwarder(
        box,
        lambda: log,
        gateway="gw",
        settings=ForwardSettings(latency_s=0, max_records=max_records, max_bytes_s=max_bytes_s),
        clock=clock,
        random=Random(1),
    )
    for _ in range(200):
        forwarder.send_once()
    account = box.account(STREAM)
    lost = never & set(range(first))
    assert account.missing == account.spooled == 0
    assert account.dropped == ({MESSAGE_TOO_LARGE: len(lost)} if lost else {})
    arrived = [seq for batch in log.batches() for seq in batch.seq]
    assert list(dict.fromkeys(arrived)) == sorted(set(range(first)) - lost)
    for batch in log.batches():
        assert list(batch.columns["lon_deg"]) == [seq / 10 for seq in batch.seq]
