"""San Francisco's taxis through a gateway, a real Kafka and ingest: every fix is accounted for."""

from __future__ import annotations

import secrets

import polars as pl
import pytest

from clearway_core.contracts.wire import TOPICS
from clearway_core.lake import open_lake
from clearway_core.stream.address import open_log
from clearway_edge.jobs import replay
from clearway_ingest.jobs import ingest

pytestmark = [pytest.mark.kafka, pytest.mark.real_data]

FIXES = {"2008-05-21": 456_453, "2008-05-22": 493_382, "2008-05-24": 488_264}
"""Lines of the recorded files; 1,438,099 in all."""


class Chain:
    """One gateway, the log and the lake."""

    def __init__(self, data_dir, address):
        self.data_dir = data_dir
        self.address = address
        self.gateway = f"taxis-{secrets.token_hex(4)}"
        self.lake = open_lake(data_dir)
        self._known_before = 0
        self.ingest()  # what other tests have left in the log
        self._known_before = self.known_fixes()

    def ingest(self):
        log = open_log(self.address, self.data_dir)
        try:
            return ingest(self.lake, log)
        finally:
            log.close()

    def known_fixes(self):
        """Return how many fixes had arrived before, by the books of all runs."""
        commits = self.lake.table("ingest_commits").scan()
        fixes = commits.filter(pl.col("topic") == TOPICS["gps_ping/1"])
        return fixes.select(pl.col("n_duplicates").sum()).collect().item() - self._known_before

    def replay(self, files):
        return replay(
            files,
            "san_francisco",
            data_dir=self.data_dir,
            log_address=self.address,
            gateway=self.gateway,
        )


@pytest.mark.slow
def test_three_real_days_are_stored_to_the_last_fix_and_a_second_replay_adds_nothing(
    tmp_path, kafka, real_data
):
    folder = real_data / "gps" / "sf_cabspotting"
    chain = Chain(tmp_path, kafka)
    sent = chain.replay([folder / f"cabspotting_{day}.tar.gz" for day in FIXES])
    assert sent.read == sum(FIXES.values())
    assert sent.read == sent.delivered + sent.spooled + sum(sent.dropped.values())
    assert sent.spooled == 0

    first = chain.ingest()
    stored = dict(first.stored)
    stored.pop("gateway_health", None)
    assert sent.delivered == stored["gps_pings"] + sum(first.quarantined.values())
    assert first.duplicates == 0
    assert not first.dead_letters
    assert first.is_closed()

    day = "2008-05-22"
    again = chain.replay([folder / f"cabspotting_{day}.tar.gz"])
    second = chain.ingest()
    assert again.read == FIXES[day]
    assert "gps_pings" not in second.stored
    assert not second.quarantined
    assert chain.known_fixes() == again.delivered

    rows = chain.lake.table("gps_pings").scan().filter(pl.col("gateway") == chain.gateway)
    held = rows.select(pl.len(), pl.struct("boot", "seq").n_unique().alias("distinct")).collect()
    assert held["len"].item() == held["distinct"].item() == stored["gps_pings"]
