"""Every Monday: a charge proposal, a person's answer, and only then its publication.

| task | the same by hand |
|---|---|
| `build` | `clearway build emissions` |
| `check` | `clearway quality check cell_emissions` |
| `propose` | `clearway charge propose --zone Z.geojson` |
| `approve` | a person answers; nothing goes on without them |
| `publish` | `clearway charge approve ID` and `clearway charge publish ID` |
| `record_rejection` | `clearway charge approve ID --reject` |

Every answer is recorded; prices are checked again before publication: docs/guides/approval.md.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Asset, CronPartitionTimetable, Param, TriggerRule, task
from airflow.sdk.exceptions import AirflowFailException

from clearway_cli import dag_tasks
from clearway_cli.airflow_approval import ANSWER_KEY, RecordedApproval

DAY = "%Y-%m-%d"

with DAG(
    dag_id="charge_proposal",
    doc_md=__doc__,
    schedule=CronPartitionTimetable("0 6 * * 1", timezone="UTC", run_offset=-1, key_format=DAY),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
    tags=["clearway"],
):

    @task
    def build() -> dict[str, object]:
        """Compute emissions by cell and kind of vehicle."""
        return dag_tasks.build_emissions()

    @task(retries=0)
    def check() -> dict[str, object]:
        """Stop where they break their contract; the same rows would fail again."""
        return dag_tasks.require("cell_emissions")

    @task
    def propose() -> dict[str, object]:
        """Make a proposal and the words that ask a person about it."""
        return dag_tasks.propose()

    # A retry asks again: an answer that does not fit is taken by the API and fails only here.
    approve = RecordedApproval(
        task_id="approve",
        subject="{{ ti.xcom_pull(task_ids='propose')['subject'] }}",
        body="{{ ti.xcom_pull(task_ids='propose')['body'] }}",
        params={"note": Param(None, type=["null", "string"], maxLength=2000)},
        response_timeout=timedelta(days=28),
        retries=1,
    )

    @task(outlets=[Asset("charge", uri="x-clearway://lake/charge")])
    def publish(proposal: dict[str, object], answer: dict[str, object]) -> dict[str, object]:
        """Record the approval, check once more, publish; a refusal is not tried again."""
        try:
            return dag_tasks.publish(proposal, answer)
        except dag_tasks.Refused as error:
            raise AirflowFailException(str(error)) from error

    # A rejection skips what directly follows the approval, so this follows the skipped publication
    # and pulls the answer: as an argument it would make this follow the approval too.
    @task(trigger_rule=TriggerRule.ALL_SKIPPED)
    def record_rejection(ti) -> dict[str, object]:  # noqa: ANN001 -- given by Airflow
        """Record who said no, and why."""
        answer = ti.xcom_pull(task_ids="approve", key=ANSWER_KEY)
        return dag_tasks.reject(ti.xcom_pull(task_ids="propose"), answer)

    made = propose()
    build() >> check() >> made >> approve >> publish(made, approve.output) >> record_rejection()
