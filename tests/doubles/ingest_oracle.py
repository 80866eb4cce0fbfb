"""Ingest as anybody would write it first: one record after the other, in plain Python.

Slow and without a lake, but obviously right; the real one must agree with it. It knows nothing of
commits, so that what it says cannot depend on where a run was interrupted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from clearway_core.contracts.field import broken_rules
from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.contracts.wire import WIRE_CONTRACTS
from clearway_core.stream.log import Log, StoredMessage, TopicPartition
from clearway_ingest.decode import Undecodable, decode

TABLE_OF = {
    "gps_ping/1": "gps_pings",
    "air_reading/1": "air_readings",
    "gateway_health/1": "gateway_health",
}


@dataclass
class Expected:
    """Every row's place (topic, partition, offset, gateway, boot, seq), by table."""

    rows: dict[str, list[tuple[object, ...]]] = field(
        default_factory=lambda: {
            name: [] for name in (*TABLE_OF.values(), "quarantine", "dead_letters")
        }
    )
    rules: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    read: int = 0

    def sorted_rows(self) -> dict[str, list[tuple[object, ...]]]:
        return {name: sorted(rows) for name, rows in self.rows.items()}


def everything(log: Log) -> Iterable[StoredMessage]:
    """Return all messages of a log, partition by partition."""
    for identifier in WIRE_CONTRACTS:
        topic = f"clearway.{identifier.split('/')[0]}.v1"
        for where, end in log.end_offsets(topic).items():
            at = 0
            while at < end:
                found = log.read({where: at})
                yield from found
                at = found[-1].offset + 1


def expected(messages: Iterable[StoredMessage]) -> Expected:
    outcome = Expected()
    seen: set[tuple[object, ...]] = set()
    keys: set[tuple[object, ...]] = set()
    for message in messages:
        where = TopicPartition(message.topic, message.partition)
        records = decode(message)
        if isinstance(records, Undecodable):
            outcome.rows["dead_letters"].append((*where, message.offset))
            continue
        name = records.contract.identifier
        table = TABLE_OF[name]
        for row, seq in enumerate(records.seq):
            outcome.read += 1
            identity = (name, records.gateway, records.boot, seq)
            if records.has_identity and identity in seen:
                outcome.duplicates += 1
                continue
            seen.add(identity)
            place = (*where, message.offset, *identity[1:])
            record = {column: values[row] for column, values in records.columns.items()}
            if records.unknown:
                record |= dict.fromkeys(records.unknown[row])
            broken = broken_rules(records.contract, record)
            if broken:
                outcome.rows["quarantine"].append(place)
                outcome.rules[broken[0]] += 1
                continue
            key = (
                table,
                *(record[column] for column in LAKE_CONTRACTS[table].key if column in record),
            )
            if not records.has_identity and key in keys:
                outcome.duplicates += 1
                continue
            keys.add(key)
            outcome.rows[table].append(place)
    return outcome
