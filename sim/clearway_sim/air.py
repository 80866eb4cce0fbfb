r"""Readings of low-cost particle sensors and one reference, from what simulated streets emitted.

True concentration at a sensor::

    C(t) = B(t) + sum over streets of  sqrt(2/pi) * q / (u(t) * s(d)) * exp(-d / 150 m) * cover
    s(d) = 1.7 m + 0.08 d        vertical spread: wake of vehicles, then growth with distance
    cover = min(1, L / (L + 2 d))    how much of the horizon a street of length L fills

with q the street's emission per length [g/m/s], u wind [m/s] and d the distance to the street
(at least 8 m) [m]: an infinite line source on the ground (the screening form that R-LINE reduces
to), faded by hand. B is a regional background with a morning inversion. A PMS5003 then reads::

    raw = g_unit * g_channel * C * (1 + k / 1.65 / (100 / RH - 1)) + noise,  rounded to 1 µg/m³

so it reads high, more so in humid air (kappa-Koehler growth with k = 0.35), and each unit has its
own gain. All of this is a plausible invention; it is no measurement.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clearway_sim.demand import DURATION_S
from clearway_sim.place import START_AT, UTC_OFFSET_H, local_text, lon_lat_deg
from clearway_sim.plan import Plan, Point
from clearway_sim.sumo import EMISSION_PERIOD_S

REFERENCE = "ref-01"
COLLOCATED = "gw-02"
"""The gateway that shares its crossing with the reference instrument."""

DAYS_BEFORE = 14
"""Days of the collocated pair before the simulated morning, to calibrate with."""

WEAR_MG_PER_M = 0.025
"""PM2.5 from tyres, brakes and road, all vehicles together: 25 mg/km. [mg/m]"""

_REACH_M, _NEAREST_M = 400.0, 8.0
_FADE_M = 150.0
_KAPPA, _DENSITY = 0.35, 1.65
_DAY_S = 86_400
_STEP_S = 60
_PRIMARY_NO2_SHARE = 0.15
_UGM3_PER_PPB_NO2 = 1.88
_WEEKEND_FACTOR = 0.6

_HOURLY_TRAFFIC = (
    0.12, 0.08, 0.06, 0.06, 0.10, 0.30, 0.60, 1.00, 0.95, 0.75, 0.65, 0.65,
    0.70, 0.68, 0.70, 0.78, 0.92, 1.00, 0.90, 0.65, 0.45, 0.35, 0.25, 0.18,
)  # fmt: skip
"""Traffic by local hour outside the simulated morning, as a share of the simulated mean."""


@dataclass(frozen=True, slots=True)
class Emissions:
    """Emission per street and 5 minutes.

    Parameters
    ----------
    streets
        Names in the order of the columns.
    pm_gs, nox_gs
        Rows are periods. [g/s]
    """

    streets: tuple[str, ...]
    pm_gs: np.ndarray[tuple[int, int], np.dtype[np.float64]]
    nox_gs: np.ndarray[tuple[int, int], np.dtype[np.float64]]


def read_emissions(plan: Plan, results: Path) -> Emissions:
    """Return exhaust and wear of every street."""
    streets = tuple(street.name for street in plan.streets)
    column = {name: number for number, name in enumerate(streets)}
    periods = math.ceil(DURATION_S / EMISSION_PERIOD_S)
    pm, nox = np.zeros((periods, len(streets))), np.zeros((periods, len(streets)))
    per_second = 1e-3 / EMISSION_PERIOD_S
    for row, edge in _edges(results / "emissions.xml"):
        if (place := column.get(edge.get("id", ""))) is not None:
            pm[row, place] += float(edge.get("PMx_abs", 0)) * per_second
            nox[row, place] += float(edge.get("NOx_abs", 0)) * per_second
    for row, edge in _edges(results / "flow_all.xml"):
        if (place := column.get(edge.get("id", ""))) is not None:
            driven_m = float(edge.get("sampledSeconds", 0)) * float(edge.get("speed", 0))
            pm[row, place] += driven_m * WEAR_MG_PER_M * per_second
    return Emissions(streets, pm, nox)


def _edges(file: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    for interval in ET.parse(file).getroot():  # noqa: S314 -- ours
        row = int(float(interval.get("begin", 0))) // EMISSION_PERIOD_S
        for edge in interval:
            yield row, edge.attrib


class Weather:
    """Wind, humidity, temperature and regional background by local time of day; seeded."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._day_factor = rng.lognormal(0, 0.25, DAYS_BEFORE + 2)
        self._humid = rng.normal(0, 5, DAYS_BEFORE + 2)
        self._wander = np.cumsum(rng.normal(0, 0.12, (DAYS_BEFORE + 2) * 1440))
        self._wander -= np.linspace(0, self._wander[-1], self._wander.size)

    def background_ugm3(self, second: float) -> float:
        """Return regional PM2.5 at a simulated second, which may be days before 0 [µg/m³]."""
        day, hour = _local(second)
        inversion = 9 * math.exp(-(((hour - 7.0) / 2.2) ** 2))
        evening = 5 * math.exp(-(((hour - 19.5) / 2.5) ** 2))
        wander = self._wander[min(int(day * 1440 + hour * 60), self._wander.size - 1)]
        return float(max(3.0, self._day_factor[day] * (14 + inversion + evening) + wander))

    def wind_ms(self, second: float) -> float:
        """Return wind: calm at dawn, a sea breeze in the afternoon [m/s]."""
        _, hour = _local(second)
        return 1.1 + 2.2 * max(0.0, math.sin((hour - 7) / 12 * math.pi)) ** 1.5

    def humidity_pct(self, second: float) -> float:
        """Return relative humidity [%]."""
        day, hour = _local(second)
        swing = 17 * math.cos((hour - 5) / 24 * 2 * math.pi)
        return float(np.clip(70 + swing + self._humid[day], 35, 96))

    def temperature_c(self, second: float) -> float:
        """Return air temperature [°C]."""
        _, hour = _local(second)
        return 28 - 4 * math.cos((hour - 3) / 24 * 2 * math.pi)


