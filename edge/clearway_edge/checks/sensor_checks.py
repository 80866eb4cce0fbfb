"""Air readings that look like a fault of their sensor: stuck, spiking, at odds, too damp."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import cast

from clearway_edge.checks.check_parameters import CheckParameters
from clearway_edge.checks.flags import Flags

FLAG_DISAGREE = "ab_disagreement"
FLAG_HUMID = "humidity_out_of_sensor_range"
STUCK = "_stuck"
SPIKE = "_spike"

A, B = "pm2_5_cf1_a_ugm3", "pm2_5_cf1_b_ugm3"
PM_CHANNELS = (
    A, B, "pm1_cf1_ugm3", "pm10_cf1_ugm3", "pm1_atm_ugm3", "pm2_5_atm_ugm3", "pm2_5_atm_b_ugm3",
    "pm10_atm_ugm3", "pm2_5_ugm3", "pm10_ugm3",
)  # fmt: skip
CHANNELS = (*PM_CHANNELS, "no2_ppb", "o3_ppb", "co_ppm", "humidity_pct")
"""What can be stuck; of these, masses can also spike."""

REFERENCE = "reference"
"""Sensor model of a regulatory instrument: rules for optical counters leave it alone."""

_PLACE_DIGITS = 3
"""Sensors within about 100 m stand in the same humidity."""


@dataclass(slots=True)
class _Run:
    """How long a channel has said the same."""

    value: float
    since_ms: int
    n: int = 1


@dataclass(slots=True)
class _Channel:
    """What one channel of one sensor said last."""

    last_ms: int
    run: _Run
    before: list[float]


@dataclass(slots=True)
class _Sensor:
    channels: dict[str, _Channel] = field(default_factory=dict)
    pair: dict[str, tuple[int, float]] = field(default_factory=dict)


class SensorChecks:
    """Checks each reading against the ones before of its sensor.

    Parameters
    ----------
    parameters
        Limits. What is kept is bounded: the sensor not heard for longest is forgotten.
    """

    def __init__(self, parameters: CheckParameters) -> None:
        self._limits = parameters
        self._sensors: OrderedDict[str, _Sensor] = OrderedDict()
        self._humidity: OrderedDict[tuple[float, float], tuple[int, float]] = OrderedDict()

    def flag(self, columns: Mapping[str, Sequence[object]], flags: Flags) -> None:
        """Flag what looks like a fault.

        Parameters
        ----------
        columns
            Columns of ``air_reading/1``.
        flags
            Takes what is found.
        """
        names = [name for name in CHANNELS if any(v is not None for v in columns.get(name, ()))]
        sensors = cast("Sequence[str]", columns["sensor"])
        models = cast("Sequence[str]", columns["sensor_model"])
        places = zip(columns["lon_deg"], columns["lat_deg"], strict=True)
        instants = columns["observed_at"]
        rows = zip(sensors, models, places, instants, strict=True)
        for row, (sensor, model, place, at_ms) in enumerate(rows):
            if not isinstance(at_ms, int):
                continue
            state = self._state(sensor)
            values = {
                name: cast("float", columns[name][row])
                for name in names
                if columns[name][row] is not None
            }
            for name, value in values.items():
                for fault in self._channel_faults(state, name, value, at_ms=at_ms, model=model):
                    flags.add(row, name + fault)
            if self._disagrees(state, values, at_ms):
                flags.add(row, FLAG_DISAGREE)
            if self._is_too_humid(model, values, place, at_ms=at_ms):
                flags.add(row, FLAG_HUMID)

    def _state(self, sensor: str) -> _Sensor:
        state = self._sensors.get(sensor)
        if state is None:
            if len(self._sensors) >= self._limits.max_sensors:
                self._sensors.popitem(last=False)
            state = self._sensors[sensor] = _Sensor()
        else:
            self._sensors.move_to_end(sensor)
        return state

    def _channel_faults(
        self, state: _Sensor, name: str, value: float, *, at_ms: int, model: str
    ) -> list[str]:
        channel = state.channels.get(name)
        if channel is None or abs(at_ms - channel.last_ms) > self._limits.gap_s * 1000:
            channel = _Channel(at_ms, _Run(value, at_ms, 0), [])
            state.channels[name] = channel
        channel.last_ms = at_ms
        found = [STUCK] if self._is_stuck(channel, value, at_ms) else []
        if name in PM_CHANNELS and model != REFERENCE:
            found += [SPIKE] if self._is_spike(channel.before, value) else []
            channel.before.append(value)
            if len(channel.before) > self._limits.spike_window:
                del channel.before[0]
        return found

    def _is_stuck(self, channel: _Channel, value: float, at_ms: int) -> bool:
        run = channel.run
        if value != run.value:
            channel.run = _Run(value, at_ms)
            return False
        run.n += 1
        long_enough = at_ms - run.since_ms >= self._limits.stuck_s * 1000
        return long_enough and run.n >= self._limits.stuck_readings

    def _is_spike(self, before: Sequence[float], value: float) -> bool:
        if len(before) < self._limits.spike_min_readings:
            return False
        centre = median(before)
        away = abs(value - centre)
        if away <= self._limits.spike_ugm3:
            return False
        return away > self._limits.spike_mad * median(abs(each - centre) for each in before)

    def _disagrees(self, state: _Sensor, values: Mapping[str, float], at_ms: int) -> bool:
        """Return whether the two particle channels of a sensor contradict each other.

        References
        ----------
        K. K. Barkjohn, B. Gantt and A. L. Clements, "Development and application of a United
        States-wide correction for PM2.5 data collected with the PurpleAir sensor", Atmos. Meas.
        Tech. 14, 4617, 2021, section 3.2.3, doi:10.5194/amt-14-4617-2021. Made for means over time:
        single readings break it more often, and the lake judges again.
        """
        if A not in values and B not in values:
            return False
        state.pair.update({name: (at_ms, values[name]) for name in (A, B) if name in values})
        if len(state.pair) < len((A, B)):
            return False
        (a_ms, a), (b_ms, b) = state.pair[A], state.pair[B]
        if abs(a_ms - b_ms) > self._limits.ab_window_s * 1000 or a + b == 0:
            return False
        apart = abs(a - b) > self._limits.ab_difference_ugm3
        return apart and abs(2 * (a - b) / (a + b)) > self._limits.ab_relative_difference

    def _is_too_humid(
        self, model: str, values: Mapping[str, float], place: tuple[object, object], *, at_ms: int
    ) -> bool:
        lon_deg, lat_deg = place
        if not isinstance(lon_deg, int | float) or not isinstance(lat_deg, int | float):
            return False
        here = (round(lon_deg, _PLACE_DIGITS), round(lat_deg, _PLACE_DIGITS))
        humidity_pct = values.get("humidity_pct")
        if humidity_pct is not None:
            self._humidity[here] = (at_ms, humidity_pct)
            self._humidity.move_to_end(here)
            if len(self._humidity) > self._limits.max_sensors:
                self._humidity.popitem(last=False)
        elif here in self._humidity:
            then_ms, known_pct = self._humidity[here]
            if abs(at_ms - then_ms) <= self._limits.humidity_window_s * 1000:
                humidity_pct = known_pct
        if humidity_pct is None or model == REFERENCE:
            return False
        nova = model.startswith("sds")
        limit = self._limits.humidity_limit_sds_pct if nova else self._limits.humidity_limit_pct
        return humidity_pct > limit and any(name in values for name in PM_CHANNELS)
