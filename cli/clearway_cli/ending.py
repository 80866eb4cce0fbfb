"""How commands that run until told otherwise are ended."""

from __future__ import annotations

import signal


def end_on_signals() -> None:
    """Let Ctrl-C and a service manager's SIGTERM raise KeyboardInterrupt in the main thread.

    Ctrl-C too is asked for in so many words: a shell starts background jobs with SIGINT ignored,
    and Python then leaves it so.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
