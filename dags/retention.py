"""Every day: rows that tell of single vehicles are deleted when their time is over.

| task | the same by hand |
|---|---|
| `expire` | `clearway ingest expire` |

Sums per cell, period and corridor stay, and so do reports. At :35, between two runs of
`congestion`; if both write the same table at once, one of them stops, unharmed, and is tried again.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronPartitionTimetable, task

from clearway_cli import dag_tasks

with DAG(
    dag_id="retention",
    doc_md=__doc__,
    schedule=CronPartitionTimetable(
        "35 3 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d"
    ),
    catchup=False,
    max_active_runs=1,
    default_args={
        "retries": 2,
        "retry_delay": timedelta(minutes=1),
        "execution_timeout": timedelta(minutes=50),
    },
    tags=["clearway"],
):

    @task
    def expire() -> dict[str, object]:
        """Delete what was received more than 30 days ago."""
        return dag_tasks.expire()

    expire()
