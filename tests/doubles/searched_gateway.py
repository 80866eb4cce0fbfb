"""A gateway's process that is fed, broken and searched; see `tests/attacks/test_gateway_bytes`."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

CABS = "cabs-token-0123456789abcdef"
VANS = "vans-token-0123456789abcdef"

DEVICE = "6f1d3a52-9b7e-4c80-a1d4-0e5b7c2f9a63"
PLATE = "BKK-4711-QXZ"
VAN = "Lieferwagen Müller 07"
RECEIVER = "pole-car-ÄÖ-99x"
RECORDED = "recorded-cab-8814"
GARBAGE = "garbled-vehicle-3391"
NAMES = [DEVICE, PLATE, VAN, RECEIVER, RECORDED, GARBAGE]

SETTINGS = """
[gateway]
name = "gw-1"
data_dir = "{home}/data"
time_zone = "Asia/Bangkok"
commit_every_s = 0.05
health_every_s = 1
[forward]
latency_s = 0
[page]
port = {page}
[[source]]
kind = "nmea"
name = "receiver"
tcp = "127.0.0.1:{nmea}"
provider = "pole"
vehicle = "{receiver}"
vehicle_class = "car"
[[source]]
kind = "http_push"
name = "fleets"
port = {push}
[[source.sender]]
provider = "cabs"
token_file = "cabs"
vehicle_class = "taxi"
[[source.sender]]
provider = "vans"
token_file = "vans"
profile = "fleet_csv"
vehicle_class = "van"
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass
class Gateway:
    """A gateway's process, what it answered, and the folder that holds all it ever wrote."""

    root: Path
    leak: str = ""
    answers: dict[str, bytes] = field(default_factory=dict)
    pushed: list[bytes] = field(default_factory=list)
    n_copies: int = 0

    def __post_init__(self):
        # Beside the settings: what people write is not what the gateway writes.
        (self.home / "tmp").mkdir(parents=True)
        self.copies.mkdir()
        self.push, self.page = free_port(), free_port()
        self.receiver = socket.create_server(("127.0.0.1", 0))
        nmea = self.receiver.getsockname()[1]
        for name, token in (("cabs", CABS), ("vans", VANS)):
            (self.root / name).write_text(token + "\n")
            (self.root / name).chmod(0o600)
        self.settings.write_text(
            SETTINGS.format(
                home=self.home, push=self.push, page=self.page, nmea=nmea, receiver=RECEIVER
            ),
            encoding="utf-8",
        )
        self.process = None

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def copies(self) -> Path:
        return self.root / "copies"

    @property
    def settings(self) -> Path:
        return self.root / "gw.toml"

    def command(self, *arguments):
        code = (
            textwrap.dedent(self.leak)
            + "\nfrom clearway_edge.main import main\nimport sys\nmain(sys.argv[1:])\n"
        )
        return [sys.executable, "-c", code, *map(str, arguments)]

    @property
    def environment(self):
        kept = {n: v for n, v in os.environ.items() if n in {"PATH", "PYTHONPATH", "LANG"}}
        home = str(self.home)
        temporary = str(self.home / "tmp")
        return {**kept, "TMPDIR": temporary, "HOME": home, "PYTHONDONTWRITEBYTECODE": "1"}

    def start(self):
        with (self.home / "stderr").open("ab") as errors, (self.home / "stdout").open("ab") as out:
            self.process = subprocess.Popen(
                self.command("run", "--settings", self.settings), cwd=self.home,
                env=self.environment, stdout=out, stderr=errors,
            )  # fmt: skip
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.push), 0.2):
                return
            assert self.process.poll() is None, (self.home / "stderr").read_text()
            time.sleep(0.02)
        pytest.fail("the gateway did not listen")

    def run(self, name, *arguments):
        done = subprocess.run(
            self.command(*arguments), cwd=self.home, env=self.environment, capture_output=True,
            check=False,
        )  # fmt: skip
        self.answers[name] = done.stdout + done.stderr
        return done

    def ask(self, name, port, method, path, body=b"", **headers):
        self.pushed.append(body)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        with suppress(OSError, http.client.HTTPException):
            connection.request(
                method, path, body, {n.replace("_", "-"): v for n, v in headers.items()}
            )
            response = connection.getresponse()
            self.answers[name] = str(response.headers).encode() + response.read()
            connection.close()
            return response.status
        connection.close()
        return None

    def telemetry(self, name, body, **headers):
        given = {"Content_Type": "application/json", "Authorization": f"Bearer {CABS}", **headers}
        return self.ask(name, self.push, "POST", "/telemetry", body, **given)

    def rows(self, name, body, **headers):
        given = {"Content_Type": "text/csv", "Authorization": f"Bearer {VANS}", **headers}
        return self.ask(name, self.push, "POST", "/readings", body, **given)

    def copy(self):
        """Keep what lies on the disk now: it may be gone later."""
        self.n_copies += 1
        target = self.copies / str(self.n_copies)
        shutil.copytree(self.home, target, ignore_dangling_symlinks=True, copy_function=_copied)

    def stop(self, number=signal.SIGTERM):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(30)

    def close(self):
        self.stop(signal.SIGKILL)
        self.receiver.close()


