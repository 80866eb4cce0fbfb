"""Whether the system's clock follows a reference, as the kernel knows it; no privileges needed."""

from __future__ import annotations

import ctypes
import logging

log = logging.getLogger(__name__)

_TIME_ERROR = 5
"""Answer of adjtimex(2) while the clock is not synchronised: before the first answer of a time
server, and once the last one is so old that the clock may be off by 16 s."""

_TIMEX_BYTES = 512
"""More than struct timex has on any machine (208 on 64 bits). Its first word says what to change:
all zero is nothing."""


def kernel_says_synchronised() -> bool | None:
    """Return whether a time service keeps the clock; None where the kernel does not tell."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        answer = libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        # No such function: not Linux.
        return None
    if answer < 0:
        # Refused by a container or a service's system call filter.
        return None
    return bool(answer != _TIME_ERROR)
