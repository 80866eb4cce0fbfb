"""From a message to records: which contract, whose numbers, and the values as columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import orjson

from clearway_core.clock import to_ms
from clearway_core.contracts.field import Contract, DataType
from clearway_core.contracts.wire import TOPICS, WIRE_CONTRACTS
from clearway_core.errors import ContractViolation
from clearway_core.stream import batch
from clearway_core.stream.log import (
    CLOCK_HEADER,
    CONTENT_TYPE_HEADER,
    CONTRACT_HEADER,
    StoredMessage,
)
from clearway_ingest import derived_times

_LARGEST = 2**63 - 1
"""Delta Lake has no larger whole number."""

_IDENTIFIER = re.compile(r"([a-z][a-z0-9_]*)/(\d{1,6})")
_RFC_3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """Records of one message.

    Parameters
    ----------
    contract
        What they should be.
    gateway, boot
        Whose count `seq` is; empty and 0 without identity.
    seq
        Number of each record; its place in the message without identity.
    columns
        Values by field name as they came, not yet checked. Where the gateway's clock was not
        synchronised, ``observed_at`` is derived and ``raw_observed_at`` has what came.
    unknown
        Names that the contract does not know, per record; empty if there are none at all.
    has_identity
        Whether (gateway, boot, seq) tells a resent record from a new one.
    """

    contract: Contract
    gateway: str = ""
    boot: int = 0
    seq: Sequence[int]
    columns: Mapping[str, Sequence[object]]
    unknown: Sequence[tuple[str, ...]] = ()
    has_identity: bool

    def __len__(self) -> int:
        return len(self.seq)


@dataclass(frozen=True, slots=True)
class Undecodable:
    """Why a message is not records.

    Parameters
    ----------
    cause
        Short name; one of the constants of this class.
    detail
        What was expected, what came, what to do.
    """

    PAYLOAD = "undecodable_payload"
    CONTENT_TYPE = "unknown_content_type"
    CONTRACT = "unknown_contract"
    NEWER = "newer_contract"
    MISMATCH = "contract_mismatch"
    IDENTITY = "bad_identity"
    CLOCK = "bad_clock_header"

    cause: str
    detail: str


def decode(message: StoredMessage) -> Records | Undecodable:
    """Return the records of a message, or why it has none; never raises for what it holds."""
    contract = _contract(message)
    if isinstance(contract, Undecodable):
        return contract
    content_type = message.headers.get(CONTENT_TYPE_HEADER, "").partition(";")[0].strip().lower()
    if content_type == batch.CONTENT_TYPE:
        records = _columnar(message.value, contract)
        clock = message.headers.get(CLOCK_HEADER)
        if clock is None or isinstance(records, Undecodable):
            return records
        return _dated(records, clock)
    if content_type == batch.RECORD_CONTENT_TYPE:
        return _third_party(message.value, contract)
    detail = (
        f"expected header {CONTENT_TYPE_HEADER} {batch.CONTENT_TYPE} or "
        f"{batch.RECORD_CONTENT_TYPE}, got {content_type or 'none'}: correct the sender"
    )
    return Undecodable(Undecodable.CONTENT_TYPE, detail)


def _contract(message: StoredMessage) -> Contract | Undecodable:
    identifier = message.headers.get(CONTRACT_HEADER, "").strip()
    known = ", ".join(WIRE_CONTRACTS)
    contract = WIRE_CONTRACTS.get(identifier)
    if contract is not None:
        if TOPICS[identifier] == message.topic:
            return contract
        detail = f"{identifier} belongs to topic {TOPICS[identifier]}, it came through another one"
        return Undecodable(Undecodable.MISMATCH, f"{detail}: correct the sender")
    match = _IDENTIFIER.fullmatch(identifier)
    versions = {c.name: c.version for c in WIRE_CONTRACTS.values()}
    if match and int(match[2]) > versions.get(match[1], _LARGEST):
        detail = f"this version of Clearway knows {known}, got {identifier}: upgrade, then replay"
        return Undecodable(Undecodable.NEWER, detail)
    detail = (
        f"expected header {CONTRACT_HEADER} with one of {known}, got {identifier or 'none'}: "
        "correct the sender"
    )
    return Undecodable(Undecodable.CONTRACT, detail)


def _columnar(payload: bytes, contract: Contract) -> Records | Undecodable:
    try:
        decoded = batch.decode(payload)
    except ContractViolation as error:
        return Undecodable(Undecodable.PAYLOAD, str(error))
    if decoded.contract != contract.identifier:
        detail = f"the header says {contract.identifier}, the batch says {decoded.contract}"
        return Undecodable(Undecodable.MISMATCH, f"{detail}: correct the sender")
    numbers = (decoded.boot, max(decoded.seq, default=0))
    if not decoded.gateway or not all(0 <= number <= _LARGEST for number in numbers):
        detail = (
            "a batch needs the name of its gateway and boot and seq from 0 to 2^63 - 1, got "
            f"gateway {decoded.gateway!r}, boot and highest seq {numbers}: correct the sender"
        )
        return Undecodable(Undecodable.IDENTITY, detail)
    unknown = tuple(name for name in decoded.columns if name not in contract.columns)
    return Records(
        contract=contract,
        gateway=decoded.gateway,
        boot=decoded.boot,
        seq=decoded.seq,
        columns={name: decoded.columns[name] for name in decoded.columns if name not in unknown},
        unknown=[unknown] * len(decoded) if unknown else (),
        has_identity=True,
    )


def _dated(records: Records, clock: str) -> Records | Undecodable:
    try:
        base_ms = derived_times.base_of(clock)
    except ValueError as error:
        detail = f"header {CLOCK_HEADER}: {error}: correct the sender, then replay"
        return Undecodable(Undecodable.CLOCK, detail)
    columns = derived_times.derived(records.contract, records.columns, base_ms)
    return replace(records, columns=columns)


def _third_party(payload: bytes, contract: Contract) -> Records | Undecodable:
    try:
        body = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        return Undecodable(Undecodable.PAYLOAD, f"the payload is not JSON: {error}")
    records = body if isinstance(body, list) else [body]
    wrong = {type(record).__name__ for record in records} - {"dict"}
    if wrong:
        detail = f"expected a JSON object or a list of them, got {', '.join(sorted(wrong))}"
        return Undecodable(Undecodable.PAYLOAD, f"{detail}: correct the sender")
    columns: dict[str, Sequence[object]] = {}
    for field in contract.fields:
        values = [record.get(field.name) for record in records]
        if field.dtype is DataType.INSTANT:
            values = [_instant(value) for value in values]
        columns[field.name] = values
    known = frozenset(contract.columns)
    unknown = [tuple(name for name in record if name not in known) for record in records]
    return Records(
        contract=contract,
        seq=range(len(records)),
        columns=columns,
        unknown=unknown if any(unknown) else (),
        has_identity=False,
    )


def _instant(value: object) -> object:
    """Return milliseconds of an RFC 3339 text; anything else as it is, for the rules to judge."""
    if not isinstance(value, str) or _RFC_3339.fullmatch(value) is None:
        return value
    try:
        return to_ms(datetime.fromisoformat(value.upper()))
    except (ValueError, OverflowError):
        return value
