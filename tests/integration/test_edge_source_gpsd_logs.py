"""Logs of eighty receivers, each with what gpsd made of it: the oracle was written by others."""

from __future__ import annotations

import json
import re
import socket
import tarfile
import threading
import time
from collections import defaultdict
from contextlib import suppress
from datetime import datetime
from itertools import groupby

import pytest
from doubles.edge_doubles import Bytes, TurnableClock
from doubles.edge_frames import cut
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clearway_core.contracts.field import broken_rules
from clearway_core.contracts.wire import GPS_PING
from clearway_core.errors import SourceUnavailable
from clearway_edge.sources.devices.gpsd import WATCH, GpsdSettings, open_source
from clearway_edge.sources.devices.nmea import NmeaSource
from clearway_edge.sources.kinds import Tools
from clearway_edge.sources.vehicle import VehicleSettings

pytestmark = pytest.mark.real_data

VEHICLE = VehicleSettings(provider="p", vehicle="v", vehicle_class=None, cut_trip_ends=False)

LEFT_OUT = {
    # fixes that gpsd did not report, reports without an RMC, and why
    "ac12_binary": (1, 0, "gpsd is silent until it knows the receiver's cycle"),
    "beidou-bd": (1, 0, "gpsd is silent until it knows the receiver's cycle"),
    "blumax-gps009": (1, 0, "gpsd is silent until it knows the receiver's cycle"),
    "bt451": (2, 1, "three sessions in one log: gpsd is still in the one before"),
    "gp-320fw-2019-03-28": (1, 0, "GGA of that second is damaged, gpsd waits for it"),
    "humminbird-M37": (1, 11, "GGA every second, RMC every other: gpsd dates GGA itself"),
    "mtk-3301": (1, 0, "gpsd is silent until it knows the receiver's cycle"),
    "rgm3800": (1, 0, "gpsd is silent until it knows the receiver's cycle"),
    "rst39": (4, 40, "gpsd moves the date by 1024 weeks, and dates GGA itself"),
    "st-teseo-liv3f": (1, 0, "the log ends before the cycle of gpsd does"),
    "tn204": (0, 3, "RMC and GGA by turns: gpsd dates GGA itself"),
    "tr737A+": (1, 1, "gpsd begins a cycle late and ends with a GGA"),
    "ublox-lea-4s": (1, 0, "the log ends before the cycle of gpsd does"),
    "ublox-lea-5h": (1, 1, "two sessions in one log: gpsd is still in the one before"),
    "ublox-zed-f9t-ubx_nmea_l5": (1, 0, "gpsd is silent until it knows the receiver's cycle"),
    "ublox8-uniqid-monhw": (0, 2, "the receiver also speaks UBX, which gpsd reads"),
    "venus634lp": (1, 0, "the log ends before the cycle of gpsd does"),
}
NOT_COMPARED = {"ublox8-uniqid-monhw": "position and course of gpsd's reports come from UBX"}
STEP_DEG = 1e-8

SPEED_STEP_KMH = 0.0005 * 3.6 + 1e-4
"""gpsd prints m/s with three decimals; ours have four of km/h."""


class Logs(dict):
    """Name -> {"": bytes of the receiver, ".chk": reports of gpsd}; never shown."""

    def __repr__(self):
        return f"{len(self)} logs"


@pytest.fixture(scope="module")
def logs(real_data):
    found = Logs()
    with tarfile.open(real_data / "sensors/gpsd_daemon_dev.tar.gz") as archive:
        for member in archive:
            stem, _, kind = member.name.rpartition("/")[2].partition(".log")
            if member.isfile() and kind in ("", ".chk") and ".log" in member.name:
                found.setdefault(stem, {})[kind] = archive.extractfile(member).read()
    return found


def reports_of(chk):
    lines = [line for line in chk.splitlines() if line.startswith(b'{"class":"TPV"')]
    return [json.loads(line) for line in lines]


def has_fix(report):
    return report.get("mode", 0) >= 2 and "time" in report and "lat" in report


def unusable(reports):
    """Return how many reports have no position, and no time, by reason."""
    no_time = sum(r.get("mode", 0) >= 2 and "lat" in r and "time" not in r for r in reports)
    no_fix = sum(r.get("mode", 0) < 2 or "lat" not in r for r in reports)
    return {name: n for name, n in (("no_fix", no_fix), ("no_time", no_time)) if n}


def ms(report):
    return round(datetime.fromisoformat(report["time"]).timestamp() * 1000)


