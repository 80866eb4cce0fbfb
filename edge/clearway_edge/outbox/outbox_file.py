"""The file of the outbox: opened as it must be, or set aside and begun anew."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from clearway_core.errors import SourceUnavailable
from clearway_edge.outbox.ledger import Page
from clearway_edge.outbox.outbox import Bounds
from clearway_edge.outbox.wal_mending import mend_wal

log = logging.getLogger(__name__)

SET_ASIDE = "set_aside"
"""Name of the state that counts damaged files."""

SALVAGE = "salvage"
"""Name of the state that says which damaged file is being read out; 0 for none."""

PAGE_BYTES = 1024
"""Size of the file's pages.

A commit writes whole pages: that of the batch, those of the counts. Measured on ext4, bytes written
for a reading that is stored, acknowledged and deleted, payload of 22 bytes, 1,000 readings a
commit: 34 with pages of 1 KiB, 40 with 2 KiB, 54 with 4 KiB; 56 and 71 with 1 and 4 KiB while 300
batches wait; 10 readings a commit: 838, 1,255 and 2,079. Incremental vacuum would add 2 to 10 % to
give space back that the outbox will need again. SQLite's secure_delete, on in Debian, overwrites
what is deleted: 55 instead of 34; it is switched on only for batches with trip ends.
"""

FILE_SLACK_BYTES = 1024 * 1024
"""What the file may hold beside its bound: the tables themselves, counts, half-full pages."""

WAL_BYTES = 4 * 1024 * 1024
"""Size at which the log of commits goes into the file: what is sent at once is overwritten in it
many times before."""

VERSION = 2
_SCHEMA = """
create table batch (
  id integer primary key, page integer not null, n_records integer not null,
  created_at_ms integer not null, clock text, digest blob not null, payload blob not null
) strict;
create index batch_clock on batch (clock, id) where clock is not null;
create table page (id integer primary key, body blob not null) strict;
create table note (name text primary key, value blob not null) strict, without rowid;
create table state (name text primary key, value integer not null) strict, without rowid;
"""
_DAMAGED = ".damaged-"
_BUSY_TIMEOUT_S = 10.0
_DAMAGE = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_FORMAT,
}
_UNREADABLE = {
    sqlite3.SQLITE_IOERR_READ,
    sqlite3.SQLITE_IOERR_SHORT_READ,
    sqlite3.SQLITE_IOERR_CORRUPTFS,
}


class DiskTakesNothing(SourceUnavailable):
    """The disk is full, or may only be read: later it may be otherwise."""


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether an error says that bytes of the file are wrong, not that it is full."""
    if isinstance(error, sqlite3.ProgrammingError):
        return False
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return not isinstance(error, sqlite3.OperationalError)
    return code in _UNREADABLE or code & 0xFF in _DAMAGE


def open_outbox(file: Path, bounds: Bounds, *, mend: bool) -> sqlite3.Connection:
    """Return the outbox's database; a damaged file is set aside and a new one begun.

    Parameters
    ----------
    file
        The file.
    bounds
        How large it may become.
    mend
        Whether the last process died while the machine went on, so that whatever is wrong with the
        log of commits is damage and not a power cut.

    Raises
    ------
    DiskTakesNothing
        If not even a new file can be made.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            if mend:
                mend_wal(file, PAGE_BYTES)
            return _connect(file, bounds)
        except sqlite3.DatabaseError as error:
            if not file.is_file() or not is_damage(error):
                raise
            return begin_anew(file, bounds)
    except (OSError, sqlite3.Error) as error:
        message = f"the outbox {file} cannot be opened: {error}. Check folder and disk."
        raise DiskTakesNothing(message) from error


def damaged_file(file: Path, number: int) -> Path:
    """Return the name of a file that was set aside."""
    return file.with_suffix(f"{_DAMAGED}{number}")


def begin_anew(file: Path, bounds: Bounds, known: int = 0) -> sqlite3.Connection:
    """Rename a damaged outbox, to be read out, and return a new one.

    One damaged file is kept, so that a card that breaks again and again fills no disk.

    Parameters
    ----------
    file, bounds
        As in `open_outbox`.
    known
        Files that were set aside before, as far as anybody knows.
    """
    olds = {
        int(old.suffix.removeprefix(_DAMAGED)): old
        for old in file.parent.glob(f"{file.stem}{_DAMAGED}*")
        if old.suffix.removeprefix(_DAMAGED).isdecimal()
    }
    for old in olds.values():
        remove_damaged(old)
    number = max([known, *olds]) + 1
    aside = damaged_file(file, number)
    file.replace(aside)
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            _beside(file, suffix).replace(_beside(aside, suffix))
    log.error("outbox_set_aside", extra={"file": str(aside)})
    db = _connect(file, bounds)
    with db:
        db.executemany(
            "insert or replace into state values (?, ?)", [(SET_ASIDE, number), (SALVAGE, number)]
        )
    return db


def remove_damaged(file: Path) -> None:
    """Delete a file that was set aside."""
    for suffix in ("", "-wal", "-shm"):
        _beside(file, suffix).unlink(missing_ok=True)


def _beside(file: Path, suffix: str) -> Path:
    return file.with_name(file.name + suffix)


def _connect(file: Path, bounds: Bounds) -> sqlite3.Connection:
    db = sqlite3.connect(file, timeout=_BUSY_TIMEOUT_S, check_same_thread=False)
    try:
        db.execute(f"pragma page_size={PAGE_BYTES}")
        db.execute("pragma journal_mode=wal")
        db.execute("pragma synchronous=full")
        db.execute("pragma secure_delete=off")
        db.execute(f"pragma journal_size_limit={WAL_BYTES}")
        db.execute(f"pragma wal_autocheckpoint={WAL_BYTES // PAGE_BYTES}")
        n_pages = (bounds.max_bytes + 2 * FILE_SLACK_BYTES) // PAGE_BYTES
        db.execute(f"pragma max_page_count={n_pages}")
        _check_version(db)
        read_pages(db)
        db.execute("select value from state").fetchall()
        db.execute("select name from note").fetchall()
    except sqlite3.Error:
        db.close()
        raise
    return db


def _check_version(db: sqlite3.Connection) -> None:
    (version,) = db.execute("pragma user_version").fetchone()
    (n_tables,) = db.execute("select count(*) from sqlite_schema").fetchone()
    if n_tables == 0:
        db.executescript(f"begin; {_SCHEMA} pragma user_version={VERSION}; commit;")
        # The first page, which says where the tables are, belongs into the file itself.
        db.execute("pragma wal_checkpoint(truncate)")
    elif version != VERSION:
        message = f"expected an outbox of version {VERSION}, got {version}"
        raise sqlite3.DatabaseError(message)
    elif _definitions(db) != _definitions_wanted():
        # One flipped bit in the name of a column, and no batch could ever be put.
        message = "the tables are not those of an outbox"
        raise sqlite3.DatabaseError(message)


def _definitions(db: sqlite3.Connection) -> list[tuple[str, str]]:
    return db.execute("select name, sql from sqlite_schema order by name").fetchall()


def _definitions_wanted() -> list[tuple[str, str]]:
    with closing(sqlite3.connect(":memory:")) as model:
        model.executescript(_SCHEMA)
        return _definitions(model)


def read_pages(db: sqlite3.Connection) -> tuple[list[Page], set[int]]:
    """Return the pages of an outbox, and the numbers of those whose bytes have changed."""
    pages, damaged = [], set()
    for number, body in db.execute("select id, body from page order by id"):
        page = Page.from_bytes(body)
        if page is None:
            damaged.add(number)
        else:
            pages.append(page)
    return pages, damaged
