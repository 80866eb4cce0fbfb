"""GPS receivers behind a gpsd, by its JSON over TCP."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson

from clearway_core.clock import Clock, to_ms
from clearway_core.settings import Section
from clearway_core.units import KMH_PER
from clearway_edge.sources.devices.lines import TcpLine
from clearway_edge.sources.devices.receiver import FLAG_ESTIMATED, NO_FIX, Receiver
from clearway_edge.sources.host_port import host_port
from clearway_edge.sources.kinds import Tools
from clearway_edge.sources.source import Intake, Line
from clearway_edge.sources.vehicle import VehicleSettings, vehicle_settings

log = logging.getLogger(__name__)

DEFAULT_ADDRESS = "127.0.0.1:2947"
WATCH = b'?WATCH={"enable":true,"json":true};\n'

UNPARSABLE = "unparsable_message"
NO_TIME = "no_time"
OTHER_DEVICE = "other_device"
"""Two receivers of one vehicle would make it jump between them."""

DEVICE_SILENT_S = 10.0
"""After this the next receiver that speaks takes over. [s]"""

_MIN_MODE = 2
_ESTIMATED = frozenset({5, 8})
"""Fix status: dead reckoning, simulated."""

_MAX_MESSAGE_BYTES = 65_536
"""gpsd's own limit is about 10,000. [B]"""

_MAPPING = (
    ("lon", "lon_deg", 1.0),
    ("lat", "lat_deg", 1.0),
    ("speed", "speed_kmh", KMH_PER["mps"]),
    ("track", "heading_deg", 1.0),
    ("eph", "accuracy_m", 1.0),
)
"""gpsd's name, the wire's field and the factor between them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpsdSettings:
    """A gpsd, and whose receiver it is.

    Parameters
    ----------
    device
        Receiver to listen to, such as ``/dev/ttyACM0``; None: the one that speaks.
    """

    address: tuple[str, int]
    device: str | None
    vehicle: VehicleSettings


def settings_of(section: Section, folder: Path) -> GpsdSettings:  # noqa: ARG001 -- no files here
    """Read the keys of a ``[[source]]`` of this kind."""
    return GpsdSettings(
        address=host_port(section, "tcp", section.text("tcp", DEFAULT_ADDRESS)),
        device=section.optional_text("device"),
        vehicle=vehicle_settings(section),
    )


def open_source(settings: GpsdSettings, tools: Tools) -> GpsdSource:
    """Return the source; it connects when it is first read."""
    line = TcpLine(*settings.address, greeting=WATCH)
    return GpsdSource(line, settings.vehicle, device=settings.device, clock=tools.clock)


class MessageReader:
    """Finds JSON objects, one a line, in a byte stream."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Mapping[str, object] | None]:
        """Yield every message, and None for one that is no JSON object."""
        *lines, rest = (self._rest + data).split(b"\n")
        # Longer than any message can be is noise, whatever its end is.
        self._rest = rest[: _MAX_MESSAGE_BYTES + 1]
        for line in lines:
            text = line.strip()
            if not text:
                continue
            try:
                message = orjson.loads(text) if len(line) <= _MAX_MESSAGE_BYTES else None
            except orjson.JSONDecodeError:
                message = None
            yield message if isinstance(message, dict) else None

    def forget(self) -> None:
        """Give up the beginning of a message: the rest will never come."""
        self._rest = b""


class GpsdSource(Receiver):
    """Fixes that a gpsd reports.

    gpsd may report one instant several times while it learns more about it.

    Parameters
    ----------
    line
        Connection to gpsd.
    vehicle
        Whose receiver it is.
    device
        Receiver to listen to; None: the one that speaks.
    clock
        Tells when a receiver is silent.

    References
    ----------
    gpsd project, manual page gpsd_json(5), classes TPV and WATCH.
    """

    def __init__(
        self, line: Line, vehicle: VehicleSettings, *, device: str | None, clock: Clock
    ) -> None:
        super().__init__(line, vehicle)
        self._only = device
        self._clock = clock
        self._reader = MessageReader()
        self._device: object = device
        self._heard_at_s = -math.inf
        self._fix: dict[str, object] = {}
        self._estimated = False

    def _take(self, data: bytes, intake: Intake) -> None:
        for message in self._reader.feed(data):
            if message is None:
                self._drop(UNPARSABLE, intake)
            elif message.get("class") == "TPV":
                self._take_report(message, intake)
            elif message.get("class") == "ERROR":
                log.warning("gpsd_error", extra={"error": str(message.get("message"))})

    def _forget(self) -> None:
        self._reader.forget()

    def _take_report(self, report: Mapping[str, object], intake: Intake) -> None:
        fix = None
        if not self._is_ours(report.get("device")):
            reason = OTHER_DEVICE
        elif not _has_position(report):
            reason = NO_FIX
        else:
            fix = _fix(report)
            reason = NO_TIME
        if fix is None:
            self._drop(reason, intake)
            return
        if fix["observed_at"] != self._fix.get("observed_at"):
            self._finish(intake)
        self._fix |= fix
        self._estimated = report.get("status") in _ESTIMATED

    def _is_ours(self, device: object) -> bool:
        if self._only is not None:
            return device == self._only
        now_s = self._clock.monotonic_s()
        if device != self._device and now_s - self._heard_at_s < DEVICE_SILENT_S:
            return False
        self._device, self._heard_at_s = device, now_s
        return True

    def _finish(self, intake: Intake) -> None:
        fix, self._fix = self._fix, {}
        if fix:
            flags = [FLAG_ESTIMATED] if self._estimated else []
            self._give({"speed_kmh": None, "heading_deg": None, **fix}, flags, intake)


def _has_position(report: Mapping[str, object]) -> bool:
    mode = report.get("mode")
    known = all(isinstance(report.get(name), int | float) for name in ("lon", "lat"))
    return known and isinstance(mode, int) and mode >= _MIN_MODE


def _fix(report: Mapping[str, object]) -> dict[str, object] | None:
    """Return the wire values of a report; None without a time."""
    try:
        at = datetime.fromisoformat(str(report.get("time")))
    except ValueError:
        return None
    fix: dict[str, object] = {"observed_at": to_ms(at if at.tzinfo else at.replace(tzinfo=UTC))}
    for theirs, ours, factor in _MAPPING:
        value = report.get(theirs)
        if isinstance(value, int | float) and not isinstance(value, bool):
            fix[ours] = round(value * factor, 9)
    return fix
