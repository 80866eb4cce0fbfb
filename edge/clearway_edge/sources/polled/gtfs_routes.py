"""Which kind of vehicle serves a route of a timetable in GTFS."""

from __future__ import annotations

import csv
from pathlib import Path

from clearway_core.errors import SourceUnavailable

NOT_ON_ROAD = ""
"""Class of trains, ferries and the like: they are in no jam, and are left out."""

_BUS = frozenset({3, 11, *range(200, 300), *range(700, 900)})
_TAXI = frozenset(range(1500, 1600))
"""Route types of GTFS (bus 3, trolleybus 11) and of its extension (coach 200-299, bus 700-799,
trolleybus 800-899, taxi 1500-1599). Google Transit, "Extended GTFS route types"."""


def class_of_type(route_type: int) -> str:
    """Return the vehicle class of a route type, or `NOT_ON_ROAD`."""
    if route_type in _BUS:
        return "bus"
    return "taxi" if route_type in _TAXI else NOT_ON_ROAD


def read_routes(file: Path) -> dict[str, str]:
    """Return the vehicle class of each route of a ``routes.txt``.

    Raises
    ------
    SourceUnavailable
        If the file cannot be read or has no such columns.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream)
            return {row["route_id"]: class_of_type(int(row["route_type"])) for row in rows}
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        message = (
            f"{file} cannot be used ({type(error).__name__}: {error}): expected the routes.txt of "
            "a GTFS timetable, with route_id and route_type"
        )
        raise SourceUnavailable(message) from error
