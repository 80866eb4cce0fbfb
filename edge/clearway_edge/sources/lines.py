"""Bytes from a serial port, a TCP server or a recorded file, and the settings that say which."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from clearway_core.errors import MissingDependency, SourceUnavailable
from clearway_core.settings import Section
from clearway_edge.sources.source import Line

_READ_BYTES = 4096
_LINES = ("serial", "tcp", "file")
_MAX_PORT = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class LineSettings:
    """Where a source's bytes come from: exactly one of serial port, TCP server and file.

    Parameters
    ----------
    baud
        Symbol rate of a serial port. [1/s]
    """

    serial: str | None = None
    tcp: tuple[str, int] | None = None
    file: Path | None = None
    baud: int = 9600


def line_settings(section: Section, folder: Path, *, baud: int) -> LineSettings:
    """Read ``serial``, ``tcp`` or ``file``, and ``baud``; faults go to the section."""
    given = [key for key in _LINES if key in section]
    if len(given) != 1:
        found = ", ".join(given) or "none of them"
        section.fault("serial", f"expected exactly one of serial, tcp and file, got {found}")
    tcp = section.optional_text("tcp")
    file = section.optional_text("file")
    return LineSettings(
        serial=section.optional_text("serial"),
        tcp=None if tcp is None else host_port(section, "tcp", tcp),
        file=None if file is None else folder / file,
        baud=section.whole("baud", baud, minimum=300),
    )


def host_port(section: Section, key: str, text: str) -> tuple[str, int]:
    """Return ``host:port`` apart; a fault if it is none."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) <= _MAX_PORT:
        section.fault(key, f"expected host:port, got {text!r}")
        return "localhost", 1
    return host.strip("[]"), int(port)


def open_line(settings: LineSettings) -> Line:
    """Return the line of its settings; it is opened when it is first read."""
    if settings.serial is not None:
        return SerialLine(settings.serial, settings.baud)
    if settings.tcp is not None:
        return TcpLine(*settings.tcp)
    if settings.file is not None:
        return FileLine(settings.file)
    message = "a line needs a serial port, a TCP address or a file"
    raise ValueError(message)


class SerialLine:
    """A serial port, opened when it is first read.

    Parameters
    ----------
    port
        Device such as ``/dev/ttyUSB0``.
    baud
        Symbol rate. [1/s]
    """

    def __init__(self, port: str, baud: int) -> None:
        try:
            import serial  # noqa: PLC0415 -- only where there is a serial line
        except ImportError as error:
            message = "a serial source needs pyserial: install 'clearway[edge]'"
            raise MissingDependency(message) from error
        self._serial = serial
        self._port = port
        self._baud = baud
        self._open: serial.Serial | None = None

    def receive(self, timeout_s: float) -> bytes:
        """Return the bytes that came within `timeout_s`, or none."""
        try:
            if self._open is None:
                self._open = self._serial.Serial(self._port, self._baud, timeout=timeout_s)
            self._open.timeout = timeout_s
            first = self._open.read(1)
            return bytes(first + self._open.read(self._open.in_waiting)) if first else b""
        except (OSError, self._serial.SerialException) as error:
            self.close()
            message = (
                f"the serial port {self._port} cannot be read: {error}. Check the cable, the name "
                "of the device, and that this user is in the group 'dialout'."
            )
            raise SourceUnavailable(message) from error

    def close(self) -> None:
        """Close the port."""
        if self._open is not None:
            self._open.close()
            self._open = None


class TcpLine:
    """A server that sends bytes, such as a serial-to-network adapter; connected when first read.

    Parameters
    ----------
    host, port
        Where it listens.
    """

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._socket: socket.socket | None = None

    def receive(self, timeout_s: float) -> bytes:
        """Return the bytes that came within `timeout_s`, or none."""
        try:
            if self._socket is None:
                self._socket = socket.create_connection(self._address, timeout=10.0)
            self._socket.settimeout(timeout_s)
            data = self._socket.recv(_READ_BYTES)
        except TimeoutError:
            return b""
        except OSError as error:
            self.close()
            raise SourceUnavailable(self._gone(str(error))) from error
        if not data:
            self.close()
            raise SourceUnavailable(self._gone("it closed the connection"))
        return data

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _gone(self, why: str) -> str:
        host, port = self._address
        return f"{host}:{port} sends nothing: {why}. Check the device and the network."


class FileLine:
    """A recorded byte stream; at its end nothing more comes.

    Parameters
    ----------
    file
        The recording, or a named pipe.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._open: BinaryIO | None = None
        self.at_end = False

    def receive(self, timeout_s: float) -> bytes:  # noqa: ARG002 -- a file never makes wait
        """Return the next bytes, or none at the end."""
        try:
            if self._open is None:
                self._open = self._file.open("rb")
            data = self._open.read(_READ_BYTES)
        except OSError as error:
            message = f"{self._file} cannot be read: {error.strerror}. Check the path."
            raise SourceUnavailable(message) from error
        self.at_end = not data
        return data

    def close(self) -> None:
        """Close the file."""
        if self._open is not None:
            self._open.close()
            self._open = None
