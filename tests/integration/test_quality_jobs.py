"""A broken table version is not published: the last one that passed stays."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import write_deltalake
from doubles.quality_lake import NOON, congestion_rows, with_value

from clearway_core.data_dir import DataDir
from clearway_core.errors import InsufficientData, UsageError
from clearway_core.lake import Lake, open_lake
from clearway_quality import jobs
from clearway_quality.jobs import check, passed_version


class SteppingClock:
    """A clock that goes on by a minute each time it is asked."""

    def __init__(self) -> None:
        self._now = NOON

    def now(self):
        self._now += timedelta(minutes=1)
        return self._now

    def monotonic_s(self) -> float:
        return 0.0

    def sleep(self, duration_s: float) -> None:
        raise AssertionError


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(tmp_path)


def test_nothing_is_published_before_the_first_check(lake: Lake) -> None:
    lake.table("congestion").append(congestion_rows())

    assert passed_version(lake, "congestion") is None


def test_a_broken_version_fails_and_the_old_one_stays_published(lake: Lake, tmp_path: Path) -> None:
    table = lake.table("congestion")
    good = table.append(congestion_rows())
    assert check(lake, "congestion", report_dir=tmp_path / "q", clock=SteppingClock()).passed
    broken = with_value(congestion_rows(), "n_providers", 13)
    bad = table.replace(broken, {})

    result = check(lake, "congestion", report_dir=tmp_path / "q", clock=SteppingClock())

    assert not result.passed
    assert result.table_version == bad
    assert [failure.check for failure in result.failures] == ["order:n_providers:n_vehicles"]
    assert passed_version(lake, "congestion") == good
    published = table.scan(version=passed_version(lake, "congestion")).collect()
    assert published["n_providers"].max() == 2


def test_a_repaired_version_is_published_again(lake: Lake, tmp_path: Path) -> None:
    table = lake.table("congestion")
    clock = SteppingClock()
    table.append(with_value(congestion_rows(), "tti", 0.5))
    assert not check(lake, "congestion", report_dir=tmp_path, clock=clock).passed
    repaired = table.replace(congestion_rows(), {})

    assert check(lake, "congestion", report_dir=tmp_path, clock=clock).passed
    assert passed_version(lake, "congestion") == repaired


def test_a_later_check_of_the_same_version_counts(lake: Lake, tmp_path: Path) -> None:
    version = lake.table("congestion").append(congestion_rows())
    clock = SteppingClock()
    check(lake, "congestion", report_dir=tmp_path, clock=clock)
    assert passed_version(lake, "congestion") == version
    journal = lake.table("quality_checks")
    row = (
        journal.scan()
        .collect()
        .with_columns(passed=pl.lit(value=False), checked_at=pl.lit(clock.now()))
    )
    journal.append(row)

    assert passed_version(lake, "congestion") is None


def test_every_check_is_written_down_with_what_failed(lake: Lake, tmp_path: Path) -> None:
    lake.table("congestion").append(with_value(congestion_rows(), "space_mean_kmh", 27.9))
    lake.table("congestion").append(with_value(congestion_rows(), "interval_high_kmh", 10.0))

    result = check(lake, "congestion", report_dir=tmp_path)

    [row] = lake.table("quality_checks").scan().collect().to_dicts()
    assert (row["table_name"], row["table_version"]) == ("congestion", result.table_version)
    assert (row["passed"], row["n_rows"], row["n_failed"]) == (False, 16, 2)
    written = json.loads(row["failures_json"])
    assert {item["check"] for item in written} == {
        "order:space_mean_kmh:interval_high_kmh",
        f"unique:{':'.join(lake.table('congestion').contract.key)}",
    }
    assert "interval_high_kmh = 10.0" in written[0]["examples"][0]


def test_a_large_table_is_checked_whole_in_parts(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "ROWS_PER_PART", 10)
    days = [NOON.date() + timedelta(days=number) for number in range(4)]
    frames = [congestion_rows(6, day=day) for day in days]
    frames[3] = with_value(frames[3], "quality", "E")
    lake.table("congestion").append(pl.concat(frames))
    seen: list[tuple[int, int | None]] = []

    result = check(
        lake,
        "congestion",
        report_dir=tmp_path,
        progress=lambda done, total, _note: seen.append((done, total)),
    )

    assert result.n_rows == 24
    assert [failure.check for failure in result.failures] == ["allowed:quality"]
    assert seen == [(0, 24), (6, 24), (18, 24), (24, 24)]


def test_a_table_that_cannot_be_read_fails_instead_of_stopping_the_gate(
    lake: Lake, tmp_path: Path
) -> None:
    table = lake.table("congestion")
    good = table.append(congestion_rows())
    check(lake, "congestion", report_dir=tmp_path, clock=SteppingClock())
    foreign = congestion_rows().with_columns(
        pl.col("h3_cell").cast(pl.Int64), pl.lit("high").alias("tti")
    )
    write_deltalake(
        table.uri,
        foreign,
        mode="overwrite",
        schema_mode="overwrite",
        partition_by=list(table.contract.partition_by),
        name=table.contract.identifier,
    )

    result = check(open_lake(tmp_path), "congestion", report_dir=tmp_path)

    assert not result.passed
    assert result.failures[0].cause is not None
    assert passed_version(lake, "congestion") == good


def test_rows_of_a_table_that_is_not_published_are_not_shown(lake: Lake, tmp_path: Path) -> None:
    rows = congestion_rows().select(lake.table("cell_speed").contract.columns)
    lake.table("cell_speed").append(with_value(rows, "n_providers", 13))

    result = check(lake, "cell_speed", report_dir=tmp_path)

    assert [(item.n_unexpected, item.examples) for item in result.failures] == [(1, ())]


def test_a_table_never_written_is_said_so(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(InsufficientData, match="never been written"):
        check(lake, "congestion", report_dir=tmp_path)
    with pytest.raises(UsageError, match="no table 'traffic'"):
        check(lake, "traffic", report_dir=tmp_path)


def test_the_report_says_in_words_what_failed_and_loads_nothing(lake: Lake, tmp_path: Path) -> None:
    lake.table("congestion").append(with_value(congestion_rows(), "quality", "<b>"))

    page = check(lake, "congestion", report_dir=tmp_path).report.read_text(encoding="utf-8")

    assert "quality is one of A, B, C, X." in page
    assert "No version has passed yet; nothing is published." in page
    assert "&lt;b&gt;" in page
    for banned in ("<script", "http:", "https:", "style=", "<style", " on", "<b>"):
        assert banned not in page.replace(" on ", " ").replace(" one", " "), banned
    assert (tmp_path / "report.css").is_file()


def test_the_command_exits_with_1_when_a_table_fails(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    lake.table("congestion").append(congestion_rows())
    lake.table("congestion").append(congestion_rows())

    bad = python(COMMAND, "quality", "check", "congestion", "--data-dir", str(tmp_path))

    assert bad.returncode == 1
    assert "No two rows have the same" in " ".join(bad.stdout.split())
    assert (DataDir(tmp_path).quality / "index.html").is_file()


def test_the_command_opens_no_connection_exits_with_0_and_prints_json(tmp_path: Path) -> None:
    open_lake(tmp_path).table("congestion").append(congestion_rows())
    without_network = (
        "import socket\n"
        "def refuse(*args, **kwargs):\n"
        "    raise AssertionError(f'a connection was tried: {args}')\n"
        "socket.socket.connect = refuse\n"
        "socket.getaddrinfo = refuse\n"
    )
    assert socket.socket.connect is not None

    good = python(
        without_network + COMMAND, "quality", "check", "--data-dir", str(tmp_path), "--json"
    )

    assert (good.returncode, good.stderr) == (0, "")
    assert json.loads(good.stdout)[0]["passed"] is True
    assert (DataDir(tmp_path).quality / "index.html").is_file()


COMMAND = "from clearway_cli.main import main; main()"


def python(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
