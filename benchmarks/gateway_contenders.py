"""The gateway and its peer as processes that take readings and give them to Kafka."""

from __future__ import annotations

import http.client
import os
import secrets
import shutil
import socket
import subprocess
import sys
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
         confParam=["compression.codec={codec}", "queue.buffering.max.ms=1000", "acks=all"]
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
    codec
        How Kafka's client packs its batches.
    """

    name = "rsyslog"

    def __init__(self, folder: Path, broker: str, topic: str, *, codec: str) -> None:
        self.topic = topic
        self.folder = folder
        (folder / "work").mkdir(parents=True)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port = probe.getsockname()[1]
        self._settings = folder / "rsyslog.conf"
        self._settings.write_text(
            RSYSLOG.format(
                work=folder / "work", port=self._port, broker=broker, topic=topic, codec=codec
            )
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


PROFILE = """
contract = "gps_ping/1"
provider = "fleet"
time_zone = "UTC"

[format]
kind = "jsonl"

[vehicle]
column = "vehicle"
class = "taxi"

[time]
column = "observed_at"
format = "unix_ms"

[position]
lon = "lon_deg"
lat = "lat_deg"
datum = "wgs84"

[speed]
column = "speed_kmh"
unit = "kmh"

[heading]
column = "heading_deg"

[occupied]
column = "occupied"
true_values = ["True", "true"]
false_values = ["False", "false"]
"""

SETTINGS = """
[gateway]
name = "gw-bench"
data_dir = "data"
time_zone = "UTC"

[log]
address = "kafka://{broker}"

[forward]
latency_s = {latency_s}
max_records = {max_records}

[[source]]
kind = "http_push"
port = {port}

[[source.sender]]
provider = "fleet"
token_file = "token"
profile = "fleet.toml"
vehicle_class = "taxi"
"""


class Clearway:
    """The gateway as a fleet's endpoint: requests are answered once they are on the disk.

    Parameters
    ----------
    folder
        For its settings, outbox and keys.
    broker
        ``host:port``.
    max_records
        Records of a message to Kafka, at most.
    """

    name = "clearway"
    topic = "clearway.gps_ping.v1"

    def __init__(
        self, folder: Path, broker: str, *, max_records: int = 5000, latency_s: float = 5.0
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port = probe.getsockname()[1]
        token = secrets.token_hex(32)
        (folder / "token").write_text(token)
        (folder / "token").chmod(0o600)
        (folder / "fleet.toml").write_text(PROFILE)
        (folder / "gateway.toml").write_text(
            SETTINGS.format(
                broker=broker, port=self._port, max_records=max_records, latency_s=latency_s
            )
        )
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/x-ndjson",
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._client: http.client.HTTPConnection | None = None

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start and wait until it listens."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "clearway_edge.main", "run", "--settings", "gateway.toml"],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "errors").open("ab"),
        )
        until_s = time.monotonic() + 30
        while time.monotonic() < until_s:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        message = f"the gateway does not listen: {(self.folder / 'errors').read_text()[-2000:]}"
        raise RuntimeError(message)

    def give(self, lines: list[bytes]) -> None:
        """Push lines until the answer says that they are on the disk."""
        body = b"".join(lines)
        headers = {**self._headers, "Idempotency-Key": secrets.token_hex(16)}
        while True:
            try:
                if self._client is None:
                    self._client = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
                self._client.request("POST", "/readings", body=body, headers=headers)
                answer = self._client.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException):
                self._client = None
                time.sleep(0.05)
                continue
            if answer.status == http.client.OK:
                return
            if answer.status not in {429, 503}:
                message = f"the gateway answered {answer.status}: {text!r}"
                raise RuntimeError(message)
            time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """SIGTERM: what it has not sent waits on the disk."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(60)


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
