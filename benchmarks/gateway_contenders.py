"""The gateway and its peer as processes that take readings and give them to Kafka."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Protocol

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Contender(Protocol):
    """Something between a sender of readings and Kafka."""

    name: str
    topic: str
    pid: int

    def start(self) -> None:
        """Start, or start again after a kill."""
        ...

    def give(self, lines: list[bytes]) -> None:
        """Hand over readings; return when it has taken responsibility as far as it ever says so."""
        ...

    def kill(self) -> None:
        """SIGKILL."""
        ...

    def stop(self) -> None:
        """Stop in good order."""
        ...


RSYSLOG = """
global(workDirectory="{work}")
module(load="imtcp")
module(load="omkafka")
template(name="raw" type="string" string="%rawmsg%")
input(type="imtcp" port="{port}" address="127.0.0.1" ruleset="readings")
ruleset(name="readings" queue.type="LinkedList" queue.filename="readings" queue.size="50000"
        queue.highWatermark="20000" queue.lowWatermark="5000" queue.maxDiskSpace="1g"
        queue.saveOnShutdown="on" queue.checkpointInterval="100" queue.syncQueueFiles="on") {{
  action(type="omkafka" broker=["{broker}"] topic="{topic}" template="raw"
         confParam=["compression.codec=zstd", "queue.buffering.max.ms=1000", "acks=all"]
         resubmitOnFailure="on" keepFailedMessages="on" failedMsgFile="{work}/failed"
         action.resumeRetryCount="-1")
}}
"""


class Rsyslog:
    """rsyslog with omkafka and a disk-assisted queue, as its manual recommends it.

    Parameters
    ----------
    folder
        For its settings and queue.
    broker
        ``host:port``.
    """

    name = "rsyslog"

    def __init__(self, folder: Path, broker: str, topic: str) -> None:
        self.topic = topic
        self.folder = folder
        (folder / "work").mkdir(parents=True)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port = probe.getsockname()[1]
        self._settings = folder / "rsyslog.conf"
        self._settings.write_text(
            RSYSLOG.format(work=folder / "work", port=self._port, broker=broker, topic=topic)
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start and wait until it listens."""
        program = shutil.which("rsyslogd") or "/usr/sbin/rsyslogd"
        self._process = subprocess.Popen(  # noqa: S603 -- our own settings
            [program, "-n", "-f", self._settings, "-i", self.folder / "pid"],
            stderr=(self.folder / "errors").open("ab"),
        )
        self._connect()

    def give(self, lines: list[bytes]) -> None:
        """Send lines; TCP says only that the system took them."""
        while True:
            try:
                assert self._socket is not None
                self._socket.sendall(b"".join(lines))
            except OSError:
                self._connect()
            else:
                return

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        (self.folder / "pid").unlink(missing_ok=True)

    def stop(self) -> None:
        """SIGTERM: it writes its queue to the disk."""
        if self._socket is not None:
            self._socket.close()
        assert self._process is not None
        self._process.terminate()
        self._process.wait(60)

    def _connect(self) -> None:
        until_s = time.monotonic() + 30
        while True:
            try:
                self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=10)
            except OSError:
                if time.monotonic() > until_s:
                    raise
                time.sleep(0.05)
            else:
                return


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process, user and system [s]."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def resident_bytes(pid: int) -> int:
    """Return the memory of a process [B]."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


def written_bytes(pid: int) -> int:
    """Return what a process has caused to be written to disks [B]."""
    values = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(values["write_bytes"])
