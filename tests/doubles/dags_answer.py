"""Runs inside Airflow: answers waiting approvals as its API does, and runs what follows.

``python dags_answer.py [DATA_DIR Approve|Reject NOTE]...`` prints ``{option: {task_id: state}}`` as
its last line. One process for all answers, because Airflow needs ten seconds to be imported.
"""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

from airflow import settings
from airflow.models.hitl import HITLDetail, HITLUser
from airflow.models.trigger import handle_event_submit
from airflow.sdk import timezone
from airflow.serialization.serialized_objects import DagSerialization
from airflow.triggers.base import TriggerEvent
from sqlalchemy import select

from clearway_cli import airflow_home, airflow_runner


def move_to(data_dir: str) -> None:
    """Go on in the home of another data folder, as a process started there would."""
    os.environ.update(airflow_home.prepare(Path(data_dir)).environment)
    settings.dispose_orm()
    settings.configure_vars()
    settings.configure_orm()


def answer(option: str, note: str) -> dict[str, str]:
    dag = airflow_runner._load_dags()["charge_proposal"]
    session = settings.Session()
    detail = session.scalars(select(HITLDetail).where(HITLDetail.responded_at.is_(None))).one()
    detail.responded_by = HITLUser(id="7", name="Anna")
    detail.responded_at = timezone.utcnow()
    detail.chosen_options = [option]
    detail.params_input = {"note": note}
    instance = detail.task_instance
    handle_event_submit(
        TriggerEvent(detail.as_resume_event_payload()), task_instance=instance, session=session
    )
    session.commit()
    run = instance.get_dagrun(session=session)
    run.dag = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    airflow_runner._run(instance, dag, io.StringIO())
    while ready := airflow_runner._schedule(run, session):
        for following in ready:
            airflow_runner._run(following, dag, io.StringIO())
    session.expire_all()
    return {ti.task_id: str(ti.state) for ti in run.get_task_instances(session=session)}


states = {}
for data_dir, option, note in zip(*[iter(sys.argv[1:])] * 3, strict=True):
    move_to(data_dir)
    states[option] = answer(option, note)
print(json.dumps(states))  # noqa: T201 -- how the test reads it
