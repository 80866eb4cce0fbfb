"""`clearway verify corridors` over a small lake: its answers and its exit codes."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from clearway_cli.commands import verify
from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.errors import InsufficientData, SettingsError, UsageError
from clearway_core.lake import open_lake
from clearway_core.schema import polars_schema

EIGHT = datetime(2026, 3, 10, 1, 0, tzinfo=UTC)
CITY = """[city]
name = "Testburi"
country = "TH"
time_zone = "Asia/Bangkok"
service_area_deg = [100.0, 13.0, 101.0, 14.0]
"""
LINE = {
    "type": "Feature",
    "properties": {"name": "High Street", "direction": "in"},
    "geometry": {"type": "LineString", "coordinates": [[100.5, 13.7], [100.52, 13.7]]},
}


def run(*arguments: object):
    app = typer.Typer()
    verify.register(app)
    return CliRunner().invoke(app, ["verify", "corridors", *map(str, arguments)])


@pytest.fixture
def pack(tmp_path) -> Path:
    folder = tmp_path / "pack"
    folder.mkdir()
    (folder / "city.toml").write_text(CITY, encoding="utf-8")
    text = json.dumps({"type": "FeatureCollection", "features": [LINE]})
    (folder / "corridors.geojson").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def data_dir(tmp_path) -> Path:
    """Return a data folder in which High Street takes ten minutes all morning."""
    rows = [
        {
            "corridor": "High Street", "direction": "in", "period": "window",
            "window_minutes": 15, "local_date": date(2026, 3, 10), "window_date": date(2026, 3, 10),
            "window_start": EIGHT + timedelta(minutes=15 * n), "vehicle_class": "all",
            "length_m": 2_000.0, "status": "observed", "observed_length_share": 1.0,
            "travel_time_min": 10.0, "interval_low_min": 9.5, "interval_high_min": 10.5,
            "n_vehicles": 20, "n_providers": 2, "n_legs": 200, "top_vehicle_share": 0.1,
        }
        for n in range(12)
    ]  # fmt: skip
    schema = polars_schema(LAKE_CONTRACTS["corridor_times"])
    lake = open_lake(tmp_path / "data")
    lake.table("corridor_times").append(pl.DataFrame(rows, schema=schema))
    return tmp_path / "data"


def drives(tmp_path: Path, shift: float, *, day: str = "2026-03-10") -> Path:
    minutes = [9.6, 10.3, 10.1, 9.8, 10.4, 9.9]
    lines = [
        f"High Street,in,{day}T08:{5 + 8 * n:02d},{shift * m:.2f}" for n, m in enumerate(minutes)
    ]
    file = tmp_path / "drives.csv"
    file.write_text("\n".join(["corridor,direction,started_at,travel_time_min", *lines]))
    return file


@pytest.mark.parametrize(("shift", "verdict"), [(1.0, "agree"), (1.2, "disagree")])
def test_the_verdict_is_said_to_people_and_machines_and_ends_with_0(
    tmp_path, pack, data_dir, shift, verdict
):
    arguments = (drives(tmp_path, shift), "--city", pack, "--data-dir", data_dir)
    said, answered = run(*arguments), run(*arguments, "--json")

    assert (said.exit_code, answered.exit_code) == (0, 0)
    assert verdict in said.output
    found = json.loads(answered.output)
    assert [row["verdict"] for row in found["comparisons"]] == [verdict]
    assert (found["n_drives"], found["n_compared"]) == (6, 6)


def test_days_without_times_are_named(tmp_path, pack, data_dir):
    file = drives(tmp_path, 1.0, day="2026-05-01")
    result = run(file, "--city", pack, "--data-dir", data_dir)

    assert isinstance(result.exception, InsufficientData)
    assert "from 2026-05-01 to 2026-05-01" in str(result.exception)
    assert "2026-03-10" in str(result.exception)


def test_a_faulty_file_or_a_pack_without_corridors_is_wrong_use(tmp_path, pack, data_dir):
    (tmp_path / "bad.csv").write_text("corridor,direction\nHigh Street,in\n")
    faulty = run(tmp_path / "bad.csv", "--city", pack, "--data-dir", data_dir)
    (pack / "corridors.geojson").unlink()
    without = run(drives(tmp_path, 1.0), "--city", pack, "--data-dir", data_dir)

    assert isinstance(faulty.exception, SettingsError)
    assert isinstance(without.exception, UsageError)
    assert "corridors.geojson" in str(without.exception)
