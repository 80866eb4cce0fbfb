"""What a gateway says of itself, health and books, as parcels for its outbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from clearway_core.contracts.wire import WIRE_CONTRACTS
from clearway_core.stream.batch import Batch, encode
from clearway_edge.outbox.outbox import Account, Parcel, Stream


def report_parcel(
    gateway: str,
    records: Sequence[Mapping[str, object]],
    *,
    stream: Stream,
    first_seq: int,
    tells: Mapping[int, int] | None = None,
) -> Parcel:
    """Return records of one contract as a parcel; a field that a record lacks is null.

    Parameters
    ----------
    gateway
        Its name.
    records
        By field.
    stream, first_seq
        Identity of the records.
    tells
        As in `Parcel`.
    """
    contract = WIRE_CONTRACTS[stream.contract]
    next_seq = first_seq + len(records)
    batch = Batch(
        contract=stream.contract,
        gateway=gateway,
        boot=stream.boot,
        seq=range(first_seq, next_seq),
        columns={name: [record.get(name) for record in records] for name in contract.columns},
    )
    return Parcel(
        stream=stream,
        payload=encode(batch, contract),
        n_read=len(records),
        n_records=len(records),
        next_seq=next_seq,
        tells=tells or {},
    )


def counts_of(account: Account) -> dict[str, object]:
    """Return an account by the fields in which health and books tell it."""
    return {
        "n_read": account.read,
        "n_delivered": account.delivered,
        "n_spooled": account.spooled,
        "n_dropped": account.n_dropped,
        "dropped_by_reason": orjson.dumps(dict(account.dropped)).decode(),
    }
