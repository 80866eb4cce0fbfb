"""Vehicle positions of public transport: GTFS-Realtime 2.0 feeds, asked now and then."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clearway_core.contracts.wire import GPS_PING, VEHICLE_CLASSES
from clearway_core.errors import MissingDependency
from clearway_core.settings import Section
from clearway_core.units import KMH_PER
from clearway_edge.rows.convert import MISSING_VEHICLE, NULL_ISLAND, NULL_ISLAND_DEG
from clearway_edge.rows.profile import PUBLIC_CLASSES, TripEnds
from clearway_edge.sources.kinds import Tools
from clearway_edge.sources.polled.gtfs_routes import NOT_ON_ROAD, read_routes
from clearway_edge.sources.polled.http_poll import (
    HttpPoll,
    PolledSource,
    PollSettings,
    poll_settings,
)
from clearway_edge.sources.source import Intake, Reading
from clearway_edge.sources.vehicle import optional_trip_ends

if TYPE_CHECKING:
    from google.transit.gtfs_realtime_pb2 import FeedEntity, VehiclePosition

EVERY_S = 15.0
"""Most feeds are made anew every 10 to 30 s. [s]"""

REPEATED = "repeated_position"
NO_POSITION = "missing_position"
NO_TIME = "missing_observed_at"
OTHER = "no_vehicle_position"
OFF_ROAD = "not_on_road"
"""Why an entity is no fix; each is counted."""

FLAG_FEED_TIME = "observed_at_of_feed"
"""The vehicle has no time of its own; it is where the feed says when the feed was made."""

_DIGITS = 4
_MAX_S = 4_102_444_800
_EMPTY = 0
_SINGLE = struct.Struct("f")
_ABOARD = frozenset({1, 2, 3, 4, 5})
"""Occupancy status from "many seats" to "full"; 6 and more say nothing about passengers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GtfsSettings:
    """A feed.

    Parameters
    ----------
    routes_file
        ``routes.txt`` of its timetable, or None: all are of `vehicle_class`.
    vehicle_class
        Class of vehicles whose route is not known.
    trip_ends
        None: kept for buses and taxis.
    """

    poll: PollSettings
    provider: str
    routes_file: Path | None
    vehicle_class: str
    trip_ends: TripEnds | None


def settings_of(section: Section, folder: Path) -> GtfsSettings:
    """Read the keys of a ``[[source]]`` of this kind."""
    routes = section.optional_text("routes_file")
    return GtfsSettings(
        poll=poll_settings(section, folder, every_s=EVERY_S),
        provider=section.matching("provider", GPS_PING.field("provider").pattern),
        routes_file=None if routes is None else folder / routes,
        vehicle_class=section.text("vehicle_class", "bus", allowed=VEHICLE_CLASSES),
        trip_ends=optional_trip_ends(section),
    )


def open_source(settings: GtfsSettings, tools: Tools) -> PolledSource:
    """Return the feed; it is asked once it is first read."""
    decoder = FeedDecoder(settings)
    poll = HttpPoll(settings.poll, tools.clock)
    return PolledSource(poll, decoder.decode, contract=GPS_PING.identifier)


