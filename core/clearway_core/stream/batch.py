"""Many records in one message: columns as JSON, compressed with zstd.

Measured on GPS fixes: 7 to 10 bytes a record in batches of 5,000, where one JSON message each takes
168. Everything it needs installs on a 32-bit Pi, and a person can read it with two standard tools.

A payload is a JSON object::

    {"contract": "gps_ping/1", "gateway": "gw-1", "boot": 123, "n": 4, "track": "vehicle",
     "columns": {"seq": {"delta": [0, 1, 1, 1]},
                 "observed_at": {"delta": [1211364000000, 0, 1000, 0]},
                 "vehicle": {"words": ["3f…", "a0…"], "index": [0, 1, 0, 1]},
                 "lon_deg": {"steps": [-1224000, 10, -12, 11], "unit": [1, 10000]}}}

The forms of a column are those of `clearway_core.stream.packing`. Where `track` names a column,
columns with `steps` or `values` are ordered by its words, all others by `seq`. A column in which
every value is null is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import cramjam
import orjson

from clearway_core.contracts.field import Contract, DataType, Field
from clearway_core.errors import ContractViolation
from clearway_core.stream.packing import (
    Column,
    Ordering,
    are_whole,
    into_tracks,
    out_of_tracks,
    pack,
    pack_words,
    unpack,
    unpack_index,
)

CONTENT_TYPE = "application/vnd.clearway.columns+json+zstd"
RECORD_CONTENT_TYPE = "application/json"
"""One record, or a list of records, of a third party that has no gateway: no identity."""

ZSTD_LEVEL = 3
MAX_DECODED_BYTES = 64 * 1024 * 1024
"""A small message that unpacks to gigabytes would stop ingest; no honest batch comes near this."""

MAX_BRACKETS = 1_000_000
"""Lists and objects of a batch, those in its texts included: five for each record at most. Twenty
million empty lists are a message of 6 kB, and cost ingest 2 GiB and a quarter of a minute."""

MAX_RECORDS = 200_000
"""Records of one batch: at 6 bytes a record, the least that was measured, a message of 1 MB."""

_FIRST_BUFFER_FACTOR = 32
"""Batches of GPS fixes shrink to a tenth; one that shrank more is unpacked in a second attempt."""

_FIRST_BUFFER_BYTES = 64 * 1024

_INT64 = range(-(2**63), 2**63)
_SEQ = Field(name="seq", dtype=DataType.INT64, description="Number of each record.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Records of one contract from one boot of one gateway, as columns.

    Parameters
    ----------
    contract
        Identifier such as ``gps_ping/1``.
    gateway, boot
        Whose count `seq` is.
    seq
        Number of each record, rising but not necessarily without gaps.
    columns
        Wire values by field name, each as long as `seq`; instants are int ms.
    """

    contract: str
    gateway: str
    boot: int
    seq: Sequence[int]
    columns: Mapping[str, Column]

    def __len__(self) -> int:
        return len(self.seq)


def encode(batch: Batch, contract: Contract) -> bytes:
    """Return the batch as message bytes; a float that is not a number becomes a missing value.

    Raises
    ------
    ContractViolation
        If there are more than `MAX_RECORDS`, or a column is unknown to the contract, has another
        length than `seq`, or holds what the wire cannot carry (a whole number beyond 64 bits, half
        of a surrogate pair).
    """
    unknown = set(batch.columns) - set(contract.columns)
    if unknown:
        message = (
            f"columns of a {contract.identifier} batch must be known to the contract, "
            f"got {sorted(unknown)}: leave them out or raise the contract's version"
        )
        raise ContractViolation(message)
    if len(batch) > MAX_RECORDS:
        message = f"a batch holds up to {MAX_RECORDS} records, got {len(batch)}: split it"
        raise ContractViolation(message)
    _check_lengths(batch, contract)
    track = _track_of(batch, contract)
    words = pack_words(batch.columns[track]) if track else {}
    order = into_tracks(cast("Sequence[int]", words["index"])) if track else None
    packed: dict[str, object] = {"seq": pack(_SEQ, batch.seq)}
    for field in contract.fields:
        column = batch.columns.get(field.name)
        if column:
            form = words if field.name == track else pack(field, column, order)
            packed |= {} if form is None else {field.name: form}
    body: dict[str, object] = {
        "contract": batch.contract,
        "gateway": batch.gateway,
        "boot": batch.boot,
        "n": len(batch),
        "columns": packed,
    }
    if order is not None:
        body["track"] = track
    try:
        raw = orjson.dumps(body)
    except orjson.JSONEncodeError as error:
        message = f"a {contract.identifier} batch holds what JSON cannot carry: {error}"
        raise ContractViolation(message) from error
    return bytes(cramjam.zstd.compress(raw, ZSTD_LEVEL))


