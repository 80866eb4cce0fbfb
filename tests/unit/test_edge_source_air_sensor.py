"""Air sensors at fixed places: warm-up, faults of the line, what is asked when."""

from __future__ import annotations

import pytest
from doubles.edge_doubles import NOON, Bytes, TurnableClock
from doubles.edge_frames import pms, sds

from clearway_core.clock import to_ms
from clearway_core.contracts.field import broken_rules
from clearway_core.contracts.wire import AIR_READING
from clearway_core.errors import SourceUnavailable
from clearway_edge.sources.devices.air_sensor import AirSensor, Asking, SensorKind
from clearway_edge.sources.devices.pmsx003 import PmsDecoder
from clearway_edge.sources.devices.sds011 import SdsDecoder
from clearway_edge.sources.place import PlaceSettings

PLACE = PlaceSettings(sensor="pole-1", position_deg=(100.5, 13.7))
FRAME = pms([8] * 12 + [0x9700])


class Flaky(Bytes):
    """A line that is gone once, after its first piece."""

    gone_after = 1

    def receive(self, timeout_s):
        self.gone_after -= 1
        if self.gone_after == -1:
            raise SourceUnavailable("gone")
        return super().receive(timeout_s)


def sensor(line, clock, decoder=None, **kind):
    kind = SensorKind(**{"model": "pms5003", "warm_up_s": 30.0, **kind})
    return AirSensor(line, decoder or PmsDecoder(), kind=kind, place=PLACE, clock=clock)


def test_readings_are_flagged_while_the_fan_warms_up():
    clock = TurnableClock()
    source = sensor(Bytes(FRAME * 2, 32), clock)
    [first] = source.read(0).readings
    clock.forward(30)
    [second] = source.read(0).readings
    assert (first.values["flags"], second.values["flags"]) == ("warming_up", None)
    assert broken_rules(AIR_READING, second.values) == []


def test_reading_says_which_sensor_where_and_when():
    [reading] = sensor(Bytes(FRAME, 32), TurnableClock()).read(0).readings
    assert reading.contract == "air_reading/1"
    assert reading.values.items() >= {
        "sensor": "pole-1", "sensor_model": "pms5003", "lon_deg": 100.5, "lat_deg": 13.7,
        "observed_at": to_ms(NOON),
    }.items()  # fmt: skip


def test_fault_of_the_sensor_stands_beside_the_warm_up():
    source = sensor(Bytes(sds(9999, 19999), 32), TurnableClock(), SdsDecoder())
    [reading] = source.read(0).readings
    assert reading.values["flags"] == "warming_up sensor_error"


def test_damaged_frame_is_counted():
    intake = sensor(Bytes(FRAME[:-1] + b"\0" + FRAME, 64), TurnableClock()).read(0)
    assert len(intake.readings) == 1
    assert intake.dropped == {("air_reading/1", "bad_checksum"): 1}


def test_sensor_that_was_unplugged_warms_up_again_and_no_frame_is_glued_together():
    clock = TurnableClock()
    line = Flaky(FRAME[:20] + FRAME[:20] + FRAME[20:] + FRAME, 20)
    source = sensor(line, clock)
    assert source.read(0).readings == []
    with pytest.raises(SourceUnavailable):
        source.read(0)
    clock.forward(100)
    line._pieces = [FRAME[20:] + FRAME]  # the rest of another frame, then a whole one
    [reading] = source.read(0).readings
    assert reading.values["flags"] == "warming_up"


def test_sensor_is_asked_at_its_interval_and_greeted_when_it_has_forgotten():
    clock, line = TurnableClock(), Bytes(b"")
    source = sensor(line, clock, greeting=b"hello", asking=Asking(b"value?", 10.0), farewell=b"bye")
    for _ in range(25):
        source.read(0)
        clock.forward(1)
    assert line.sent == [b"value?"] * 3
    line._pieces = [FRAME * 2]  # the first answers; the second comes unasked
    assert len(source.read(0).readings) == 2
    assert line.sent[3:] == [b"hello"]
    source.close()
    assert (line.sent[-1], line.closed) == (b"bye", True)