def _copied(source, target):
    with suppress(FileNotFoundError):
        shutil.copyfile(source, target)


def telemetry_of(device, n=20, at=None):
    at = at or datetime.now(UTC)
    return json.dumps(
        [
            {
                "device_id": device, "provider_id": "p", "vehicle_id": PLATE,
                "timestamp": round((at - timedelta(seconds=n - i)).timestamp() * 1000),
                "location": {"lat": 13.75 + i / 1e4, "lng": 100.5, "speed": 10.0, "heading": 90.0},
            }
            for i in range(n)
        ]
    ).encode()  # fmt: skip


def csv_of(vehicle, n=20):
    at = datetime.now(UTC)
    lines = [
        f"{vehicle},{(at - timedelta(seconds=n - i)).isoformat()},100.5,{13.7 + i / 1e4},40,90,5,1"
        for i in range(n)
    ]
    header = "vehicle,observed_at,lon_deg,lat_deg,speed_kmh,heading_deg,accuracy_m,occupied"
    return "\n".join([header, *lines, ""]).encode()


def nmea_of(n=20):
    lines = []
    at = datetime.now(UTC) - timedelta(seconds=n)
    for i in range(n):
        now = at + timedelta(seconds=i)
        body = (
            f"GPRMC,{now:%H%M%S}.00,A,1344.{1000 + i},N,10030.0000,E,020.0,090.0,{now:%d%m%y},,,A"
        )
        total = 0
        for char in body:
            total ^= ord(char)
        lines.append(f"${body}*{total:02X}\r\n")
    # A line that names the car, as some receivers' own sentences do.
    lines.append(f"$PVEH,{RECEIVER},{GARBAGE}*00\r\n")
    return "".join(lines).encode()


def live_through_everything(gateway):
    """Feed every source, break things, and keep copies of the disk meanwhile."""
    gateway.start()
    line, _ = gateway.receiver.accept()
    line.sendall(nmea_of())
    first = telemetry_of(DEVICE)
    assert gateway.telemetry("stored", first) == 200
    assert gateway.telemetry("repeated", first) == 200
    assert gateway.rows("rows", csv_of(VAN)) == 200
    gateway.copy()
    feed_garbage(gateway)
    for path in ("/", "/status.json", "/metrics", f"/{DEVICE}", f"/?vehicle={PLATE}"):
        gateway.ask(f"page {path}", gateway.page, "GET", path)
    gateway.run("status", "status", "--data-dir", gateway.home / "data", "--json")
    time.sleep(1.2)  # a health report
    gateway.copy()
    gateway.stop(signal.SIGKILL)
    gateway.copy()
    _damage(gateway.home / "data/gateways/gw-1/outbox.sqlite")
    gateway.start()
    line.close()
    assert gateway.telemetry("after the damage", telemetry_of(PLATE)) == 200
    gateway.copy()
    gateway.stop()


def feed_garbage(gateway):
    """Send what cannot be used, with names wherever a fault might repeat them."""
    name = GARBAGE
    gateway.telemetry("not json", f'[{{"device_id": "{name}", '.encode())
    gateway.telemetry(
        "half good", telemetry_of(name, 2)[:-1] + f', "{name}", {{"{name}": 1}}]'.encode()
    )
    gateway.telemetry("no place", json.dumps([{"device_id": name, "timestamp": name}]).encode())
    gateway.telemetry("gzip", gzip.compress(telemetry_of(name)))
    gateway.telemetry("wrong token", b"[]", Authorization=f"Bearer {name}")
    gateway.telemetry("odd type", b"[]", Content_Type=f"text/{name}")
    gateway.telemetry("agent", b"[]", User_Agent=name, X_Vehicle=name)
    gateway.ask("odd path", gateway.push, "POST", f"/telemetry/{name}?v={name}", b"[]")
    gateway.ask("odd method", gateway.push, name.upper()[:7], "/telemetry")
    gateway.rows("wrong columns", f"{name},b\n1,2\n".encode())
    gateway.rows("column names", csv_of(VAN).replace(b"vehicle", name.encode(), 1))
    gateway.rows("bad values", csv_of(name).replace(b"100.5", name.encode()))
    gateway.rows("half a line", csv_of(name)[:-30])
    gateway.rows("other encoding", csv_of(name).decode().encode("utf-16"))
    gateway.ask("page", gateway.page, "POST", "/login", name.encode())


def _damage(file):
    with file.open("r+b") as stream:
        stream.seek(120)
        stream.write(b"\xff" * 3000)
