"""The guide's own commands under writes; then the lake is lost, and comes back."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

import polars as pl
import pytest
from doubles.ingest_street import StreetGateway

from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.contracts.wire import GPS_PING
from clearway_core.lake import Lake, open_lake
from clearway_core.stream.embedded import EmbeddedLog
from clearway_ingest.books.closing import BooksAccount, close_books
from clearway_ingest.jobs import Settings, ingest
from clearway_ingest.offsets import committed_ranges

GUIDE = Path(__file__).parents[2] / "docs/guides/backup.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)


def run_of_the_guide(title: str, folder: Path) -> None:
    """Run the block of the guide that begins with a comment, a second for each minute in it.

    Between its two archives passes as much time as a large lake takes.
    """
    [block] = [text for text in blocks("bash") if text.startswith(f"# {title}")]
    block = block.replace("1 minute ago", "1 second ago").replace("\nolder !", "\nsleep 1\nolder !")
    environment = {"CLEARWAY_DATA_DIR": str(folder / "data"), "BACKUP": str(folder / "backup")}
    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        env={"PATH": "/usr/bin:/bin", **environment},
        check=True,
    )


@contextmanager
def at_work(lake: Lake, log: EmbeddedLog, gateways: list[StreetGateway]) -> Iterator[None]:
    """Gateways read, send and tell their books, and ingest writes, all the time."""
    stop = threading.Event()

    def street() -> None:
        number = 0
        while not stop.wait(0.02):
            number += 1
            for gateway in gateways:
                gateway.read(10, 1)
                gateway.send(0, "broken" if number % 17 == 0 else "ok")
                if number % 40 == 0:
                    gateway.turn()
                if number % 5 == 0:
                    gateway.tell()

    def intake() -> None:
        settings = Settings(latency_s=0.05)
        ingest(lake, log, until_idle=False, settings=settings, stop=stop.is_set)

    threads = [threading.Thread(target=street), threading.Thread(target=intake)]
    for thread in threads:
        thread.start()
    yield
    stop.set()
    for thread in threads:
        thread.join()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EmbeddedLog]:
    log = EmbeddedLog(tmp_path / "log.sqlite")  # another disk, as Kafka's is
    yield log
    log.close()


def numbers_held(lake: Lake) -> set[tuple[str, int, int]]:
    found: list[tuple[str, int, int]] = []
    for table in ("gps_pings", "quarantine"):
        rows = lake.table(table).scan().select("gateway", "boot", "seq").collect()
        found += rows.rows()
    assert len(found) == len(set(found)), "a reading is stored twice"
    return set(found)


def numbers_read(gateways: list[StreetGateway]) -> set[tuple[str, int, int]]:
    return {
        (gateway.name, page.boot, number)
        for gateway in gateways
        for page in gateway.pages
        for number in page.numbers
    }


def until_commit(lake: Lake, version: int) -> None:
    ends_s = time.monotonic() + 120
    while (lake.table("ingest_commits").version() or 0) < version:
        assert time.monotonic() < ends_s
        time.sleep(0.05)


def catch_up(lake: Lake, log: EmbeddedLog, gateways: list[StreetGateway]) -> BooksAccount:
    for gateway in gateways:
        gateway.send_rest()
        gateway.tell()
    ingest(lake, log)
    return close_books(lake, log)


@pytest.fixture
def restored(tmp_path: Path, log: EmbeddedLog) -> tuple[Lake, list[StreetGateway]]:
    """A lake that was saved under writes, closed its books since, was lost, and is back."""
    data = tmp_path / "data"
    lake = open_lake(data)
    gateways = [StreetGateway(f"gw-{number}", log) for number in range(3)]
    with at_work(lake, log, gateways):
        until_commit(lake, 8)
        close_books(lake, log)
        time.sleep(1.5)  # the backup reaches up to a second ago
        run_of_the_guide("Back up", tmp_path)
        until_commit(lake, (lake.table("ingest_commits").version() or 0) + 3)
    close_books(lake, log)
    held = numbers_held(lake)
    shutil.rmtree(data)
    run_of_the_guide("Restore", tmp_path)
    back = numbers_held(open_lake(data))
    assert back
    assert back < held, "nothing was written after the backup: the test proves nothing"
    return open_lake(data), gateways


def test_with_its_log_a_restored_lake_lacks_nothing_and_doubles_nothing(restored, log):
    lake, gateways = restored
    account = catch_up(lake, log, gateways)
    assert numbers_held(lake) == numbers_read(gateways)
    assert account.is_closed()
    assert account.sums["n_missing"] == 0


def test_without_its_log_the_books_name_every_reading_that_is_gone(restored, tmp_path):
    lake, gateways = restored
    kept = numbers_held(lake)
    before = numbers_read(gateways)
    # Of a commit that the backup cut in two, rows are there that no log can confirm any more.
    ranges = committed_ranges(lake).filter(pl.col("contract") == GPS_PING.identifier)
    confirmed = ranges.select(pl.col("seq_last") - pl.col("seq_first") + 1).sum().item()
    new_log = EmbeddedLog(tmp_path / "new-log.sqlite")
    for gateway in gateways:
        gateway.send_to(new_log)
        gateway.turn()
        gateway.read(50, 0)
    account = catch_up(lake, new_log, gateways)
    new_log.close()
    gone = before - kept
    assert gone
    assert numbers_held(lake) == numbers_read(gateways) - gone
    assert account.sums["n_missing"] == len(before) - confirmed >= len(gone)


def test_the_tables_called_traces_are_those_that_expire():
    [block] = [text for text in blocks("bash") if text.startswith("# Back up")]
    traces = block.partition("traces=(")[2].partition(")")[0]
    patterns = re.findall(r"\./lake/([a-z_*]+)/\*'", traces)
    named = {name for name in LAKE_CONTRACTS for pattern in patterns if fnmatch(name, pattern)}
    assert named == {name for name, contract in LAKE_CONTRACTS.items() if contract.expires}