class FeedDecoder:
    """Makes fixes of a feed's documents; a position that has not changed is not sent again.

    Parameters
    ----------
    settings
        Whose vehicles they are.

    References
    ----------
    General Transit Feed Specification Realtime 2.0, messages FeedMessage and VehiclePosition.
    """

    def __init__(self, settings: GtfsSettings) -> None:
        try:
            # Protocol Buffers take 10 MB: only where there is a feed.
            from google.protobuf.message import DecodeError  # noqa: PLC0415
            from google.transit.gtfs_realtime_pb2 import FeedMessage  # noqa: PLC0415
        except ImportError as error:
            message = "gtfs_realtime needs gtfs-realtime-bindings: install 'clearway[edge]'"
            raise MissingDependency(message) from error
        self._message, self._broken = FeedMessage, DecodeError
        self._settings = settings
        self._routes: dict[str, str] | None = None
        self._last: dict[str, object] = {}

    def decode(self, body: bytes) -> Intake:
        """Return the fixes of a feed.

        Raises
        ------
        ValueError
            If it is no GTFS-Realtime feed.
        """
        if self._routes is None:
            file = self._settings.routes_file
            self._routes = {} if file is None else read_routes(file)
        feed = self._message()
        try:
            feed.ParseFromString(body)
        except self._broken:
            feed.Clear()
        if not feed.header.gtfs_realtime_version:
            message = "gives no GTFS-Realtime feed: expected its Protocol Buffers form"
            raise ValueError(message)
        intake = Intake()
        now: dict[str, object] = {}
        for entity in feed.entity:
            found = self._fix(entity, feed.header.timestamp, now)
            if isinstance(found, str):
                intake.dropped[GPS_PING.identifier, found] += 1
            else:
                intake.readings.append(found)
        # Of vehicles that have left the feed nothing is kept.
        self._last = now
        return intake

    def _fix(self, entity: FeedEntity, feed_s: int, now: dict[str, object]) -> Reading | str:
        about = entity.vehicle
        vehicle = about.vehicle.id or about.vehicle.label or entity.id
        vehicle_class = self._class(about)
        at_s = about.timestamp or feed_s
        reason = _why_none(entity, vehicle) or (OFF_ROAD if vehicle_class == NOT_ON_ROAD else "")
        if reason:
            return reason
        if not 0 < at_s < _MAX_S:
            return NO_TIME
        # Without a time of its own, a vehicle that has not moved cannot be told from an old fix.
        place = about.position
        mark: object = about.timestamp or (place.longitude, place.latitude)
        repeated = self._last.get(vehicle) == mark or now.get(vehicle) == mark
        now[vehicle] = mark
        return REPEATED if repeated else self._reading(about, vehicle, vehicle_class, at_s)

    def _reading(
        self, about: VehiclePosition, vehicle: str, vehicle_class: str, at_s: int
    ) -> Reading:
        place = about.position
        speed_kmh = place.speed * KMH_PER["mps"] if place.HasField("speed") else None
        heading_deg = place.bearing if place.HasField("bearing") else None
        values = {
            "provider": self._settings.provider,
            "vehicle": vehicle,
            "vehicle_class": vehicle_class,
            "observed_at": at_s * 1000,
            "lon_deg": _shortest(place.longitude),
            "lat_deg": _shortest(place.latitude),
            "speed_kmh": _finite(speed_kmh),
            "heading_deg": _finite(heading_deg),
            "occupied": _occupied(about),
            "flags": None if about.timestamp else FLAG_FEED_TIME,
        }
        ends = self._settings.trip_ends
        cut = vehicle_class not in PUBLIC_CLASSES if ends is None else ends is TripEnds.CUT
        return Reading(contract=GPS_PING.identifier, values=values, cut_trip_ends=cut)

    def _class(self, about: VehiclePosition) -> str:
        routes = self._routes or {}
        return routes.get(about.trip.route_id, self._settings.vehicle_class)


def _why_none(entity: FeedEntity, vehicle: str) -> str:
    """Return why an entity tells no position, or an empty text."""
    if not entity.HasField("vehicle") or entity.is_deleted:
        return OTHER
    if not vehicle.strip():
        return MISSING_VEHICLE
    place = entity.vehicle.position
    lon, lat = place.longitude, place.latitude
    if not entity.vehicle.HasField("position") or not (math.isfinite(lon) and math.isfinite(lat)):
        return NO_POSITION
    return NULL_ISLAND if abs(lon) < NULL_ISLAND_DEG and abs(lat) < NULL_ISLAND_DEG else ""


def _shortest(value: float) -> float:
    """Return the shortest number that is the same in single precision, in which feeds write."""
    for digits in (7, 8):
        short = float(f"{value:.{digits}g}")
        if _SINGLE.pack(short) == _SINGLE.pack(value):
            return short
    return value


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, _DIGITS)


def _occupied(about: VehiclePosition) -> bool | None:
    if not about.HasField("occupancy_status"):
        return None
    status = about.occupancy_status
    return False if status == _EMPTY else True if status in _ABOARD else None
