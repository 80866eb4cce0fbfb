"""The file of the outbox: opened as it must be, or set aside and begun anew."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import suppress
from pathlib import Path

from clearway_core.errors import SourceUnavailable
from clearway_edge.ledger import Page
from clearway_edge.outbox import Bounds

log = logging.getLogger(__name__)

SET_ASIDE = "set_aside"
"""Name of the state that counts damaged files."""

_VERSION = 2
_SCHEMA = """
create table if not exists batch (
  id integer primary key, page integer not null, n_records integer not null,
  created_at_ms integer not null, clock text, digest blob not null, payload blob not null
) strict;
create index if not exists batch_clock on batch (clock, id) where clock is not null;
create table if not exists page (id integer primary key, body blob not null) strict;
create table if not exists note (name text primary key, value blob not null) strict, without rowid;
create table if not exists state (name text primary key, value integer not null) strict;
"""
_BUSY_TIMEOUT_S = 10.0
_OVERHEAD_BYTES = 8 * 1024 * 1024
"""What the file may hold beside payloads: counters, and pages that are not full."""
_WAL_BYTES = 4 * 1024 * 1024
_PAGE_BYTES = 4096


def open_outbox(file: Path, bounds: Bounds) -> sqlite3.Connection:
    """Return the outbox's database; a damaged file is set aside and a new one begun.

    Raises
    ------
    SourceUnavailable
        If not even a new file can be made.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            return _connect(file, bounds)
        except sqlite3.DatabaseError:
            if not file.is_file():
                raise
            return begin_anew(file, bounds)
    except (OSError, sqlite3.Error) as error:
        message = f"the outbox {file} cannot be opened: {error}. Check folder and disk."
        raise SourceUnavailable(message) from error


def begin_anew(file: Path, bounds: Bounds) -> sqlite3.Connection:
    """Rename a damaged outbox, keeping its bytes for a repair, and return a new one."""
    number = 1
    while (aside := file.with_suffix(f".damaged-{number}")).exists():
        number += 1
    file.replace(aside)
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            file.with_name(file.name + suffix).replace(aside.with_name(aside.name + suffix))
    log.error("outbox_set_aside", extra={"file": str(aside)})
    db = _connect(file, bounds)
    with db:
        db.execute("insert or replace into state values (?, ?)", (SET_ASIDE, number))
    return db


def _connect(file: Path, bounds: Bounds) -> sqlite3.Connection:
    db = sqlite3.connect(file, timeout=_BUSY_TIMEOUT_S, check_same_thread=False)
    try:
        db.execute("pragma journal_mode=wal")
        db.execute("pragma synchronous=full")
        db.execute(f"pragma journal_size_limit={_WAL_BYTES}")
        pages = (bounds.max_bytes * 5 // 4 + _OVERHEAD_BYTES) // _PAGE_BYTES
        db.execute(f"pragma max_page_count={pages}")
        db.executescript(_SCHEMA)
        read_pages(db)
    except sqlite3.Error:
        db.close()
        raise
    return db


def read_pages(db: sqlite3.Connection) -> list[Page]:
    """Return the pages of an outbox whose bytes have not changed."""
    rows = db.execute("select body from page order by id").fetchall()
    return [page for (body,) in rows if (page := Page.from_bytes(body)) is not None]
