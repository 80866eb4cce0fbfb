"""Hours without network and with a wrong clock: what was read then is dated, in the lake, to 2 s.

Six hours pass for agent, outbox, forwarder, embedded log and ingest as they are, on a clock that
the test turns: a process cannot be made to believe that hours of monotonic time have passed. The
same for seconds in a real process whose wall clock libfaketime sets, its monotonic clock untouched.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random

import polars as pl
import pytest
from doubles.edge_agents import agent_of
from doubles.edge_doubles import TurnableClock, rows_in
from doubles.edge_frames import sds
from trials.faults import faketime_library
from trials.gateway_process import GatewayProcess

from clearway_core.clock import from_ms, to_ms
from clearway_core.contracts.wire import AIR_READING, TOPICS
from clearway_core.data_dir import DataDir
from clearway_core.errors import SourceUnavailable
from clearway_core.lake import open_lake
from clearway_core.stream.embedded import EmbeddedLog
from clearway_edge.clock.clock_bases import ClockBases
from clearway_edge.clock.clock_state import ClockState
from clearway_edge.condition.gateway_status import read_status
from clearway_edge.forwarding.forwarder import Forwarder
from clearway_edge.outbox.outbox import Bounds
from clearway_edge.outbox.sqlite_outbox import SqliteOutbox
from clearway_edge.privacy.pseudonyms import KeyRing
from clearway_edge.settings.settings import read_settings
from clearway_edge.sources.source import Intake, Reading
from clearway_edge.sources.stamps import stamp
from clearway_ingest.jobs import ingest

TRUE_START = datetime(2026, 3, 2, 8, tzinfo=UTC)
WRONG_START = datetime(2023, 5, 3, 2, 1, tzinfo=UTC)
"""A Pi wakes up when its system was built, or when it was switched off."""

AIR_TOPIC = TOPICS[AIR_READING.identifier]
EVERY_S = 60
N_OFFLINE = 6 * 60
WITHIN_S = 2.0
DRIFT = 50e-6
"""Of a cheap crystal; both of the machine's clocks run on it until a time service slows it down."""

SETTINGS = """
[gateway]
name = "gw-1"
data_dir = "data"
time_zone = "Asia/Bangkok"
commit_every_s = 0.05
[clock]
synchronised_file = "synchronised"
[forward]
latency_s = 0
[[source]]
kind = "sds011"
name = "air"
tcp = "127.0.0.1:{port}"
sensor = "s-1"
lon_deg = 100.5
lat_deg = 13.7
"""


