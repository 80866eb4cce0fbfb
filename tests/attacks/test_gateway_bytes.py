"""Somebody holds everything that a gateway ever wrote and sent, and looks for its vehicles.

The gateway is a process with a folder of its own, also for temporary files; it is fed by every way
that names vehicles, with garbage among it, killed, given a damaged outbox, and started again. The
same search must find the names in gateways that are leaky on purpose.
"""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cramjam
import pytest
from doubles.byte_search import forms, leaks
from doubles.edge_doubles import batches_in

CABS = "cabs-token-0123456789abcdef"
VANS = "vans-token-0123456789abcdef"
LINES = "line-token-0123456789abcdef"

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

LEAKS = {
    "masking removed": """
        from clearway_edge import privacy
        def mask(self, providers, vehicles, instants_ms):
            return list(vehicles), ["2026-01-15"] * len(vehicles)
        privacy.Pseudonymiser.mask = mask
    """,
    "a hash without a key": """
        import hashlib
        from clearway_edge import privacy
        def hashed(key, vehicle, epoch):
            return hashlib.sha256(vehicle.encode()).hexdigest()[:32]
        privacy.pseudonym = hashed
    """,
    "names in the log file, as base64": """
        import base64, sys
        from clearway_edge import privacy
        true = privacy.pseudonym
        def told(key, vehicle, epoch):
            sys.stderr.write(base64.b64encode(b"x" + vehicle.encode()).decode() + "\\n")
            return true(key, vehicle, epoch)
        privacy.pseudonym = told
    """,
    "a temporary file that is deleted before the end": """
        import tempfile
        from clearway_edge import privacy
        true = privacy.pseudonym
        kept = tempfile.NamedTemporaryFile(delete=False)
        def noted(key, vehicle, epoch):
            kept.write(vehicle[::-1].encode()); kept.flush()
            return true(key, vehicle, epoch)
        privacy.pseudonym = noted
    """,
}


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


def found_in(gateway):
    # The log tells when and where a vehicle without a name was: the rest of a request of one fix
    # can be made up for every vehicle of a fleet, and its digest compared.
    bodies = [body for body in gateway.pushed if len(body) > 10]
    made_up = [
        prefix + body
        for body in bodies
        for prefix in (b"", b"cabs\0/telemetry\0", b"vans\0/readings\0")
    ]
    return leaks(gateway.root, gateway.answers, NAMES, requests={"a request": made_up})


def _only_written(gateway):
    for file in (gateway.settings, gateway.root / "cabs", gateway.root / "vans"):
        file.unlink(missing_ok=True)


def test_no_byte_that_a_gateway_wrote_or_sent_names_a_vehicle(tmp_path):
    gateway = Gateway(tmp_path / "gw")
    try:
        live_through_everything(gateway)
        file = tmp_path / "cabs.csv"
        file.write_text(f"vehicle,at,lon,lat\n{RECORDED},1768440000,100.5,13.7\n{GARBAGE},x,y,z\n")
        profile = tmp_path / "profile.toml"
        profile.write_text(
            'contract = "gps_ping/1"\nprovider = "fleet"\ntime_zone = "Asia/Bangkok"\n'
            '[format]\nkind = "csv"\n[vehicle]\ncolumn = "vehicle"\nclass = "taxi"\n'
            '[time]\ncolumn = "at"\nformat = "unix_s"\n'
            '[position]\nlon = "lon"\nlat = "lat"\ndatum = "wgs84"\n'
        )
        gateway.run(
            "replay", "replay", file, "--profile", profile, "--data-dir", gateway.home / "data"
        )
        gateway.run("status", "status", "--data-dir", gateway.home / "data")
    finally:
        gateway.close()
    _only_written(gateway)
    # It really worked: cabs went to the log, the receiver's car waits, both under pseudonyms.
    log = names_sent(gateway.home)
    # The vans and the receiver's car are private: their first minutes never leave.
    assert {provider for provider, _ in log} == {"cabs", "fleet"}
    assert all(len(name) == 32 for _, name in log)
    assert list(gateway.home.rglob("*damaged*")), "the outbox was not set aside"
    assert found_in(gateway) == []


def names_sent(home):
    """Provider and vehicle of every fix in the log."""
    return {
        pair
        for batch in batches_in(home / "data")
        for pair in zip(batch.columns["provider"], batch.columns["vehicle"], strict=True)
    }


@pytest.mark.parametrize("leak", LEAKS)
def test_the_search_finds_the_names_once_masking_is_removed(tmp_path, leak):
    gateway = Gateway(tmp_path / "gw", leak=LEAKS[leak])
    try:
        gateway.start()
        assert gateway.telemetry("stored", telemetry_of(DEVICE)) == 200
        gateway.copy()
        gateway.stop()
    finally:
        gateway.close()
    _only_written(gateway)
    assert any(DEVICE in leak for leak in found_in(gateway))


@pytest.mark.parametrize("form", forms(DEVICE))
@pytest.mark.parametrize("packing", ["plain", "zstd", "gzip", "zstd of zstd"])
def test_every_form_of_a_name_is_found_wherever_it_lies(tmp_path, form, packing):
    code = b"\x01\x02junk" + forms(DEVICE)[form] + b"more"
    packed = {
        "plain": code,
        "zstd": bytes(cramjam.zstd.compress(code)),
        "gzip": gzip.compress(code),
        "zstd of zstd": bytes(cramjam.zstd.compress(bytes(cramjam.zstd.compress(code)))),
    }[packing]
    (tmp_path / "any").write_bytes(os.urandom(50) + packed + b"tail")
    assert leaks(tmp_path, {}, [DEVICE])
    assert not leaks(tmp_path, {}, ["another-vehicle-0815"])


@pytest.mark.parametrize("offset", range(3))
def test_name_inside_of_longer_base64_is_found(tmp_path, offset):
    (tmp_path / "any").write_bytes(base64.b64encode(b"x" * (30 + offset) + DEVICE.encode() + b"yy"))
    assert leaks(tmp_path, {}, [DEVICE])


def test_deleted_row_of_a_table_is_found(tmp_path):
    db = sqlite3.connect(tmp_path / "any.sqlite")
    db.execute("pragma secure_delete = off")
    db.execute("create table t (v blob)")
    db.execute("insert into t values (?)", (DEVICE.encode() * 50,))
    db.commit()
    db.execute("delete from t")
    db.commit()
    db.close()
    assert leaks(tmp_path, {}, [DEVICE])
