"""On the third of each month: the congestion report of the month before.

| task | the same by hand |
|---|---|
| `report` | `clearway report congestion --month 2026-01` |

By then the month's last day is settled for release. A report is frozen; after later data, run this
DAG again with its `month`, which makes the next revision and lists what differs.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronPartitionTimetable, Param, task

from clearway_cli import dag_tasks

with DAG(
    dag_id="monthly_report",
    doc_md=__doc__,
    schedule=CronPartitionTimetable("0 7 3 * *", timezone="UTC", run_offset=-1, key_format="%Y-%m"),
    catchup=False,
    max_active_runs=1,
    default_args={
        "retries": 2,
        "retry_delay": timedelta(minutes=1),
        "execution_timeout": timedelta(minutes=50),
    },
    params={
        "month": Param(
            None,
            type=["null", "string"],
            pattern=r"^\d{4}-\d{2}$",
            description="Such as 2026-01; empty: the month before.",
        )
    },
    tags=["clearway"],
):

    @task
    def report(
        params: dict[str, str | None] | None = None, partition_key: str | None = None
    ) -> dict[str, object]:
        """Write pages, workbook and maps of one month."""
        month = (params or {}).get("month") or partition_key
        return dag_tasks.report(month)

    report()
