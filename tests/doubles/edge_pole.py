"""A pole for tests: sensors behind real sockets, and the gateway as a process of its own."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from doubles.small_machine import gateway_without

POLE_DEG = (100.5601, 13.7371)

SETTINGS = """
[gateway]
name = "gw-017"
site = "asok-north"
data_dir = "data"
time_zone = "Asia/Bangkok"
lon_deg = {lon_deg}
lat_deg = {lat_deg}
commit_every_s = 0.2
health_every_s = 2

[forward]
latency_s = 0.2

[clock]
synchronised_file = "{synchronised}"

[page]
host = "{host}"
port = {port}

[[source]]
kind = "pmsx003"
name = "air"
tcp = "127.0.0.1:{air}"
sensor = "asok-north-air-1"
lon_deg = {lon_deg}
lat_deg = {lat_deg}

[[source]]
kind = "nmea"
name = "receiver"
tcp = "127.0.0.1:{receiver}"
provider = "city"
vehicle = "PLATE-1กข-2345"
vehicle_class = "bus"
"""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        return int(line.getsockname()[1])


def air_frame() -> bytes:
    """Return a frame of a Plantower PMS5003."""
    body = b"BM" + struct.pack(">14H", 28, 11, 17, 19, 10, 16, 18, 900, 300, 60, 9, 2, 1, 0x9700)
    return body + struct.pack(">H", sum(body))


def receiver_line() -> bytes:
    """Return what a receiver on the pole says now."""
    now = datetime.now(UTC)
    lon_deg, lat_deg = POLE_DEG
    lon = f"{int(lon_deg):03d}{lon_deg % 1 * 60:08.5f}"
    lat = f"{int(lat_deg):02d}{lat_deg % 1 * 60:08.5f}"
    text = f"GPRMC,{now:%H%M%S}.00,A,{lat},N,{lon},E,0.0,0.0,{now:%d%m%y},,,A"
    checksum = 0
    for byte in text.encode():
        checksum ^= byte
    return f"${text}*{checksum:02X}\r\n".encode()


@contextmanager
def sensor(say: Callable[[], bytes], every_s: float = 0.2) -> Iterator[int]:
    """Serve a sensor on a port: whoever connects hears it until it is unplugged."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)

        def talk(line: socket.socket) -> None:
            with line:
                while not stop.wait(every_s):
                    try:
                        line.sendall(say())
                    except OSError:
                        return

        def serve() -> None:
            while not stop.is_set():
                try:
                    line, _ = server.accept()
                except TimeoutError:
                    continue
                except OSError:
                    return
                threading.Thread(target=talk, args=(line,), daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            stop.set()
            thread.join()


def write_settings(folder: Path, *, more: str = "", **changes: object) -> Path:
    """Write the settings of the pole's gateway; its clock counts as synchronised."""
    lon_deg, lat_deg = POLE_DEG
    values: dict[str, object] = {
        "lon_deg": lon_deg, "lat_deg": lat_deg, "synchronised": os.devnull, "host": "127.0.0.1",
        "port": 0, "air": 9, "receiver": 9,
    }  # fmt: skip
    file = folder / "gw.toml"
    file.write_text(SETTINGS.format(**{**values, **changes}) + more, encoding="utf-8")
    return file


@contextmanager
def running_gateway(
    settings: Path, *, environment: dict[str, str] | None = None, without: Sequence[str] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `clearway-gateway run` as a process; its log lies beside the settings."""
    command = gateway_without(without, "run", "--settings", settings)
    clean = {k: v for k, v in os.environ.items() if not k.startswith("CLEARWAY")}
    with (settings.parent / "gateway.log").open("ab") as told:
        process = subprocess.Popen(
            command, stderr=told, stdout=told, env={**clean, **(environment or {})}
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def asked(
    origin: str, path: str, *, headers: dict[str, str] | None = None, body: bytes | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Return code, headers and body of an answer of the page."""
    request = Request(origin + path, data=body, headers=headers or {})  # noqa: S310 -- our own
    try:
        with urlopen(request, timeout=10) as got:  # noqa: S310
            return got.status, dict(got.headers), got.read()
    except HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def status_of(origin: str) -> dict[str, object]:
    """Return ``/status.json``."""
    code, _, body = asked(origin, "/status.json")
    assert code == 200, body
    return dict(json.loads(body))


def n_delivered(origin: str, contract: str = "air_reading/1") -> int:
    """Return how many readings of this start the log has taken."""
    books = status_of(origin)["books"]
    assert isinstance(books, dict)
    return int(books.get(contract, {}).get("delivered", 0))


def until(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Wait for something that another process does; its absence fails the test."""
    ends_s = time.monotonic() + timeout_s
    while time.monotonic() < ends_s:
        try:
            if condition():
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"not within {timeout_s} s")


def resident_mib(pid: int) -> float:
    """Return the memory of a process [MiB]."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
