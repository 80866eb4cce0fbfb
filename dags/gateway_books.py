"""Every hour: the gateways' books are closed; a reading that nobody can account for fails the task.

| task | the same by hand |
|---|---|
| `close_books` | `clearway ingest books` |

At :20, when `congestion` has taken what arrived into the lake. The task fails again every hour
until the readings have come or a person has written them off (`clearway ingest books write-off`).
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronPartitionTimetable, task

from clearway_cli import dag_tasks

with DAG(
    dag_id="gateway_books",
    doc_md=__doc__,
    schedule=CronPartitionTimetable(
        "20 * * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%dT%H:00:00"
    ),
    catchup=False,
    max_active_runs=1,
    default_args={
        "retries": 1,
        "retry_delay": timedelta(minutes=2),
        "execution_timeout": timedelta(minutes=30),
    },
    tags=["clearway"],
):

    @task
    def close_books() -> dict[str, object]:
        """Close the books of every gateway, stream and hour."""
        return dag_tasks.close_books()

    close_books()
