"""What ingest writes: records as received, what was refused, and how far it has come."""

from __future__ import annotations

from dataclasses import replace

from clearway_core.contracts.columns import count, day, instant, text, whole
from clearway_core.contracts.field import Contract, DataType, Field
from clearway_core.contracts.wire import AIR_READING, GATEWAY_BOOKS, GATEWAY_HEALTH, GPS_PING

N_VEHICLE_BUCKETS = 8
"""Raw GPS is laid out by day and a hash of the vehicle, so that per-vehicle work never shuffles.

Eight keeps a bucket of a 10-million-fix day near 1.2 million rows (about 200 MB while it is
cleaned) and the files of a small town's day few.
"""


_GATEWAY = text("gateway", "Gateway that read the record; empty for third parties.")
_BOOT = count("boot", "Start of the gateway's agent that numbered the record.")
_SEQ = count("seq", "Number of the record within gateway, boot and contract.")
_LOG_POSITION = (
    text("topic", "Topic of the log that the record came through."),
    whole("log_partition", "Its partition.", minimum=0),
    count("log_offset", "Offset of the batch within the partition."),
)
_RECEIVED_AT = instant("received_at", "When the log took the batch.")
_PROVENANCE = (_GATEWAY, _BOOT, _SEQ, _RECEIVED_AT, *_LOG_POSITION)
_LOG_ID = text(
    "log_id",
    "Which log the offset belongs to; another log counts its offsets from 0 again.",
    nullable=True,
)
_RAW_OBSERVED_AT = instant(
    "raw_observed_at",
    "What the gateway's clock said, where observed_at was derived from monotonic_ms because that "
    "clock was not synchronised.",
    nullable=True,
)
OBSERVED_DATE = day("observed_date", "UTC day of observed_at.")

GPS_PINGS = replace(
    GPS_PING,
    name="gps_pings",
    description="Raw GPS fixes as received, immutable until their retention ends.",
    fields=(
        *GPS_PING.fields,
        *_PROVENANCE,
        OBSERVED_DATE,
        whole(
            "vehicle_bucket",
            "First byte of the pseudonym modulo the number of buckets.",
            minimum=0,
            maximum=N_VEHICLE_BUCKETS - 1,
        ),
        _RAW_OBSERVED_AT,
    ),
    partition_by=("observed_date", "vehicle_bucket"),
    expires_by="received_at",
)

AIR_READINGS = replace(
    AIR_READING,
    name="air_readings",
    description="Raw air readings as received, immutable.",
    fields=(*AIR_READING.fields, *_PROVENANCE, OBSERVED_DATE, _RAW_OBSERVED_AT),
    partition_by=("observed_date",),
)

GATEWAY_HEALTH_TABLE = replace(
    GATEWAY_HEALTH,
    name="gateway_health",
    description="Every gateway's own accounts, as received.",
    key=("gateway", "boot", "seq"),
    fields=(*GATEWAY_HEALTH.fields, *_PROVENANCE, OBSERVED_DATE),
    partition_by=("observed_date",),
)

GATEWAY_BOOKS_TABLE = replace(
    GATEWAY_BOOKS,
    name="gateway_books",
    description="Pages of the gateways' books, as received; the latest of a page counts.",
    key=("gateway", "boot", "seq"),
    fields=(*GATEWAY_BOOKS.fields, *_PROVENANCE, OBSERVED_DATE),
    partition_by=("observed_date",),
)

QUARANTINE = Contract(
    name="quarantine",
    version=1,
    description="Rows that broke a rule of their contract: kept, counted, never silently dropped.",
    fields=(
        text("contract", "Contract that the row broke, such as gps_ping/1."),
        text("rule", "First rule that it broke, such as lon_deg_range."),
        text("all_rules", "All broken rules, separated by a space."),
        text("row_json", "The row as received; a vehicle that is no pseudonym is masked."),
        *_PROVENANCE,
    ),
    expires_by="received_at",
)

DEAD_LETTERS = Contract(
    name="dead_letters",
    version=1,
    description="Messages that could not be decoded, whole, with the cause; they can be replayed.",
    fields=(
        text("cause", "Short name of the cause, such as undecodable_payload."),
        text("detail", "What exactly was wrong."),
        text("headers_json", "Headers of the message."),
        Field(name="payload", dtype=DataType.BINARY, unit="B", description="The message's bytes."),
        _RECEIVED_AT,
        *_LOG_POSITION,
        _LOG_ID,
        Field(
            name="message_key",
            dtype=DataType.BINARY,
            unit="B",
            nullable=True,
            description="The message's key; null where the payload is withheld.",
        ),
        count(
            "payload_bytes",
            "Size of the payload, also where the payload itself is withheld because "
            "it may name a vehicle.",
            unit="B",
            nullable=True,
        ),
    ),
    key=("topic", "log_partition", "log_offset"),
    expires_by="received_at",
)

RECEIVED_RANGES = Contract(
    name="received_ranges",
    version=1,
    description="Which seq numbers of each gateway and boot have arrived, so that resent batches "
    "add nothing.",
    fields=(
        text("contract", "Contract of the records."),
        _GATEWAY,
        _BOOT,
        count("seq_first", "First number of the range."),
        count("seq_last", "Last number of the range."),
        *_LOG_POSITION,
        _LOG_ID,
    ),
)

INGEST_COMMITS = Contract(
    name="ingest_commits",
    version=1,
    description="Where ingest continues: written last, and alone decides where to seek.",
    fields=(
        *_LOG_POSITION[:2],
        count("next_offset", "First offset that is not yet in the lake."),
        count("n_messages", "Messages of this commit."),
        count("n_rows", "Rows in those messages."),
        count("n_stored", "Rows stored."),
        count("n_quarantined", "Rows quarantined."),
        count("n_duplicates", "Rows that had already arrived."),
        count("n_dead_letters", "Messages that could not be decoded."),
        instant("committed_at", "When the commit was made."),
        _LOG_ID,
    ),
)
