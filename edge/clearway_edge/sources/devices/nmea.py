"""GPS receivers that speak NMEA 0183, over a serial line, TCP or from a recording.

A fix is one RMC sentence: it alone carries date and position. Other sentences of the same instant
enrich it: GGA tells poor geometry, GST the accuracy, VTG speed and course where RMC has none. So a
fix waits until the next instant begins or the line is quiet. Sentences without a valid checksum are
not used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clearway_core.settings import Section
from clearway_edge.sources.devices.lines import LineSettings, line_settings, open_line
from clearway_edge.sources.devices.nmea_sentences import (
    accuracy_m,
    hdop,
    parse_rmc,
    speed_and_course,
    time_of_day_ms,
)
from clearway_edge.sources.devices.receiver import FLAG_ESTIMATED, Receiver
from clearway_edge.sources.kinds import Tools
from clearway_edge.sources.source import Intake, Line
from clearway_edge.sources.vehicle import VehicleSettings, vehicle_settings

BAD_CHECKSUM = "bad_checksum"
REPEATED = "repeated_fix"
"""Receivers of several systems may tell one fix under several talkers."""

FLAG_HDOP = "hdop_high"
HDOP_LIMIT = 5.0
"""Horizontal dilution of precision above which a fix is flagged. [1]"""

_MAX_SENTENCE_BYTES = 512
"""NMEA allows 82; receivers send more. Beyond this it is noise, and the buffer must not grow."""

_ADDRESS_LENGTH = 5
_BAUD = 9600
_TIMED = frozenset({"RMC", "GGA", "GST"})


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

        A sentence without any checksum counts as wrong: a truncated one looks the same. Sentences
        that begin with ``!`` (AIS) are passed over.
        """
        *lines, rest = (self._rest + data).replace(b"\r", b"\n").split(b"\n")
        self._rest = rest[-_MAX_SENTENCE_BYTES:]
        for line in lines:
            # Noise before a sentence, or a sentence torn by the next: the last $ begins it.
            start = line.rfind(b"$")
            if start < 0 or len(line) - start > _MAX_SENTENCE_BYTES:
                continue
            body, star, given = line[start + 1 :].partition(b"*")
            yield body.decode("ascii", "replace").split(","), _matches(body, star, given)

    def forget(self) -> None:
        """Give up the beginning of a sentence: the rest will never come."""
        self._rest = b""


def _matches(body: bytes, star: bytes, given: bytes) -> bool:
    digits = given.strip()
    if not star or not digits[:2].isalnum():
        return False
    try:
        return int(digits[:2], 16) == checksum(body)
    except ValueError:
        return False


@dataclass(slots=True)
class _Instant:
    """What the sentences of one instant say so far."""

    time_ms: int | None = None
    fix: dict[str, object] | None = None
    hdop: float | None = None
    accuracy_m: float | None = None
    velocity: dict[str, float] | None = None
    flags: list[str] = field(default_factory=list)


class NmeaSource(Receiver):
    """Fixes of a receiver that speaks NMEA 0183.

    VTG carries no time: it belongs to the sentence before it, and after a pause of the line to the
    one that follows.
    """

    def __init__(self, line: Line, vehicle: VehicleSettings) -> None:
        super().__init__(line, vehicle)
        self._reader = SentenceReader()
        self._now = _Instant()
        self._paused = False

    def _take(self, data: bytes, intake: Intake) -> None:
        self._paused = self._paused or not data
        for fields, valid in self._reader.feed(data):
            address = fields[0]
            # A talker has two letters; P begins a manufacturer's own sentences.
            if len(address) == _ADDRESS_LENGTH and address[0] != "P":
                self._take_sentence(address[2:], fields, intake, valid=valid)

    def _forget(self) -> None:
        self._reader.forget()

    def _take_sentence(
        self, kind: str, fields: Sequence[str], intake: Intake, *, valid: bool
    ) -> None:
        if not valid:
            if kind == "RMC":
                self._drop(BAD_CHECKSUM, intake)
            return
        if kind in _TIMED:
            self._begin(time_of_day_ms(fields), intake)
        if kind == "RMC":
            self._take_fix(fields, intake)
        elif kind == "GGA":
            self._now.hdop = hdop(fields)
        elif kind == "GST":
            self._now.accuracy_m = accuracy_m(fields)
        elif kind == "VTG" and (self._now.time_ms is not None or self._paused):
            self._now.velocity = self._now.velocity or speed_and_course(fields)

    def _begin(self, time_ms: int | None, intake: Intake) -> None:
        """Finish the instant before, if this is another one."""
        if self._now.time_ms is not None and time_ms != self._now.time_ms:
            self._finish(intake)
        self._now.time_ms = time_ms
        self._paused = False

    def _take_fix(self, fields: Sequence[str], intake: Intake) -> None:
        found = parse_rmc(fields)
        if isinstance(found, str):
            self._drop(found, intake)
        elif self._now.fix is not None:
            self._drop(REPEATED, intake)
        else:
            estimated = found.pop("estimated")
            self._now.flags = [FLAG_ESTIMATED] if estimated else []
            self._now.fix = found

    def _finish(self, intake: Intake) -> None:
        now, self._now = self._now, _Instant()
        if now.fix is None:
            return
        for name, value in (now.velocity or {}).items():
            if now.fix[name] is None:
                now.fix[name] = value
        if now.accuracy_m is not None:
            now.fix["accuracy_m"] = now.accuracy_m
        if now.hdop is not None and now.hdop > HDOP_LIMIT:
            now.flags.append(FLAG_HDOP)
        self._give(now.fix, now.flags, intake)
