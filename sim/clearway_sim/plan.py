"""The street plan of the demo city: rings, avenues and a river, in metres around the centre.

The plan is a polar web (rings crossed by spokes) that is bent by smooth waves and shaken a little,
so that it looks grown. A river runs through the east; only arterials bridge it, which is where the
morning jam starts. Nothing here is taken from a real city.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

RING_SPACING_M = 200.0
SPOKES_BY_RING = (12, 12, 12, 24, 24, 24, 24, 48, 48, 48, 48, 48)
"""Nodes on ring 1, 2, …: doubled where the blocks would become too wide."""

ARTERIAL_RINGS: Mapping[int, str] = {3: "secondary", 7: "primary", 11: "trunk"}
AVENUES_OF_12 = (0, 2, 4, 6, 8, 10)
"""Which of the twelve innermost spokes are avenues."""

BRIDGES = frozenset({("avenue", 0), ("ring", 7), ("ring", 11)})
"""What crosses the river: the eastern avenue and two rings (each twice)."""

SHAKE_M = 24.0
MISSING_SHARE = 0.10
ONE_WAY_SHARE = 0.12
LIGHT_SHARE_ON_ARTERIAL = 0.45
"""Share of crossings of an arterial with a side street that have a traffic light."""

LIMIT_MPS: Mapping[str, float] = {
    "trunk": 16.67,
    "primary": 13.89,
    "secondary": 11.11,
    "residential": 8.33,
}
LANES: Mapping[str, int] = {"trunk": 2, "primary": 2, "secondary": 1, "residential": 1}
_PRIORITY: Mapping[str, int] = {"trunk": 11, "primary": 9, "secondary": 7, "residential": 3}

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Street:
    """One direction of a street between two crossings.

    Parameters
    ----------
    name
        Identifier in the simulation.
    start, end
        Crossings.
    road_class
        trunk, primary, secondary or residential.
    """

    name: str
    start: str
    end: str
    road_class: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole network.

    Parameters
    ----------
    crossings
        Position of each crossing, east and north of the centre. [m]
    lights
        Crossings with a traffic light.
    streets
        All directions of all streets; from each one every other can be reached.
    """

    crossings: Mapping[str, Point]
    lights: frozenset[str]
    streets: tuple[Street, ...]

    def middle_m(self, street: Street) -> Point:
        """Return the middle of a street [m]."""
        (x0, y0), (x1, y1) = self.crossings[street.start], self.crossings[street.end]
        return (x0 + x1) / 2, (y0 + y1) / 2

    def length_m(self, street: Street) -> float:
        """Return the straight length of a street [m]."""
        return math.dist(self.crossings[street.start], self.crossings[street.end])


def river_x_m(y_m: float) -> float:
    """Return how far east of the centre the river lies at a northing [m]."""
    return 780.0 + 240.0 * math.sin(y_m / 900.0)


def east_of_river(point: Point) -> bool:
    """Return whether a point lies on the eastern bank."""
    return point[0] > river_x_m(point[1])


def bend(x_m: float, y_m: float) -> Point:
    """Return where a point of the ideal web lies in the grown city [m]."""
    return (
        1.10 * x_m + 85 * math.sin(y_m / 950),
        0.96 * y_m + 70 * math.sin(x_m / 820 + 1),
    )


def draw_plan(seed: int) -> Plan:
    """Return the street plan that belongs to a seed."""
    rng = random.Random(seed)
    crossings = _crossings(rng)
    streets = list(_streets(crossings, rng))
    streets = _mutually_reachable(streets)
    used = {street.start for street in streets} | {street.end for street in streets}
    kept = {name: point for name, point in crossings.items() if name in used}
    return Plan(kept, _lights(streets, rng), tuple(streets))


def _name(ring: int, spoke: int) -> str:
    return f"r{ring}s{spoke}"


def _is_avenue(ring: int, spoke: int) -> bool:
    step = SPOKES_BY_RING[ring - 1] // 12
    return spoke % step == 0 and spoke // step in AVENUES_OF_12


def _avenue_class(ring: int) -> str:
    """Avenues have two lanes outside and one within the old town's ring."""
    return "secondary" if ring < min(ARTERIAL_RINGS) + 2 else "primary"


