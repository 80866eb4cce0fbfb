"""Receipts: the lake tells gateways which of their records it holds.

Ingest appends one after each commit; a gateway that is being put up reads them, so that a
technician knows that a reading has arrived at the far end and not only at the broker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import orjson

from clearway_core.errors import ContractViolation
from clearway_core.stream.batch import RECORD_CONTENT_TYPE
from clearway_core.stream.log import CONTENT_TYPE_HEADER, Message, StoredMessage

RECEIPTS_TOPIC = "clearway.lake_receipt.v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What the lake has committed of one gateway's stream.

    Parameters
    ----------
    gateway, boot, contract
        Whose records.
    seq_last
        Highest number among the committed records of this commit.
    n_stored
        Records of this commit in their table; the others are in quarantine or were duplicates.
    committed_at_ms
        [ms since 1970]
    """

    gateway: str
    boot: int
    contract: str
    seq_last: int
    n_stored: int
    committed_at_ms: int


def message_of(receipt: Receipt) -> Message:
    """Return the receipt as a message, under the gateway's key."""
    return Message(
        key=receipt.gateway.encode(),
        value=orjson.dumps(receipt),
        headers={CONTENT_TYPE_HEADER: RECORD_CONTENT_TYPE},
    )


def receipt_of(message: StoredMessage) -> Receipt:
    """Return the receipt that a message holds.

    Raises
    ------
    ContractViolation
        If it holds none.
    """
    try:
        values = cast("dict[str, object]", orjson.loads(message.value))
        return Receipt(
            gateway=str(values["gateway"]),
            boot=int(cast("int", values["boot"])),
            contract=str(values["contract"]),
            seq_last=int(cast("int", values["seq_last"])),
            n_stored=int(cast("int", values["n_stored"])),
            committed_at_ms=int(cast("int", values["committed_at_ms"])),
        )
    except (KeyError, TypeError, ValueError) as error:
        message_text = f"a receipt of the lake cannot be read: {error}"
        raise ContractViolation(message_text) from error
