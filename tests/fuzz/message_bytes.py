"""What comes out of the log: batches and records for ingest, receipts for gateways."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cramjam
import orjson
from doubles.edge_doubles import NOON

from clearway_core.contracts.wire import TOPICS, WIRE_CONTRACTS
from clearway_core.errors import ContractViolation
from clearway_core.stream.batch import CONTENT_TYPE, RECORD_CONTENT_TYPE
from clearway_core.stream.log import (
    CLOCK_HEADER,
    CONTENT_TYPE_HEADER,
    CONTRACT_HEADER,
    StoredMessage,
)
from clearway_core.stream.receipts import Receipt, message_of, receipt_of
from clearway_ingest.batch import Portion, sort_out
from clearway_ingest.decode import Undecodable, decode

_SAMPLES = Path(__file__).parents[1] / "contracts" / "samples"
_CONTRACTS = tuple(WIRE_CONTRACTS)


def _stored(value: bytes, headers: dict[str, str], contract: str = _CONTRACTS[0]) -> StoredMessage:
    return StoredMessage(
        topic=TOPICS[contract],
        partition=0,
        offset=0,
        key=b"gw",
        value=value,
        headers=headers,
        appended_at=NOON,
    )


def messages(data: bytes) -> bool:
    """Read a message; the first byte says of which form, the second under which contract."""
    form, number, *_ = (*data[:2], 0, 0)
    contract, value = _CONTRACTS[number % len(_CONTRACTS)], data[2:]
    headers = {CONTRACT_HEADER: contract, CONTENT_TYPE_HEADER: CONTENT_TYPE}
    match form % 5:
        case 0:
            pass
        case 1:
            value = bytes(cramjam.zstd.compress(value))
        case 2:
            headers[CONTENT_TYPE_HEADER] = RECORD_CONTENT_TYPE
        case 3:
            first, _, value = value.partition(b"\n")
            headers[CLOCK_HEADER] = first.decode("utf-8", "replace")
        case _:
            try:
                receipt_of(_stored(value, {}))
            except ContractViolation:
                return False
            return True
    message = _stored(value, headers, contract)
    records = decode(message)
    if isinstance(records, Undecodable) or not len(records):
        return False
    rows = sort_out(WIRE_CONTRACTS[contract], [Portion(records, message)])
    assert len(rows.valid) + len(rows.quarantined) == len(records)
    return bool(len(rows.valid))


def message_seeds() -> Iterator[bytes]:
    """Yield good messages of each form and contract."""
    for file in sorted(_SAMPLES.glob("*.bin")):
        name, version = file.name.split(".")[0].rsplit("-", 1)
        number = _CONTRACTS.index(f"{name}/{version}")
        packed = file.read_bytes()
        yield bytes((0, number)) + packed
        yield bytes((1, number)) + bytes(cramjam.zstd.decompress(packed))
        yield bytes((3, number)) + b"1768478400000\n" + packed
    for file in sorted(_SAMPLES.glob("*.record.json")):
        name, version = file.name.split(".")[0].rsplit("-", 1)
        number = _CONTRACTS.index(f"{name}/{version}")
        yield bytes((2, number)) + orjson.dumps(orjson.loads(file.read_bytes()))
    receipt = Receipt(
        gateway="gw", boot=1, contract="gps_ping/1", seq_last=9, n_stored=9, committed_at_ms=1
    )
    yield b"\4\0" + message_of(receipt).value
