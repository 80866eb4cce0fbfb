"""Serial sources on real pseudo-terminals: torn bytes, cables pulled, ports that are taken."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
import time
import tty
from pathlib import Path

import pytest
from doubles.edge_doubles import TurnableClock
from doubles.edge_frames import cut, pms, recorded, sds, sps
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clearway_core.contracts.field import broken_rules
from clearway_core.contracts.wire import AIR_READING
from clearway_core.errors import SettingsError, SourceUnavailable
from clearway_core.settings import Section, raise_faults
from clearway_edge.sources.devices.lines import SerialLine
from clearway_edge.sources.devices.pmsx003 import ACTIVE, MEASURE, PASSIVE
from clearway_edge.sources.devices.sps30 import command
from clearway_edge.sources.kinds import Tools, kind

PLACE = {"sensor": "pole-1", "lon_deg": 100.5, "lat_deg": 13.7}
CAR = {"provider": "fleet", "vehicle": "car", "vehicle_class": "taxi"}
START, READ, STOP = command(0, b"\x01\x03"), command(3), command(1)


class Terminal:
    """A device at the far end of a pseudo-terminal, under a path that can go and come back."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.plug()

    def plug(self) -> None:
        self.ours, self._theirs = os.openpty()
        self.plugged = True
        tty.setraw(self.ours)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(self._theirs))

    def unplug(self) -> None:
        if not self.plugged:
            return
        self.plugged = False
        self.path.unlink()
        os.close(self.ours)
        os.close(self._theirs)

    def write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self.ours, data) :]

    def heard(self, n_bytes: int) -> bytes:
        """Return what the gateway has sent, once there is so much of it."""
        os.set_blocking(self.ours, False)
        data, deadline = b"", time.monotonic() + 5
        while len(data) < n_bytes and time.monotonic() < deadline:
            try:
                data += os.read(self.ours, 1000)
            except BlockingIOError:
                time.sleep(0.001)
        os.set_blocking(self.ours, True)
        return data


@pytest.fixture
def terminal(tmp_path):
    device = Terminal(tmp_path / "ttyUSB0")
    yield device
    device.unplug()


def about(name, values):
    """Return the settings of a source as its kind reads them."""
    faults: list[str] = []
    section = Section(dict(values), file="gw.toml", name="source[0]", faults=faults)
    found = kind(name).settings_of(section, Path())
    section.finish()
    raise_faults(faults)
    return found


def source(name, terminal, clock=None, **values):
    values = {"serial": str(terminal.path), **(CAR if name == "nmea" else PLACE), **values}
    tools = Tools(clock=clock or TurnableClock())
    return kind(name).open_source(about(name, values), tools)


def read(a_source, n):
    """Return the readings until there are `n`, and everything that was dropped."""
    readings, dropped, deadline = [], {}, time.monotonic() + 10
    while len(readings) < n and time.monotonic() < deadline:
        intake = a_source.read(0.05)
        readings += [reading.values for reading in intake.readings]
        for (_, reason), count in intake.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + count
    return readings, dropped


RMC = b"$GNRMC,1036%02d.00,A,5327.03942,N,00214.42462,W,10.0,270.5,060321,,,A,V"


def sentence(body):
    value = 0
    for byte in body[1:]:
        value ^= byte
    return body + b"*%02X\r\n" % value


STREAMS = {
    "pmsx003": lambda i: pms([i] * 13),
    "sds011": lambda i: sds(i, i + 1),
    "nmea": lambda i: sentence(RMC % i),
}


@pytest.mark.parametrize("name", STREAMS)
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(at=st.lists(st.integers(0, 5000), max_size=30), pauses=st.randoms(use_true_random=False))
def test_bytes_torn_and_merged_on_a_terminal_are_all_read(tmp_path, name, at, pauses):
    terminal = Terminal(tmp_path / "tty")
    device = source(name, terminal)
    device.read(0.0)  # opens the port
    data = b"".join(STREAMS[name](i) for i in range(30))

    def speak():
        for piece in cut(data, at):
            terminal.write(piece)
            time.sleep(pauses.choice([0, 0, 0.002]))

    speaker = threading.Thread(target=speak)
    speaker.start()
    readings, dropped = read(device, 30)
    speaker.join()
    device.close()
    terminal.unplug()
    assert (len(readings), dropped) == (30, {})
    if name != "nmea":
        assert all(broken_rules(AIR_READING, values) == [] for values in readings)


@pytest.mark.real_data
def test_recorded_sensor_on_a_terminal_gives_its_table(terminal, real_data):
    data, truth = recorded(real_data / "sensors/pypms_captured", "PMSx003")
    device = source("pmsx003", terminal)
    device.read(0.0)
    terminal.write(data)
    readings, dropped = read(device, len(truth))
    assert [r["pm2_5_cf1_a_ugm3"] for r in readings] == [float(row["raw25"]) for row in truth]
    assert dropped == {}
    device.close()


