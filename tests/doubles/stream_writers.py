"""Processes that write an embedded log."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from clearway_core.stream.embedded import EmbeddedLog
from clearway_core.stream.log import Message


def append_numbers(file: str, worker: int, count: int) -> None:
    """Append ``worker:number`` messages one by one."""
    log = EmbeddedLog(Path(file))
    for n in range(count):
        log.append("t", [Message(key=b"k", value=b"%d:%d" % (worker, n))])
    log.close()


def append_then_die(file: str, count: int) -> None:
    """Append, then end as a power cut ends a process."""
    log = EmbeddedLog(Path(file))
    for n in range(count):
        log.append("t", [Message(key=b"k", value=b"%d" % n)])
    os.kill(os.getpid(), signal.SIGKILL)
