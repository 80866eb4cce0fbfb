"""The state of a gateway, read from its outbox while it may be running."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

_QUERY = {
    "read": "select coalesce(sum(value), 0) from count where kind = 'read'",
    "delivered": "select coalesce(sum(value), 0) from count where kind = 'delivered'",
    "spooled": "select coalesce(sum(n_records), 0) from batch",
    "spooled_bytes": "select coalesce(sum(length(payload)), 0) from batch",
    "unclean_stops": "select coalesce(max(value), 0) from state where name = 'unclean_stops'",
    "outboxes_set_aside": "select coalesce(max(value), 0) from state where name = 'set_aside'",
    "marked_running": "select coalesce(max(value), 0) from state where name = 'running'",
}


def read_status(outbox: Path) -> Mapping[str, object]:
    """Return counters of one gateway; an unreadable outbox is told, not raised.

    Parameters
    ----------
    outbox
        The outbox file; it is opened read-only.
    """
    status: dict[str, object] = {"gateway": outbox.parent.name}
    try:
        with closing(sqlite3.connect(f"file:{outbox}?mode=ro", uri=True)) as db:
            for name, query in _QUERY.items():
                status[name] = int(db.execute(query).fetchone()[0])
            rows = db.execute(
                "select name, sum(value) from count where kind = 'dropped' group by name"
            )
            status["dropped"] = {name: int(value) for name, value in rows}
            oldest = db.execute("select min(created_at_ms) from batch").fetchone()[0]
    except sqlite3.Error as error:
        status["error"] = f"{outbox} cannot be read: {error}"
        return status
    status["oldest_spooled_age_s"] = (
        None if oldest is None else max(0.0, round(time.time() - oldest / 1000, 1))
    )
    return status
