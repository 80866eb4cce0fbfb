"""Values that a network sensor names its own way, as channels of the wire."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import orjson

from clearway_core.clock import Clock
from clearway_core.contracts.wire import AIR_READING
from clearway_edge.sources.place import PlaceSettings
from clearway_edge.sources.source import Intake

NO_CHANNEL = "no_channel"
"""A document without one value that the wire has a column for."""

F_TO_C = (5 / 9, -160 / 9)
"""Scale and offset from degrees Fahrenheit to Celsius."""
PA_TO_HPA = (0.01, 0.0)

_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Channel:
    """A value of a document: wire value = value * scale + offset.

    Parameters
    ----------
    name
        As the document has it.
    field
        As the wire has it; where several names give one field, the first that is there counts.
    """

    name: str
    field: str
    scale: float = 1.0
    offset: float = 0.0


def json_object(body: bytes, *, expected: str) -> dict[str, object]:
    """Return a document that is a JSON object.

    Raises
    ------
    ValueError
        If it is something else; the message says what was expected.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    if isinstance(document, dict):
        return document
    message = f"gives no JSON object: expected {expected}"
    raise ValueError(message)


def channels_of(
    document: Mapping[str, object], table: Sequence[Channel]
) -> tuple[dict[str, float], list[str]]:
    """Return the wire values of a document, and flags for values that are no numbers."""
    values: dict[str, float] = {}
    broken: list[str] = []
    for channel in table:
        given = document.get(channel.name)
        if channel.field in values or given is None:
            continue
        number = _number(given)
        if number is None:
            broken.append(f"{channel.field}_unparsable")
        else:
            values[channel.field] = round(number * channel.scale + channel.offset, _DIGITS)
    return values, broken


def air_intake(
    values: Mapping[str, object],
    *,
    place: PlaceSettings,
    model: str,
    clock: Clock,
    flags: Sequence[str] = (),
) -> Intake:
    """Return the reading of a document; without one value it is counted as `NO_CHANNEL`.

    Parameters
    ----------
    values
        As `channels_of` gives them, with the flags.
    """
    if not values:
        return Intake(dropped=Counter({(AIR_READING.identifier, NO_CHANNEL): 1}))
    return Intake([place.reading(values, model=model, clock=clock, flags=flags)])


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if isfinite(number) else None
