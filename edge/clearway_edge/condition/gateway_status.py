"""The state of a gateway, read from its outbox while it may be running."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from clearway_edge.outbox.ledger import PAST
from clearway_edge.outbox.outbox import OWN_REPORTS, Account, total_of
from clearway_edge.outbox.outbox_file import read_pages
from clearway_edge.outbox.sqlite_batches import SqliteBatches

_STATES = {
    "unclean_stops": "unclean_stops",
    "outboxes_set_aside": "set_aside",
    "marked_running": "running",
}


def read_status(outbox: Path) -> Mapping[str, object]:
    """Return counters of one gateway; an unreadable outbox is told, not raised.

    Parameters
    ----------
    outbox
        The outbox file; it is opened read-only, and a gateway that writes it does not notice.
    """
    status: dict[str, object] = {"gateway": outbox.parent.name}
    try:
        with closing(sqlite3.connect(f"file:{outbox}?mode=ro", uri=True)) as db:
            pages, _ = read_pages(db)
            states = dict(db.execute("select name, value from state").fetchall())
            oldest = SqliteBatches(db).oldest_ready()
    except sqlite3.Error as error:
        status["error"] = f"{outbox} cannot be read: {error}"
        return status
    told = [page for page in pages if page.stream.contract not in OWN_REPORTS]
    own = [page for page in pages if page.stream.contract in OWN_REPORTS]
    account = total_of(page.account for page in told)
    status |= {
        "read": account.read,
        "delivered": account.delivered,
        "spooled": account.spooled,
        "spooled_bytes": sum(page.spooled_bytes for page in pages),
        **{shown: states.get(name, 0) for shown, name in _STATES.items()},
        "dropped": dict(account.dropped),
        "own_reports": _counts(total_of(page.account for page in own)),
        "pages": sum(page.number != PAST for page in told),
        "pages_that_wait": sum(page.spooled > 0 for page in told),
        "oldest_spooled_age_s": (
            None
            if oldest is None
            else max(0.0, round(time.time() - oldest.created_at_ms / 1000, 1))
        ),
    }
    return status


def _counts(account: Account) -> dict[str, int]:
    return {
        "read": account.read,
        "delivered": account.delivered,
        "spooled": account.spooled,
        "dropped": account.n_dropped,
    }
