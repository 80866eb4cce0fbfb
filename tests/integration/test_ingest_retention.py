"""What tells of single vehicles is gone when its time is over: from tables, files and logs."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from doubles import transforms_pings as pings
from doubles.core_lake_writers import commits
from doubles.edge_doubles import TurnableClock, all_bytes

from clearway_core import lake_upkeep
from clearway_core.errors import UsageError
from clearway_core.lake import Lake
from clearway_ingest import retention
from clearway_transforms import jobs

INTERNAL = ("gps_pings", "vehicle_travel")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with a built hour of six vehicles, received at once."""
    lake = Lake(tmp_path / "lake")
    pings.store(lake, pl.concat(pings.drive(f"cab-{number}") for number in range(6)))
    jobs.build_congestion(lake)
    return lake


def received_at(lake: Lake) -> datetime:
    return lake.table("gps_pings").scan().select(pl.col("received_at").max()).collect().item()


def rows(lake: Lake, table: str) -> pl.DataFrame:
    return lake.table(table).scan().collect()


def test_rows_of_vehicles_go_when_their_time_is_over_and_sums_stay(lake: Lake) -> None:
    held = {name: rows(lake, name) for name in ("cell_travel", "congestion", "cleaning_counts")}
    fixes = rows(lake, "gps_pings").height
    day_29 = TurnableClock(received_at(lake) + timedelta(days=29))
    day_31 = TurnableClock(received_at(lake) + timedelta(days=31))

    early = retention.expire(lake, clock=day_29)
    late = retention.expire(lake, clock=day_31)

    assert sum(early.rows.values()) == 0
    assert late.rows["gps_pings"] == fixes > 0
    assert late.rows["vehicle_travel"] > 0
    assert [rows(lake, name).height for name in INTERNAL] == [0, 0]
    for name, before in held.items():
        assert rows(lake, name).equals(before), name


def test_a_day_later_no_byte_of_a_vehicle_is_left_on_the_disk(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vehicles = rows(lake, "gps_pings")["vehicle"].unique().to_list()
    assert any(vehicle.encode() in everything(tmp_path / "lake") for vehicle in vehicles)
    clock = TurnableClock(received_at(lake) + timedelta(days=31))

    retention.expire(lake, clock=clock)
    kept = retention.expire(lake, clock=clock)
    monkeypatch.setattr(lake_upkeep, "UNUSED_FOR", timedelta(0))  # a day goes by
    swept = retention.expire(lake, clock=clock)

    assert sum(kept.files.values()) == 0
    assert swept.files["gps_pings"] > 0
    left = everything(tmp_path / "lake")
    assert [vehicle for vehicle in vehicles if vehicle.encode() in left] == []


def test_files_that_were_joined_go_a_day_later_and_their_rows_stay(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = lake.table("ingest_commits")
    for offset in (1, 2, 3):
        table.append(commits(offset))
    lake_upkeep.compact_if_crowded(table, many=2)
    folder = tmp_path / "lake" / "ingest_commits"

    retention.expire(lake)
    kept = len(list(folder.glob("*.parquet")))
    monkeypatch.setattr(lake_upkeep, "UNUSED_FOR", timedelta(0))  # a day goes by
    swept = retention.expire(lake)

    assert kept == 4
    assert swept.files["ingest_commits"] == 3
    assert sorted(rows(lake, "ingest_commits")["next_offset"]) == [1, 2, 3]
    # Vacuuming what is published would make versions that have not passed the gate.
    assert "congestion" not in swept.files


def everything(root: Path) -> bytes:
    """Return all bytes below a folder, and rows of Parquet files as text, so that none hides."""
    parts = []
    for file, content in all_bytes(root):
        parts.append(content)
        if file.suffix == ".parquet":
            parts.append(str(pl.read_parquet(file).to_dicts()).encode())
    return b"\n".join(parts)


def test_a_recording_of_old_days_lives_from_its_reception(lake: Lake) -> None:
    observed = rows(lake, "gps_pings")["observed_at"].max()
    table = lake.table("gps_pings")
    again = table.scan().with_columns(received_at=pl.lit(observed) + pl.duration(days=400))
    table.replace(again.collect(), {})

    account = retention.expire(lake, clock=TurnableClock(observed + timedelta(days=401)))

    assert sum(account.rows.values()) == 0


def test_fewer_days_than_a_build_needs_are_refused(lake: Lake) -> None:
    with pytest.raises(UsageError, match="needs raw rows of 2 days, got 1"):
        retention.expire(lake, keep_days=1)


def test_the_command_says_what_it_deleted(lake: Lake, tmp_path: Path) -> None:
    del lake
    answer = subprocess.run(
        [sys.executable, "-c", "from clearway_cli.main import main; main()", "ingest", "expire",
         "--keep-days", "2", "--json", "--data-dir", str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(answer.stdout)["rows"]["gps_pings"] > 0
