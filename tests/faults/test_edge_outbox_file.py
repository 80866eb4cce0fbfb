"""The outbox file: crashes, damage and full disks."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from doubles.edge_doubles import TurnableClock

from clearway_core.contracts.wire import GPS_PING
from clearway_core.errors import OutboxFull
from clearway_core.stream.batch import Batch, encode
from clearway_edge.outbox.outbox import DAMAGED, Bounds, Parcel, Stream
from clearway_edge.outbox.sqlite_outbox import SqliteOutbox

STREAM = Stream(contract="gps_ping/1", boot=7, run=7)


def parcel(payload=b"x" * 1000, n=10):
    return Parcel(stream=STREAM, payload=payload, n_read=n, n_records=n, next_seq=n)


def open_box(folder, bounds=None):
    return SqliteOutbox(folder / "outbox.sqlite", bounds, TurnableClock())


def test_what_was_put_is_there_after_a_crash_and_the_crash_is_counted(tmp_path):
    box = open_box(tmp_path)
    box.put(parcel())
    del box  # no close: the process died
    after = open_box(tmp_path)
    assert after.unclean_stops == 1
    assert after.account(STREAM).spooled == 10
    after.close()
    last = open_box(tmp_path)
    assert last.unclean_stops == 1
    last.close()


def test_changed_batch_is_dropped_as_damaged_and_the_others_go_on(tmp_path):
    box = open_box(tmp_path)
    box.put(parcel(b"a" * 1000))
    box.put(parcel(b"b" * 1000))
    box.close()
    with sqlite3.connect(tmp_path / "outbox.sqlite") as db:
        db.execute(
            "update batch set payload = ? where id = (select min(id) from batch)",
            (b"a" * 999 + b"z",),
        )
    db.close()
    after = open_box(tmp_path)
    assert [batch.payload[:1] for batch in after.waiting(5)] == [b"b"]
    account = after.account(STREAM)
    assert account.dropped == {DAMAGED: 10}
    assert account.missing == 0
    after.close()


@pytest.mark.parametrize("junk", [b"", b"not a database at all" * 500, b"SQLite format 3\0" * 300])
def test_file_that_is_no_outbox_never_blocks_the_start(tmp_path, junk):
    (tmp_path / "outbox.sqlite").write_bytes(junk)
    box = open_box(tmp_path)
    box.put(parcel())
    assert box.account(STREAM).spooled == 10
    assert box.set_aside == (1 if junk else 0)
    box.close()
    aside = list(tmp_path.glob("outbox.damaged-*"))
    assert [file.read_bytes() for file in aside] == ([junk] if junk else [])


def test_torn_pages_in_the_middle_are_set_aside_and_work_goes_on(tmp_path):
    box = open_box(tmp_path)
    for _ in range(200):
        box.put(parcel())
    box.close()
    file = tmp_path / "outbox.sqlite"
    data = bytearray(file.read_bytes())
    data[4096 : len(data) - 4096] = b"\xaa" * (len(data) - 8192)
    file.write_bytes(data)
    after = open_box(tmp_path)
    after.put(parcel())
    assert after.account(STREAM).spooled == 10
    assert after.set_aside == 1
    after.close()


def test_full_disk_refuses_the_batch_and_takes_the_next_when_there_is_room(tmp_path):
    box = open_box(tmp_path)
    box.put(parcel())
    pages = box._db.execute("pragma page_count").fetchone()[0]
    box._db.execute(f"pragma max_page_count={pages + 2}")
    with pytest.raises(OutboxFull, match="disk full"):
        box.put(parcel(b"y" * 100_000))
    assert box.account(STREAM).read == 10
    assert box.waiting_bytes == 1000
    box.accept([box.waiting(1)[0].id])
    box.put(parcel(b"z" * 500))
    assert [batch.payload[:1] for batch in box.waiting(5)] == [b"z"]
    box.close()


def test_card_that_forgot_the_newest_commits_costs_no_batch_that_had_to_wait(tmp_path):
    """Batches of an unsynchronised clock are passed by later ones of the same page."""
    box = open_box(tmp_path)
    box.put(replace(parcel(b"early"), clock="start-1"), parcel(b"later"))
    box._db.execute("pragma wal_checkpoint(truncate)")
    before = (tmp_path / "outbox.sqlite").read_bytes()
    [later] = box.waiting(9, skip_clock="start-1")
    box.accept([later.id])
    box._db.close()
    (tmp_path / "outbox.sqlite").write_bytes(before)
    (tmp_path / "outbox.sqlite-wal").unlink(missing_ok=True)
    (tmp_path / "outbox.sqlite-shm").unlink(missing_ok=True)
    after = open_box(tmp_path)
    assert [batch.payload for batch in after.waiting(9)] == [b"early"]
    account = after.account(STREAM)
    assert (account.delivered, account.dropped, account.missing) == (10, {}, 0)
    after.close()


def test_what_the_log_took_while_the_disk_takes_nothing_is_neither_sent_again_nor_lost(tmp_path):
    box = open_box(tmp_path, Bounds(max_bytes=40))
    for payload in (b"1" * 10, b"2" * 10, b"3" * 10, b"4" * 10):
        box.put(parcel(payload))
    box._db.execute("pragma busy_timeout=0")
    with closing(sqlite3.connect(tmp_path / "outbox.sqlite")) as other:
        other.execute("begin immediate")
        first, second, third, fourth = box.waiting(9)
        box.accept([third.id])
        assert box.waiting(1) == [first]
        box.accept([first.id])
        assert box.waiting(1) == [second]
        assert box.waiting(9) == [second, fourth]
        assert box.account(STREAM).delivered == 0
        with pytest.raises(OutboxFull, match="could not be written"):
            box.put(parcel(b"5"))
        other.rollback()
    box.put(parcel(b"5" * 10))  # in the place of the first, which had arrived
    account = box.account(STREAM)
    assert (account.delivered, account.dropped) == (10, {})
    assert [batch.payload[:1] for batch in box.waiting(9)] == [b"2", b"4", b"5"]
    account = box.account(STREAM)
    assert (account.delivered, account.dropped, account.missing) == (20, {}, 0)
    assert not box._delivered
    box.close()


def test_batch_whose_page_is_lost_still_has_an_age_and_goes_on(tmp_path):
    box = open_box(tmp_path)
    payload = encode(
        Batch(contract="gps_ping/1", gateway="g", boot=7, seq=[0], columns={"vehicle": ["0" * 32]}),
        GPS_PING,
    )
    box.put(parcel(payload, 1))
    put_at_ms = box.oldest_created_at_ms()
    with box._db:
        box._db.execute("delete from page")
    box._db.close()
    (tmp_path / "outbox.counts").unlink()
    after = open_box(tmp_path, Bounds(max_age_s=3600))
    assert after.oldest_created_at_ms() == put_at_ms is not None
    assert after.expire() == 0
    [batch] = after.waiting(9)
    assert (batch.payload, after.account(STREAM).spooled) == (payload, 1)
    after.close()


def test_file_stays_near_its_bound_however_much_passes_through(tmp_path):
    box = open_box(tmp_path, Bounds(max_bytes=200_000))
    for _ in range(400):
        box.put(parcel(b"x" * 5000))
    size = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert box.waiting_bytes <= 200_000
    assert size < 200_000 * 1.5 + 5 * 1024 * 1024
    assert box.account(STREAM).missing == 0
    box.close()
