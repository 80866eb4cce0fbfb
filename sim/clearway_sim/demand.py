"""Who drives: a morning of private trips, and two fleets that work all through it.

Private trips follow a gravity rule (homes outside, jobs in the core west of the river) with a peak
around 07:20. Fleet vehicles serve one passenger after another: drive empty, pick up, drive, set
down, wait; their fixes are what the demo receives.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from pathlib import Path

from clearway_sim.plan import Plan, Street, east_of_river

DURATION_S = 10_800
"""Three hours, 06:00 to 09:00 local time: quiet, jam, recovery. [s]"""

_PEAK_S, _PEAK_SD_S, _PEAK_SHARE = 4_900.0, 1_250.0, 0.80
_SHORTEST_TRIP_M, _TO_JOBS_SHARE = 800.0, 0.72
_RIDES = 24
"""More than anyone can serve in the simulated time."""

_MEAN_WAIT_S, _LONGEST_WAIT_S, _NEAR_M = 90.0, 400.0, 700.0
_SHORTEST_STREET_M = 60.0
_CORE_M = 800.0
_EDGE_OF_TOWN_M = 2_150.0


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of vehicle in the simulation.

    Parameters
    ----------
    name
        Emission class as the fleet file names it.
    vehicle_class
        Class on the wire.
    sumo_class, sumo_emission
        What SUMO calls them (HBEFA 4 as SUMO ships it).
    share
        Of private trips. [1]
    """

    name: str
    vehicle_class: str
    sumo_class: str
    sumo_emission: str
    share: float


KINDS = (
    Kind("car_petrol_euro_4", "car", "passenger", "HBEFA4/PC_petrol_Euro-4", 0.22),
    Kind("car_petrol_euro_6", "car", "passenger", "HBEFA4/PC_petrol_Euro-6d", 0.22),
    Kind("car_diesel_euro_4", "car", "passenger", "HBEFA4/PC_diesel_Euro-4", 0.12),
    Kind("car_diesel_euro_5", "car", "passenger", "HBEFA4/PC_diesel_Euro-5", 0.09),
    Kind("car_electric", "car", "evehicle", "Zero", 0.04),
    Kind("lcv_diesel_euro_5", "van", "delivery", "HBEFA4/LCV_diesel_M+N1-I_Euro-5", 0.09),
    Kind("truck_rigid_14_20t_euro_3", "truck", "truck", "HBEFA4/RT_gt14-20t_Euro-III", 0.03),
    Kind("bus_15_18t_euro_5", "bus", "bus", "HBEFA4/UBus_Std_gt15-18t_Euro-V_SCR", 0.02),
    Kind(
        "motorcycle_euro_3",
        "motorcycle",
        "motorcycle",
        "HBEFA4/MC_4S_le250cc_Euro-3",
        0.17,
    ),
)
"""Private mix; names and Euro classes are those of the factor file."""
TAXI = Kind("taxi", "taxi", "taxi", "HBEFA4/PC_petrol_Euro-4", 0.0)
"""Counted as car_petrol_euro_4 in the fleet file."""
ALL_KINDS = (*KINDS, TAXI)


@dataclass(frozen=True, slots=True)
class Fleet:
    """Vehicles of one provider that report their positions.

    Parameters
    ----------
    provider
        Who operates them.
    kind
        What they drive.
    vehicles
        How many.
    carries_passengers
        Whether each fix says if a passenger is on board.
    """

    provider: str
    kind: Kind
    vehicles: int
    carries_passengers: bool


_CAR, _VAN, _MOTORCYCLE = KINDS[1], KINDS[5], KINDS[8]

FLEETS = (
    Fleet("river-ride", TAXI, 190, carries_passengers=True),
    Fleet("river-ride", _VAN, 20, carries_passengers=False),
    Fleet("metro-hail", _CAR, 120, carries_passengers=True),
    Fleet("metro-hail", _MOTORCYCLE, 80, carries_passengers=True),
)


