"""A real Airflow: a run triggered, awaited, approved through its API, published and recorded."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from doubles.dags import require_airflow
from doubles.models_lake import write_city, write_lake, write_zone

from clearway_cli import airflow_home, airflow_process
from clearway_core.lake import open_lake

pytestmark = [pytest.mark.airflow, pytest.mark.slow]

PATIENCE_S = 300.0
"""For each step. On an idle machine of two cores each takes 5 to 20 s; a busy one needs longer."""

READING_S = 5.0
"""What a person needs at least. Airflow 3.3 takes an answer that comes before its scheduler has
noted that the task waits (within about half a second) for a failure, and asks again after a minute.
"""


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    write_lake(tmp_path)
    write_city(tmp_path / "city")
    return tmp_path


@pytest.fixture
def api(data_dir: Path) -> Iterator[httpx.Client]:
    """Start all of Airflow on a free port, and end all of it."""
    require_airflow()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = airflow_home.prepare(data_dir, zone=write_zone(data_dir / "zone.geojson"), port=port)
    # The clock must not start the hourly run in the middle of this.
    paused = {"AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True"}
    home = replace(home, environment={**home.environment, **paused})
    process = airflow_process.start(home)
    try:
        airflow_process.wait_until_healthy(home, process, patience_s=PATIENCE_S)
        with httpx.Client(base_url=f"{home.address}/api/v2", timeout=60) as client:
            token = client.post(
                f"{home.address}/auth/token",
                json={"username": airflow_home.USER, "password": home.password},
            ).raise_for_status()
            client.headers["Authorization"] = f"Bearer {token.json()['access_token']}"
            yield client
    finally:
        airflow_process.stop(process)


def until(ready: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not ready():
        assert time.monotonic() < deadline, f"still no {what} after {PATIENCE_S:.0f} s"
        time.sleep(1)


@pytest.mark.timeout(1200)
def test_a_proposal_waits_for_a_person_and_is_published_with_their_name(
    api: httpx.Client, data_dir: Path
) -> None:
    def get(path: str) -> dict:
        return api.get(path).raise_for_status().json()

    expected = len(list(airflow_home.dags_folder().glob("*.py")))
    until(lambda: get("/dags")["total_entries"] == expected, "DAGs")
    assert get("/importErrors")["total_entries"] == 0
    api.patch("/dags/charge_proposal", json={"is_paused": False}).raise_for_status()

    started = api.post("/dags/charge_proposal/dagRuns", json={"logical_date": None})
    run = f"/dags/charge_proposal/dagRuns/{started.raise_for_status().json()['dag_run_id']}"

    def states() -> dict[str, str]:
        instances = get(f"{run}/taskInstances")["task_instances"]
        held = {instance["task_id"]: instance["state"] for instance in instances}
        assert "failed" not in held.values(), held
        return held

    until(lambda: states().get("approve") == "awaiting_input", "waiting approval")
    assert open_lake(data_dir).table("charge_decisions").version() is None
    [asked] = get("/dags/~/dagRuns/~/hitlDetails?response_received=false")["hitl_details"]
    assert asked["subject"] == "Charge proposal for Old town: approve or reject"
    assert "XTS" in asked["body"]
    answer = f"{run}/taskInstances/approve/-1/hitlDetails"
    stranger = str(api.base_url).rstrip("/") + answer
    refused = httpx.patch(stranger, json={"chosen_options": ["Approve"]}, timeout=60)
    assert refused.status_code == 401, "an answer without signing in must not count"

    def open_questions() -> int:
        found = get("/dags/~/dagRuns/~/hitlDetails?response_received=false")
        return found["total_entries"]

    def ended() -> bool:
        """Answer whenever asked: on a very slow machine Airflow may ask twice, see READING_S."""
        if open_questions() and states().get("approve") == "awaiting_input":
            time.sleep(READING_S)
            words = {"chosen_options": ["Approve"], "params_input": {"note": "Council of 2 March"}}
            api.patch(answer, json=words).raise_for_status()
        state = get(run)["state"]
        assert state != "failed", states()
        return state == "success"

    until(ended, "end of the run")
    assert states()["record_rejection"] == "skipped"
    [file] = (data_dir / "published").glob("*.json")
    document = json.loads(file.read_text(encoding="utf-8"))
    decisions = open_lake(data_dir).table("charge_decisions").scan().sort("decided_at").collect()
    assert decisions["proposal_id"].unique().to_list() == [document["proposal_id"]]
    assert decisions["proposal_sha256"].unique().to_list() == [document["proposal_sha256"]]
    assert decisions.select("decision", "decided_by", "note").rows() == [
        ("approved", "admin", "Council of 2 March"),
        ("published", "admin", None),
    ]
