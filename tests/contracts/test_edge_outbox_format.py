"""The outbox's file as version 0.1.0 wrote it: an upgraded gateway goes on where it stood."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from doubles.edge_doubles import TurnableClock

from clearway_edge.outbox.outbox import Account, Bounds, Stream
from clearway_edge.outbox.outbox_file import PAGE_BYTES, VERSION
from clearway_edge.outbox.sqlite_outbox import SqliteOutbox

DUMP = Path(__file__).parent / "samples" / "outbox_version_2.sql"
"""Of a gateway that was killed with batches that wait, that are held, and without a clock."""

GPS = Stream(contract="gps_ping/1", boot=7, run=7)
AIR = Stream(contract="air_reading/1", boot=7, run=7)


def test_outbox_of_the_first_version_is_read_as_it_was_left(tmp_path):
    file = tmp_path / "outbox.sqlite"
    with closing(sqlite3.connect(file)) as db:
        db.execute(f"pragma page_size={PAGE_BYTES}")
        db.executescript(DUMP.read_text(encoding="utf-8") + f"pragma user_version={VERSION};")
    box = SqliteOutbox(file, Bounds(), TurnableClock())
    assert box.set_aside == 0
    assert box.unclean_stops == 1
    assert [batch.payload for batch in box.waiting(9)] == [
        b"health", b"books", b"without a clock", b"inside",
    ]  # fmt: skip
    assert [batch.payload for batch in box.waiting(9, skip_clock="start-1")][2:] == [b"inside"]
    assert [(batch.payload, batch.n_records) for batch in box.held()] == [(b"still held", 1)]
    assert box.note() == b"half a trip"
    assert box.account(GPS) == Account(
        read=13, delivered=4, spooled=6, dropped={"trip_end": 3}, notes={"flagged.x": 2}
    )
    assert box.account(AIR) == Account(read=5, spooled=3, dropped={"bad_checksum": 2})
    assert box.clock_tags() == {"start-1"}
    told = [(p.number, p.seq_first, p.seq_next, p.n_unclean_at_most) for p in box.pages()]
    assert told == [(0, 0, 4, 4), (0, 0, 3, 0), (1, 4, 13, 0)]
    box.close()
