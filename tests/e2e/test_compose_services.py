"""Every service of docker-compose.yml, run as a local process with its own command."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import httpx
import pytest
from doubles.compose_stack import PATIENCE_S, Stack, Unavailable, compose_stack, wait_for

from clearway_cli.airflow_home import dags_folder

pytestmark = [pytest.mark.slow, pytest.mark.kafka, pytest.mark.airflow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def stack(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    try:
        with compose_stack(tmp_path_factory.mktemp("compose"), kafka) as stack:
            yield stack
    except Unavailable as reason:
        if os.environ.get("CLEARWAY_REQUIRE_AIRFLOW") == "1":
            pytest.fail(str(reason))
        pytest.skip(str(reason))


def test_gateways_ingest_and_map_run_by_their_own_commands(stack: Stack):
    names = ("map", "ingest", "gateway-fleet", "gateway-air")
    for name in names:
        stack.start(name)
    for name in names:
        stack.expect_healthy(name)

    answer = stack.ask([sys.executable, "-c", _AWAIT_ROWS], like="ingest", timeout_s=PATIENCE_S)
    assert answer.split() == ["stored"], stack.last_check
    for name in names:
        stack.processes[name].terminate()  # Airflow's services need the processor


_AWAIT_ROWS = """
import os, time, polars as pl
from clearway_core.lake import open_lake
lake = open_lake("/nowhere", os.environ["CLEARWAY_LAKE"])
def has_rows(table):
    return lake.table(table).scan().select(pl.len()).collect().item() > 0
while not (has_rows("gps_pings") and has_rows("air_readings")):
    time.sleep(1)
print("stored")
"""


def test_airflow_runs_by_its_own_commands_on_postgres(stack: Stack):
    assert stack.start("airflow-init").wait(PATIENCE_S) == 0, stack.log("airflow-init")
    names = ("airflow-api", "airflow-dag-processor", "airflow-scheduler", "airflow-triggerer")
    for name in names:
        stack.start(name)
    for name in names:
        stack.expect_healthy(name)
    api = stack.translate("http://airflow-api:8080", "airflow-api")
    password = (stack.folder / "secrets" / "airflow_admin_password").read_text()

    def all_dags_are_there() -> bool:
        account = {"username": "admin", "password": password}
        with httpx.Client(base_url=api, timeout=60) as client:
            token = client.post("/auth/token", json=account).json()["access_token"]
            listing = client.get("/api/v2/dags", headers={"Authorization": f"Bearer {token}"})
        found = {dag["dag_id"] for dag in listing.json()["dags"]}
        return found == {file.stem for file in dags_folder().glob("*.py")}

    wait_for("all DAGs in Airflow's answer", all_dags_are_there)
