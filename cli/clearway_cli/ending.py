"""How commands that run until told otherwise are ended."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def end_on_signals() -> None:
    """Let Ctrl-C and a service manager's SIGTERM raise KeyboardInterrupt in the main thread.

    Ctrl-C too is asked for in so many words: a shell starts background jobs with SIGINT ignored,
    and Python then leaves it so.
    """
    for number in _SIGNALS:
        signal.signal(number, signal.default_int_handler)


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Yield what tells whether Ctrl-C or SIGTERM came; the work in the block ends by itself."""
    stopped = threading.Event()
    before = {number: signal.signal(number, lambda *_: stopped.set()) for number in _SIGNALS}
    try:
        yield stopped.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
