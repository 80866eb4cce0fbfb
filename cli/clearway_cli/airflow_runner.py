"""Runs DAGs through Airflow's own task runner until only a person can go on.

Started as a process of its own (``python -m clearway_cli.airflow_runner FD DAG_ID…``) with the
environment of `clearway_cli.airflow_home`, because Airflow reads its settings when it is imported.
Each ended task is one line of JSON on the file descriptor.

``dag.test()`` would do nearly the same, but it waits for ever at an approval.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.sdk import DAG
    from sqlalchemy.orm import Session


def main(arguments: list[str]) -> int:
    """Make the database, load the DAGs, run them in order; stop at the first that fails."""
    descriptor, *dag_ids = arguments
    with os.fdopen(int(descriptor), "w", encoding="utf-8") as reports:
        from airflow import settings
        from airflow.utils.db import initdb

        initdb()
        dags = _load_dags()
        session = settings.Session()
        for dag_id in dag_ids:
            if not _run_until_waiting(dags[dag_id], session, reports):
                break
        session.close()
    return 0


def _load_dags() -> dict[str, DAG]:
    """Parse the DAG files, write them to the database and return them."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db

    manager = DagBundlesManager()
    manager.sync_bundles_to_db()
    dags: dict[str, DAG] = {}
    for bundle in manager.get_all_dag_bundles():
        bundle.initialize()
        bag = BundleDagBag(dag_folder=bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
        if bag.import_errors:
            raise SystemExit(f"DAG files cannot be loaded: {bag.import_errors}")
        sync_bag_to_db(bag, bundle.name, bundle.version)
        dags.update(bag.dags)
    return dags


def _run_until_waiting(dag: DAG, session: Session, reports: TextIO) -> bool:
    """Run what can run; return whether nothing failed."""
    from airflow.utils.state import TaskInstanceState

    run = _create_run(dag, session)
    while True:
        ready = _schedule(run, session)
        if not ready:
            break
        for instance in ready:
            _run(instance, dag, reports)
    session.expire_all()
    states = {instance.state for instance in run.get_task_instances(session=session)}
    return not states & {TaskInstanceState.FAILED, TaskInstanceState.UP_FOR_RETRY}


def _create_run(dag: DAG, session: Session) -> DagRun:
    from airflow.models.dagrun import DagRun
    from airflow.sdk import timezone
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    now = timezone.utcnow()
    run = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag)).create_dagrun(
        run_id=DagRun.generate_run_id(run_type=DagRunType.MANUAL, logical_date=None, run_after=now),
        run_after=now,
        start_date=now,
        run_type=DagRunType.MANUAL,
        triggered_by=DagRunTriggeredByType.CLI,
        triggering_user_name="clearway",
        state=DagRunState.RUNNING,
        session=session,
    )
    session.commit()
    return run


def _schedule(run: DagRun, session: Session) -> list[TaskInstance]:
    """Do what the scheduler does in one round and return what may run now."""
    from airflow.sdk import timezone
    from airflow.utils.state import DagRunState, TaskInstanceState

    session.expire_all()
    ready, _ = run.update_state(session=session)
    for instance in ready:
        instance.try_number += 1
        instance.state = TaskInstanceState.SCHEDULED
        instance.scheduled_dttm = timezone.utcnow()
    session.commit()
    return list(ready) if run.state == DagRunState.RUNNING else []


def _run(instance: TaskInstance, dag: DAG, reports: TextIO) -> None:
    # Private, and the only way that Airflow has to run one task without an executor; the pinned
    # minor version and the tests hold it still.
    from airflow.sdk.definitions.dag import _run_task
    from airflow.utils.state import TaskInstanceState

    started_s = time.monotonic()
    _run_task(ti=instance, task=dag.task_dict[instance.task_id])
    report = {
        "dag_id": dag.dag_id,
        "task_id": instance.task_id,
        "state": TaskInstanceState(instance.state).value,
        "duration_s": round(time.monotonic() - started_s, 3),
    }
    reports.write(json.dumps(report) + "\n")
    reports.flush()


if __name__ == "__main__":
    code = main(sys.argv[1:])
    # Everything is committed. Airflow's in-process API server would take 6 s to wind down.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