@pytest.mark.parametrize("name", STREAMS)
def test_unplugged_and_plugged_in_again_loses_only_what_was_on_the_wire(terminal, name):
    clock = TurnableClock()
    device = source(name, terminal, clock)
    device.read(0.0)
    terminal.write(STREAMS[name](1) + STREAMS[name](2) + STREAMS[name](3)[:-4])
    readings, _ = read(device, 2 if name != "nmea" else 1)
    terminal.unplug()
    clock.forward(100)
    gone = []
    while len(gone) < 3:
        try:
            readings += [r.values for r in device.read(0.05).readings]
        except SourceUnavailable as error:
            gone.append(str(error))
    assert len(readings) == 2
    if name != "nmea":  # there the fix that waited comes first
        assert "ttyUSB0 cannot be read: the device is gone. Check its cable" in gone[0]
    assert "it is not there. Plug the device in" in gone[-1]
    terminal.plug()
    device.read(0.0)
    terminal.write(STREAMS[name](4) + STREAMS[name](5))
    readings, dropped = read(device, 2)
    # The half of before and the new beginning never make a reading together.
    assert (len(readings), dropped) == (2, {})
    if name != "nmea":
        assert "warming_up" in readings[0]["flags"]  # its fan had stopped, too
    device.close()


def test_port_in_use_is_never_shared_and_said_in_one_line(terminal):
    script = (
        "import time\nfrom clearway_edge.sources.devices.lines import SerialLine\n"
        f"line = SerialLine({str(terminal.path)!r}, 9600)\nline.receive(0.01)\n"
        "print('open', flush=True)\ntime.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(SourceUnavailable) as caught:
            SerialLine(str(terminal.path), 9600).receive(0.1)
    finally:
        holder.kill()
        holder.communicate()
    assert "another process uses it" in str(caught.value)
    assert "\n" not in str(caught.value)
    line = SerialLine(str(terminal.path), 9600)
    assert line.receive(0.01) == b""  # free again
    line.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user to be without permission")
def test_port_without_permission_names_the_group(terminal, tmp_path):
    # A process without root's rights and with no group of the terminal's.
    script = (
        "import os\nfrom clearway_core.errors import SourceUnavailable\n"
        "from clearway_edge.sources.devices.lines import SerialLine\n"
        f"line = SerialLine({os.ttyname(terminal._theirs)!r}, 9600)\n"
        "os.setgroups([])\nos.setgid(65534)\nos.setuid(65534)\n"
        "try:\n    line.receive(0.1)\nexcept SourceUnavailable as error:\n    print(error)\n"
    )
    os.chmod(os.ttyname(terminal._theirs), 0o600)  # noqa: PTH101 -- a device's name is no path of ours
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    )
    assert "may not open it. Add the user to the group 'dialout'" in done.stdout
    assert done.stdout.count("\n") == 1


def test_wrong_path_and_a_file_that_is_no_port_say_what_they_are(tmp_path):
    with pytest.raises(SourceUnavailable, match="is not there"):
        SerialLine(str(tmp_path / "none"), 9600).receive(0)
    (tmp_path / "file").write_bytes(b"no port")
    with pytest.raises(SourceUnavailable, match=r"file cannot be read: .*Check the name"):
        SerialLine(str(tmp_path / "file"), 9600).receive(0)


# ---------------------------------------------------------------- sensors that are asked


def test_passive_sensor_is_asked_every_ten_seconds(terminal):
    clock = TurnableClock()
    device = source("pmsx003", terminal, clock, mode="passive", every_s=10)
    device.read(0.0)
    assert terminal.heard(14) == PASSIVE + MEASURE
    terminal.write(pms([0xE100]) + pms([7] * 13))  # it confirms, then answers
    readings, _ = read(device, 1)
    assert readings[0]["pm1_atm_ugm3"] == 7
    clock.forward(9.9)
    device.read(0.0)
    clock.forward(0.1)
    device.read(0.0)
    assert terminal.heard(7) == MEASURE
    device.close()


def test_passive_sensor_that_lost_power_is_told_its_mode_again(terminal):
    device = source("pmsx003", terminal, mode="passive", every_s=10)
    device.read(0.0)
    terminal.heard(14)
    terminal.write(pms([7] * 13) + pms([8] * 13))  # the second one was not asked for
    readings, _ = read(device, 2)
    assert terminal.heard(7) == PASSIVE
    assert [values["pm1_cf1_ugm3"] for values in readings] == [7, 8]
    device.close()


def test_active_sensor_is_told_to_speak_by_itself(terminal):
    device = source("pmsx003", terminal)
    device.read(0.0)
    assert terminal.heard(7) == ACTIVE
    device.close()


