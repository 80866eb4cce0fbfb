"""Rows that a sender, broker or device brings, turned into readings by a source profile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from clearway_core.contracts.wire import GPS_PING
from clearway_core.errors import ClearwayError, SettingsError
from clearway_core.settings import Section
from clearway_edge.rows.chunk import Fault, RawChunk
from clearway_edge.rows.convert import Converter
from clearway_edge.rows.profile import (
    PUBLIC_CLASSES,
    FileKind,
    SourceProfile,
    TextRule,
    TripEnds,
    find_profile,
)
from clearway_edge.rows.profile_reading import read_profile
from clearway_edge.sources.source import Reading

MAX_FAULTS = 20
"""Examples that an answer shows."""


@dataclass(slots=True)
class Mapped:
    """What became of some rows; every row is a reading or counted as dropped.

    Parameters
    ----------
    readings
        Good rows; vehicles still have their own names.
    dropped
        Rows that could not be used, by (contract, reason).
    nulled
        Single values that became null, by ``<field>_<why>``.
    faults
        A few examples, without content.
    """

    readings: list[Reading] = field(default_factory=list)
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)
    nulled: Counter[str] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)


class RowMapping:
    """Turns rows into readings.

    Parameters
    ----------
    profile
        Which column is what, and in which unit.
    """

    def __init__(self, profile: SourceProfile) -> None:
        self.profile = profile
        is_gps = profile.contract == GPS_PING.identifier
        self._converter = Converter(profile, _Unmasked() if is_gps else None)
        self._cuts = is_gps and profile.trip_ends is TripEnds.CUT

    def readings(self, chunks: Iterable[RawChunk]) -> Mapped:
        """Return the readings of all rows, and what became of the others."""
        mapped = Mapped()
        contract = self.profile.contract
        for chunk in chunks:
            converted = self._converter.convert(chunk)
            names = tuple(converted.columns)
            for row in zip(*converted.columns.values(), strict=True):
                values = dict(zip(names, row, strict=True))
                cut = self._cuts and values.get("vehicle_class") not in PUBLIC_CLASSES
                mapped.readings.append(Reading(contract=contract, values=values, cut_trip_ends=cut))
            for reason, count in converted.dropped.items():
                mapped.dropped[contract, reason] += count
            mapped.nulled.update(converted.nulled)
            mapped.faults += converted.faults[: MAX_FAULTS - len(mapped.faults)]
        return mapped


class _Unmasked:
    """Leaves vehicles their names: the agent masks them before anything is stored."""

    def mask(
        self,
        providers: Sequence[str | None],
        vehicles: Sequence[str],
        instants_ms: Sequence[int],
    ) -> tuple[Sequence[str], Sequence[str | None]]:
        """Return the names as they are, in no epoch."""
        del providers, instants_ms
        return vehicles, [None] * len(vehicles)


def profile_of(
    section: Section, folder: Path, *, kinds: Sequence[FileKind], default: str | None = None
) -> SourceProfile | None:
    """Return the source profile that ``profile`` names; its faults go to the section.

    Parameters
    ----------
    folder
        Where a relative path starts; a name without a path is one of the shipped profiles.
    kinds
        What the source can carry.
    """
    name = section.text("profile", default)
    if not name:
        return None
    beside = folder / name
    try:
        profile = read_profile(beside if beside.is_file() else find_profile(name))
    except SettingsError as error:
        for fault in error.faults:
            section.fault("profile", fault)
        return None
    except ClearwayError as error:
        section.fault("profile", str(error))
        return None
    if profile.format.kind not in kinds or profile.position.polyline:
        section.fault(
            "profile",
            f"expected a profile of format.kind {' or '.join(kinds)} without position.polyline, "
            f"got {profile.format.kind} in {profile.file}",
        )
        return None
    return profile


def belonging_to(
    profile: SourceProfile,
    provider: str | None,
    *,
    vehicle_class: str | None,
    trip_ends: TripEnds | None,
) -> SourceProfile:
    """Return the profile with what the settings of its sender say.

    Parameters
    ----------
    provider
        Whose vehicles they are, whatever the rows say; None: as the rows or the profile say.
    vehicle_class
        Class of all of them, or None: as the profile says.
    trip_ends
        None: as the profile says, but for a class that is given here.
    """
    if profile.contract != GPS_PING.identifier:
        return profile
    fixed = {} if provider is None else {"provider": provider}
    ends = profile.trip_ends
    if vehicle_class is not None:
        fixed["vehicle_class"] = vehicle_class
        ends = TripEnds.KEEP if vehicle_class in PUBLIC_CLASSES else TripEnds.CUT
    kept = tuple(rule for rule in profile.texts if rule.name not in fixed)
    constants = tuple(TextRule(name=name, constant=text) for name, text in fixed.items())
    return replace(
        profile,
        texts=constants + kept,
        trip_ends=ends if trip_ends is None else trip_ends,
    )