def _crossings(rng: random.Random) -> dict[str, Point]:
    crossings = {}
    for ring, spokes in enumerate(SPOKES_BY_RING, start=1):
        for spoke in range(spokes):
            angle = 2 * math.pi * spoke / spokes
            x, y = (ring * RING_SPACING_M * wave(angle) for wave in (math.cos, math.sin))
            if ring not in ARTERIAL_RINGS and not _is_avenue(ring, spoke):
                x, y = x + rng.uniform(-SHAKE_M, SHAKE_M), y + rng.uniform(-SHAKE_M, SHAKE_M)
            crossings[_name(ring, spoke)] = bend(x, y)
    return crossings


def _links() -> Iterable[tuple[str, str, str, tuple[str, int]]]:
    """Yield start, end, class and what it is part of, for every possible street."""
    for ring, spokes in enumerate(SPOKES_BY_RING, start=1):
        for spoke in range(spokes):
            here = _name(ring, spoke)
            along = ARTERIAL_RINGS.get(ring, "residential")
            yield here, _name(ring, (spoke + 1) % spokes), along, ("ring", ring)
            if ring < len(SPOKES_BY_RING):
                outer = spoke * SPOKES_BY_RING[ring] // spokes
                part = ("avenue", spoke * 12 // spokes) if _is_avenue(ring, spoke) else ("lane", 0)
                outward = _avenue_class(ring) if part[0] == "avenue" else "residential"
                yield here, _name(ring + 1, outer), outward, part


def _streets(crossings: Mapping[str, Point], rng: random.Random) -> Iterable[Street]:
    for start, end, road_class, part in _links():
        over_river = east_of_river(crossings[start]) != east_of_river(crossings[end])
        if over_river and part not in BRIDGES:
            continue
        local = road_class == "residential"
        if local and rng.random() < MISSING_SHARE:
            continue
        ways = [(start, end), (end, start)]
        if local and rng.random() < ONE_WAY_SHARE:
            ways = [rng.choice(ways)]
        for a, b in ways:
            yield Street(f"{a}-{b}", a, b, road_class)


def _lights(streets: Iterable[Street], rng: random.Random) -> frozenset[str]:
    arterial: dict[str, set[str]] = {}
    local: set[str] = set()
    for street in streets:
        if street.road_class == "residential":
            local |= {street.start, street.end}
        else:
            arterial.setdefault(street.start, set()).add(street.end)
            arterial.setdefault(street.end, set()).add(street.start)
    crossing_of_two = 3
    return frozenset(
        name
        for name, ends in sorted(arterial.items())
        if len(ends) >= crossing_of_two
        or (name in local and rng.random() < LIGHT_SHARE_ON_ARTERIAL)
    )


def _mutually_reachable(streets: Iterable[Street]) -> list[Street]:
    """Return the streets between crossings from which the first arterial and back can be driven."""
    streets = list(streets)
    root = next(s.start for s in streets if s.road_class != "residential")
    forward: dict[str, list[str]] = {}
    backward: dict[str, list[str]] = {}
    for street in streets:
        forward.setdefault(street.start, []).append(street.end)
        backward.setdefault(street.end, []).append(street.start)
    both = _reached(root, forward) & _reached(root, backward)
    return [street for street in streets if street.start in both and street.end in both]


def _reached(root: str, ways: Mapping[str, list[str]]) -> set[str]:
    seen, waiting = {root}, [root]
    while waiting:
        for following in ways.get(waiting.pop(), ()):
            if following not in seen:
                seen.add(following)
                waiting.append(following)
    return seen


def write_plain_xml(plan: Plan, folder: Path) -> tuple[Path, Path]:
    """Write the node and edge files that netconvert reads, and return their paths."""
    nodes = [
        f'<node id="{name}" x="{x:.2f}" y="{y:.2f}" '
        f'type="{"traffic_light" if name in plan.lights else "priority"}"/>'
        for name, (x, y) in plan.crossings.items()
    ]
    edges = [
        f"<edge id={quoteattr(s.name)} from={quoteattr(s.start)} to={quoteattr(s.end)} "
        f'numLanes="{LANES[s.road_class]}" speed="{LIMIT_MPS[s.road_class]}" '
        f'priority="{_PRIORITY[s.road_class]}" type="{s.road_class}"/>'
        for s in plan.streets
    ]
    files = folder / "city.nod.xml", folder / "city.edg.xml"
    for file, tag, lines in zip(files, ("nodes", "edges"), (nodes, edges), strict=True):
        file.write_text(f"<{tag}>\n" + "\n".join(lines) + f"\n</{tag}>\n", encoding="utf-8")
    return files
