"""Private cars from their fleet to the lake: trips arrive without ends, and the books close."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from random import Random

import pytest
from doubles.edge_agents import agent_of
from doubles.edge_doubles import NOON, TurnableClock

from clearway_core.clock import to_ms
from clearway_core.data_dir import DataDir
from clearway_core.lake import open_lake
from clearway_core.stream.embedded import EmbeddedLog
from clearway_edge.forwarding.forwarder import Forwarder
from clearway_edge.outbox.sqlite_outbox import SqliteOutbox
from clearway_edge.privacy.pseudonyms import LIVE_GRACE, KeyRing
from clearway_edge.privacy.trip_end_cutting import TripEndCutting
from clearway_edge.settings.settings import read_settings
from clearway_edge.sources.source import Intake, Reading
from clearway_ingest.jobs import ingest

EVERY_S = 5
SPEED_MPS = 10.0
DEGREE_M = 111_195.0


class Endpoint:
    """A gateway that fleets push to, on a clock that the test turns; it can be killed."""

    def __init__(self, tmp_path):
        file = tmp_path / "gw.toml"
        file.write_text(
            '[gateway]\nname = "centre"\ndata_dir = "data"\ntime_zone = "Asia/Bangkok"\n'
            '[[source]]\nkind = "nmea"\nfile = "none"\nprovider = "f"\nvehicle = "v"\n'
        )
        self.settings = read_settings(file)
        self.data = tmp_path / "data"
        self.clock = TurnableClock()
        self.start()

    def start(self):
        zone = self.settings.time_zone
        self.box = SqliteOutbox(self.data / "gateways/centre/outbox.sqlite", clock=self.clock)
        keys = KeyRing(self.data / "keys", self.clock, retention=LIVE_GRACE, zone=zone)
        self.agent = agent_of(self.settings, self.box, clock=self.clock, keys=keys)
        self.forwarder = Forwarder(
            self.box, lambda: EmbeddedLog(DataDir(self.data).log_file), gateway="centre",
            clock=self.clock, random=Random(1),
            prepare=TripEndCutting(self.box, self.clock, Random(2)),
        )  # fmt: skip

    def kill(self):
        self.forwarder.close()
        self.box._db.close()

    def push(self, readings):
        told = []
        self.agent.commit([Intake(readings=readings, settle=told.append)])
        assert told == [True]

    def send(self):
        for _ in range(50):
            if self.forwarder.send_once().n_batches == 0:
                return

    def rows(self):
        lake = open_lake(self.data)
        log = EmbeddedLog(DataDir(self.data).log_file)
        ingest(lake, log)
        log.close()
        return lake.table("gps_pings").scan().collect()


def fix(car, at_s, north_m, vehicle_class):
    values = {
        "provider": "f", "vehicle": f"car-{car}", "vehicle_class": vehicle_class,
        "observed_at": to_ms(NOON) + 1000 * at_s, "lon_deg": 100.5 + car / 10,
        "lat_deg": 13.7 + north_m / DEGREE_M,
    }  # fmt: skip
    return Reading(contract="gps_ping/1", values=values, cut_trip_ends=vehicle_class != "taxi")


@pytest.mark.parametrize("kill_at_s", [(), (295, 600, 605, 1200)], ids=["undisturbed", "killed"])
def test_private_trips_arrive_without_their_ends_and_every_fix_is_accounted_for(
    tmp_path, kill_at_s
):
    endpoint = Endpoint(tmp_path)
    first_s = {0: 0, 1: 60, 2: 0}
    last_s = {0: 900, 1: 1500, 2: 900}
    classes = {0: "car", 1: "van", 2: "taxi"}
    given = Counter()
    for at_s in range(0, 2400, EVERY_S):
        readings = [
            fix(car, at_s, (at_s - first_s[car]) * SPEED_MPS, classes[car])
            for car in classes
            if first_s[car] <= at_s <= last_s[car]
        ]
        given.update(str(reading.values["vehicle_class"]) for reading in readings)
        if readings:
            endpoint.push(readings)
        if at_s in kill_at_s:
            endpoint.kill()
            endpoint.start()
        endpoint.clock.forward(EVERY_S)
        endpoint.send()
    rows = endpoint.rows()
    stored = Counter(rows["vehicle_class"].to_list())
    assert stored["taxi"] == given["taxi"]
    for car, name in ((0, "car"), (1, "van")):
        mine = rows.filter(rows["vehicle_class"] == name)["observed_at"]
        early, late = NOON + timedelta(seconds=first_s[car]), NOON + timedelta(seconds=last_s[car])
        assert mine.min() - early >= timedelta(seconds=120)
        assert late - mine.max() >= timedelta(seconds=120)
        # Nothing but the ends is missing: two cuts of three minutes at most.
        assert (
            mine.n_unique() == len(mine) == (mine.max() - mine.min()).total_seconds() / EVERY_S + 1
        )
        assert given[name] - stored[name] <= 2 * (180 / EVERY_S + 1)
    accounts = [endpoint.box.account(stream) for stream in endpoint.box.streams()]
    assert sum(account.missing for account in accounts) == 0
    assert sum(account.spooled for account in accounts) == 0
    dropped = sum((Counter(account.dropped) for account in accounts), Counter())
    assert dropped == {"trip_end": given.total() - len(rows)}
    endpoint.kill()
