"""How one column of a batch is written in JSON so that it compresses well, and read again.

Four forms, told apart by their keys; a reader that does not know a form refuses the batch:

``{"delta": [5, 1, 1]}``
    Whole numbers as differences.
``{"words": ["a", "b"], "index": [0, 1, 0]}``
    Text as a dictionary.
``{"steps": [3, 1, -1], "unit": [1, 100], "missing": [2]}``
    Numbers with a point as differences of whole steps: what a receiver counted in. The number of
    steps times the first figure of the unit, rounded, divided by the second, is the value to the
    last bit. `missing` are the differences of the places that are null; left out if none is.
``{"values": [true, true, false]}``, or just a list
    Everything else as it is.

Where a batch names a track, `steps` and `values` are ordered by it: all records of the first
vehicle, then of the second … Two fixes of one vehicle differ little, two neighbours in time a lot.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate, chain, count, repeat
from operator import itemgetter, mul, sub, truediv
from typing import cast

from clearway_core.contracts.field import DataType, Field
from clearway_core.units import KMH_PER

Column = Sequence[object]
Ordering = Callable[[Column], Column]

_WHOLE = {DataType.INSTANT, DataType.INT64, DataType.INT32, DataType.UINT64}
_TEXT = {DataType.STRING, DataType.DATE}

_FEWEST_RECORDS_A_TRACK = 2
"""Below two records of a vehicle on average, order by vehicle brings nothing."""

_SAMPLE = 16
"""Values that a unit must fit before the whole column is tried with it."""

_MAX_UNIT = 1e12
"""A hostile unit beyond this, or below its inverse, could make a number that is none."""

_DEGREE_DIGITS = 1e8
_KMH_DIGITS = 1e4
"""Sources round to 0.00000001° and 0.0001 km/h (`clearway_edge.rows.convert`,
`clearway_edge.sources.devices.nmea`)."""

_DECIMAL_UNITS = tuple((1.0, 10.0**digits) for digits in range(9))
_OTHER_UNITS = {
    # NMEA 0183 gives minutes with four or five digits after the point.
    "°": tuple((_DEGREE_DIGITS / 60 / per_minute, _DEGREE_DIGITS) for per_minute in (1e4, 1e5)),
    "km/h": tuple(
        (_KMH_DIGITS * KMH_PER[name] / steps, _KMH_DIGITS)
        for name, steps in (
            ("mps", 10.0), ("mps", 100.0), ("mph", 1.0),
            ("knots", 10.0), ("knots", 100.0), ("knots", 1000.0),
        )
    ),
}  # fmt: skip


def _units_of(unit: str) -> tuple[tuple[float, float], ...]:
    units = (*_DECIMAL_UNITS, *_OTHER_UNITS.get(unit, ()))
    return tuple(sorted(units, key=lambda pair: -pair[0] / pair[1]))


_UNITS = {unit: _units_of(unit) for unit in ("", *_OTHER_UNITS)}
"""Units that a column may count in, the coarsest first: it gives the smallest numbers."""


def into_tracks(index: Sequence[int]) -> Ordering | None:
    """Return what puts a column into the order of the tracks, or None where that is no use.

    Parameters
    ----------
    index
        Number of each record's track.
    """
    n_tracks = max(index, default=0) + 1
    if n_tracks == 1 or n_tracks * _FEWEST_RECORDS_A_TRACK > len(index):
        return None
    tracks: list[list[int]] = [[] for _ in range(n_tracks)]
    for record, track in enumerate(index):
        tracks[track].append(record)
    return cast("Ordering", itemgetter(*chain.from_iterable(tracks)))


def out_of_tracks(index: Sequence[int]) -> Ordering:
    """Return what puts a column from the order of the tracks back into that of the records."""
    sizes = Counter(index)
    tracks = range(max(index, default=-1) + 1)
    starts = accumulate((sizes[track] for track in tracks), initial=0)
    place_in = [count(start) for start in starts]
    places = list(map(next, map(place_in.__getitem__, index)))
    # An itemgetter of one place gives no sequence.
    return cast("Ordering", itemgetter(*places)) if len(places) > 1 else list


def pack(field: Field, column: Column, order: Ordering | None = None) -> object:
    """Return a column in its JSON form; None if all of it is missing.

    Parameters
    ----------
    field
        What the column holds.
    column
        One value per record.
    order
        Puts the column into the order of the tracks, if the batch has some.
    """
    types = set(map(type, column))
    if column and types == {type(None)}:
        return None
    if field.dtype in _WHOLE and types <= {int}:
        deltas = _differences(cast("Sequence[int]", column))
        if deltas is not None:
            return {"delta": deltas}
    if field.dtype in _TEXT and types <= {str, type(None)}:
        return pack_words(column)
    ordered = column if order is None else order(column)
    if float in types and types <= {float, type(None)}:
        steps = _pack_steps(cast("Sequence[float | None]", ordered), field.unit, types)
        if steps is not None:
            return steps
    return list(column) if order is None else {"values": ordered}


def pack_words(column: Column) -> dict[str, list[object]]:
    """Return a text column of at least one record as a dictionary."""
    if column.count(column[0]) == len(column):
        return {"words": [column[0]], "index": [0] * len(column)}
    words = list(dict.fromkeys(column))
    places = {word: place for place, word in enumerate(words)}
    return {"words": words, "index": list(map(places.__getitem__, column))}


def unpack(column: object, n: int, order: Ordering | None = None) -> Column | None:
    """Return the values of a column in its JSON form, or None if it is garbled.

    Parameters
    ----------
    column
        The JSON form.
    n
        Number of records. A column of another length is given back as it is.
    order
        Puts a column of that length from the order of the tracks back into that of the records.
    """
    if isinstance(column, list):
        return column
    if not isinstance(column, dict):
        return None
    form = frozenset(column)
    if form == {"delta"}:
        return _sums(column["delta"])
    if form == {"words", "index"}:
        index = unpack_index(column["words"], column["index"])
        if index is not None and index.count(0) == len(index):  # one word, as in most columns
            return list(column["words"][:1]) * len(index)
        return None if index is None else list(map(column["words"].__getitem__, index))
    values: Column | None = None
    if form == {"values"} and isinstance(column["values"], list):
        values = column["values"]
    elif form == {"steps", "unit"}:
        values = _unpack_steps(column["steps"], column["unit"])
    elif form == {"steps", "unit", "missing"}:
        values = _with_missing(_unpack_steps(column["steps"], column["unit"]), column["missing"])
    return values if values is None or order is None or len(values) != n else order(values)


def unpack_index(words: object, index: object) -> list[int] | None:
    """Return the places in a dictionary that a text column points to, or None if it is garbled."""
    if not isinstance(words, list) or not set(map(type, words)) <= {str, type(None)}:
        return None
    if not isinstance(index, list) or not are_whole(index, "I"):
        return None
    longest = max((len(word) for word in words if word is not None), default=0)
    if max(index, default=-1) >= len(words) or longest * len(index) > MAX_TEXT_BYTES:
        return None
    return index


MAX_TEXT_BYTES = 256 * 1024 * 1024
"""What the text of one column may come to when each record gets its own copy, as a frame makes it:
one word of a megabyte and 200,000 references to it are a small message and 200 GB of text."""


def _differences(numbers: Sequence[int]) -> list[int] | None:
    """Return the first number and what each adds to the one before, or None beyond 64 bits."""
    deltas = [*numbers[:1], *map(sub, numbers[1:], numbers)]
    return deltas if are_whole(deltas, "q") else None


def _sums(deltas: object) -> list[int] | None:
    if not isinstance(deltas, list) or not are_whole(deltas, "q"):
        return None
    numbers = list(accumulate(deltas))
    return numbers if are_whole(numbers, "q") or are_whole(numbers, "Q") else None


def are_whole(numbers: Sequence[object], kind: str) -> bool:
    """Return whether all are whole numbers that an array of this kind holds (q, Q, I).

    Six times as fast as looking at each of them.
    """
    try:
        array(kind, cast("Sequence[int]", numbers))
    except (OverflowError, TypeError):
        return False
    return True


def _pack_steps(
    column: Sequence[float | None], unit: str, types: set[type]
) -> Mapping[str, object] | None:
    missing: list[int] = []
    if type(None) in types:
        missing = [place for place, value in enumerate(column) if value is None]
    present = cast(
        "Sequence[float]", [value for value in column if value is not None] if missing else column
    )
    found = _in_steps(present, _UNITS.get(unit, _UNITS[""]))
    if found is None:
        return None
    (numerator, denominator), steps = found
    deltas = _differences(steps)
    if deltas is None:
        return None
    packed: dict[str, object] = {"steps": deltas, "unit": [numerator, denominator]}
    return packed | {"missing": _differences(missing)} if missing else packed


def _in_steps(
    values: Sequence[float], units: Sequence[tuple[float, float]]
) -> tuple[tuple[float, float], list[int]] | None:
    """Return the coarsest unit that gives back every value to the last bit, and the steps."""
    sample = values[:: max(1, len(values) // _SAMPLE)]
    for unit in units:
        if _exact_steps(sample, unit) is not None:
            steps = _exact_steps(values, unit)
            if steps is not None:
                return unit, steps
    return None


def _exact_steps(values: Sequence[float], unit: tuple[float, float]) -> list[int] | None:
    numerator, denominator = unit
    try:
        steps = list(map(float.__round__, map(mul, values, repeat(denominator / numerator))))
        back = array("d", _values_of(steps, unit))
    except (OverflowError, ValueError):  # infinite, or not a number
        return None
    # Compared as bytes: -0.0 equals 0.0, but it is another value.
    return steps if back.tobytes() == array("d", values).tobytes() else None


def _values_of(steps: Iterable[int], unit: tuple[float, float]) -> list[float]:
    numerator, denominator = unit
    if numerator == 1:
        return list(map(truediv, steps, repeat(denominator)))
    parts = map(float.__round__, map(mul, steps, repeat(numerator)))
    return list(map(truediv, parts, repeat(denominator)))


def _unpack_steps(deltas: object, unit: object) -> list[float] | None:
    if not isinstance(deltas, list) or not are_whole(deltas, "q"):
        return None
    if not isinstance(unit, list) or not set(map(type, unit)) <= {int, float}:
        return None
    if [1 / _MAX_UNIT <= figure <= _MAX_UNIT for figure in unit] != [True, True]:
        return None
    return _values_of(accumulate(deltas), (float(unit[0]), float(unit[1])))


def _with_missing(values: list[float] | None, gaps: object) -> list[object] | None:
    places = _sums(gaps)
    if values is None or places is None:
        return None
    n = len(values) + len(places)
    if len(set(places)) != len(places) or not all(0 <= place < n for place in places):
        return None
    gone = set(places)
    present = iter(values)
    return [None if place in gone else next(present) for place in range(n)]
