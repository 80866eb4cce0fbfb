"""A real gateway process that can be started, stopped, stalled and killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

WARNINGS = (
    "error",
    "ignore:open_text is deprecated:DeprecationWarning",  # kafka-python on Python 3.11
    "ignore:read_text is deprecated:DeprecationWarning",
    "ignore::ResourceWarning",  # would be printed, not raised
)
"""A gateway that warns dies of it, and its trial says so."""

START_PATIENCE_S = 120.0
"""A start that takes longer has failed; whether 2 s are too long is for the caller to judge."""


class GatewayProcess:
    """`clearway-gateway run` with settings of its own.

    Parameters
    ----------
    folder
        Holds ``gateway.toml``; logs are written beside it, one for each start.
    environment
        Variables beside those of this process, such as a preloaded library.
    n_unread
        Tells how many readings the system holds that nobody has read; asked before each kill.
    """

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        n_unread: Callable[[], int] = lambda: 0,
    ) -> None:
        self.folder = folder
        self.environment = dict(environment or {})
        self.n_kills = 0
        self.n_never_read = 0
        self._n_unread = n_unread
        self.start_times_s: list[float] = []
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start, wait until it reads its sources, and return how long that took [s]."""
        log = self.folder / f"log-{len(self.start_times_s)}.jsonl"
        begun_s = time.monotonic()
        with log.open("wb") as stream:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "clearway_edge.main", "run", "--settings", "gateway.toml"],
                cwd=self.folder,
                env={**os.environ, "PYTHONWARNINGS": ",".join(WARNINGS), **self.environment},
                stdout=stream,
                stderr=stream,
            )
        while b'"gateway_started"' not in log.read_bytes():
            if self._process.poll() is not None or time.monotonic() - begun_s > START_PATIENCE_S:
                self.kill()
                message = f"the gateway did not start: {log.read_text(encoding='utf-8')[-2000:]}"
                raise RuntimeError(message)
            time.sleep(0.01)
        self.start_times_s.append(time.monotonic() - begun_s)
        return self.start_times_s[-1]

    def kill(self) -> None:
        """SIGKILL: no time to write anything. What nobody had read by then is counted."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGSTOP)
            self.n_kills += 1
            self.n_never_read += self._n_unread()
            self._process.kill()
        self._reap()

    def stall(self, duration_s: float) -> None:
        """SIGSTOP for a while, then SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        time.sleep(duration_s)
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """SIGTERM, and wait for a clean end."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._reap()

    def log_lines(self) -> list[dict[str, object]]:
        """Return everything that all starts have logged."""
        lines = []
        for log in sorted(self.folder.glob("log-*.jsonl")):
            for line in log.read_bytes().splitlines():
                try:
                    lines.append(json.loads(line))
                except ValueError:
                    lines.append({"text": line.decode("utf-8", "replace")})
        return lines

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait(60)
            self._process = None