class Places:
    """Draws where trips begin and end."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.streets = [
            street
            for street in plan.streets
            if street.road_class == "residential" and plan.length_m(street) > _SHORTEST_STREET_M
        ]
        self._middles_m = [plan.middle_m(street) for street in self.streets]
        distances = [math.hypot(x, y) for x, y in self._middles_m]
        self._homes = [
            (min(1.0, d / 1_300) * (1.35 if east_of_river(point) else 1.0))
            * (2.2 if d > _EDGE_OF_TOWN_M else 1.0)  # commuters from beyond the edge
            for d, point in zip(distances, self._middles_m, strict=True)
        ]
        self._jobs = [
            (math.exp(-((d / _CORE_M) ** 2)) + 0.06) * (0.5 if east_of_river(point) else 1.0)
            for d, point in zip(distances, self._middles_m, strict=True)
        ]

    def home(self, rng: random.Random) -> Street:
        """Return a street where people live."""
        return rng.choices(self.streets, self._homes)[0]

    def job(self, rng: random.Random) -> Street:
        """Return a street where people work."""
        return rng.choices(self.streets, self._jobs)[0]

    def near(self, rng: random.Random, here: Street) -> Street:
        """Return a street close by, where the next customer waits."""
        point = self.plan.middle_m(here)
        streets = zip(self.streets, self._middles_m, strict=True)
        return rng.choice([each for each, middle in streets if math.dist(point, middle) < _NEAR_M])

    def pair(self, rng: random.Random, start: Street | None = None) -> tuple[Street, Street]:
        """Return a start (given or drawn) and an end that lie apart far enough to drive."""
        start = start or self.home(rng)
        here = self.plan.middle_m(start)
        while True:
            end = self.job(rng) if rng.random() < _TO_JOBS_SHARE else self.home(rng)
            if math.dist(here, self.plan.middle_m(end)) > _SHORTEST_TRIP_M:
                return start, end


def write_demand(plan: Plan, file: Path, *, private_trips: int, seed: int) -> None:
    """Write the SUMO route file with vehicle types, private trips and fleets."""
    rng = random.Random(seed)
    places = Places(plan)
    rows = [(depart, text) for depart, text in _private(places, rng, private_trips)]
    rows += _fleets(places, rng)
    rows.sort()
    types = [
        f'<vType id="{kind.name}" vClass="{kind.sumo_class}" emissionClass="{kind.sumo_emission}" '
        'speedDev="0.1" sigma="0.5"/>'
        for kind in ALL_KINDS
    ]
    body = "\n".join([*types, *(text for _, text in rows)])
    file.write_text(f"<routes>\n{body}\n</routes>\n", encoding="utf-8")


def _departure_s(rng: random.Random) -> float:
    while True:
        peak = rng.random() < _PEAK_SHARE
        depart = rng.gauss(_PEAK_S, _PEAK_SD_S) if peak else rng.uniform(0, DURATION_S)
        if 0 <= depart < DURATION_S - 300:
            return depart


def _private(places: Places, rng: random.Random, count: int) -> list[tuple[float, str]]:
    arterial = [s for s in places.plan.streets if s.road_class != "residential"]
    rows = []
    for number in range(count):
        kind = rng.choices(KINDS, [k.share for k in KINDS])[0]
        start, end = places.pair(rng)
        if kind.vehicle_class == "bus":
            start, end = rng.sample(arterial, 2)
        depart = _departure_s(rng)
        text = (
            f'<trip id="p{number}" type="{kind.name}" depart="{depart:.0f}" from="{start.name}" '
            f'to="{end.name}" departLane="best" departSpeed="max"/>'
        )
        rows.append((depart, text))
    return rows


def _fleets(places: Places, rng: random.Random) -> list[tuple[float, str]]:
    rows = []
    for number, fleet in enumerate(FLEETS):
        for vehicle in range(fleet.vehicles):
            depart = rng.uniform(0, 900)
            rows.append((depart, _shift(places, rng, f"f{number}_{vehicle}", fleet.kind, depart)))
    return rows


def _shift(places: Places, rng: random.Random, name: str, kind: Kind, depart: float) -> str:
    """Return a vehicle that serves customers until the simulation ends."""
    start = here = places.home(rng)
    stops: list[tuple[Street, float]] = []
    for _ in range(_RIDES):
        pick_up, set_down = places.pair(rng, places.near(rng, here))
        waits = min(rng.expovariate(1 / _MEAN_WAIT_S), _LONGEST_WAIT_S)
        stops += [(pick_up, rng.uniform(25, 70)), (set_down, rng.uniform(20, 45) + waits)]
        here = set_down
    return (
        f'<trip id="{name}" type="{kind.name}" depart="{depart:.0f}" from="{start.name}" '
        f'to="{places.home(rng).name}" departLane="best" departSpeed="max">'
        '<param key="has.fcd.device" value="true"/>'
        + "".join(
            f'<stop edge="{street.name}" parking="true" duration="{duration:.0f}"/>'
            for street, duration in stops
        )
        + "</trip>"
    )
