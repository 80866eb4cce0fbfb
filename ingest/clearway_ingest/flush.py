"""One step from what was read to what is committed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import polars as pl

from clearway_core.clock import Clock, SystemClock, to_ms
from clearway_core.contracts.raw_tables import INGEST_COMMITS, QUARANTINE
from clearway_core.contracts.wire import (
    AIR_READING,
    GATEWAY_BOOKS,
    GATEWAY_HEALTH,
    GPS_PING,
    WIRE_CONTRACTS,
)
from clearway_core.schema import polars_schema
from clearway_core.stream.log import TopicPartition
from clearway_core.stream.receipts import Receipt
from clearway_ingest import dead_letters
from clearway_ingest.batch import HAS_IDENTITY, sort_out
from clearway_ingest.intake import Intake
from clearway_ingest.sink import TABLES, Sink
from clearway_ingest.third_parties import drop_known

TABLE_OF: Mapping[str, str] = {
    GPS_PING.identifier: "gps_pings",
    AIR_READING.identifier: "air_readings",
    GATEWAY_HEALTH.identifier: "gateway_health",
    GATEWAY_BOOKS.identifier: "gateway_books",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the records of one step.

    Parameters
    ----------
    stored, quarantined, dead_letters
        Records by table, records by first broken rule, messages by cause.
    duplicates
        Records that had arrived before.
    receipts
        What gateways may be told: one for each gateway, boot and contract of the step.
    """

    stored: Counter[str]
    quarantined: Counter[str]
    dead_letters: Counter[str]
    duplicates: int
    receipts: Sequence[Receipt]


class Flush:
    """Turns what was read into rows and writes them, ``ingest_commits`` last.

    Parameters
    ----------
    sink
        Where to write.
    clock
        Where the time of the commit comes from.
    """

    def __init__(self, sink: Sink, *, clock: Clock | None = None) -> None:
        self._sink = sink
        self._clock = clock or SystemClock()

    def write(self, intake: Intake) -> Outcome:
        """Write everything that was taken; when this returns, it will not be read again.

        Raises
        ------
        OffsetRegression
            If another process has committed the same partitions.
        TableConflict
            If other processes were always first, or a table is of a newer version.
        """
        duplicates = intake.duplicates.copy()
        frames = self._frames(intake, duplicates)
        for name in TABLES:
            if name in frames:
                self._sink.write(name, frames[name], intake.ends)
        stored: Counter[TopicPartition] = Counter()
        for name in TABLE_OF.values():
            stored += _per_partition(frames.get(name))
        quarantined = _per_partition(frames.get("quarantine"))
        commit = self._commit(intake, stored, quarantined, duplicates)
        self._sink.finish(commit, intake.ends)
        rules: Iterable[str] = frames["quarantine"]["rule"] if "quarantine" in frames else ()
        return Outcome(
            stored=Counter({t: len(frames[t]) for t in TABLE_OF.values() if t in frames}),
            quarantined=Counter(rules),
            dead_letters=Counter(letter.why.cause for letter in intake.letters),
            duplicates=duplicates.total(),
            receipts=_receipts(intake, frames, to_ms(commit["committed_at"][0])),
        )

    def _frames(
        self, intake: Intake, duplicates: Counter[TopicPartition]
    ) -> dict[str, pl.DataFrame]:
        """Return the rows per table, and count third parties' known records as duplicates."""
        frames = {
            "received_ranges": intake.ranges(),
            "dead_letters": dead_letters.frame(intake.letters, intake.log_id),
        }
        quarantined: list[pl.DataFrame] = []
        for identifier, portions in intake.portions.items():
            if not portions:
                continue
            name = TABLE_OF[identifier]
            rows = sort_out(WIRE_CONTRACTS[identifier], portions)
            portions.clear()
            held = partial(self._sink.held, name)
            fresh = drop_known(rows.valid, self._sink.table(name), held)
            duplicates += _per_partition(rows.valid) - _per_partition(fresh)
            frames[name] = fresh.drop(HAS_IDENTITY)
            quarantined.append(rows.quarantined)
        if quarantined:
            columns = polars_schema(QUARANTINE).names()
            frames["quarantine"] = pl.concat(rows.select(columns) for rows in quarantined)
        return frames

    def _commit(
        self,
        intake: Intake,
        stored: Counter[TopicPartition],
        quarantined: Counter[TopicPartition],
        duplicates: Counter[TopicPartition],
    ) -> pl.DataFrame:
        now = self._clock.now()
        rows = [
            {
                "topic": where.topic,
                "log_partition": where.partition,
                "next_offset": end,
                "n_messages": intake.messages[where],
                "n_rows": intake.read[where],
                "n_stored": stored[where],
                "n_quarantined": quarantined[where],
                "n_duplicates": duplicates[where],
                "n_dead_letters": intake.dead[where],
                "committed_at": now,
                "log_id": intake.log_id,
            }
            for where, end in intake.ends.items()
        ]
        return pl.DataFrame(rows, schema=polars_schema(INGEST_COMMITS), orient="row")


def _receipts(
    intake: Intake, frames: Mapping[str, pl.DataFrame], committed_at_ms: int
) -> list[Receipt]:
    stored: Counter[tuple[str, str, int]] = Counter()
    for identifier, name in TABLE_OF.items():
        if name in frames:
            counts = frames[name].group_by("gateway", "boot").len()
            stored.update({(identifier, at, boot): n for at, boot, n in counts.iter_rows()})
    return [
        Receipt(
            gateway=counter.gateway,
            boot=counter.boot,
            contract=counter.contract,
            seq_last=seq_last,
            n_stored=stored[counter],
            committed_at_ms=committed_at_ms,
        )
        for counter, seq_last in sorted(intake.heard.items())
    ]


def _per_partition(rows: pl.DataFrame | None) -> Counter[TopicPartition]:
    if rows is None:
        return Counter()
    counts = rows.group_by("topic", "log_partition").len()
    return Counter({TopicPartition(topic, at): count for topic, at, count in counts.iter_rows()})
