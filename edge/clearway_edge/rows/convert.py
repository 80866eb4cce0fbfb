"""Raw rows of a file to columns of a record contract, by its source profile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from math import isfinite
from typing import Protocol, TypeVar, cast

from clearway_core.contracts.wire import WIRE_CONTRACTS
from clearway_core.datum import to_wgs84
from clearway_edge.checks.checks import check_ranges
from clearway_edge.checks.flags import Flags
from clearway_edge.rows import polylines
from clearway_edge.rows.chunk import Fault, RawChunk, shape
from clearway_edge.rows.files import VEHICLE_FROM_NAME
from clearway_edge.rows.profile import (
    Datum,
    FlagRule,
    NullIsland,
    NumberRule,
    SourceProfile,
    TextRule,
)
from clearway_edge.rows.times import read_times

Value = TypeVar("Value")

NULL_ISLAND = "null_island"
MISSING_VEHICLE = "missing_vehicle"

NULL_ISLAND_DEG = 0.01
"""How near to (0, 0) a fix means "no position": about 1.1 km around a point in the Atlantic where
no vehicle of any city is. Receivers send exact or nearly exact zeros."""

_SENTINEL_DIGITS = 4
_VALUE_DIGITS = 4
"""Converted values are rounded to 0.0001 of their unit: 8.54 m/s is 30.744 km/h, not
30.743999999999996, and a tenth of a millimetre per second is below any receiver."""

_MAX_FAULTS_A_CHUNK = 20

_REMEDIES = {
    MISSING_VEHICLE: "A fix without a vehicle cannot be counted; check vehicle.column.",
    NULL_ISLAND: "The receiver had no position.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """A chunk on its way out.

    Parameters
    ----------
    seq
        Number of each record that goes on.
    columns
        Wire values by field; vehicles are pseudonyms already.
    read
        Records of the chunk, good or not.
    dropped
        Records given up, by reason; ``read == len(seq) + sum(dropped)``.
    nulled
        Values that became null, by ``<field>_<why>``.
    flagged
        Values that carry a flag, by flag.
    faults
        A few examples.
    """

    seq: Sequence[int]
    columns: Mapping[str, Sequence[object]]
    read: int
    dropped: Counter[str]
    nulled: Counter[str]
    flagged: Counter[str]
    faults: Sequence[Fault]


class Masks(Protocol):
    """Gives vehicles the names under which they travel on: `Pseudonymiser`, for one."""

    def mask(
        self,
        providers: Sequence[str | None],
        vehicles: Sequence[str],
        instants_ms: Sequence[int],
    ) -> tuple[Sequence[str], Sequence[str | None]]:
        """Return name and epoch of each record."""
        ...


class Converter:
    """Converts chunks of one file.

    Parameters
    ----------
    profile
        How the file is to be read.
    pseudonyms
        Masks the vehicles; None for records that have none.
    """

    def __init__(self, profile: SourceProfile, pseudonyms: Masks | None) -> None:
        self._profile = profile
        self._contract = WIRE_CONTRACTS[profile.contract]
        self._pseudonyms = pseudonyms
        self._missing = profile.format.missing_values | {""}

    def convert(self, chunk: RawChunk) -> Converted:
        """Return the chunk's records; every row is either among them or counted as dropped."""
        work = _Work(chunk)
        instants = self._instants(work)
        lon, lat = self._position(work)
        vehicles = self._vehicles(work)
        self._drop_null_island(work, lon, lat)
        kept = _Kept(work.keep(), len(chunk))
        columns: dict[str, Sequence[object]] = {
            "observed_at": kept.of(instants),
            **self._wgs84(kept.of(lon), kept.of(lat)),
        }
        instants_ms = cast("list[int]", columns["observed_at"])
        for number_rule in self._profile.numbers:
            raw = kept.of(chunk.columns[number_rule.column])
            columns[number_rule.name] = self._number(number_rule, raw, instants_ms, work)
        for text_rule in self._profile.texts:
            columns[text_rule.name] = self._text(text_rule, kept, chunk)
        for flag_rule in self._profile.flags:
            raw = kept.of(chunk.columns[flag_rule.column])
            columns[flag_rule.name] = self._truth(flag_rule, raw, work)
        if vehicles is not None and self._pseudonyms is not None:
            providers = cast("list[str | None]", columns["provider"])
            masked, epochs = self._pseudonyms.mask(providers, kept.of(vehicles), instants_ms)
            columns["vehicle"], columns["pseudonym_epoch"] = masked, epochs
        return self._finish(work, kept.of(chunk.seq), columns)

    def _finish(
        self, work: _Work, seq: Sequence[int], columns: dict[str, Sequence[object]]
    ) -> Converted:
        if self._profile.position.null_island is NullIsland.FLAG:
            positions = zip(columns["lon_deg"], columns["lat_deg"], strict=True)
            for row, (lon, lat) in enumerate(positions):
                if _at_null_island(lon, lat):
                    work.flags.add(row, NULL_ISLAND)
        check_ranges(self._contract, columns, work.flags)
        if work.flags.by_row:
            columns["flags"] = work.flags.column(len(seq))
        dropped = Counter(work.drops.values())
        dropped.update(fault.reason for fault in work.chunk.faults)
        return Converted(
            seq=seq,
            columns=columns,
            read=len(work.chunk) + len(work.chunk.faults),
            dropped=dropped,
            nulled=work.nulled,
            flagged=Counter(name for names in work.flags.by_row.values() for name in names),
            faults=[*work.chunk.faults[:_MAX_FAULTS_A_CHUNK], *work.faults],
        )

    def _instants(self, work: _Work) -> list[int | str]:
        rule = self._profile.time
        values = work.chunk.columns[rule.column]
        instants = read_times(rule, values)
        if not _all_int(instants):
            for row, instant in enumerate(instants):
                if isinstance(instant, str):
                    remedy = f"The profile expects {rule.format} here; see [time]."
                    work.drop(row, instant, (rule.column, values[row], remedy))
        offsets = work.chunk.columns.get(polylines.OFFSET_MS)
        if offsets is None:
            return instants
        return [
            instant if isinstance(instant, str) else instant + cast("int", offset)
            for instant, offset in zip(instants, offsets, strict=True)
        ]

    def _position(self, work: _Work) -> tuple[list[float | None], list[float | None]]:
        rule = self._profile.position
        if rule.fixed_deg is not None:
            lon, lat = rule.fixed_deg
            return [lon] * len(work.chunk), [lat] * len(work.chunk)
        names = (polylines.LON, polylines.LAT) if rule.polyline else (rule.lon, rule.lat)
        found = []
        for field, name in zip(("lon_deg", "lat_deg"), names, strict=True):
            values = work.chunk.columns[name]
            numbers, broken = self._numbers(values)
            if None in numbers:
                for row, number in enumerate(numbers):
                    if number is None:
                        why = "unparsable" if row in broken else "missing"
                        place = (rule.polyline or name, values[row], "Expected degrees.")
                        work.drop(row, f"{why}_{field}", place)
            found.append(numbers)
        return found[0], found[1]

    def _vehicles(self, work: _Work) -> list[str] | None:
        column = self._profile.vehicle_column
        if column == "":
            return None
        values = work.chunk.columns[VEHICLE_FROM_NAME if column is None else column]
        names = [
            value.strip() if isinstance(value, str) else "" if value is None else str(value)
            for value in values
        ]
        for row in [row for row, name in enumerate(names) if name in self._missing]:
            work.drop(row, MISSING_VEHICLE, (column or "", None, _REMEDIES[MISSING_VEHICLE]))
        return names

    def _drop_null_island(
        self, work: _Work, lon: Sequence[float | None], lat: Sequence[float | None]
    ) -> None:
        if self._profile.position.null_island is not NullIsland.DROP:
            return
        for row, (x, y) in enumerate(zip(lon, lat, strict=True)):
            if _at_null_island(x, y):
                column = self._profile.position.lon
                work.drop(row, NULL_ISLAND, (column, None, _REMEDIES[NULL_ISLAND]))

    def _wgs84(self, lon: list[float | None], lat: list[float | None]) -> dict[str, list[float]]:
        datum = self._profile.position.datum
        x, y = cast("list[float]", lon), cast("list[float]", lat)
        if datum is Datum.WGS84 or not x:
            return {"lon_deg": x, "lat_deg": y}
        moved = [to_wgs84(a, b, datum) for a, b in zip(x, y, strict=True)]
        digits = 7  # a centimetre
        return {
            "lon_deg": [round(a, digits) for a, _ in moved],
            "lat_deg": [round(b, digits) for _, b in moved],
        }

    def _numbers(self, values: Sequence[object]) -> tuple[list[float | None], set[int]]:
        """Return the numbers, None where there is none, and the rows that are not numbers."""
        if self._profile.format.decimal_comma:
            values = [v.replace(",", ".") if isinstance(v, str) else v for v in values]
        try:
            numbers = [float(value) for value in cast("Sequence[str]", values)]
        except (TypeError, ValueError):
            pass
        else:
            if all(map(isfinite, numbers)):
                return cast("list[float | None]", numbers), set()
        parsed = [_float(value, self._missing) for value in values]
        broken = {row for row, number in enumerate(parsed) if isinstance(number, str)}
        return [None if isinstance(n, str) else n for n in parsed], broken

    def _number(
        self, rule: NumberRule, raw: Sequence[object], instants_ms: Sequence[int], work: _Work
    ) -> list[float | None]:
        numbers, broken = self._numbers(raw)
        for row in broken:
            work.null(f"{rule.name}_unparsable")
            work.flags.add(row, f"{rule.name}_unparsable")
        if rule.sentinels:
            before = numbers.count(None)
            numbers = [
                None
                if number is None or round(number, _SENTINEL_DIGITS) in rule.sentinels
                else number
                for number in numbers
            ]
            work.null(f"{rule.name}_sentinel", numbers.count(None) - before)
        if rule.eras:
            return [
                self._in_era(rule, number, instant, work)
                for number, instant in zip(numbers, instants_ms, strict=True)
            ]
        if rule.scale == 1.0 and rule.offset == 0.0:
            return numbers
        scale, offset = rule.scale, rule.offset
        return [None if n is None else round(n * scale + offset, _VALUE_DIGITS) for n in numbers]

    def _in_era(
        self, rule: NumberRule, number: float | None, instant_ms: int, work: _Work
    ) -> float | None:
        if number is None:
            return None
        for era in rule.eras:
            if era.from_ms <= instant_ms < era.until_ms:
                return round(number * era.scale, _VALUE_DIGITS)
        work.null(f"{rule.name}_unit_unknown")
        return None

    def _text(self, rule: TextRule, kept: _Kept, chunk: RawChunk) -> list[str | None]:
        if rule.constant is not None:
            return [rule.constant] * kept.count
        raw = kept.of(chunk.columns[rule.column])
        texts = [None if value is None else str(value).strip() for value in raw]
        if not rule.mapping:
            return [None if text in self._missing else text for text in texts]
        mapping, default = rule.mapping, rule.default
        return [None if text is None else mapping.get(text, default) for text in texts]

    def _truth(self, rule: FlagRule, raw: Sequence[object], work: _Work) -> list[bool | None]:
        meanings = dict.fromkeys(rule.true_values, True)
        meanings.update(dict.fromkeys(rule.false_values, False))
        meanings_or_none = cast("dict[str, bool | None]", meanings)
        values = [meanings_or_none.get(str(value).strip()) for value in raw]
        unknown = sum(
            value is None and not (text is None or str(text).strip() in self._missing)
            for value, text in zip(values, raw, strict=True)
        )
        work.null(f"{rule.name}_unknown", unknown)
        return values