class Pole:
    """A gateway on a pole whose true time the test knows; its machine can be switched off."""

    def __init__(self, tmp_path, *, wrong=WRONG_START):
        self.data = tmp_path / "data"
        file = tmp_path / "gw.toml"
        file.write_text(SETTINGS.format(port=9), encoding="utf-8")
        self.settings = read_settings(file)
        self.folder = self.data / "gateways/gw-1"
        self.true = TRUE_START
        self.online = self.synchronised = False
        self.n_starts = self.n_readings = 0
        self.true_ms = {}
        self.switch_on(wrong)

    def switch_on(self, wall):
        self.clock = TurnableClock(wall)
        self.n_starts += 1
        self.start_process()

    def start_process(self):
        state = ClockState(
            self.clock, ask=lambda: self.synchronised, bases=ClockBases(self.folder / "clock.json")
        )
        state.start = f"start-{self.n_starts}"
        self.box = SqliteOutbox(
            self.folder / "outbox.sqlite",
            Bounds(max_age_s=30 * 86_400),
            self.clock,
            lambda: state.tag,
        )
        keys = KeyRing(self.folder / "keys", self.clock)
        self.agent = agent_of(
            self.settings, self.box, clock=self.clock, keys=keys, clock_state=state
        )
        self.forwarder = Forwarder(
            self.box, self._open_log, gateway="gw-1", clock=self.clock, clock_state=state,
            random=Random(1),
        )  # fmt: skip

    def kill(self):
        self.forwarder.close()
        self.box._db.close()

    def let_pass(self, duration_s):
        self.true += timedelta(seconds=duration_s)
        self.clock.forward(duration_s * (1 + (0 if self.synchronised else DRIFT)))

    def read(self):
        """Read the sensor now, and look whether something may be sent."""
        values = {
            "sensor": "s-1", "sensor_model": "sds011", **stamp(self.clock),
            "lon_deg": 100.5, "lat_deg": 13.7, "pm2_5_atm_ugm3": float(self.n_readings),
        }  # fmt: skip
        self.true_ms[self.n_readings] = to_ms(self.true)
        self.n_readings += 1
        self.agent.commit([Intake(readings=[Reading(contract="air_reading/1", values=values)])])
        self.box.expire()
        self.send()

    def synchronise(self):
        self.clock.jump_to(self.true)
        self.synchronised = self.online = True

    def send(self):
        for _ in range(50):
            if self.forwarder.send_once().n_batches == 0:
                return

    def _open_log(self):
        if not self.online:
            raise SourceUnavailable("no network")
        return EmbeddedLog(DataDir(self.data).log_file)

    def lake(self):
        """Ingest what was sent, twice, and return the air readings and the quarantine."""
        self.send()
        self.kill()
        lake = open_lake(self.data)
        with_log = EmbeddedLog(DataDir(self.data).log_file)
        for _ in range(2):
            ingest(lake, with_log)
        with_log.close()
        return lake.table("air_readings").scan().collect().sort("pm2_5_atm_ugm3"), _quarantine(lake)


def _quarantine(lake):
    table = lake.table("quarantine")
    if table.version() is None:
        return {}
    return dict(table.scan().collect()["rule"].value_counts().rows())


def errors_s(rows, true_ms):
    """By how much each reading's time is wrong [s]."""
    return [
        abs(to_ms(row["observed_at"]) - true_ms[int(row["pm2_5_atm_ugm3"])]) / 1000
        for row in rows.to_dicts()
    ]


def test_six_offline_hours_with_a_wrong_clock_are_dated_to_two_seconds(tmp_path):
    pole = Pole(tmp_path)
    for number in range(N_OFFLINE):
        pole.let_pass(EVERY_S)
        pole.read()
        if number == N_OFFLINE // 2:
            pole.kill()
            pole.start_process()
    pole.synchronise()
    for _ in range(3):
        pole.let_pass(EVERY_S)
        pole.read()
    rows, quarantined = pole.lake()
    assert len(rows) == N_OFFLINE + 3
    assert quarantined == {}
    worst_s = max(errors_s(rows, pole.true_ms))
    # All that is left is what the crystal gained until the clock was set.
    assert worst_s <= WITHIN_S
    assert worst_s == pytest.approx(N_OFFLINE * EVERY_S * DRIFT, abs=0.1)
    derived = rows.head(N_OFFLINE)
    assert derived["raw_observed_at"].null_count() == 0
    assert derived["raw_observed_at"][0].year == WRONG_START.year
    assert derived["flags"].unique().to_list() == ["clock_unsynchronised clock_derived"]
    assert rows.tail(3)["raw_observed_at"].null_count() == 3
    assert rows.tail(3)["flags"].null_count() == 3


@pytest.mark.parametrize("years", [-20, 20])
def test_machine_that_was_synchronised_before_it_went_down_leaves_nothing_undated(tmp_path, years):
    pole = Pole(tmp_path, wrong=TRUE_START.replace(year=TRUE_START.year + years))
    for _ in range(30):
        pole.let_pass(EVERY_S)
        pole.read()
    pole.synchronise()
    pole.online = False  # the time was found, the log was not
    pole.let_pass(EVERY_S)
    pole.read()
    pole.kill()
    pole.synchronised = False
    pole.true += timedelta(hours=9)
    pole.switch_on(WRONG_START)
    for _ in range(30):
        pole.let_pass(EVERY_S)
        pole.read()
    pole.synchronise()
    rows, quarantined = pole.lake()
    assert (len(rows), quarantined) == (61, {})
    assert max(errors_s(rows, pole.true_ms)) <= WITHIN_S


