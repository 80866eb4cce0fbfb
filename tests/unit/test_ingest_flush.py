"""When what was read is written: by number, by size or by age, whichever comes first."""

from __future__ import annotations

from itertools import pairwise

import pytest
from doubles.edge_doubles import TurnableClock
from doubles.ingest_messages import GPS_TOPIC, gps

from clearway_core.lake import Lake
from clearway_core.stream.embedded import EmbeddedLog
from clearway_ingest.jobs import Settings, ingest


class PromptLog:
    """Never waits: with a clock that stands, the time to wait would be the machine's."""

    def __init__(self, log):
        self.log = log
        self.waits_s = []

    def read(self, positions, *, timeout_s=1.0):
        self.waits_s.append(timeout_s)
        return self.log.read(positions, timeout_s=0.0)

    def __getattr__(self, name):
        return getattr(self.log, name)


@pytest.fixture
def log(tmp_path):
    log = EmbeddedLog(tmp_path / "log.sqlite")
    log.ensure_topic(GPS_TOPIC, 1)
    yield log
    log.close()


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake")


def _commits(lake):
    return lake.table("ingest_commits").scan().sort("next_offset").collect()


def test_what_trickles_in_is_written_when_its_time_is_over(lake, log):
    clock, prompt = TurnableClock(), PromptLog(log)
    log.append(GPS_TOPIC, [gps("gw-1", 1, [0])])
    steps_s = iter([0.0, 4.5, 0.5])
    written = []

    def stop():
        written.append((clock.elapsed_s, _commits(lake).height))
        step_s = next(steps_s, None)
        if step_s is not None:
            clock.forward(step_s)
        return step_s is None

    ingest(lake, prompt, until_idle=False, settings=Settings(latency_s=5.0), stop=stop, clock=clock)
    assert written == [(0.0, 0), (0.0, 0), (4.5, 0), (5.0, 1)]
    # It waits for more no longer than until then, and a second where nothing waits.
    assert prompt.waits_s == [1.0, 0.5, 0.0]
    assert _commits(lake)["committed_at"].to_list() == [clock.now()]


@pytest.mark.parametrize(
    ("limits", "n_messages"),
    [
        (Settings(rows=4), [2, 2, 1]),
        (Settings(rows=5), [3, 2]),
        (Settings(rows=1000, payload_bytes=1), [1, 1, 1, 1, 1]),
        (Settings(), [5]),
    ],
    ids=["rows", "rows_of_a_message_stay_together", "bytes", "everything"],
)
def test_so_many_records_or_bytes_are_written_together(lake, log, limits, n_messages):
    log.append(GPS_TOPIC, [gps("gw-1", 1, [number, number + 1]) for number in range(0, 10, 2)])
    account = ingest(lake, log, settings=limits)
    commits = _commits(lake)
    assert commits["n_messages"].to_list() == n_messages
    assert all(later > before for before, later in pairwise(commits["next_offset"]))
    assert account.stored == {"gps_pings": 10}
