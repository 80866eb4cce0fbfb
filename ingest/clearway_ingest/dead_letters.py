"""Messages that could not be decoded: kept with the cause, listed, shown and sent again.

A message on a GPS topic that did not come from a gateway may name vehicles in any place. Only its
size is kept then; the log itself still has it, and `replay` takes it from there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson
import polars as pl

from clearway_core.contracts.raw_tables import DEAD_LETTERS
from clearway_core.contracts.wire import GPS_PING, TOPICS
from clearway_core.errors import UsageError
from clearway_core.lake import Lake
from clearway_core.schema import polars_schema
from clearway_core.stream import batch
from clearway_core.stream.log import (
    CONTENT_TYPE_HEADER,
    CONTRACT_HEADER,
    Log,
    Message,
    StoredMessage,
    TopicPartition,
)
from clearway_ingest.decode import Undecodable

REPLAY_HEADER = "clearway-replay-of"
"""Topic, partition and offset of the message that is sent again."""

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_HARMLESS = re.compile(r"[a-z][a-z_.+-]*(/[a-z0-9_.+-]{1,60})?")
_WITHHELD = "(withheld)"

_WITHHELD_DETAIL: Mapping[str, str] = {
    Undecodable.PAYLOAD: "the payload is not what its content type says",
    Undecodable.CONTENT_TYPE: "the content type is not one of Clearway's",
    Undecodable.CONTRACT: "the contract is not one of Clearway's",
    Undecodable.NEWER: "the contract is newer than this version of Clearway: upgrade, then replay",
    Undecodable.MISMATCH: "the contract does not belong to the topic",
    Undecodable.IDENTITY: "gateway, boot or seq are missing or out of range",
    Undecodable.CLOCK: "the clock header is neither milliseconds nor unknown",
}


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message and why it is not records."""

    message: StoredMessage
    why: Undecodable


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of sending dead letters again.

    Parameters
    ----------
    sent
        Messages that were appended to the log once more.
    gone
        Messages whose payload is withheld and that the log no longer holds.
    """

    sent: int
    gone: int


def frame(letters: Sequence[DeadLetter], log_id: str) -> pl.DataFrame:
    """Return the rows of ``dead_letters`` for some messages."""
    schema = polars_schema(DEAD_LETTERS)
    return pl.DataFrame([_row(letter, log_id) for letter in letters], schema=schema, orient="row")


def letters(lake: Lake, *, cause: str | None = None, limit: int | None = None) -> pl.DataFrame:
    """Return the newest dead letters without their payloads, newest first.

    Parameters
    ----------
    lake
        Where they are.
    cause
        Only those of this cause.
    limit
        At most so many.
    """
    rows = _selected(lake, cause).drop("payload", "message_key")
    rows = rows.sort("received_at", "topic", "log_partition", "log_offset", descending=True)
    return (rows if limit is None else rows.head(limit)).collect()


def letter(lake: Lake, place: str) -> Mapping[str, object]:
    """Return everything that is kept of one dead letter.

    Parameters
    ----------
    lake
        Where it is.
    place
        ``topic/partition/offset``, as the list shows it.

    Raises
    ------
    UsageError
        If there is none at that place.
    """
    rows = _at(_selected(lake, None), place).collect()
    if rows.is_empty():
        message = (
            f"expected topic/partition/offset of a dead letter, got {place!r}: "
            "`clearway ingest dead-letters list` shows them"
        )
        raise UsageError(message)
    return rows.row(-1, named=True)


def replay(lake: Lake, log: Log, *, cause: str | None = None, place: str | None = None) -> Replayed:
    """Append dead letters to the log once more, for instance after an upgrade.

    Records that arrived in the meantime are recognised as duplicates, so that a second replay adds
    nothing. The original message is taken from the log where that still holds it.

    Parameters
    ----------
    lake
        Where the dead letters are.
    log
        Where they came from and go to.
    cause
        Only those of this cause.
    place
        Only this one, as ``topic/partition/offset``.
    """
    rows = _selected(lake, cause)
    if place is not None:
        letter(lake, place)
        rows = _at(rows, place)
    sent = gone = 0
    for row in rows.sort("topic", "log_partition", "log_offset").collect().iter_rows(named=True):
        message = _original(row, log)
        if message is None:
            gone += 1
            continue
        log.append(str(row["topic"]), [message])
        sent += 1
    return Replayed(sent, gone)


def _row(letter: DeadLetter, log_id: str) -> dict[str, object]:
    message, why = letter.message, letter.why
    withheld = _may_name_vehicles(message)
    headers = {
        name: value
        for name, value in message.headers.items()
        if not withheld or name in {CONTRACT_HEADER, CONTENT_TYPE_HEADER, REPLAY_HEADER}
    }
    if withheld:
        headers = {n: v if _HARMLESS.fullmatch(v) else _WITHHELD for n, v in headers.items()}
    return {
        "cause": why.cause,
        "detail": f"{_WITHHELD_DETAIL[why.cause]}; the payload is withheld, because it may name "
        "vehicles"
        if withheld
        else why.detail,
        "headers_json": orjson.dumps(headers).decode(),
        "payload": b"" if withheld else message.value,
        "received_at": message.appended_at,
        "topic": message.topic,
        "log_partition": message.partition,
        "log_offset": message.offset,
        "log_id": log_id,
        "message_key": None if withheld else message.key,
        "payload_bytes": len(message.value),
    }


def _may_name_vehicles(message: StoredMessage) -> bool:
    """Return whether a message is about vehicles and not in a gateway's own form.

    A gateway makes the pseudonym before anything leaves it, and what it sends is compressed.
    """
    headers = message.headers
    about_vehicles = message.topic == TOPICS[GPS_PING.identifier] or headers.get(
        CONTRACT_HEADER, ""
    ).startswith(GPS_PING.name)
    from_gateway = headers.get(
        CONTENT_TYPE_HEADER
    ) == batch.CONTENT_TYPE and message.value.startswith(_ZSTD_MAGIC)
    return about_vehicles and not from_gateway


def _selected(lake: Lake, cause: str | None) -> pl.LazyFrame:
    rows = lake.table("dead_letters").scan()
    return rows if cause is None else rows.filter(pl.col("cause") == cause)


def _at(rows: pl.LazyFrame, place: str) -> pl.LazyFrame:
    name = pl.concat_str("topic", "log_partition", "log_offset", separator="/")
    return rows.filter(name == place)


def _original(row: Mapping[str, object], log: Log) -> Message | None:
    where = TopicPartition(str(row["topic"]), int(str(row["log_partition"])))
    offset = int(str(row["log_offset"]))
    source = {REPLAY_HEADER: f"{where.topic}/{where.partition}/{offset}"}
    if row["log_id"] == log.identity() and log.first_offsets(where.topic).get(where, 0) <= offset:
        for stored in log.read({where: offset}, timeout_s=5.0):
            if stored.offset == offset:
                headers = {**stored.headers, **source}
                return Message(key=stored.key, value=stored.value, headers=headers)
    payload, key = row["payload"], row["message_key"]
    if not isinstance(payload, bytes) or not isinstance(key, bytes):
        return None
    headers = {**orjson.loads(str(row["headers_json"])), **source}
    return Message(key=key, value=payload, headers=headers)