def test_machine_that_went_down_before_its_clock_was_set_says_unknown_for_that_start_only(tmp_path):
    pole = Pole(tmp_path)
    for _ in range(30):
        pole.let_pass(EVERY_S)
        pole.read()
    pole.kill()
    pole.switch_on(WRONG_START)
    for _ in range(30):
        pole.let_pass(EVERY_S)
        pole.read()
    pole.synchronise()
    rows, quarantined = pole.lake()
    assert rows["pm2_5_atm_ugm3"].to_list() == list(range(30, 60))
    assert quarantined == {"observed_at_unsynchronised": 30}
    assert max(errors_s(rows, pole.true_ms)) <= WITHIN_S


@pytest.mark.skipif(faketime_library() is None, reason="libfaketime is not installed")
def test_real_process_that_woke_up_three_years_back_dates_its_readings(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (tmp_path / "gateway.toml").write_text(SETTINGS.format(port=port), encoding="utf-8")
        clock_file = tmp_path / "clock"
        clock_file.write_text("-1095d\n", encoding="ascii")
        gateway = GatewayProcess(
            tmp_path,
            {
                "LD_PRELOAD": str(faketime_library()),
                "FAKETIME_TIMESTAMP_FILE": str(clock_file),
                "FAKETIME_NO_CACHE": "1",
                "DONT_FAKE_MONOTONIC": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            },
        )
        true_ms = {}
        outbox = tmp_path / "data/gateways/gw-1/outbox.sqlite"
        try:
            gateway.start()
            with server.accept()[0] as line:
                _feed(line, true_ms, range(1, 16), outbox)
                gateway.kill()
            gateway.start()
            line, _ = server.accept()
            _feed(line, true_ms, range(16, 31), outbox)
            clock_file.write_text("+0s\n", encoding="ascii")
            time.sleep(0.2)
            (tmp_path / "synchronised").touch()
            time.sleep(0.5)
            _feed(line, true_ms, range(31, 36), outbox)
            _wait_for(lambda: len(rows_in(tmp_path / "data", AIR_TOPIC)) >= len(true_ms))
        finally:
            gateway.stop()
        line.close()
    lake = open_lake(tmp_path / "data")
    log = EmbeddedLog(DataDir(tmp_path / "data").log_file)
    ingest(lake, log)
    log.close()
    rows = lake.table("air_readings").scan().collect().sort("pm2_5_atm_ugm3")
    assert rows["pm2_5_atm_ugm3"].to_list() == [float(number) for number in true_ms]
    assert max(errors_s(rows, true_ms)) <= WITHIN_S
    before = rows.filter(pl.col("raw_observed_at").is_not_null())
    assert before["pm2_5_atm_ugm3"].to_list()[:30] == [float(number) for number in range(1, 31)]
    wrong_days = (before["observed_at"] - before["raw_observed_at"]).dt.total_days()
    assert wrong_days.min() >= 1094
    assert from_ms(true_ms[1]).year > before["raw_observed_at"][0].year
    assert _quarantine(lake) == {}


def _feed(line, true_ms, numbers, outbox):
    """Be the sensor: one frame at a time, each with a value of its own, until all are committed."""
    for number in numbers:
        true_ms[number] = time.time_ns() // 1_000_000
        line.sendall(sds(10 * number, 10 * number))
        time.sleep(0.05)
    _wait_for(lambda: read_status(outbox).get("read") == len(true_ms))


def _wait_for(is_true, timeout_s=30.0):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with suppress(OSError):
            if is_true():
                return
        time.sleep(0.1)
    pytest.fail(f"not within {timeout_s:g} s")