def fixes_of(data):
    line = Bytes(data, 4096)
    source, fixes, over = NmeaSource(line, VEHICLE), [], False
    while not over:
        over = line.is_over
        fixes += [reading.values for reading in source.read(0).readings]
    return fixes


def test_fixes_agree_with_gpsd_wherever_log_and_reports_fit(logs):
    n_compared, left_out = 0, {}
    for name, log in logs.items():
        fixes = fixes_of(log[""])
        reports = defaultdict(list)
        for report in filter(has_fix, reports_of(log[".chk"])):
            reports[ms(report)].append(report)
        if not fixes:
            continue  # binary protocols, corrections, AIS, receivers without a fix or without RMC
        only_ours = [fix for fix in fixes if fix["observed_at"] not in reports]
        only_theirs = reports.keys() - {fix["observed_at"] for fix in fixes}
        if only_ours or only_theirs:
            left_out[name] = (len(only_ours), len(only_theirs))
        for fix in fixes:
            assert broken_rules(GPS_PING, fix | {"vehicle": "0" * 32}) == []
            same_time = reports.get(fix["observed_at"], [])
            if same_time and name not in NOT_COMPARED:
                n_compared += 1
                assert agrees(fix, same_time), name
    assert left_out == {name: why[:2] for name, why in LEFT_OUT.items()}
    assert n_compared == 1215


def agrees(fix, reports):
    """Return whether one of gpsd's reports of the instant says the same in everything."""
    for report in reports:
        turn = abs(report.get("track", 0.0) - (fix["heading_deg"] or 0.0))
        if (
            abs(report["lon"] - fix["lon_deg"]) <= STEP_DEG
            and abs(report["lat"] - fix["lat_deg"]) <= STEP_DEG
            and abs(report.get("speed", 0.0) * 3.6 - (fix["speed_kmh"] or 0.0)) <= SPEED_STEP_KMH
            and ("track" not in report or min(turn, 360 - turn) <= 1e-4)
        ):
            return True
    return False


def test_every_rmc_of_every_log_is_a_fix_or_counted(logs, real_data):
    recordings = [log[""] for log in logs.values()]
    recordings += [f.read_bytes() for f in (real_data / "sensors/pynmeagps_logs").glob("*.log")]
    assert len(recordings) > 100
    for data in recordings:
        expected = sum(
            bool(re.match(rb"\$[A-OQ-Z].RMC,", line[max(line.rfind(b"$"), 0) :]))
            for line in re.split(rb"[\r\n]", data[: data.rfind(b"\n") + 1])
            if len(line) - line.rfind(b"$") <= 512
        )
        line = Bytes(data, 1000)
        source, n, over = NmeaSource(line, VEHICLE), 0, False
        while not over:
            over = line.is_over
            intake = source.read(0)
            n += len(intake.readings) + sum(intake.dropped.values())
        assert n == expected


# ---------------------------------------------------------------- gpsd itself, over TCP


class Gpsd:
    """A TCP server that speaks what a gpsd once said, in pieces, once it is asked; then it ends."""

    def __init__(self, *conversations):
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(20)
        self.address = self._server.getsockname()
        self.asked = []
        self._conversations = conversations
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        with self._server, suppress(OSError):
            for pieces in self._conversations:
                connection, _ = self._server.accept()
                connection.settimeout(20)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with connection:
                    connection.sendall(b'{"class":"VERSION","proto_major":3,"proto_minor":15}\r\n')
                    self.asked.append(connection.recv(1000))
                    for piece in pieces:
                        connection.sendall(piece)


def source_of(server, clock, device=None):
    about = GpsdSettings(address=server.address, device=device, vehicle=VEHICLE)
    return open_source(about, Tools(clock=clock))


def all_fixes(source):
    """Return the fixes until the server is gone for good, and what was dropped."""
    fixes, dropped, gone, deadline = [], {}, "", time.monotonic() + 20
    while "refused" not in gone:
        assert time.monotonic() < deadline
        try:
            intake = source.read(0.5)
        except SourceUnavailable as error:
            gone = str(error)
            continue
        fixes += [reading.values for reading in intake.readings]
        for (_, reason), count in intake.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + count
    source.close()
    return fixes, dropped


