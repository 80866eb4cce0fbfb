"""Whose GPS receiver it is, and whether the ends of its trips stay on the gateway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clearway_core.contracts.wire import GPS_PING, VEHICLE_CLASSES
from clearway_core.settings import Section
from clearway_edge.rows.profile import PUBLIC_CLASSES, TripEnds
from clearway_edge.sources.source import Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleSettings:
    """Whose receiver it is.

    Parameters
    ----------
    provider, vehicle, vehicle_class
        The vehicle is masked before anything is stored.
    cut_trip_ends
        Whether the ends of its trips stay on the gateway: of all but taxis and buses, unless the
        settings say otherwise.
    """

    provider: str
    vehicle: str
    vehicle_class: str | None
    cut_trip_ends: bool


def vehicle_settings(section: Section) -> VehicleSettings:
    """Read ``provider``, ``vehicle``, ``vehicle_class`` and ``trip_ends``."""
    provider = section.matching("provider", GPS_PING.field("provider").pattern)
    vehicle = section.text("vehicle")
    if not vehicle.strip():
        section.fault("vehicle", "expected the vehicle's own name; it is masked")
    given = optional_class(section)
    default = TripEnds.KEEP if given in PUBLIC_CLASSES else TripEnds.CUT
    return VehicleSettings(
        provider=provider,
        vehicle=vehicle,
        vehicle_class=given,
        cut_trip_ends=section.choice("trip_ends", TripEnds, default) is TripEnds.CUT,
    )


def optional_class(section: Section) -> str | None:
    """Read ``vehicle_class``, if it is given."""
    return section.optional_text("vehicle_class", allowed=VEHICLE_CLASSES)


def optional_trip_ends(section: Section) -> TripEnds | None:
    """Read ``trip_ends``, if it is given."""
    return section.choice("trip_ends", TripEnds) if "trip_ends" in section else None


def fix_of(
    vehicle: VehicleSettings, values: Mapping[str, object], flags: Sequence[str] = ()
) -> Reading:
    """Return a fix of the vehicle; `values` hold time, position and what else was measured."""
    return Reading(
        contract=GPS_PING.identifier,
        values={
            "provider": vehicle.provider,
            "vehicle": vehicle.vehicle,
            "vehicle_class": vehicle.vehicle_class,
            **values,
            "flags": " ".join(flags) or None,
        },
        cut_trip_ends=vehicle.cut_trip_ends,
    )
