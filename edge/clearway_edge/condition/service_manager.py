"""Tells systemd that the gateway works: ready, alive, and in words (sd_notify(3))."""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from clearway_core.clock import Clock

log = logging.getLogger(__name__)

_LONGEST_WORDS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagerSocket:
    """Where the service manager that started this process listens; None: there is none.

    Parameters
    ----------
    address
        ``NOTIFY_SOCKET``: a path, or a name in the abstract namespace that begins with ``@``.
    watchdog_s
        How long the manager waits for a sign of life before it restarts the service; None: it
        does not. [s]
    """

    address: str | None = None
    watchdog_s: float | None = None


def manager_socket(environment: Mapping[str, str], pid: int) -> ManagerSocket:
    """Return what systemd has put into the environment of a process (sd_notify(3))."""
    text = environment.get("WATCHDOG_USEC", "")
    whose = environment.get("WATCHDOG_PID", str(pid))
    watched = text.isdigit() and int(text) > 0 and whose == str(pid)
    return ManagerSocket(
        address=environment.get("NOTIFY_SOCKET") or None,
        watchdog_s=int(text) / 1e6 if watched else None,
    )


class ServiceManager:
    """Speaks to the service manager's socket; without one, everything here does nothing.

    Parameters
    ----------
    line
        Where it listens.
    clock
        Tells when the next sign of life is due.
    """

    def __init__(self, line: ManagerSocket, clock: Clock) -> None:
        self._address = line.address
        self._clock = clock
        # Half of the time, as sd_watchdog_enabled(3) recommends: one late beat is no death.
        self._every_s = None if line.watchdog_s is None else line.watchdog_s / 2
        self._next_s = 0.0
        self._ready = False
        self._words = ""

    def beat(self, words: str) -> None:
        """Say that the work goes on; the first time, that the service is ready."""
        lines = []
        if not self._ready:
            lines.append("READY=1")
        now_s = self._clock.monotonic_s()
        if self._every_s is not None and now_s >= self._next_s:
            self._next_s = now_s + self._every_s
            lines.append("WATCHDOG=1")
        words = " ".join(words.split())[:_LONGEST_WORDS]
        if words != self._words:
            lines.append(f"STATUS={words}")
        if lines and self._send("\n".join(lines)):
            self._ready = True
            self._words = words

    def stopping(self) -> None:
        """Say that the service ends as it was told to."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> bool:
        if not self._address:
            return False
        # An address with @ is an abstract one: its first byte is 0.
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
                line.setblocking(False)  # noqa: FBT003 -- the standard library's signature
                line.sendto(text.encode(), address)
        except OSError as error:
            # A reading is never lost for a word to the service manager.
            log.debug("service_manager_not_told", extra={"error": str(error)})
            return False
        return True
