"""What an outbox that is full gives up, so that what matters more fits."""

from __future__ import annotations

from clearway_core.errors import OutboxFull
from clearway_edge.outbox.batch_store import BatchStore, Head, counter_of
from clearway_edge.outbox.ledger import Draft
from clearway_edge.outbox.outbox import LOWEST_PRIORITY, Bounds, Parcel, WhenFull, priority_of


def to_give_up(
    draft: Draft, store: BatchStore, parcel: Parcel, *, bounds: Bounds, before: int
) -> list[Head]:
    """Return batches that must go for a parcel to fit, the least important and oldest first.

    Only batches of the same or less importance give way: new fixes never take the place of an
    older air reading.

    Parameters
    ----------
    draft, store
        What waits.
    parcel
        What comes.
    bounds
        How much may wait.
    before
        Batches with this counter or a higher one have just come themselves.

    Raises
    ------
    OutboxFull
        If it does not fit however much may give way.
    """
    size = len(parcel.payload)
    over = max(
        draft.waiting_bytes + size - bounds.max_bytes, store.too_large_by(size, bounds.max_bytes)
    )
    if over <= 0:
        return []
    victims = []
    if bounds.when_full is WhenFull.DROP_OLDEST and size <= bounds.max_bytes:
        for priority in range(LOWEST_PRIORITY, priority_of(parcel.stream.contract) - 1, -1):
            for head in store.in_order(priority):
                if over <= 0 or counter_of(head.id) >= before:
                    break
                victims.append(head)
                over -= head.n_bytes
    if over > 0:
        message = (
            f"the outbox holds {draft.waiting_bytes} bytes that may not give way to these {size}, "
            f"and may hold {bounds.max_bytes}: bring the log back, or raise outbox.max_mib"
        )
        raise OutboxFull(message)
    return victims