def test_sensirion_is_started_asked_restarted_and_stopped(terminal):
    clock = TurnableClock()
    device = source("sps30", terminal, clock)
    device.read(0.0)
    assert terminal.heard(len(START + READ)) == START + READ
    terminal.write(sps(b"", command=0) + sps(struct.pack(">10f", *range(10))))
    readings, _ = read(device, 1)
    assert readings[0]["pm2_5_atm_ugm3"] == 1.0
    assert readings[0]["sensor_model"] == "sps30"
    assert broken_rules(AIR_READING, readings[0]) == []
    clock.forward(10)
    device.read(0.0)
    assert terminal.heard(len(READ)) == READ
    terminal.write(sps(b"", state=0x43))  # it had no power for a moment and stands idle
    assert read(device, 0) == ([], {})
    device.read(0.5)
    assert terminal.heard(len(START)) == START
    device.close()
    assert terminal.heard(len(STOP)) == STOP


def test_sensirion_speaks_whole_numbers_where_told(terminal):
    device = source("sps30", terminal, format="uint16", every_s=1)
    device.read(0.0)
    assert terminal.heard(8)[:8] == command(0, b"\x01\x05")
    device.close()


# ---------------------------------------------------------------- two sensors, one record


@pytest.fixture
def pair(tmp_path, terminal):
    second = Terminal(tmp_path / "ttyUSB1")
    clock = TurnableClock()
    device = source("pmsx003", terminal, clock, second=str(second.path))
    device.read(0.0)
    yield device, terminal, second, clock
    device.close()
    second.unplug()


def test_pair_gives_both_channels_in_one_record(pair):
    device, first, second, _ = pair
    first.write(pms([10] * 13))
    second.write(pms([30] * 13))
    [values], _ = read(device, 1)
    assert (values["pm2_5_cf1_a_ugm3"], values["pm2_5_cf1_b_ugm3"]) == (10, 30)
    assert (values["pm2_5_atm_ugm3"], values["pm2_5_atm_b_ugm3"]) == (10, 30)
    assert values["pm10_cf1_ugm3"] == 10
    assert broken_rules(AIR_READING, values) == []


def test_reading_without_its_partner_travels_alone_after_a_moment(pair):
    device, first, second, clock = pair
    first.write(pms([10] * 13))
    assert read_for(device, 0.3) == []
    clock.forward(1.3)
    [values] = read_for(device, 0.3)
    assert "pm2_5_cf1_b_ugm3" not in values
    second.write(pms([30] * 13))
    assert read_for(device, 0.3) == []
    clock.forward(1.3)
    first.write(pms([11] * 13))
    [values] = read_for(device, 0.3)  # too late for that one: both alone
    assert values["pm2_5_cf1_b_ugm3"] == 30


def test_one_of_the_pair_unplugged_leaves_the_other_and_is_told(pair, caplog):
    device, first, second, clock = pair
    second.unplug()
    first.write(pms([10] * 13))
    [values], _ = read(device, 1)
    assert "pm2_5_cf1_b_ugm3" not in values
    assert [record.message for record in caplog.records] == ["sensor_of_pair_lost"]
    second.plug()
    clock.forward(5)
    device.read(0.0)
    first.write(pms([11] * 13))
    second.write(pms([31] * 13))
    [values], _ = read(device, 1)
    assert (values["pm2_5_cf1_a_ugm3"], values["pm2_5_cf1_b_ugm3"]) == (11, 31)
    first.unplug()
    second.unplug()
    with pytest.raises(SourceUnavailable, match=r"ttyUSB0 .*ttyUSB1"):
        read(device, 1)


def read_for(device, duration_s):
    """Return what comes within a time of the real clock."""
    readings, ends = [], time.monotonic() + duration_s
    while time.monotonic() < ends:
        readings += [reading.values for reading in device.read(0.02).readings]
    return readings


@pytest.mark.parametrize(
    ("name", "values", "key"),
    [
        ("pmsx003", {"every_s": 5}, "every_s"),
        ("pmsx003", {"mode": "passive", "model": "pms3003"}, "mode"),
        ("pmsx003", {"model": "pms9"}, "model"),
        ("pmsx003", {"channel": "c"}, "channel"),
        ("pmsx003", {"second": "/dev/x"}, "second"),
        ("pmsx003", {"second": "/dev/y", "channel": "b"}, "second"),
        ("sps30", {"format": "text"}, "format"),
        ("sps30", {"every_s": 0}, "every_s"),
        ("sds011", {"model": "sds1"}, "model"),
        ("sds011", {"tcp": "host:1"}, "serial"),
        ("gpsd", {"tcp": "nowhere"}, "tcp"),
    ],
)
def test_wrong_setting_is_named(name, values, key):
    given = {**(CAR if name == "gpsd" else {"serial": "/dev/x", **PLACE}), **values}
    with pytest.raises(SettingsError) as caught:
        about(name, given)
    assert any(f"source[0].{key}: " in fault for fault in caught.value.faults)
