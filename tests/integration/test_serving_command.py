"""The two commands as processes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import polars as pl
import pytest
from doubles import serving_lake

from clearway_core.data_dir import DataDir
from clearway_core.lake import Lake

CLEARWAY = str(Path(sys.executable).with_name("clearway"))


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    serving_lake.fill(Lake(DataDir(folder).lake))
    return folder


@pytest.fixture(scope="module")
def address(data_dir: Path) -> Iterator[str]:
    command = [CLEARWAY, "serve", "--port", "0", "--data-dir", str(data_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        yield found.group()
        process.terminate()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([CLEARWAY, *arguments], capture_output=True, text=True, check=False)


def test_serve_prints_an_address_of_this_machine_that_answers(address: str) -> None:
    assert address.startswith("http://127.0.0.1:")
    assert httpx.get(f"{address}/healthz", timeout=20).json() == {"status": "ok"}


def test_serve_packs_large_answers(address: str) -> None:
    query = "date=2026-01-15&resolution=9&window_minutes=15"

    answer = httpx.get(f"{address}/api/congestion?{query}", timeout=20)

    assert answer.headers["content-encoding"] == "gzip"


def test_a_taken_port_is_said_plainly(address: str, data_dir: Path) -> None:
    port = address.rpartition(":")[2]

    done = run("serve", "--port", port, "--data-dir", str(data_dir))

    assert done.returncode == 1
    assert f"port {port}" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


def test_internal_values_on_an_open_address_are_wrong_use(data_dir: Path) -> None:
    done = run("serve", "--internal", "--host", "0.0.0.0", "--data-dir", str(data_dir))  # noqa: S104

    assert done.returncode == 2
    assert "127.0.0.1 alone" in done.stderr


def test_export_says_in_json_what_it_wrote(data_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "congestion.parquet"

    done = run(
        "export", "congestion", "--format", "parquet", "--out", str(out),
        "--data-dir", str(data_dir), "--public", "--json",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    account = json.loads(done.stdout)
    assert account["rows"] == pl.read_parquet(out).height
    assert account["public"] is True
    assert Path(account["metadata"]).is_file()


def test_an_internal_export_warns_on_standard_error(data_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "congestion.csv"

    done = run(
        "export", "congestion", "--format", "csv", "--out", str(out), "--data-dir", str(data_dir)
    )

    assert done.returncode == 0
    assert "must not leave the house" in done.stderr


def test_vehicles_traces_are_never_public(data_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "pings.csv"

    done = run(
        "export", "gps_pings", "--format", "csv", "--out", str(out),
        "--data-dir", str(data_dir), "--public",
    )  # fmt: skip

    assert done.returncode == 2
    assert "never public" in done.stderr
    assert not out.exists()


def test_the_libraries_of_the_pages_are_those_that_were_recorded() -> None:
    vendor = Path(__file__).parents[2] / "serving" / "vendor.py"

    done = subprocess.run(
        [sys.executable, str(vendor), "--check"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_serve_ends_well_when_it_is_told_to(data_dir: Path, stop: signal.Signals) -> None:
    command = [CLEARWAY, "serve", "--port", "0", "--data-dir", str(data_dir)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        assert httpx.get(f"{found.group()}/healthz", timeout=20).status_code == 200
        process.send_signal(stop)
        told, complaints = process.communicate(timeout=30)

    assert process.returncode == 0
    assert told.strip() == "Stopped; nothing was changed."
    assert complaints == ""


def test_a_map_file_says_which_window_it_holds(data_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "congestion.geojson"

    done = run(
        "export", "congestion", "--format", "geojson", "--out", str(out),
        "--data-dir", str(data_dir), "--public",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "only the newest window, from 2026-01-15" in done.stderr
    assert "--at" in done.stderr
    assert "None" not in done.stdout
    assert "('" not in done.stdout
    about = json.loads(Path(f"{out}.metadata.json").read_text(encoding="utf-8"))
    assert about["window_start"] == "2026-01-15T01:15:00Z"
    assert "newest window" in " ".join(about["notes"])
