"""A gateway whose disk takes nothing does not die of it: it says so once and tries again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from clearway_edge.outbox.outbox_file import DiskTakesNothing

log = logging.getLogger(__name__)

Result = TypeVar("Result")

RETRY_S = 5.0
"""As often as systemd would start a gateway that died, without its limit of starts. [s]"""


def patiently(
    work: Callable[[], Result], stop: threading.Event, tell: Callable[[str], None]
) -> Result | None:
    """Return what the work returns, once the disk lets it; None if `stop` came first.

    Nothing is read meanwhile: senders keep what they have, and what a serial line gives is as lost
    as if the gateway were not there. To go on from memory would promise what a power cut breaks.

    Parameters
    ----------
    work
        Opens something on the disk.
    stop
        Ends the waiting.
    tell
        Told at each attempt what is waited for, such as the service manager.
    """
    told = ""
    while not stop.is_set():
        try:
            return work()
        except (OSError, DiskTakesNothing) as error:
            words = f"waiting for a disk that can be written: {error}"
        if words != told:
            log.error("disk_takes_nothing", extra={"error": words})
            told = words
        tell(words)
        stop.wait(RETRY_S)
    return None
