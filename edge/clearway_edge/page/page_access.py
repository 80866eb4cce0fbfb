"""Who may see the gateway's page: whoever is on the machine, or has the PIN of the device."""

from __future__ import annotations

import os
import re
import secrets
import threading
from collections import OrderedDict
from pathlib import Path

from clearway_core.clock import Clock
from clearway_core.errors import SettingsError
from clearway_core.settings import Secret

WRONG_A_MINUTE = 5
"""Wrong PINs of one address in a minute; a person mistypes less often."""

WRONG_A_MINUTE_OF_ALL = 30
"""Wrong PINs of all addresses together: half of the 10^8 PINs would take three years."""

SESSION_S = 12 * 3600.0
"""A working day. [s]"""

_MINUTE_S = 60.0
_PIN_DIGITS = 8
_PIN = re.compile(r"[A-Za-z0-9-]{6,64}")
_SESSIONS = 32


def device_pin(file: Path) -> Secret:
    """Return the PIN in a file; it is made, once, if there is no file.

    Raises
    ------
    SettingsError
        If the file holds no PIN, or can neither be read nor made.
    """
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    except OSError as error:
        fault = f"{file}: page.pin_file cannot be made: {error.strerror}"
        raise SettingsError([fault]) from error
    else:
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(f"{secrets.randbelow(10**_PIN_DIGITS):0{_PIN_DIGITS}d}\n")
    try:
        text = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        fault = f"{file}: page.pin_file cannot be read: {error}"
        raise SettingsError([fault]) from error
    if _PIN.fullmatch(text) is None:
        # What it holds is not told: it may be a PIN with a stray character.
        fault = f"{file}: page.pin_file: expected 6 to 64 letters, digits and hyphens on one line"
        raise SettingsError([fault])
    return Secret(text)


class Access:
    """Checks PINs, slowly for those who guess, and remembers who gave the right one.

    Parameters
    ----------
    pin
        The device's PIN.
    clock
        For the limits.
    """

    def __init__(self, pin: Secret, clock: Clock) -> None:
        self._pin = pin
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: OrderedDict[str, float] = OrderedDict()
        self._wrong: OrderedDict[str, list[float]] = OrderedDict()

    def try_pin(self, text: str, address: str) -> bool | None:
        """Return whether the PIN is right, or None if it is not even looked at: too many wrong."""
        with self._lock:
            now_s = self._clock.monotonic_s()
            since_s = now_s - _MINUTE_S
            for known in list(self._wrong):
                self._wrong[known] = [at_s for at_s in self._wrong[known] if at_s > since_s]
                if not self._wrong[known]:
                    del self._wrong[known]
            of_all = sum(len(times) for times in self._wrong.values())
            mine = self._wrong.get(address, [])
            if len(mine) >= WRONG_A_MINUTE or of_all >= WRONG_A_MINUTE_OF_ALL:
                return None
            if secrets.compare_digest(text.encode(), self._pin.reveal().encode()):
                return True
            self._wrong[address] = [*mine, now_s]
            return False

    def open_session(self) -> str:
        """Return a token that stands for the PIN for a day."""
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._sessions[token] = self._clock.monotonic_s() + SESSION_S
            while len(self._sessions) > _SESSIONS:
                self._sessions.popitem(last=False)
        return token

    def has_session(self, token: str) -> bool:
        """Return whether a token is one of ours and not too old."""
        with self._lock:
            ends_s = self._sessions.get(token)
            return ends_s is not None and self._clock.monotonic_s() < ends_s
