"""A local Airflow has a home of its own, secrets of its own, and listens on this machine only."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from doubles.dags import require_airflow

from clearway_cli import airflow_home, airflow_process
from clearway_core.errors import ClearwayError, UsageError

pytestmark = pytest.mark.airflow


@pytest.fixture(autouse=True)
def _airflow() -> None:
    require_airflow()


def test_secrets_are_made_once_and_only_the_owner_may_read_them(tmp_path: Path) -> None:
    first = airflow_home.prepare(tmp_path)
    again = airflow_home.prepare(tmp_path)

    assert first.environment == again.environment
    assert len(first.environment["AIRFLOW__API_AUTH__JWT_SECRET"]) >= 64
    for name in ("secrets.json", "passwords.json"):
        assert stat.S_IMODE((first.folder / name).stat().st_mode) == 0o600
    assert json.loads((first.folder / "passwords.json").read_text(encoding="utf-8")) == {
        "admin": first.password
    }


def test_two_homes_have_different_secrets(tmp_path: Path) -> None:
    assert (
        airflow_home.prepare(tmp_path / "a").password
        != airflow_home.prepare(tmp_path / "b").password
    )


def test_nobody_elses_airflow_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", "/somewhere/else")
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://production")
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", "aws://production")
    monkeypatch.setenv("CLEARWAY_LAKE", "s3://production/lake")
    monkeypatch.setenv("CLEARWAY_KAFKA_USER", "traffic")

    environment = airflow_home.prepare(tmp_path).environment

    assert "production" not in json.dumps(dict(environment))
    assert environment["AIRFLOW_HOME"] == str(tmp_path.resolve() / "airflow")
    assert environment["CLEARWAY_KAFKA_USER"] == "traffic"
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert environment["AIRFLOW__CORE__LOAD_EXAMPLES"] == "False"
    assert environment["AIRFLOW__USAGE_DATA_COLLECTION__ENABLED"] == "False"
    assert environment["AIRFLOW__CORE__PARALLELISM"] == "4"


def test_city_and_zone_are_remembered_but_not_a_broker(tmp_path: Path) -> None:
    zone = tmp_path / "zone.geojson"
    airflow_home.prepare(
        tmp_path, city="demo_city", zone=zone, log_address="kafka://127.0.0.1:9092"
    )

    environment = airflow_home.prepare(tmp_path).environment

    assert environment["CLEARWAY_CITY"] == "demo_city"
    assert environment["CLEARWAY_ZONE"] == str(zone)
    assert "CLEARWAY_LOG" not in environment


def test_a_taken_port_is_said_before_anything_starts() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(UsageError, match=f"port {port} is taken"):
            airflow_process.require_free_port(port)

    airflow_process.require_free_port(port)


def test_an_airflow_that_ends_is_not_waited_for(tmp_path: Path) -> None:
    home = airflow_home.prepare(tmp_path, port=1)
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()

        with pytest.raises(ClearwayError, match="did not become healthy"):
            airflow_process.wait_until_healthy(home, ended)


def test_stopping_ends_everything_that_was_started(tmp_path: Path) -> None:
    deaf = "import signal, time; signal.signal(2, 1); signal.signal(15, 1); time.sleep(60)"
    script = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {deaf!r}])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd=tmp_path,
    ) as process:
        assert process.stdout is not None
        child = Path(f"/proc/{int(process.stdout.readline())}/stat")

        airflow_process.stop(process, patience_s=0.6)

        assert process.poll() is not None
        assert not child.exists() or child.read_text(encoding="utf-8").split()[2] == "Z"
