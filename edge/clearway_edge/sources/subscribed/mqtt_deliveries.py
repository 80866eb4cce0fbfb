"""Which messages of an MQTT session are stored: a broker sends again what was not acknowledged.

It does so after every broken connection, under the number that the message had, and says that it
may be known. What is stored already is then acknowledged only, and not read a second time.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from enum import Enum, auto

REMEMBERED = 4096
"""Messages whose fate is remembered: more than a broker has under way at once."""


class Arrival(Enum):
    """What is known about a message that has arrived."""

    NEW = auto()
    UNDER_WAY = auto()
    STORED = auto()


class Deliveries:
    """The numbered messages of one session; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[int, tuple[int, bool]] = OrderedDict()
        self.session = 0

    def new_session(self) -> None:
        """Forget everything: the broker has, and numbers begin anew."""
        with self._lock:
            self._known.clear()
            self.session += 1

    def arrived(self, number: int, content: int, *, again: bool) -> Arrival:
        """Return what is known about a message.

        Parameters
        ----------
        number
            Its packet identifier.
        content
            Hash of topic and payload: numbers are used again for other messages.
        again
            Whether the broker says that it may have sent it before.
        """
        with self._lock:
            known = self._known.get(number)
            if again and known is not None and known[0] == content:
                return Arrival.STORED if known[1] else Arrival.UNDER_WAY
            self._known[number] = (content, False)
            self._known.move_to_end(number)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
            return Arrival.NEW

    def stored(self, session: int, number: int) -> bool:
        """Note that a message is stored; return whether its number still means it."""
        with self._lock:
            if session != self.session:
                return False
            if number in self._known:
                self._known[number] = (self._known[number][0], True)
            return True

    def given_up(self, session: int, number: int) -> None:
        """Forget a message that could not be stored: it will come again."""
        with self._lock:
            if session == self.session:
                self._known.pop(number, None)
