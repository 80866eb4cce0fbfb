"""The DAGs: exactly these, without import errors, short, and quick to parse because thin."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import pytest
from doubles.dags import in_airflow, require_airflow

from clearway_cli import airflow_home

pytestmark = pytest.mark.airflow

MAX_LINES = 79
EXPECTED = {
    "air_quality": ["build", "check"],
    "charge_proposal": ["approve", "build", "check", "propose", "publish", "record_rejection"],
    "congestion": ["build", "check", "ingest"],
    "forecast": ["build", "check"],
    "gateway_books": ["close_books"],
    "gateway_watch": ["watch"],
    "monthly_report": ["report"],
    "retention": ["expire"],
}
HEAVY = ("polars", "pandas", "great_expectations", "deltalake", "h3", "kafka", "sklearn")
OURS = {  # beside Airflow, standard library only
    "clearway_cli",
    "clearway_cli.airflow_approval",
    "clearway_cli.dag_settings",
    "clearway_cli.dag_tasks",
    "clearway_core",
    "clearway_core.data_dir",
    "clearway_core.errors",
}

SCRIPT = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization
bag = DagBag(sys.argv[1])
loaded = sorted(sys.modules)
dags = {}
for dag_id, dag in bag.dags.items():
    timetable = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag)).timetable
    dags[dag_id] = {
        "tasks": {
            task.task_id: {
                "upstream": sorted(task.upstream_task_ids),
                "retries": task.retries,
                "operator": task.task_type,
                "trigger_rule": str(task.trigger_rule.value),
                "outlets": [asset.name for asset in task.outlets],
            }
            for task in dag.tasks
        },
        "timetable": type(timetable).__name__,
        "partitioned": timetable.partitioned,
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "doc": dag.doc_md,
    }
print(json.dumps({"errors": bag.import_errors, "dags": dags, "modules": loaded}))
"""


@dataclass(frozen=True)
class Parsed:
    errors: dict
    dags: dict
    modules: list[str]


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> Parsed:
    require_airflow()
    home = airflow_home.prepare(tmp_path_factory.mktemp("parse"))
    return Parsed(**in_airflow(SCRIPT, home.environment, str(airflow_home.dags_folder())))


def dag_files() -> list[Path]:
    return sorted(airflow_home.dags_folder().glob("*.py"))


def test_the_dags_are_exactly_the_expected_ones(parsed: Parsed) -> None:
    assert parsed.errors == {}
    assert {dag_id: sorted(dag["tasks"]) for dag_id, dag in parsed.dags.items()} == EXPECTED
    assert {file.stem for file in dag_files()} == set(EXPECTED)


def test_parsing_loads_nothing_heavy(parsed: Parsed) -> None:
    roots = {name.split(".")[0] for name in parsed.modules}

    assert roots & set(HEAVY) == set()
    assert {name for name in parsed.modules if name.startswith("clearway_")} == OURS


@pytest.mark.parametrize("file", dag_files(), ids=lambda file: file.stem)
def test_a_dag_file_is_short_and_imports_little_at_the_top(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for node in ast.parse(text).body
        if isinstance(node, ast.Import | ast.ImportFrom)
    }

    assert len(text.splitlines()) <= MAX_LINES
    assert imported <= {"__future__", "airflow", "clearway_cli", "datetime"}


def test_the_dag_folder_is_no_package() -> None:
    assert not (airflow_home.dags_folder() / "__init__.py").exists()


def test_every_dag_runs_alone_on_partitions_and_catches_nothing_up(parsed: Parsed) -> None:
    for dag_id, dag in parsed.dags.items():
        assert dag["partitioned"], dag_id
        assert (dag["catchup"], dag["max_active_runs"]) == (False, 1), dag_id
    assert {dag_id: dag["timetable"] for dag_id, dag in parsed.dags.items()} == {
        "air_quality": "PartitionedAssetTimetable",
        "charge_proposal": "CronPartitionTimetable",
        "congestion": "CronPartitionTimetable",
        "forecast": "PartitionedAssetTimetable",
        "gateway_books": "CronPartitionTimetable",
        "gateway_watch": "CronPartitionTimetable",
        "monthly_report": "CronPartitionTimetable",
        "retention": "CronPartitionTimetable",
    }


def test_every_task_names_the_command_that_does_the_same(parsed: Parsed) -> None:
    for dag_id, dag in parsed.dags.items():
        for task_id in dag["tasks"]:
            [line] = [row for row in dag["doc"].splitlines() if row.startswith(f"| `{task_id}` |")]
            assert "clearway " in line or task_id == "approve", (dag_id, task_id)


def test_nothing_is_published_past_the_gate_or_the_person(parsed: Parsed) -> None:
    charge = parsed.dags["charge_proposal"]["tasks"]

    assert parsed.dags["congestion"]["tasks"]["check"]["outlets"] == ["congestion"]
    assert parsed.dags["air_quality"]["tasks"]["check"]["outlets"] == ["air_hourly"]
    assert [name for name, task in charge.items() if task["outlets"]] == ["publish"]
    assert charge["approve"]["operator"] == "RecordedApproval"
    assert charge["approve"]["retries"] >= 1
    assert charge["publish"]["upstream"] == ["approve", "propose"]
    assert charge["record_rejection"]["upstream"] == ["publish"]
    assert charge["record_rejection"]["trigger_rule"] == "all_skipped"


def test_a_timetable_page_lists_every_dag_and_task() -> None:
    page = (Path(__file__).parents[2] / "dags" / "README.md").read_text(encoding="utf-8")

    for dag_id, tasks in EXPECTED.items():
        assert f"`{dag_id}`" in page
        for task_id in tasks:
            assert f"`{task_id}`" in page, (dag_id, task_id)