def decode(payload: bytes) -> Batch:
    """Return the batch of message bytes.

    Values are not checked against a contract here, only that the payload is a well-formed batch
    that unpacks to a bounded size.

    Raises
    ------
    ContractViolation
        If the payload is not a batch; the message says what is wrong with it.
    """
    body = _body(payload)
    n, packed = body.get("n"), body.get("columns")
    if type(n) is not int or not 0 <= n <= MAX_RECORDS:
        message = f"n of a batch is a whole number up to {MAX_RECORDS}, got {_short(n)}"
        raise ContractViolation(message)
    if not isinstance(packed, dict) or "seq" not in packed:
        message = "a batch has an object of columns with seq in it: send it again from the gateway"
        raise ContractViolation(message)
    order = _order_of(body.get("track"), packed, n)
    columns = {name: _unpacked(name, column, n, order) for name, column in packed.items()}
    seq = cast("Sequence[int]", columns.pop("seq"))
    if not set(map(type, seq)) <= {int} or not are_whole(seq, "q") or min(seq, default=0) < 0:
        message = "seq of a batch holds whole numbers from 0, below 2**63"
        raise ContractViolation(message)
    contract, gateway, boot = body.get("contract"), body.get("gateway"), body.get("boot")
    if not isinstance(contract, str) or not isinstance(gateway, str):
        message = (
            "contract and gateway of a batch are text, "
            f"got {_short(contract)} and {_short(gateway)}"
        )
        raise ContractViolation(message)
    if type(boot) is not int or not 0 <= boot < _INT64.stop:
        message = f"boot of a batch is a whole number from 0, below 2**63, got {_short(boot)}"
        raise ContractViolation(message)
    return Batch(contract=contract, gateway=gateway, boot=boot, seq=seq, columns=columns)


def _body(payload: bytes) -> dict[str, object]:
    raw = _unzip(payload)
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        message = f"the payload is not JSON: {error}"
        raise ContractViolation(message) from error
    if not isinstance(body, dict):
        message = f"the payload is a {type(body).__name__}, expected an object with columns"
        raise ContractViolation(message)
    return body


def _unzip(payload: bytes) -> memoryview:
    """Unpack into a buffer of bounded size, so that a bomb bursts before it fills the memory."""
    size = min(max(_FIRST_BUFFER_BYTES, _FIRST_BUFFER_FACTOR * len(payload)), MAX_DECODED_BYTES)
    while True:
        buffer = bytearray(size)
        try:
            used = cramjam.zstd.decompress_into(payload, buffer)
        except cramjam.DecompressionError as error:
            # The library does not say whether the buffer was too small or the payload broken.
            if size < MAX_DECODED_BYTES and "whole buffer" in str(error):
                size = min(8 * size, MAX_DECODED_BYTES)
                continue
            message = (
                f"the payload is not zstd of at most {MAX_DECODED_BYTES} bytes unpacked "
                f"({error}): was the content type right?"
            )
            raise ContractViolation(message) from error
        n_brackets = buffer.count(b"[", 0, used) + buffer.count(b"{", 0, used)
        if n_brackets > MAX_BRACKETS:
            message = f"a batch has at most {MAX_BRACKETS} lists and objects, got {n_brackets}"
            raise ContractViolation(message)
        return memoryview(buffer)[:used]


def _check_lengths(batch: Batch, contract: Contract) -> None:
    for name, column in batch.columns.items():
        if len(column) != len(batch):
            message = (
                f"column {name} of a {contract.identifier} batch has {len(column)} values, "
                f"expected {len(batch)}, one per record"
            )
            raise ContractViolation(message)


def _track_of(batch: Batch, contract: Contract) -> str | None:
    """Return the column of what moves or stands: the last of the key before the time."""
    track = contract.key[-2] if len(contract.key) > 1 else ""
    column = batch.columns.get(track)
    return track if column and set(map(type, column)) == {str} else None


def _order_of(track: object, packed: Mapping[str, object], n: int) -> Ordering | None:
    if track is None:
        return None
    form = packed.get(track) if isinstance(track, str) else None
    words = form if isinstance(form, dict) else {}
    index = unpack_index(words.get("words"), words.get("index"))
    if index is None or len(index) != n:
        message = (
            f"the track of a batch is a column of {n} words, got {_short(track)}: "
            "send it again from the gateway"
        )
        raise ContractViolation(message)
    return out_of_tracks(index)


def _unpacked(name: str, column: object, n: int, order: Ordering | None) -> Column:
    values = unpack(column, n, order)
    if values is None:
        message = (
            f"column {_short(name)} of the batch is garbled, or of a newer version of Clearway: "
            "upgrade, or send it again from the gateway"
        )
        raise ContractViolation(message)
    if len(values) != n:
        message = f"the batch says n = {n}, but {_short(name)} has {len(values)} values"
        raise ContractViolation(message)
    return values


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 -- a line's worth
