"""Runs inside Airflow: answers the waiting approval as its API does, and runs what follows.

``python dags_answer.py Approve|Reject [NOTE]`` prints ``{task_id: state}`` as its last line.
"""

from __future__ import annotations

import io
import json
import sys

from airflow import settings
from airflow.models.hitl import HITLDetail, HITLUser
from airflow.models.trigger import handle_event_submit
from airflow.sdk import timezone
from airflow.serialization.serialized_objects import DagSerialization
from airflow.triggers.base import TriggerEvent
from sqlalchemy import select

from clearway_cli import airflow_runner


def main(option: str, note: str = "") -> None:
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
    states = {ti.task_id: str(ti.state) for ti in run.get_task_instances(session=session)}
    print(json.dumps(states))  # noqa: T201 -- how the test reads it


main(*sys.argv[1:])
