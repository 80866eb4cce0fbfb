"""Makes ``data-folder-VERSION.tar.xz``: what an installation of that version leaves to the next.

    git worktree add ../old vVERSION            # that version's code, as an import path:
    export PYTHONPATH=$(cd ../old && ls -d $PWD/*/ | tr '\\n' :)
    python tests/data/make_data_folder.py VERSION

Only commands of that version write. Everything in it is simulated: 90 vehicles of the demo city in
four cells and half an hour, six hours of two air sensors, a day of nobody.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import h3
import polars as pl
from starlette.testclient import TestClient

from clearway_cities import demo_city
from clearway_cli.cities import find_city
from clearway_core.lake import open_lake
from clearway_core.stream.embedded import EmbeddedLog
from clearway_core.stream.log import Message
from clearway_serving.app import create_app

CITY = Path(demo_city.__path__[0])
CELLS = ("89658bc647bffff", "89658bc646bffff", "89658bc6463ffff", "89658bc6473ffff")
SECONDS = 1800
VEHICLES = 90
UNREACHABLE = "kafka://127.0.0.1:9"

ENDPOINT = """
[gateway]
name = "gw-endpoint"
site = "site-1"
time_zone = "Asia/Bangkok"
data_dir = "{data_dir}"
health_every_s = 2

[clock]
synchronised_file = "/dev/null"
{log}
[[source]]
kind = "http_push"
name = "fleets"
port = {port}

[[source.sender]]
provider = "metro-hail"
token_file = "token"
profile = "fleet_json"
vehicle_class = "taxi"

