"""Checks what a city pack says about its corridors beyond their geometry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from clearway_cli.city_pack.geojson import SayFault, features_of
from clearway_core.corridor_lines import corridors_of


def check_corridors(file: Path, fault: SayFault) -> None:
    """Report every corridor without a name, and every name and direction that is given twice.

    Parameters
    ----------
    file
        ``corridors.geojson``.
    fault
        Called for each fault.
    """
    seen: Counter[tuple[str, str]] = Counter()
    for number, feature in enumerate(features_of(file), start=1):
        where = f"feature {number}"
        properties = feature.get("properties") if isinstance(feature, dict) else None
        known = properties if isinstance(properties, dict) else {}
        name = known.get("name")
        if not isinstance(name, str) or not name.strip():
            fault(where, "name_missing", f"expected a property 'name', got {name!r}")
            continue
        _check_direction(where, known, fault)
        for corridor in corridors_of(feature) if _is_line(feature) else ():  # type: ignore[arg-type]
            seen[corridor.name, corridor.direction] += 1
            if seen[corridor.name, corridor.direction] == 2:  # noqa: PLR2004 -- said once
                fault(
                    where,
                    "name_doubled",
                    f"{corridor.name!r}, direction {corridor.direction!r}, is given twice; give "
                    "each line its own 'name', or each direction its own 'direction'",
                )


def _check_direction(where: str, known: Mapping[str, object], fault: SayFault) -> None:
    direction, both = known.get("direction"), known.get("both_directions")
    if direction is not None and (not isinstance(direction, str) or not direction.strip()):
        fault(
            where,
            "direction",
            f"expected a word such as 'inbound' as 'direction', got {direction!r}; "
            "left out, it is a compass word",
        )
    if both is not None and not isinstance(both, bool):
        fault(where, "both_directions", f"expected true or false, got {both!r}")
    if both is True and direction is not None:
        fault(
            where,
            "direction_of_both",
            f"'direction' {direction!r} names one of two directions: leave it or "
            "'both_directions' out",
        )


def _is_line(feature: object) -> bool:
    """Return whether the geometry is a line of positions; what it is instead is said elsewhere."""
    geometry = feature.get("geometry") if isinstance(feature, dict) else None
    if not isinstance(geometry, dict) or geometry.get("type") != "LineString":
        return False
    line = geometry.get("coordinates")
    return (
        isinstance(line, list)
        and all(
            isinstance(position, list)
            and len(position) >= 2  # noqa: PLR2004 -- longitude and latitude
            and all(isinstance(number, int | float) for number in position[:2])
            for position in line
        )
    )
