"""kill -9 of a real gateway process in mid-stream, at random moments."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from doubles.edge_doubles import all_bytes, batches_in, profile_file, write_csv

N_RECORDS = 60_000
N_SEEDS = 8


def replay_command(data_dir: Path, profile: Path, file: Path) -> list[str]:
    return [
        sys.executable, "-m", "clearway_edge.main", "replay", str(file),
        "--profile", str(profile), "--data-dir", str(data_dir), "--json",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recording")
    rows = [
        f"cab-{i % 97},{1_768_440_000 + i},100.5,{13.7 + i % 100 / 1000}" for i in range(N_RECORDS)
    ]
    return write_csv(folder / "fleet.csv", rows), profile_file(folder)


@pytest.mark.parametrize("seed", range(N_SEEDS))
def test_replay_killed_at_random_moments_loses_and_doubles_nothing(recording, tmp_path, seed):
    file, profile = recording
    chance = random.Random(seed)
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    kills, attempts = 0, 0
    while kills < 2:
        attempts += 1
        assert attempts < 12, "the replay always ended before it could be killed"
        before = n_messages(tmp_path)
        process = subprocess.Popen(
            replay_command(tmp_path, profile, file),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=env,
        )
        while n_messages(tmp_path) == before and process.poll() is None:
            time.sleep(0.002)
        time.sleep(chance.uniform(0.0, 0.25))
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    done = subprocess.run(
        replay_command(tmp_path, profile, file), check=True, capture_output=True, text=True, env=env
    )
    assert f'"delivered": {N_RECORDS}' in done.stdout
    batches = batches_in(tmp_path)
    numbers = Counter((batch.boot, seq) for batch in batches for seq in batch.seq)
    assert len({boot for boot, _ in numbers}) == 1
    assert {seq for _, seq in numbers} == set(range(N_RECORDS))
    # What was sent again is the same record under the same identity, so that ingest drops it.
    content: dict[int, tuple[object, ...]] = {}
    for batch in batches:
        for i, seq in enumerate(batch.seq):
            row = tuple(batch.columns[name][i] for name in ("vehicle", "observed_at", "lat_deg"))
            assert content.setdefault(seq, row) == row


def test_live_gateway_killed_keeps_what_it_committed_and_resumes_under_a_new_boot(tmp_path):
    fixes = b"".join(rmc(second) for second in range(300))
    (tmp_path / "receiver.nmea").write_bytes(fixes)
    settings = tmp_path / "gateway.toml"
    settings.write_text(LIVE.format(data_dir=tmp_path / "data", file=tmp_path / "receiver.nmea"))
    command = [sys.executable, "-m", "clearway_edge.main", "run", "--settings", str(settings)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    wait_for(lambda: pings(tmp_path) == 300)
    process.kill()
    process.wait()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    wait_for(lambda: pings(tmp_path) == 600)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0
    batches = batches_in(tmp_path / "data")
    identities = [(batch.boot, seq) for batch in batches for seq in batch.seq]
    assert len(identities) == len(set(identities)) == 600
    assert len({boot for boot, _ in identities}) == 2
    health = batches_in(tmp_path / "data", "clearway.gateway_health.v1")
    assert max(max(batch.columns["unclean_stops"]) for batch in health) == 1
    for path, content in all_bytes(tmp_path / "data"):
        assert b"service-car-7" not in content, path


LIVE = """
[gateway]
name = "gw-test"
data_dir = "{data_dir}"
time_zone = "Europe/London"
commit_every_s = 0.1
health_every_s = 1

[[source]]
kind = "nmea"
file = "{file}"
provider = "fleet"
vehicle = "service-car-7"
trip_ends = "keep"
"""


def n_messages(data_dir: Path) -> int:
    """Return how many messages the embedded log holds, 0 while there is none."""
    try:
        with closing(sqlite3.connect(f"file:{data_dir}/log.sqlite?mode=ro", uri=True)) as db:
            return int(db.execute("select count(*) from message").fetchone()[0])
    except sqlite3.Error:
        return 0


def rmc(second: int) -> bytes:
    body = f"GPRMC,1036{second % 60:02d}.00,A,5327.{second:05d},N,00214.41462,W,0.046,,060321,,,A"
    check = 0
    for byte in body.encode():
        check ^= byte
    return f"${body}*{check:02X}\r\n".encode()


def pings(folder: Path) -> int:
    if not (folder / "data/log.sqlite").exists():
        return 0
    return sum(len(batch) for batch in batches_in(folder / "data"))


def wait_for(condition, timeout_s: float = 20.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, "it did not happen in time"
        time.sleep(0.05)
