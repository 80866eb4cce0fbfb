"""Words of gateways about their books, as they tell them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from doubles.ingest_messages import START_MS, columnar

from clearway_core.contracts.wire import GATEWAY_BOOKS, TOPICS
from clearway_core.stream.log import Message

BOOKS_TOPIC = TOPICS[GATEWAY_BOOKS.identifier]
HOUR_MS = 3_600_000


def word(
    first: int,
    stop: int,
    *,
    page: int = 0,
    boot: int = 1,
    contract: str = "gps_ping/1",
    read: int | None = None,
    spooled: int = 0,
    dropped: Mapping[str, int] | None = None,
    closed: bool = False,
    unclean: int = 0,
) -> dict[str, object]:
    """One word about a page; unless told otherwise, every number was read and delivered."""
    gone = dict(dropped or {})
    n_read = stop - first if read is None else read
    return {
        "observed_at": START_MS,
        "about_contract": contract,
        "about_boot": boot,
        "page": page,
        "hour_start": START_MS - START_MS % HOUR_MS + page * HOUR_MS,
        "seq_first": first,
        "seq_next": stop,
        "n_read": n_read,
        "n_delivered": n_read - spooled - sum(gone.values()),
        "n_spooled": spooled,
        "n_dropped": sum(gone.values()),
        "dropped_by_reason": json.dumps(gone),
        "n_unclean_stops": unclean,
        "n_unclean_at_most": unclean * 7,
        "closed": closed,
    }


def told(
    gateway: str, seq: int, words: Sequence[Mapping[str, object]], *, boot: int = 99
) -> Message:
    """Return words as one message; `boot` is that of the agent that speaks."""
    numbers = range(seq, seq + len(words))
    return columnar(GATEWAY_BOOKS, gateway, boot, numbers, [dict(each) for each in words])
