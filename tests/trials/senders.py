"""What feeds a gateway in a trial, and knows exactly what it gave."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

FIRST_AT = datetime(2026, 1, 15, 6, tzinfo=UTC)
"""Instant of reading 0; reading i is i seconds later, which is how it is known again."""

READER_PATIENCE_S = 60.0
"""How long a gateway on a busy machine may take to come to its device, or to read what waits."""


def instant_ms(number: int) -> int:
    """Return when reading `number` says it was observed [ms since 1970]."""
    return round((FIRST_AT.timestamp() + number) * 1000)


def sentence(number: int) -> bytes:
    """Return reading `number` as an NMEA sentence."""
    at = FIRST_AT + timedelta(seconds=number)
    body = (
        f"GPRMC,{at:%H%M%S}.00,A,1345.{number % 10_000:04d},N,10030.1234,E,12.3,90.0,{at:%d%m%y},,"
    )
    check = 0
    for byte in body.encode():
        check ^= byte
    return f"${body}*{check:02X}\r\n".encode()


class Device:
    """A receiver behind a serial-to-network adapter: it sends at its pace and never again.

    Parameters
    ----------
    rate_per_s
        Readings a second. [1/s]
    """

    def __init__(self, rate_per_s: float) -> None:
        self._interval_s = 1 / rate_per_s
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(0.1)
        self.port = int(self._server.getsockname()[1])
        """Where it listens."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.n_sent = 0

    def n_unread(self) -> int:
        """Return how many readings the system holds that the gateway has not read yet."""
        n_bytes = 0
        for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if fields[2].endswith(f":{self.port:04X}"):
                n_bytes += int(fields[4].partition(":")[2], 16)
        return -(-n_bytes // len(sentence(0)))

    def start(self) -> None:
        """Begin to wait for the gateway."""
        self._thread.start()

    def wait_for_reader(self) -> None:
        """Wait until it sends to somebody: a start may still be on its way here."""
        before = self.n_sent
        _wait_until(lambda: self.n_sent > before)

    def stop(self) -> None:
        """Send no more, and let what was sent be read."""
        self._stop.set()
        self._thread.join()
        self._server.close()
        _wait_until(lambda: self.n_unread() == 0)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._server.accept()
            except TimeoutError:
                continue
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._send(connection)

    def _send(self, connection: socket.socket) -> None:
        while not self._stop.is_set():
            try:
                connection.sendall(sentence(self.n_sent))
            except OSError:
                return
            self.n_sent += 1
            time.sleep(self._interval_s)


def _wait_until(is_true: Callable[[], bool]) -> None:
    until_s = time.monotonic() + READER_PATIENCE_S
    while not is_true() and time.monotonic() < until_s:
        time.sleep(0.02)
