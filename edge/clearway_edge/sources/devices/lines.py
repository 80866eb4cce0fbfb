"""Bytes from a serial port, a TCP server or a recorded file, and the settings that say which."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    import serial

from clearway_core.errors import MissingDependency, SourceUnavailable
from clearway_core.settings import Section
from clearway_edge.sources.host_port import host_port
from clearway_edge.sources.source import Line

_READ_BYTES = 4096
_LINES = ("serial", "tcp", "file")
_WRITE_TIMEOUT_S = 2.0
_CONNECT_TIMEOUT_S = 5.0

_KEEP_ALIVE_S = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""A server whose cable was pulled says nothing: after a minute the system notices. [s, s, 1]"""

_FORBIDDEN = "this user may not open it. Add the user to the group 'dialout', log in again."
_IN_USE = "another process uses it. Stop that one: two readers would tear each other's bytes apart."
_CURES = {
    errno.ENOENT: "it is not there. Plug the device in, or give its name as listed by "
    "'ls /dev/serial/by-id'.",
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
    errno.EAGAIN: _IN_USE,
    errno.EBUSY: _IN_USE,
}
"""What is wrong with a serial port and what helps, by error number."""


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


class Device(Line, Protocol):
    """A line that also takes commands."""

    def send(self, data: bytes) -> None:
        """Send a command; nothing happens while the line is not open.

        Raises
        ------
        SourceUnavailable
            If the device is gone.
        """
        ...


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


def open_line(settings: LineSettings, *, greeting: bytes = b"") -> Device:
    """Return the line of its settings; it is opened when it is first read.

    Parameters
    ----------
    settings
        Which one.
    greeting
        Sent each time the line is opened: a device that was unplugged has forgotten its mode.
    """
    if settings.serial is not None:
        return SerialLine(settings.serial, settings.baud, greeting=greeting)
    if settings.tcp is not None:
        return TcpLine(*settings.tcp, greeting=greeting)
    if settings.file is not None:
        return FileLine(settings.file)
    message = "a line needs a serial port, a TCP address or a file"
    raise ValueError(message)


class SerialLine:
    """A serial port, opened when it is first read, for this process alone.

    Parameters
    ----------
    port
        Device such as ``/dev/ttyUSB0``.
    baud
        Symbol rate. [1/s]
    greeting
        Sent each time the port is opened.
    """

    def __init__(self, port: str, baud: int, *, greeting: bytes = b"") -> None:
        try:
            import serial  # noqa: PLC0415 -- only where there is a serial line
        except ImportError as error:
            message = "a serial source needs pyserial: install 'clearway[edge]'"
            raise MissingDependency(message) from error
        self._serial = serial
        self._port = port
        self._baud = baud
        self._greeting = greeting
        self._open: serial.Serial | None = None

    def receive(self, timeout_s: float) -> bytes:
        """Return the bytes that came within `timeout_s`, or none."""
        try:
            port = self._opened()
            if port.timeout != timeout_s:
                port.timeout = timeout_s
            first = bytes(port.read(1))
        except OSError as error:
            raise self._lost(error) from error
        if not first:
            return first
        try:
            return first + bytes(port.read(port.in_waiting))
        except OSError:
            # Unplugged at this very moment: what has come counts, the next call tells.
            self.close()
            return first

    def send(self, data: bytes) -> None:
        """Send a command."""
        if self._open is None:
            return
        try:
            self._open.write(data)
        except OSError as error:
            raise self._lost(error) from error

    def close(self) -> None:
        """Close the port."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _opened(self) -> serial.Serial:
        if self._open is None:
            self._open = self._serial.Serial(
                self._port, self._baud, exclusive=True, write_timeout=_WRITE_TIMEOUT_S
            )
            self._open.write(self._greeting)
        return self._open

    def _lost(self, error: OSError) -> SourceUnavailable:
        cure = _CURES.get(error.errno or 0)
        if cure is None and self._open is not None:
            cure = "the device is gone. Check its cable and power; it is opened again by itself."
        elif cure is None:
            cure = f"{error}. Check the name of the device."
        self.close()
        return SourceUnavailable(f"the serial port {self._port} cannot be read: {cure}")


class TcpLine:
    """A server that sends bytes, such as a serial-to-network adapter; connected when first read.

    Parameters
    ----------
    host, port
        Where it listens.
    greeting
        Sent on each new connection.
    """

    def __init__(self, host: str, port: int, *, greeting: bytes = b"") -> None:
        self._address = (host, port)
        self._greeting = greeting
        self._socket: socket.socket | None = None

    def receive(self, timeout_s: float) -> bytes:
        """Return the bytes that came within `timeout_s`, or none."""
        try:
            if self._socket is None:
                self._socket = self._connected()
            self._socket.settimeout(timeout_s)
            data = self._socket.recv(_READ_BYTES)
        except OSError as error:
            if self._socket is not None and isinstance(error, TimeoutError | BlockingIOError):
                return b""
            self.close()
            raise SourceUnavailable(self._gone(str(error))) from error
        if not data:
            self.close()
            raise SourceUnavailable(self._gone("it closed the connection"))
        return data

    def send(self, data: bytes) -> None:
        """Send a command."""
        if self._socket is None:
            return
        try:
            self._socket.settimeout(_WRITE_TIMEOUT_S)
            self._socket.sendall(data)
        except OSError as error:
            self.close()
            raise SourceUnavailable(self._gone(str(error))) from error

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connected(self) -> socket.socket:
        connection = socket.create_connection(self._address, timeout=_CONNECT_TIMEOUT_S)
        try:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in _KEEP_ALIVE_S.items():
                if hasattr(socket, name):
                    connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
            connection.sendall(self._greeting)
        except OSError:
            connection.close()
            raise
        return connection

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

    def receive(self, timeout_s: float) -> bytes:  # noqa: ARG002 -- a file never makes wait
        """Return the next bytes, or none at the end."""
        try:
            if self._open is None:
                self._open = self._file.open("rb")
            return self._open.read(_READ_BYTES)
        except OSError as error:
            message = f"{self._file} cannot be read: {error.strerror}. Check the path."
            raise SourceUnavailable(message) from error

    def send(self, data: bytes) -> None:
        """Do nothing: a recording takes no commands."""

    def close(self) -> None:
        """Close the file."""
        if self._open is not None:
            self._open.close()
            self._open = None
