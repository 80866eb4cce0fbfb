"""The DAGs' tasks run through Airflow in process, on a real lake, to the approval and past it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from importlib import resources
from itertools import chain
from pathlib import Path

import polars as pl
import pytest
from doubles.dags import in_airflow, require_airflow
from doubles.models_lake import Scene, write_city, write_lake, write_zone

from clearway_cli import airflow_home, dag_tasks
from clearway_cli.cities import find_city
from clearway_core.data_dir import DataDir
from clearway_core.errors import ContractViolation, UsageError
from clearway_core.lake import Lake, open_lake
from clearway_edge import jobs as edge
from clearway_models.charge.proposal import canonical, sha256_of
from clearway_quality.jobs import passed_version

pytestmark = [pytest.mark.airflow, pytest.mark.slow]

PACK = Path(str(resources.files("clearway_cities"))) / "demo_city"
ANSWER = (Path(__file__).parents[1] / "doubles" / "dags_answer.py").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def _airflow() -> None:
    require_airflow()


def write_evidence(data_dir: Path, scene: Scene = Scene()) -> Path:  # noqa: B008 -- frozen
    """Write a lake and a city with what a proposal needs; return the zone."""
    write_lake(data_dir, scene)
    write_city(data_dir / "city")
    return write_zone(data_dir / "zone.geojson")


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder in which a proposal awaits approval; to be copied, not changed."""
    require_airflow()
    data_dir = tmp_path_factory.mktemp("asked")
    outcomes = airflow_home.run_chain(
        data_dir, zone=write_evidence(data_dir), dag_ids=["charge_proposal"]
    )
    assert outcomes[-1].state == "awaiting_input", outcomes
    return data_dir


@dataclass(frozen=True)
class Answered:
    """A copy of what was asked in which a person has answered, and how each task ended."""

    data_dir: Path
    states: dict[str, str]


@pytest.fixture(scope="module")
def answered(asked: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answered]:
    notes = {"Approve": "Council of 2 March", "Reject": "too dear"}
    copies = {
        option: shutil.copytree(asked, tmp_path_factory.mktemp(option) / "data") for option in notes
    }
    environment = airflow_home.prepare(copies["Approve"]).environment
    answers = [(str(copies[option]), option, note) for option, note in notes.items()]
    states = in_airflow(ANSWER, environment, *chain.from_iterable(answers))
    return {option: Answered(copy, states[option]) for option, copy in copies.items()}


def home_without_runs(asked: Path, data_dir: Path) -> None:
    """Copy the home, so that its database need not be made again, and forget what it ran."""
    home = shutil.copytree(asked / "airflow", data_dir / "airflow")
    (home / "work.json").unlink()
    with closing(sqlite3.connect(home / "airflow.db")) as connection, connection:
        connection.execute("pragma foreign_keys = on")
        connection.execute("delete from dag_run")
        assert connection.execute("select count(*) from hitl_detail").fetchone() == (0,)


def every_third_vehicle(folder: Path) -> Path:
    """Write a third of the recorded vehicles; `e2e/test_demo` takes all of them."""
    probes = pl.read_parquet(PACK / "probes.parquet")
    file = folder / "probes.parquet"
    probes.filter(pl.col("vid") % 3 == 0).write_parquet(file)
    return file


def audit(data_dir: Path) -> list[tuple[str, str, str | None]]:
    rows = open_lake(data_dir).table("charge_decisions").scan().sort("decided_at").collect()
    return [(row["decision"], row["decided_by"], row["note"]) for row in rows.to_dicts()]


def published(data_dir: Path) -> list[Path]:
    return sorted((data_dir / "published").glob("*.json"))