[[source.sender]]
provider = "river-ride"
token_file = "token-2"
profile = "fleet_json"
vehicle_class = "car"
"""


def main() -> None:
    """Make the folder and pack it."""
    version = sys.argv[1]
    folder = Path(tempfile.mkdtemp())
    data = folder / "data"
    recordings = folder / "recordings"
    recordings.mkdir()
    _write_recordings(recordings)

    def clearway(*words: str) -> dict:
        command = [sys.executable, "-c", "from clearway_cli.main import main; main()", *words]
        options = ["--data-dir", str(data), "--json"]
        result = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
        sys.stdout.write(f"{' '.join(words)} -> {result.returncode} {result.stderr[-300:]}\n")
        return json.loads(result.stdout or "{}")

    fleet, air = str(recordings / "fleet.parquet"), str(recordings / "air.csv.gz")
    clearway("replay", fleet, "--profile", "demo_city", "--gateway", "gw-fleet")
    clearway("replay", air, "--profile", "demo_city_air", "--gateway", "gw-air")
    clearway("ingest", "run", "--until-idle")
    clearway("build", "all", "--city", "demo_city", "--resolution", "9", "--window", "15m")
    for table in ("congestion", "corridor_times", "air_hourly", "cell_emissions"):
        clearway("quality", "check", table)
    zone = str(next((CITY / "zones").glob("*.geojson")))
    proposal = clearway("charge", "propose", "--zone", zone, "--city", "demo_city")
    clearway("charge", "approve", proposal["proposal_id"], "--by", "Anna", "--note", "seen")
    clearway("ingest", "books")

    with closing(EmbeddedLog(data / "log.sqlite")) as log:  # what nobody can decode: a dead letter
        log.append("clearway.air_reading.v1", [Message(key=b"x", value=b"?", headers={})])
    clearway("ingest", "run", "--until-idle")
    clearway("ingest", "books")
    answers = _answers(data)

    pushed = [_push(folder, data, log="", start=0)]  # in the log, and not yet in the lake
    pushed += [_push(folder, data, log=f'\n[log]\naddress = "{UNREACHABLE}"\n', start=200)]

    rows = {}
    for table in sorted((data / "lake").iterdir()):
        rows[table.name] = pl.scan_delta(str(table)).select(pl.len()).collect().item()
    expected = {"version": version, "rows": rows, "pushed": pushed, "proposal": proposal}
    expected["answers"] = answers
    expected["made_at"] = datetime.now(UTC).isoformat(timespec="seconds")
    (folder / "expected.json").write_text(json.dumps(expected))
    for name in ("quality", "models"):
        shutil.rmtree(data / name, ignore_errors=True)
    packed = Path(__file__).parent / f"data-folder-{version}.tar.xz"
    with tarfile.open(packed, "w:xz", preset=9) as archive:
        for name in ("data", "recordings", "expected.json", "gw.toml", "token", "token-2"):
            archive.add(folder / name, name)
    sys.stdout.write(f"{packed}: {packed.stat().st_size} B, {rows}\n")
    shutil.rmtree(folder)


def _answers(data: Path) -> dict[str, object]:
    """Return what the map answers."""
    app = create_app(open_lake(data), city=find_city("demo_city", data))
    client = TestClient(app, base_url="http://localhost:8501")
    day = "date=2026-01-15&resolution=9&window_minutes=15"
    paths = [f"/api/congestion?{day}", "/api/proposals", "/api/corridors?date=2026-01-15"]
    paths.append("/api/air?date=2026-01-01&pollutant=pm2_5_cf1")
    return {path: client.get(path).json() for path in paths}


def _write_recordings(folder: Path) -> None:
    probes = pl.read_parquet(CITY / "probes.parquet").filter(
        pl.col("t") < SECONDS, pl.col("vid") <= VEHICLES, pl.col("lat").abs() < 80
    )
    cells = [
        h3.latlng_to_cell(lat, lon, 9) in CELLS for lat, lon in probes.select("lat", "lon").rows()
    ]
    probes.filter(pl.Series(cells)).write_parquet(folder / "fleet.parquet", compression="zstd")
    air = pl.read_csv(CITY / "air.csv.gz").filter(
        pl.col("sensor").is_in(["gw-02", "ref-01"]), pl.col("observed_at") < "2026-01-01T06"
    )
    (folder / "air.csv.gz").write_bytes(gzip.compress(air.write_csv().encode(), mtime=0))


def _push(folder: Path, data: Path, *, log: str, start: int) -> int:
    """Run the live gateway, push fixes of now to it, and kill it; return how many it took."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    text = ENDPOINT.format(data_dir="data", log=log, port=port)
    (folder / "gw.toml").write_text(text)
    for name in ("token", "token-2"):
        (folder / name).write_text("a" * 63 + name[-1])
        (folder / name).chmod(0o600)
    command = [sys.executable, "-m", "clearway_edge.main", "run", "--settings", "gw.toml"]
    with (folder / "gateway.log").open("ab") as said:
        process = subprocess.Popen(command, cwd=folder, stderr=said, env=dict(os.environ))
    taken = 0
    for sender, name in enumerate(("token", "token-2")):
        now = datetime.now(UTC) - timedelta(hours=1)
        lines = [
            {
                "vehicle": f"v{sender}-{n % 12}",
                "observed_at": (now + timedelta(seconds=n)).isoformat(timespec="milliseconds"),
                "lon_deg": 100.62 + n / 10_000,
                "lat_deg": 12.89,
                "speed_kmh": 20 + n % 30 if n else 450,  # which breaks a rule: quarantine
            }
            for n in range(start, start + 200)
        ]
        taken += _posted(port, (folder / name).read_text(), lines)
    time.sleep(8)  # it sends what it can, and tells its books
    process.kill()
    process.wait()
    return taken


def _posted(port: int, token: str, lines: list[dict]) -> int:
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"}
    request = Request(f"http://127.0.0.1:{port}/readings", data=body, headers=headers)
    for _ in range(100):
        try:
            with urlopen(request, timeout=10) as answer:  # noqa: S310 -- our own
                return int(json.loads(answer.read())["accepted"])
        except (URLError, ConnectionError):
            time.sleep(0.3)
    message = "the endpoint did not answer"
    raise RuntimeError(message)


if __name__ == "__main__":
    main()