class _Work:
    """What is found out about a chunk while it is converted."""

    def __init__(self, chunk: RawChunk) -> None:
        self.chunk = chunk
        self.drops: dict[int, str] = {}
        self.nulled: Counter[str] = Counter()
        self.flags = Flags()
        self.faults: list[Fault] = []

    def drop(self, row: int, reason: str, place: tuple[str, object, str]) -> None:
        """Give a row up; the first reason counts."""
        if row in self.drops:
            return
        self.drops[row] = reason
        if len(self.faults) < _MAX_FAULTS_A_CHUNK:
            column, value, remedy = place
            where = f"{self.chunk.place}, line {self.chunk.lines[row]}"
            found = "no position" if reason == NULL_ISLAND else shape(value)
            self.faults.append(
                Fault(reason=reason, where=where, column=column, found=found, remedy=remedy)
            )

    def null(self, why: str, count: int = 1) -> None:
        """Count values that become null."""
        if count:
            self.nulled[why] += count

    def keep(self) -> list[bool] | None:
        """Return which rows go on, or None if all do."""
        if not self.drops:
            return None
        return [row not in self.drops for row in range(len(self.chunk))]


class _Kept:
    """Takes the rows that go on out of a column."""

    def __init__(self, keep: list[bool] | None, n_rows: int) -> None:
        self._keep = keep
        self.count = n_rows if keep is None else sum(keep)

    def of(self, values: Sequence[Value]) -> list[Value]:
        """Return the values of the kept rows."""
        return list(values) if self._keep is None else list(compress(values, self._keep))


def _all_int(values: Sequence[object]) -> bool:
    return all(type(value) is int for value in values)


def _at_null_island(lon: object, lat: object) -> bool:
    return (
        lon is not None
        and lat is not None
        and abs(cast("float", lon)) < NULL_ISLAND_DEG
        and abs(cast("float", lat)) < NULL_ISLAND_DEG
    )


def _float(value: object, missing: frozenset[str]) -> float | str | None:
    """Return the number, None for a missing value, or the text that is no number."""
    if value is None or (isinstance(value, str) and value.strip() in missing):
        return None
    try:
        number = float(cast("str", value))
    except (TypeError, ValueError):
        return str(value)
    if number != number:  # noqa: PLR0124 -- NaN is how typed files write "no value"
        return None
    return number if isfinite(number) else str(value)
