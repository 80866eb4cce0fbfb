"""Waiting batches to messages: small ones together, too large ones apart, order kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, pairwise

from clearway_core.contracts.wire import WIRE_CONTRACTS
from clearway_core.errors import ContractViolation
from clearway_core.stream.batch import Batch, decode, encode
from clearway_edge.outbox.outbox import Waiting, priority_of

MERGED_BYTES = 2_000_000
"""Batches are not merged beyond this: of one record each they shrink to a tenth. [B]"""


@dataclass(slots=True, kw_only=True)
class Planned:
    """Batches of one stream that go as one message.

    Parameters
    ----------
    batches
        In the order in which they were put.
    n_records, n_bytes
        Of all batches; merging only makes the payload smaller. [1], [B]
    is_full
        Whether no further batch would fit.
    """

    batches: list[Waiting] = field(default_factory=list)
    n_records: int = 0
    n_bytes: int = 0
    is_full: bool = False

    @property
    def contract(self) -> str:
        """Contract of the records."""
        return self.batches[0].stream.contract

    @property
    def priority(self) -> int:
        """0 is sent first."""
        return priority_of(self.contract)

    @property
    def clock(self) -> str | None:
        """Tag of an unsynchronised clock, the same for all."""
        return self.batches[0].clock

    @property
    def ids(self) -> list[int]:
        """Numbers of the batches."""
        return [batch.id for batch in self.batches]

    def takes(self, batch: Waiting, max_records: int) -> bool:
        """Return whether one more batch fits."""
        return (
            self.n_records + batch.n_records <= max_records
            and self.n_bytes + len(batch.payload) <= MERGED_BYTES
        )

    def add(self, batch: Waiting) -> None:
        """Take one more batch."""
        self.batches.append(batch)
        self.n_records += batch.n_records
        self.n_bytes += len(batch.payload)

    def halves(self) -> tuple[Planned, Planned]:
        """Return the batches as two messages."""
        first, second = Planned(), Planned()
        for place, batch in enumerate(self.batches):
            (first if place < len(self.batches) // 2 else second).add(batch)
        return first, second


def planned(waiting: Iterable[Waiting], max_records: int) -> list[Planned]:
    """Return the messages that waiting batches make, in the order of their first batches.

    Parameters
    ----------
    waiting
        As the outbox gives them: by priority and age.
    max_records
        Bound of one message. A batch that is larger by itself makes a message of its own.
    """
    made: list[Planned] = []
    growing: dict[tuple[str, int, str | None], Planned] = {}
    for batch in waiting:
        key = (batch.stream.contract, batch.stream.boot, batch.clock)
        message = growing.get(key)
        if message is not None and not message.takes(batch, max_records):
            message.is_full = True
            message = None
        if message is None:
            message = growing[key] = Planned()
            made.append(message)
        message.add(batch)
        message.is_full = message.n_records >= max_records or message.n_bytes >= MERGED_BYTES
    return made


def merged(batches: Sequence[Waiting]) -> bytes | None:
    """Return one payload with the records of all batches, rising by seq; None if one is garbled."""
    if len(batches) == 1:
        return batches[0].payload
    try:
        parts = [decode(batch.payload) for batch in batches]
        whole = _joined(parts)
        return encode(whole, WIRE_CONTRACTS[whole.contract])
    except ContractViolation:
        return None


def in_halves(payload: bytes) -> list[bytes]:
    """Return the records of a batch as two batches, or nothing if it holds one record only."""
    batch = decode(payload)
    if len(batch) <= 1:
        return []
    middle = len(batch) // 2
    contract = WIRE_CONTRACTS[batch.contract]
    return [
        encode(
            replace(
                batch,
                seq=batch.seq[part],
                columns={name: values[part] for name, values in batch.columns.items()},
            ),
            contract,
        )
        for part in (slice(None, middle), slice(middle, None))
    ]


def _joined(parts: Sequence[Batch]) -> Batch:
    seq = list(chain.from_iterable(part.seq for part in parts))
    names = dict.fromkeys(name for part in parts for name in part.columns)
    columns: Mapping[str, list[object]] = {
        name: list(
            chain.from_iterable(part.columns.get(name, (None,) * len(part)) for part in parts)
        )
        for name in names
    }
    if any(after <= before for before, after in pairwise(seq)):
        # What waited for trip ends comes later than what was read after it.
        order = sorted(range(len(seq)), key=seq.__getitem__)
        seq = [seq[place] for place in order]
        columns = {name: [values[p] for p in order] for name, values in columns.items()}
    return replace(parts[0], seq=seq, columns=columns)
