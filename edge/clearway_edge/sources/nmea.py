"""GPS receivers that speak NMEA 0183, over a serial line, TCP or from a recording.

A fix is one RMC sentence: it alone carries date, time, position, speed and course. GGA of the
same second adds whether the geometry was poor. Sentences without a valid checksum are not used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from clearway_core.clock import to_ms
from clearway_core.contracts.wire import GPS_PING
from clearway_core.settings import Section
from clearway_core.units import KMH_PER
from clearway_edge.sources.kinds import Tools
from clearway_edge.sources.lines import LineSettings, line_settings, open_line
from clearway_edge.sources.source import Intake, Line, Reading
from clearway_edge.sources.vehicle import VehicleSettings, vehicle_settings

BAD_CHECKSUM = "bad_checksum"
NO_FIX = "no_fix"
UNPARSABLE = "unparsable_sentence"

FLAG_HDOP = "hdop_high"
HDOP_LIMIT = 5.0
"""Horizontal dilution of precision above which a fix is flagged. [1]"""

_MAX_SENTENCE_BYTES = 512
"""NMEA allows 82; receivers send more. Beyond this it is noise, and the buffer must not grow."""

_MIN_RMC_FIELDS = 10
_CENTURY_PIVOT = 80
_MINUTES = 60


_BAUD = 9600


@dataclass(frozen=True, slots=True, kw_only=True)
class NmeaSettings:
    """A GPS receiver and whose it is."""

    line: LineSettings
    vehicle: VehicleSettings


def settings_of(section: Section, folder: Path) -> NmeaSettings:
    """Read the keys of a ``[[source]]`` of this kind."""
    return NmeaSettings(
        line=line_settings(section, folder, baud=_BAUD), vehicle=vehicle_settings(section)
    )


def open_source(settings: NmeaSettings, tools: Tools) -> NmeaSource:  # noqa: ARG001 -- it has its own clock
    """Return the receiver; its line is opened when it is first read."""
    return NmeaSource(open_line(settings.line), settings.vehicle)


def checksum(body: bytes) -> int:
    """Return the exclusive or of all bytes between ``$`` and ``*``."""
    result = 0
    for byte in body:
        result ^= byte
    return result


class SentenceReader:
    """Finds sentences in a byte stream that may hold noise and other protocols."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[list[str], bool]]:
        """Yield the fields of every complete sentence, and whether its checksum is right.

        A sentence without any checksum counts as wrong: a truncated one looks the same.
        """
        *lines, rest = (self._rest + data).replace(b"\r", b"\n").split(b"\n")
        self._rest = rest[-_MAX_SENTENCE_BYTES:]
        for line in lines:
            # Noise before a sentence, or a sentence torn by the next: the last $ begins it.
            start = line.rfind(b"$")
            if start < 0:
                continue
            body, star, given = line[start + 1 :].partition(b"*")
            yield body.decode("ascii", "replace").split(","), _matches(body, star, given)


def _matches(body: bytes, star: bytes, given: bytes) -> bool:
    try:
        return bool(star) and int(given.strip()[:2], 16) == checksum(body)
    except ValueError:
        return False


class NmeaSource:
    """Fixes of one receiver.

    Parameters
    ----------
    line
        Where the bytes come from.
    vehicle
        Whose receiver it is.
    """

    def __init__(self, line: Line, vehicle: VehicleSettings) -> None:
        self._line = line
        self._reader = SentenceReader()
        self._cut_trip_ends = vehicle.cut_trip_ends
        self._constants = {
            "provider": vehicle.provider,
            "vehicle": vehicle.vehicle,
            "vehicle_class": vehicle.vehicle_class,
        }
        self._hdop: tuple[str, float] | None = None

    def read(self, timeout_s: float) -> Intake:
        """Return the fixes that came within `timeout_s`."""
        intake = Intake()
        for fields, valid in self._reader.feed(self._line.receive(timeout_s)):
            kind = fields[0][2:]
            if kind == "GGA" and valid:
                self._note_geometry(fields)
            elif kind == "RMC":
                self._take(fields, intake, valid=valid)
        return intake

    def close(self) -> None:
        """Give the line back."""
        self._line.close()

    def _take(self, fields: Sequence[str], intake: Intake, *, valid: bool) -> None:
        found = parse_rmc(fields) if valid else BAD_CHECKSUM
        if isinstance(found, str):
            intake.dropped[GPS_PING.identifier, found] += 1
            return
        poor = self._hdop is not None and self._hdop[0] == fields[1]
        poor = poor and self._hdop is not None and self._hdop[1] > HDOP_LIMIT
        flags = FLAG_HDOP if poor else None
        values = {**self._constants, **found, "flags": flags}
        intake.readings.append(
            Reading(contract=GPS_PING.identifier, values=values, cut_trip_ends=self._cut_trip_ends)
        )

    def _note_geometry(self, fields: Sequence[str]) -> None:
        try:
            self._hdop = (fields[1], float(fields[8]))
        except (IndexError, ValueError):
            self._hdop = None


def parse_rmc(fields: Sequence[str]) -> dict[str, object] | str:
    """Return the wire values of an RMC sentence, or the reason why it is no fix.

    Parameters
    ----------
    fields
        Talker and type, UTC time, status, latitude, N/S, longitude, E/W, speed [kn], course [°],
        date, …

    References
    ----------
    NMEA 0183 version 4.10, sentence RMC.
    """
    if len(fields) < _MIN_RMC_FIELDS:
        return UNPARSABLE
    _, time, status, lat, north, lon, east, knots, course, day, *_ = fields
    if status != "A":
        return NO_FIX
    try:
        return {
            "observed_at": _instant_ms(day, time),
            "lon_deg": _degrees(lon, east, "EW"),
            "lat_deg": _degrees(lat, north, "NS"),
            "speed_kmh": round(float(knots) * KMH_PER["knots"], 4) if knots else None,
            "heading_deg": float(course) if course else None,
        }
    except ValueError:
        return UNPARSABLE


def _instant_ms(day: str, time: str) -> int:
    year = int(day[4:6])
    century = 1900 if year >= _CENTURY_PIVOT else 2000
    clock = time.split(".")
    whole = datetime(
        century + year,
        int(day[2:4]),
        int(day[:2]),
        int(clock[0][:2]),
        int(clock[0][2:4]),
        # A leap second is told as second 60; the wire's time has none.
        min(int(clock[0][4:6]), 59),
        tzinfo=UTC,
    )
    fraction = round(float(f"0.{clock[1]}") * 1000) if len(clock) > 1 and clock[1] else 0
    return to_ms(whole) + fraction


def _degrees(text: str, side: str, sides: str) -> float:
    """Return degrees of ``dddmm.mmmm`` with its hemisphere [°]."""
    if side not in sides or not side:
        message = f"expected one of {sides}"
        raise ValueError(message)
    point = text.index(".") if "." in text else len(text)
    degrees = int(text[: point - 2]) + float(text[point - 2 :]) / _MINUTES
    return round(-degrees if side in "SW" else degrees, 8)
