"""Many records in one message: columns as JSON, compressed with zstd.

Measured on GPS fixes: 18 bytes a record and 2.6 million records a second and core, where one JSON
message each takes 168 bytes. Everything it needs installs on a 32-bit Pi.

A payload is a JSON object::

    {"contract": "gps_ping/1", "gateway": "gw-1", "boot": 123, "n": 3,
     "columns": {"seq": {"delta": [0, 1, 1]},
                 "observed_at": {"delta": [1211364000000, 1000, 1000]},
                 "vehicle": {"words": ["3f…", "a0…"], "index": [0, 1, 0]},
                 "lon_deg": [-122.4, -122.41, -122.39]}}

Whole numbers travel as differences, text as a dictionary, everything else as it is. A column in
which every value is null is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import cast

import cramjam
import orjson

from clearway_core.contracts.field import Contract, DataType
from clearway_core.errors import ContractViolation

CONTENT_TYPE = "application/vnd.clearway.columns+json+zstd"
RECORD_CONTENT_TYPE = "application/json"
"""One record, or a list of records, of a third party that has no gateway: no identity."""

ZSTD_LEVEL = 3
MAX_DECODED_BYTES = 64 * 1024 * 1024
"""A small message that unpacks to gigabytes would stop ingest; no honest batch comes near this."""

Column = Sequence[object]


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
    """Return the batch as message bytes.

    Raises
    ------
    ContractViolation
        If a column is unknown to the contract or has another length than `seq`.
    """
    packed: dict[str, object] = {"seq": {"delta": _deltas(batch.seq)}}
    unknown = set(batch.columns) - set(contract.columns)
    if unknown:
        message = (
            f"columns of a {contract.identifier} batch must be known to the contract, "
            f"got {sorted(unknown)}: leave them out or raise the contract's version"
        )
        raise ContractViolation(message)
    for field in contract.fields:
        column = batch.columns.get(field.name)
        if column is None:
            continue
        if len(column) != len(batch):
            message = (
                f"column {field.name} of a {contract.identifier} batch has {len(column)} values, "
                f"expected {len(batch)}, one per record"
            )
            raise ContractViolation(message)
        if all(value is None for value in column):
            continue
        packed[field.name] = _pack(field.dtype, column)
    body = {
        "contract": batch.contract,
        "gateway": batch.gateway,
        "boot": batch.boot,
        "n": len(batch),
        "columns": packed,
    }
    return bytes(cramjam.zstd.compress(orjson.dumps(body), ZSTD_LEVEL))


def decode(payload: bytes) -> Batch:
    """Return the batch of message bytes.

    Values are not checked against a contract here, only that the payload is a well-formed batch.

    Raises
    ------
    ContractViolation
        If the payload is not a batch; the message says what is wrong with it.
    """
    body = _body(payload)
    try:
        n = body["n"]
        packed = cast("Mapping[str, object]", body["columns"])
        columns = {name: _unpack(name, column) for name, column in packed.items()}
        seq = cast("Sequence[int]", columns.pop("seq"))
        contract, gateway, boot = body["contract"], body["gateway"], body["boot"]
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        message = f"the batch lacks or garbles {error}: send it again from the gateway"
        raise ContractViolation(message) from error
    uneven = [name for name, column in columns.items() if len(column) != n]
    if uneven or len(seq) != n or not all(type(number) is int and number >= 0 for number in seq):
        message = f"the batch says n = {n!r}, but seq or {uneven} do not have that many values"
        raise ContractViolation(message)
    if not (isinstance(contract, str) and isinstance(gateway, str) and type(boot) is int):
        message = "contract and gateway of a batch must be text and boot a whole number"
        raise ContractViolation(message)
    return Batch(contract=contract, gateway=gateway, boot=boot, seq=seq, columns=columns)


def _body(payload: bytes) -> dict[str, object]:
    try:
        decoder = cramjam.zstd.Decompressor()
        decoder.decompress(payload)
        raw = bytes(decoder.finish())
    except cramjam.DecompressionError as error:
        message = f"the payload is not zstd ({error}): was the content type right?"
        raise ContractViolation(message) from error
    if len(raw) > MAX_DECODED_BYTES:
        message = f"the payload unpacks to {len(raw)} bytes, more than {MAX_DECODED_BYTES}"
        raise ContractViolation(message)
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        message = f"the payload is not JSON: {error}"
        raise ContractViolation(message) from error
    if not isinstance(body, dict):
        message = f"the payload is a {type(body).__name__}, expected an object with columns"
        raise ContractViolation(message)
    return body


def _pack(dtype: DataType, column: Column) -> object:
    whole = dtype in {DataType.INSTANT, DataType.INT64, DataType.INT32, DataType.UINT64}
    if whole and all(type(value) is int for value in column):
        return {"delta": _deltas(cast("Sequence[int]", column))}
    if dtype in {DataType.STRING, DataType.DATE}:
        words: dict[object, int] = {}
        index = [words.setdefault(value, len(words)) for value in column]
        return {"words": list(words), "index": index}
    return list(column)


def _deltas(numbers: Sequence[int]) -> list[int]:
    if not numbers:
        return []
    return [numbers[0], *(b - a for a, b in zip(numbers, numbers[1:], strict=False))]


def _unpack(name: str, column: object) -> Column:
    if isinstance(column, list):
        return column
    if isinstance(column, dict) and set(column) == {"delta"}:
        return list(accumulate(column["delta"]))
    if isinstance(column, dict) and set(column) == {"words", "index"}:
        words = column["words"]
        if any(position < 0 for position in column["index"]):
            raise ValueError(name)
        return [words[position] for position in column["index"]]
    raise TypeError(name)