def test_recorded_taxis_become_a_proposal_that_awaits_approval_and_a_report(
    asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home_without_runs(asked, tmp_path)
    assert find_city("demo_city", tmp_path) is not None
    for file, profile in (
        (every_third_vehicle(tmp_path), "demo_city"),
        (PACK / "air.csv.gz", "demo_city_air"),
    ):
        account = edge.replay([file], profile, data_dir=tmp_path, log_address=None)
        assert account.delivered == account.read - sum(account.dropped.values())
    seen: list[str] = []

    outcomes = airflow_home.run_chain(
        tmp_path,
        city="demo_city",
        dag_ids=[*airflow_home.CHAIN, "forecast", "retention", "gateway_watch"],
        progress=lambda _done, _total, note: seen.append(note),
    )

    assert [(item.dag_id, item.task_id, item.state) for item in outcomes] == [
        ("congestion", "ingest", "success"),
        ("congestion", "build", "success"),
        ("congestion", "check", "success"),
        ("air_quality", "build", "success"),
        ("air_quality", "check", "success"),
        ("charge_proposal", "build", "success"),
        ("charge_proposal", "check", "success"),
        ("charge_proposal", "propose", "success"),
        ("charge_proposal", "approve", "awaiting_input"),
        ("forecast", "build", "skipped"),  # a morning is no history
        ("retention", "expire", "success"),
        ("gateway_watch", "watch", "skipped"),  # nobody is to be told
    ]
    assert seen[1:] == [f"{item.dag_id}.{item.task_id}: {item.state}" for item in outcomes]
    lake = open_lake(tmp_path)
    for table in ("congestion", "air_hourly", "cell_emissions"):
        assert passed_version(lake, table) == lake.table(table).version()
    assert lake.table("charge_proposals").scan().collect().height == 1
    assert audit(tmp_path) == []
    database = DataDir(tmp_path).airflow / "airflow.db"
    with sqlite3.connect(database) as connection:
        questions = connection.execute("select subject, body from hitl_detail").fetchall()
    assert len(questions) == 1
    assert "Charge proposal for" in questions[0][0]
    assert "This city is made up." in questions[0][1]
    monkeypatch.setenv("CLEARWAY_DATA_DIR", str(tmp_path))
    assert Path(str(dag_tasks.report("2026-01")["page"])).is_file()
    with pytest.raises(UsageError, match="belongs to no month"):
        dag_tasks.report(None)
    assert lake.table("gps_pings").scan().head(1).collect().height == 1  # received just now


def test_on_an_empty_lake_hourly_runs_skip_and_nothing_runs_behind_a_failure(
    asked: Path, tmp_path: Path
) -> None:
    home_without_runs(asked, tmp_path)

    outcomes = airflow_home.run_chain(tmp_path)

    assert [(item.dag_id, item.task_id, item.state) for item in outcomes] == [
        ("congestion", "ingest", "success"),
        ("congestion", "build", "skipped"),
        ("air_quality", "build", "skipped"),
        ("charge_proposal", "build", "up_for_retry"),
    ]


def test_a_table_that_breaks_its_contract_stops_its_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEARWAY_DATA_DIR", str(tmp_path))
    lake = write_lake(tmp_path)
    congestion = lake.table("congestion")
    assert dag_tasks.require("congestion")["passed"]
    good = congestion.version()
    broken = congestion.scan().collect().with_columns(n_providers=pl.col("n_vehicles") + 1)
    congestion.replace(broken, {})

    with pytest.raises(ContractViolation, match="Every provider has at least one vehicle"):
        dag_tasks.require("congestion")

    assert passed_version(lake, "congestion") == good


def test_an_approval_publishes_and_both_steps_carry_the_persons_name(
    answered: dict[str, Answered],
) -> None:
    data_dir, states = answered["Approve"].data_dir, answered["Approve"].states

    assert states["publish"] == "success"
    assert states["record_rejection"] == "skipped"
    assert audit(data_dir) == [
        ("approved", "Anna", "Council of 2 March"),
        ("published", "Anna", None),
    ]
    [file] = published(data_dir)
    document = json.loads(file.read_text(encoding="utf-8"))
    assert document["proposal"]["verdict"] == "propose"
    assert document["proposal_id"] == file.stem


def test_a_rejection_is_recorded_and_publishes_nothing(answered: dict[str, Answered]) -> None:
    data_dir, states = answered["Reject"].data_dir, answered["Reject"].states

    assert states["approve"] == "success"
    assert states["publish"] == "skipped"
    assert states["record_rejection"] == "success"
    assert audit(data_dir) == [("rejected", "Anna", "too dear")]
    assert published(data_dir) == []


APPROVAL = {
    "chosen_options": ["Approve"],
    "params_input": {"note": ""},
    "responded_by_user": {"id": "7", "name": "Anna"},
}


def test_a_hold_that_is_approved_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = write_evidence(tmp_path, Scene(n_days=3))
    monkeypatch.setenv("CLEARWAY_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CLEARWAY_ZONE", str(zone))
    made = dag_tasks.propose()
    assert made["verdict"] == "hold"

    with pytest.raises(dag_tasks.Refused, match="its verdict is hold"):
        dag_tasks.publish(made, APPROVAL)

    assert [decision for decision, _, _ in audit(tmp_path)] == [
        "approved",
        "refused_at_publication",
    ]
    assert published(tmp_path) == []


def with_a_price_out_of_range(lake: Lake, made: dict[str, object]) -> dict[str, object]:
    """Put another proposal beside the one that was made, sound but for one price."""
    row = lake.table("charge_proposals").scan().collect().row(0, named=True)
    body = json.loads(row["body_json"])
    assert body["verdict"] == "propose"
    priced = [price for price in body["prices"] if price["price_minor_per_km"]]
    priced[0]["price_minor_per_km"] = 10_000
    text = canonical(body)
    proposal_id = sha256_of(text)[: len(str(made["proposal_id"]))]
    lake.table("charge_proposals").append(
        pl.DataFrame([row | {"body_json": text, "proposal_id": proposal_id}])
    )
    return made | {"proposal_id": proposal_id}


def test_a_price_out_of_range_is_refused_at_publication(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = write_evidence(tmp_path)
    monkeypatch.setenv("CLEARWAY_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CLEARWAY_ZONE", str(zone))
    made = with_a_price_out_of_range(open_lake(tmp_path), dag_tasks.propose())

    with pytest.raises(dag_tasks.Refused, match="10000 is above the cap"):
        dag_tasks.publish(made, APPROVAL)

    assert [decision for decision, _, _ in audit(tmp_path)] == [
        "approved",
        "refused_at_publication",
    ]
    assert published(tmp_path) == []


OPERATOR = """
import json, sys
from datetime import datetime, timezone
from airflow.dag_processing.dagbag import DagBag
approve = DagBag(sys.argv[1]).dags["charge_proposal"].get_task("approve")
now = datetime.now(timezone.utc)
anna = {"id": "7", "name": "Anna"}
class Instance:
    def xcom_push(self, key, value):
        self.kept = (key, value["chosen_options"], value["responded_by_user"]["name"])
def outcome(**event):
    event = {"responded_at": now, "responded_by_user": anna, "params_input": {}, **event}
    instance = Instance()
    try:
        approve.execute_complete({"ti": instance}, event)
    except Exception as error:
        return type(error).__name__
    return instance.kept
print(json.dumps({
    "approved": outcome(chosen_options=["Approve"], params_input={"note": "yes"}),
    "unknown": outcome(chosen_options=["Perhaps"]),
    "too_long": outcome(chosen_options=["Approve"], params_input={"note": "x" * 2001}),
    "no_text": outcome(chosen_options=["Approve"], params_input={"note": 7}),
    "unasked": outcome(chosen_options=["Approve"], params_input={"price": 1}),
    "deadline": outcome(error="late", error_type="timeout"),
}))
"""


def test_an_answer_that_does_not_fit_fails_the_approval_which_then_asks_again(
    tmp_path: Path,
) -> None:
    home = airflow_home.prepare(tmp_path)

    outcomes = in_airflow(OPERATOR, home.environment, str(airflow_home.dags_folder()))

    assert outcomes == {
        "approved": ["answer", ["Approve"], "Anna"],
        "unknown": "ValueError",
        "too_long": "ParamValidationError",
        "no_text": "ParamValidationError",
        "unasked": "ValueError",
        "deadline": "HITLTimeoutError",
    }
