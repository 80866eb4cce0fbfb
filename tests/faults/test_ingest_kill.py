"""kill -9 of a real ingest process at random moments: every record is there once in the end."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time

from doubles.ingest_lake import committed_sums, places
from doubles.ingest_messages import GPS_TOPIC, fix, gps, raw, third_party
from doubles.ingest_oracle import everything, expected

from clearway_core.data_dir import DataDir
from clearway_core.lake import Lake
from clearway_core.stream.embedded import EmbeddedLog
from clearway_ingest.jobs import ingest

CHILD = """
import sys
from pathlib import Path
from clearway_core.data_dir import DataDir
from clearway_core.lake import Lake
from clearway_core.stream.embedded import EmbeddedLog
from clearway_ingest.jobs import Settings, ingest

folders = DataDir(Path(sys.argv[1]))
sys.stdout.write("ready\\n")
sys.stdout.flush()
ingest(Lake(folders.lake), EmbeddedLog(folders.log_file), settings=Settings(rows=int(sys.argv[2])))
"""


def _messages(rng):
    """Overlapping, resent and broken batches of three gateways, and a third party."""
    messages = []
    for number in range(120):
        gateway = f"gw-{rng.randrange(3)}"
        first = rng.randrange(0, 400)
        kind = rng.random()
        if kind < 0.05:
            messages.append(raw(rng.randbytes(40), key=gateway.encode()))
        elif kind < 0.15:
            records = [fix("tp", 1, rng.randrange(40)) for _ in range(5)]
            messages.append(third_party(records, key=b"tp"))
        else:
            changes = {"lat_deg": 91.0} if kind < 0.2 else {}
            seqs = range(first, first + rng.randrange(1, 40))
            messages.append(gps(gateway, number % 2, seqs, **changes))
    return messages


def _killed(folder, rows, after_s):
    """Run ingest and kill it `after_s` after it began; return whether it was killed in time."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), str(rows)], stdout=subprocess.PIPE
    )
    child.stdout.readline()
    time.sleep(after_s)
    child.kill()
    child.stdout.close()
    return child.wait() == -signal.SIGKILL


def test_kill_9_in_mid_stream_neither_loses_nor_doubles(tmp_path):
    rng = random.Random(20)
    folders = DataDir(tmp_path)
    log = EmbeddedLog(folders.log_file)
    log.append(GPS_TOPIC, _messages(rng))
    wanted = expected(everything(log))
    n_killed = 0
    for _ in range(5):
        n_killed += _killed(tmp_path, rng.choice([40, 150, 400]), rng.uniform(0.02, 0.5))
    lake = Lake(folders.lake)
    ingest(lake, log)
    assert n_killed >= 2  # or nothing was tried
    assert places(lake) == wanted.sorted_rows()
    sums = committed_sums(lake)
    assert sums["n_rows"] == wanted.read
    assert sums["n_duplicates"] == wanted.duplicates
    log.close()
