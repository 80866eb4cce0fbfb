"""Messages that are read and not yet written: decoded, and freed of what had arrived before."""

from __future__ import annotations

from collections import Counter as Tally
from dataclasses import replace

import polars as pl

from clearway_core.contracts.raw_tables import RECEIVED_RANGES
from clearway_core.contracts.wire import WIRE_CONTRACTS
from clearway_core.schema import polars_schema
from clearway_core.stream.log import StoredMessage, TopicPartition
from clearway_ingest.batch import Portion
from clearway_ingest.dead_letters import DeadLetter
from clearway_ingest.decode import Records, Undecodable, decode
from clearway_ingest.ranges import Counter, Received


class Intake:
    """What has been read since the last commit.

    Parameters
    ----------
    received
        Which numbers have arrived before.
    log_id
        Identity of the log.
    """

    def __init__(self, received: Received, log_id: str) -> None:
        self._received = received
        self.log_id = log_id
        self.clear()

    def clear(self) -> None:
        """Forget everything but which numbers have arrived: the rest is in the lake."""
        self.portions: dict[str, list[Portion]] = {identifier: [] for identifier in WIRE_CONTRACTS}
        self.letters: list[DeadLetter] = []
        self._ranges: list[tuple[object, ...]] = []
        self.n_rows = 0
        self.n_bytes = 0
        self.read: Tally[TopicPartition] = Tally()
        self.messages: Tally[TopicPartition] = Tally()
        self.duplicates: Tally[TopicPartition] = Tally()
        self.dead: Tally[TopicPartition] = Tally()
        self.heard: dict[Counter, int] = {}
        self.ends: dict[TopicPartition, int] = {}
        """Offset after the last message of each partition."""

    def add(self, message: StoredMessage) -> None:
        """Take one message; whatever it holds, it ends as records or as a dead letter."""
        where = TopicPartition(message.topic, message.partition)
        self.ends[where] = message.offset + 1
        self.messages[where] += 1
        self.n_bytes += len(message.value)
        decoded = decode(message)
        if isinstance(decoded, Undecodable):
            self.dead[where] += 1
            self.letters.append(DeadLetter(message, decoded))
            return
        self.read[where] += len(decoded)
        new = self._new(decoded, message) if decoded.has_identity else decoded
        self.duplicates[where] += len(decoded) - len(new)
        if len(new):
            self.n_rows += len(new)
            # The bytes are not needed any more, and would double the memory.
            self.portions[decoded.contract.identifier].append(
                Portion(new, replace(message, value=b""))
            )

    def ranges(self) -> pl.DataFrame:
        """Return the rows of ``received_ranges`` for the messages taken."""
        return pl.DataFrame(self._ranges, schema=polars_schema(RECEIVED_RANGES), orient="row")

    def _new(self, records: Records, message: StoredMessage) -> Records:
        counter = Counter(records.contract.identifier, records.gateway, records.boot)
        if len(records):
            highest = max(records.seq)
            self.heard[counter] = max(highest, self.heard.get(counter, highest))
        taken = self._received.take(message.partition, counter, records.seq)
        place = (message.topic, message.partition, message.offset, self.log_id)
        self._ranges += [(*counter, span.first, span.last, *place) for span in taken.spans]
        if taken.mask is None:
            return records
        return replace(
            records,
            seq=taken.pick(records.seq),
            columns={name: taken.pick(column) for name, column in records.columns.items()},
            unknown=taken.pick(records.unknown),
        )
