"""What only the embedded log has to withstand: other processes, threads, full and broken disks."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import threading

import pytest
from doubles.stream_writers import append_numbers, append_then_die

from clearway_core.errors import DeliveryFailed, SourceUnavailable
from clearway_core.stream.embedded import EmbeddedLog
from clearway_core.stream.log import Message, TopicPartition

SPAWN = multiprocessing.get_context("spawn")


def values(log: EmbeddedLog) -> list[bytes]:
    positions = dict.fromkeys(log.end_offsets("t"), 0)
    found = []
    while part := log.read(positions, timeout_s=0):
        for message in part:
            found.append(message.value)
            positions[TopicPartition("t", message.partition)] = message.offset + 1
    return found


def test_processes_that_make_and_fill_the_log_together_lose_nothing(tmp_path):
    file = tmp_path / "log.sqlite"
    workers = [SPAWN.Process(target=append_numbers, args=(str(file), n, 40)) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    log = EmbeddedLog(file)
    found = values(log)
    log.close()
    for worker in range(3):
        mine = [value for value in found if value.startswith(b"%d:" % worker)]
        assert mine == [b"%d:%d" % (worker, n) for n in range(40)]


def test_process_that_is_killed_loses_nothing_that_append_returned_for(tmp_path):
    file = tmp_path / "log.sqlite"
    worker = SPAWN.Process(target=append_then_die, args=(str(file), 25))
    worker.start()
    worker.join(60)
    assert worker.exitcode == -9
    log = EmbeddedLog(file)
    assert values(log) == [b"%d" % n for n in range(25)]
    log.close()


def test_threads_may_share_one_log(tmp_path):
    log = EmbeddedLog(tmp_path / "log.sqlite")

    def write(worker: int) -> None:
        for n in range(20):
            log.append("t", [Message(key=b"%d" % worker, value=b"%d" % n)])
            log.end_offsets("t")

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(values(log)) == 80
    log.close()


def test_log_that_another_process_holds_is_tried_again_later(tmp_path):
    file = tmp_path / "log.sqlite"
    log = EmbeddedLog(file, busy_timeout_s=0.05)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("begin immediate")
    with pytest.raises(DeliveryFailed, match="locked") as failed:
        log.append("t", [Message(key=b"k", value=b"v")])
    assert failed.value.retry_after_s > 0
    other.execute("rollback")
    other.close()
    log.append("t", [Message(key=b"k", value=b"v")])
    assert values(log) == [b"v"]
    log.close()


def test_disk_that_fills_up_keeps_what_was_there_and_takes_more_later(tmp_path):
    log = EmbeddedLog(tmp_path / "log.sqlite")
    log.append("t", [Message(key=b"k", value=b"first")])
    pages = log._db.execute("pragma page_count").fetchone()[0]
    log._db.execute(f"pragma max_page_count = {pages + 2}")  # as a full disk: SQLITE_FULL
    with pytest.raises(DeliveryFailed, match="full"):
        log.append("t", [Message(key=b"k", value=bytes(100_000))])
    assert values(log) == [b"first"]
    log._db.execute("pragma max_page_count = 1000000")
    log.append("t", [Message(key=b"k", value=b"second")])
    assert values(log) == [b"first", b"second"]
    log.close()


def test_file_that_is_no_log_is_source_unavailable(tmp_path):
    (tmp_path / "log.sqlite").write_bytes(b"this is not a database" * 100)
    with pytest.raises(SourceUnavailable, match="not a database"):
        EmbeddedLog(tmp_path / "log.sqlite")


def test_folder_that_cannot_be_made_is_source_unavailable(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SourceUnavailable, match="Check the data folder"):
        EmbeddedLog(tmp_path / "file" / "log.sqlite")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_file_that_may_not_be_written_is_source_unavailable(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(SourceUnavailable):
        EmbeddedLog(tmp_path / "log.sqlite")


def test_read_without_partitions_waits_and_is_empty(tmp_path):
    log = EmbeddedLog(tmp_path / "log.sqlite")
    assert list(log.read({}, timeout_s=0.01)) == []
    log.close()
