"""The demo, as a person starts it: from the recordings to a proposal that awaits approval."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from clearway_cli import airflow_home
from clearway_cli.demo import chain, findings, lines
from clearway_core.errors import MissingDependency, UsageError
from clearway_core.lake import open_lake
from clearway_core.progress import Progress, silent

CLEARWAY = (sys.executable, "-c", "from clearway_cli.main import main; main()")
READ = 423_526 + 42_995
PLANTED = 40


def clearway(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CLEARWAY, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Return the folder and the summary of one demo."""
    folder = tmp_path_factory.mktemp("demo") / "city"
    done = clearway("demo", "--data-dir", str(folder), "--no-serve", "--embedded", "--json")
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


@contextmanager
def no_bar(_: str) -> Iterator[Progress]:
    yield silent


@pytest.mark.slow
@pytest.mark.airflow
def test_books_close_on_every_record_that_was_read(
    finished: tuple[Path, dict[str, Any]],
) -> None:
    folder, summary = finished
    books = summary["books"]

    assert books["read"] == READ
    assert books["quarantined"] == {"lat_deg_range": PLANTED}
    assert books["stored"] == READ - PLANTED - sum(books["dropped"].values())
    lake = open_lake(folder)
    stored = sum(
        lake.table(name).scan().select(pl.len()).collect().item()
        for name in ("gps_pings", "air_readings")
    )
    assert stored == books["stored"]


@pytest.mark.slow
@pytest.mark.airflow
def test_map_is_rich_and_shows_the_jam_that_was_simulated(
    finished: tuple[Path, dict[str, Any]],
) -> None:
    traffic = finished[1]["traffic"]

    assert traffic["n_released"] > 1_200
    assert traffic["n_released"] < traffic["n_values"]
    assert traffic["peak_kmh"] < 0.8 * traffic["quiet_kmh"]
    assert traffic["peak_at"].startswith("2026-01-15 00:") or traffic["peak_at"].startswith(
        "2026-01-15 01:"
    )
    assert len(traffic["worst"]) == 3


@pytest.mark.slow
@pytest.mark.airflow
def test_failed_sensor_is_refused_and_a_dark_one_is_incomplete(
    finished: tuple[Path, dict[str, Any]],
) -> None:
    folder, summary = finished
    hourly = open_lake(folder).table("air_hourly").scan().filter(pollutant="pm2_5").collect()

    assert summary["air"]["n_rejected"] >= 100
    failed = hourly.filter(pl.col("sensor") == "gw-07").sort("hour_start")
    assert failed["complete"].to_list() == [True, False, False]
    dark = hourly.filter(pl.col("sensor") == "gw-04").sort("hour_start")
    assert dark["complete"].to_list() == [True, False, True]


@pytest.mark.slow
@pytest.mark.airflow
def test_proposal_waits_in_airflow_and_says_that_one_morning_is_not_enough(
    finished: tuple[Path, dict[str, Any]],
) -> None:
    summary = finished[1]

    assert summary["airflow"] is True, summary["airflow_note"]
    assert summary["verdict"] == "hold"
    assert "days" in {item["what"] for item in summary["proposal"]["missing"]}
    assert summary["proposal"]["indicative"] is True
    assert summary["proposal"]["city"]["synthetic"] is True


@pytest.mark.slow
@pytest.mark.airflow
def test_map_is_served_until_ctrl_c(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, summary = finished
    command = [*CLEARWAY, "demo", "--again", "--data-dir", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            address = _address_of(process)
            with httpx.Client(base_url=address, timeout=60) as browser:
                page = browser.get("/")
                meta = browser.get("/api/meta").json()
                proposals = browser.get("/api/proposals").json()
        finally:
            process.send_signal(signal.SIGINT)
            code = process.wait(timeout=60)

    assert page.status_code == 200
    assert meta["city"]["synthetic"] is True
    assert summary["proposal_id"] in {proposal["proposal_id"] for proposal in proposals}
    assert code == 0


def _address_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"http://[^/ ]+", line):
            return found.group()
    pytest.fail("the demo ended without printing an address")


@pytest.mark.slow
@pytest.mark.airflow
def test_second_demo_without_airflow_finds_the_same_and_doubles_nothing(
    finished: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, summary = finished

    def not_installed(*_: object, **__: object) -> None:
        message = "Airflow is not installed here: install 'clearway[airflow]'"
        raise MissingDependency(message)

    monkeypatch.setattr(airflow_home, "run_chain", not_installed)
    said: list[str] = []

    run = chain.run_demo(folder, log=None, embedded=True, stage=no_bar, say=said.append)
    again = findings.find(open_lake(folder), run)

    assert not run.airflow
    assert "Airflow is not installed here" in " ".join(said)
    values = json.loads(json.dumps(again.as_dict(), default=str))
    for part in ("books", "traffic", "slowest", "air", "verdict"):
        assert values[part] == summary[part], part
    for part in ("prices", "missing", "predicted"):
        assert values["proposal"][part] == summary["proposal"][part], part
    told = lines.lines(again)
    assert len(told) == 11
    assert max(len(line) for line in told) <= 100


def test_folder_with_other_things_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "precious").write_text("mine", encoding="utf-8")

    with pytest.raises(UsageError, match="holds other things"):
        chain.prepare_folder(tmp_path)

    assert (tmp_path / "lake" / "precious").read_text(encoding="utf-8") == "mine"


def test_earlier_demo_is_emptied(tmp_path: Path) -> None:
    chain.prepare_folder(tmp_path / "d")
    (tmp_path / "d" / "lake").mkdir()
    (tmp_path / "d" / "log.sqlite").write_text("old", encoding="utf-8")

    chain.prepare_folder(tmp_path / "d")

    assert sorted(p.name for p in (tmp_path / "d").iterdir()) == [".clearway-demo", "city"]


def test_folder_that_an_airflow_works_on_is_not_emptied(tmp_path: Path) -> None:
    chain.prepare_folder(tmp_path / "d")
    home = tmp_path / "d" / "airflow"
    home.mkdir()
    command = [sys.executable, "-c", "print('here', flush=True); import time; time.sleep(60)"]
    with subprocess.Popen(command, cwd=home, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        with pytest.raises(UsageError, match=f"process {process.pid}"):
            chain.prepare_folder(tmp_path / "d")
        process.kill()

    assert home.is_dir()


def test_machine_readable_summary_cannot_keep_serving(tmp_path: Path) -> None:
    done = clearway("demo", "--json", "--data-dir", str(tmp_path / "d"))

    assert done.returncode == 2
    assert "--no-serve" in done.stderr


def test_again_needs_an_earlier_demo(tmp_path: Path) -> None:
    done = clearway("demo", "--again", "--data-dir", str(tmp_path / "d"))

    assert done.returncode == 2
    assert "no demo yet" in done.stderr
