"""Whether the system's clock follows a reference, as the kernel knows it; no privileges needed."""

from __future__ import annotations

import ctypes
from typing import ClassVar

_TIME_ERROR = 5
"""Answer of adjtimex(2) while the clock is not synchronised: before the first answer of a time
server, and once the last one is so old that the clock may be off by 16 s."""

_STA_NANO = 0x2000
"""The offset is in nanoseconds, else in microseconds."""


class _Timex(ctypes.Structure):
    """The part of struct timex that is read; what follows is room (208 bytes in all on 64 bits).

    All zero, `modes` above all, changes nothing.
    """

    _fields_: ClassVar = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("room", ctypes.c_char * 512),
    ]


def kernel_says_synchronised() -> bool | None:
    """Return whether a time service keeps the clock; None where the kernel does not tell."""
    answer, _ = _asked()
    return None if answer is None else answer != _TIME_ERROR


def kernel_offset_s() -> float | None:
    """Return by how much the clock is ahead of its reference, as far as the kernel knows [s].

    None while it is not synchronised, or where the kernel does not tell. A service that keeps its
    corrections to itself, as chrony does, leaves 0.
    """
    answer, timex = _asked()
    if answer is None or answer == _TIME_ERROR:
        return None
    return -float(timex.offset) / (1e9 if timex.status & _STA_NANO else 1e6)


def _asked() -> tuple[int | None, _Timex]:
    timex = _Timex()
    try:
        answer = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        # No such function: not Linux.
        return None, timex
    # Below 0: refused by a container or a service's system call filter.
    return (None if answer < 0 else int(answer)), timex