def said(log, device=None):
    """Return the JSON lines of gpsd's reports, as they go over the wire."""
    lines = [line for line in log[".chk"].splitlines() if line.startswith(b"{")]
    if device is not None:
        lines = [line.replace(b'"TPV"', b'"TPV","device":"%b"' % device.encode()) for line in lines]
    return b"".join(line + b"\r\n" for line in lines)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(["bu353s4", "ublox-8", "garmin-10x", "meinberg-gps164", "skytraq-fix"]),
    at=st.lists(st.integers(0, 200_000), max_size=40),
)
def test_reports_of_a_real_gpsd_become_the_fixes_they_tell(logs, name, at):
    server = Gpsd(cut(said(logs[name]), at))
    fixes, dropped = all_fixes(source_of(server, TurnableClock()))
    reports = reports_of(logs[name][".chk"])
    good = [report for report in reports if has_fix(report)]
    expected = []
    for at_ms, same in groupby(good, key=ms):
        told = {key: value for report in same for key, value in report.items()}
        expected.append(
            {
                "observed_at": at_ms, "lon_deg": told["lon"], "lat_deg": told["lat"],
                "speed_kmh": pytest.approx(told["speed"] * 3.6) if "speed" in told else None,
                "heading_deg": told.get("track"), "accuracy_m": told.get("eph"),
            }
        )  # fmt: skip
    found = [{key: fix.get(key) for key in expected[0]} for fix in fixes]
    assert found == expected
    assert dropped == unusable(reports)
    assert server.asked == [WATCH]


def test_each_new_connection_is_told_to_watch_and_a_torn_report_is_no_fix(logs):
    whole = said(logs["bu353s4"])
    torn = whole[: whole.rfind(b'"lat"')]
    server = Gpsd([torn], [whole])
    fixes, dropped = all_fixes(source_of(server, TurnableClock()))
    assert server.asked == [WATCH, WATCH]
    assert dropped == unusable(reports_of(whole) + reports_of(torn[: torn.rfind(b"\r\n")]))
    n_whole = len({ms(r) for r in reports_of(logs["bu353s4"][".chk"]) if has_fix(r)})
    n_torn = len({ms(r) for r in reports_of(torn[: torn.rfind(b"\r\n")]) if has_fix(r)})
    assert len(fixes) == n_torn + n_whole


def test_only_one_receiver_counts_where_gpsd_has_two(logs):
    mine, other = said(logs["bu353s4"], "/dev/ttyACM0"), said(logs["garmin17n"], "/dev/ttyACM1")
    clock = TurnableClock()
    n_mine = len({ms(r) for r in reports_of(logs["bu353s4"][".chk"]) if has_fix(r)})
    n_other = len({ms(r) for r in reports_of(logs["garmin17n"][".chk"]) if has_fix(r)})
    named, dropped = all_fixes(source_of(Gpsd([other, mine]), clock, "/dev/ttyACM0"))
    assert (len(named), set(dropped)) == (n_mine, {"other_device", "no_time"})
    first, dropped = all_fixes(source_of(Gpsd([other, mine]), clock))
    assert (len(first), set(dropped)) == (n_other, {"other_device"})
    source = source_of(Gpsd([mine]), clock)
    source._device, source._heard_at_s = "/dev/ttyACM9", clock.monotonic_s()
    clock.forward(11)  # that one has been silent for long
    assert len(all_fixes(source)[0]) == n_mine


def test_what_is_no_report_is_counted_and_survived():
    server = Gpsd(
        [b'{"class":"TPV","mode":3,"lat":1,"lon":"east"}\n',
         b'{"class":"TPV","mode":3,"lat":1,"lon":2}\n', b'[1]\nnoise\n{"class"\n',
         b'{"class":"ERROR","message":"no"}\n',
         b'{"class":"TPV","mode":2,"time":"2026-01-15T12:00:00.5Z","lat":1,"lon":2,"status":5}\n']
    )  # fmt: skip
    fixes, dropped = all_fixes(source_of(server, TurnableClock()))
    assert dropped == {"no_fix": 1, "no_time": 1, "unparsable_message": 3}
    [fix] = fixes
    assert (fix["lon_deg"], fix["speed_kmh"], fix["flags"]) == (2, None, "position_estimated")
    assert fix["observed_at"] == 1_768_478_400_500


def test_what_one_report_of_an_instant_lacks_another_may_tell():
    start = b'{"class":"TPV","mode":3,"time":"2026-01-15T12:00:00Z","lat":1,"lon":2'
    server = Gpsd([start + b',"speed":10}\n', start + b',"eph":4.5}\n'])
    [fix], _ = all_fixes(source_of(server, TurnableClock()))
    assert (fix["speed_kmh"], fix["accuracy_m"]) == (36.0, 4.5)