def _local(second: float) -> tuple[int, float]:
    start_h = (START_AT.hour + UTC_OFFSET_H) % 24
    day, of_day = divmod(second + start_h * 3600 + DAYS_BEFORE * _DAY_S, _DAY_S)
    return int(day), of_day / 3600


class Sensor:
    """One PMS5003 with its own gains, or the reference instrument."""

    def __init__(
        self, name: str, place: Point, plan: Plan, *, rng: np.random.Generator, reference: bool
    ) -> None:
        self.name = name
        self.model = "reference" if reference else "pms5003"
        self.lon_deg, self.lat_deg = lon_lat_deg(*place)
        self._weights = _weights(plan, place)
        self._rng = rng
        self._gain = rng.normal(1.25, 0.08)
        self._channel_gain = rng.normal(1.0, 0.02, 2)

    def traffic_ugm3(self, emitted_gs: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        """Return what the streets around add at 1 m/s of wind [µg/m³]."""
        return float(self._weights @ emitted_gs) * 1e6

    def channels(self, true_ugm3: float, humidity_pct: float) -> tuple[int, int]:
        """Return the two raw CF=1 values [µg/m³]."""
        growth = 1 + _KAPPA / _DENSITY / (100 / humidity_pct - 1)
        raw = self._gain * true_ugm3 * growth * self._channel_gain
        noisy = raw * self._rng.normal(1, 0.03, 2) + self._rng.normal(0, 0.8, 2)
        first, second = np.clip(np.rint(noisy), 0, 500)
        return int(first), int(second)


def _weights(plan: Plan, place: Point) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    weights = np.zeros(len(plan.streets))
    for number, street in enumerate(plan.streets):
        ends = plan.crossings[street.start], plan.crossings[street.end]
        apart_m = max(_NEAREST_M, _distance_to_line_m(place, *ends))
        if apart_m < _REACH_M:
            length_m = plan.length_m(street)
            cover = length_m / (length_m + 2 * apart_m)
            spread_m = 1.7 + 0.08 * apart_m
            faded = math.exp(-apart_m / _FADE_M) * cover / (spread_m * length_m)
            weights[number] = math.sqrt(2 / math.pi) * faded
    return weights


def _distance_to_line_m(point: Point, start: Point, end: Point) -> float:
    along = end[0] - start[0], end[1] - start[1]
    offset = point[0] - start[0], point[1] - start[1]
    length2 = along[0] ** 2 + along[1] ** 2
    share = min(1.0, max(0.0, (offset[0] * along[0] + offset[1] * along[1]) / length2))
    return math.dist(point, (start[0] + share * along[0], start[1] + share * along[1]))


HEADER = (
    "observed_at",
    "sensor",
    "sensor_model",
    "lon_deg",
    "lat_deg",
    "pm2_5_cf1_a_ugm3",
    "pm2_5_cf1_b_ugm3",
    "humidity_pct",
    "temperature_c",
    "pm2_5_ugm3",
    "no2_ppb",
)

SILENT = ("gw-04", 4_200, 5_700)
"""A sensor that loses power: name, from, until. [s]"""

AGED = ("gw-07", 3_600)
"""A sensor whose second laser fails from a second on: it reads far too high. [s]"""


def write_air(plan: Plan, results: Path, places: Mapping[str, Point], file: Path, seed: int) -> int:
    """Write the readings of all sensors as gzipped CSV and return how many there are."""
    rng = np.random.default_rng(seed)
    emissions, weather = read_emissions(plan, results), Weather(rng)
    sensors = [Sensor(n, p, plan, rng=rng, reference=False) for n, p in places.items()]
    sensors.append(Sensor(REFERENCE, places[COLLOCATED], plan, rng=rng, reference=True))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    count = 0
    for second in range(-DAYS_BEFORE * _DAY_S - 6 * 3600, DURATION_S, _STEP_S):
        for sensor in sensors:
            if second < 0 and sensor.name not in {REFERENCE, COLLOCATED}:
                continue
            if sensor.name == SILENT[0] and SILENT[1] <= second < SILENT[2]:
                continue
            writer.writerow(_reading(sensor, second, emissions, weather))
            count += 1
    file.write_bytes(gzip.compress(text.getvalue().encode(), compresslevel=9, mtime=0))
    return count


def _reading(
    sensor: Sensor, second: int, emissions: Emissions, weather: Weather
) -> tuple[object, ...]:
    pm, nox = _emitted(emissions, second)
    wind = weather.wind_ms(second)
    true = weather.background_ugm3(second) + sensor.traffic_ugm3(pm) / wind
    humidity, temperature = weather.humidity_pct(second), weather.temperature_c(second)
    head = (local_text(second), sensor.name, sensor.model, sensor.lon_deg, sensor.lat_deg)
    if sensor.model == "reference":
        added_ppb = sensor.traffic_ugm3(nox) / wind * _PRIMARY_NO2_SHARE / _UGM3_PER_PPB_NO2
        return (*head, "", "", "", "", round(true, 1), round(9 + added_ppb, 1))
    first, other = sensor.channels(true, humidity)
    if sensor.name == AGED[0] and second >= AGED[1]:
        other = int(other * 2.4 + 12)
    return (*head, first, other, round(humidity, 1), round(temperature, 1), "", "")


def _emitted(
    emissions: Emissions, second: int
) -> tuple[
    np.ndarray[tuple[int], np.dtype[np.float64]], np.ndarray[tuple[int], np.dtype[np.float64]]
]:
    """Return emission by street: simulated on that morning, its mean by hour before [g/s]."""
    if second >= 0:
        row = min(second // EMISSION_PERIOD_S, emissions.pm_gs.shape[0] - 1)
        return emissions.pm_gs[row], emissions.nox_gs[row]
    day, hour = _local(second)
    thursday, saturday, days_in_week = 3, 5, 7
    weekday = (thursday + day - DAYS_BEFORE) % days_in_week
    factor = _HOURLY_TRAFFIC[int(hour)] * (_WEEKEND_FACTOR if weekday >= saturday else 1.0)
    return emissions.pm_gs.mean(axis=0) * factor, emissions.nox_gs.mean(axis=0) * factor
