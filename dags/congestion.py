"""Every hour: what arrived, congestion, and the gate before publication.

| task | the same by hand |
|---|---|
| `ingest` | `clearway ingest run --until-idle` |
| `build` | `clearway build congestion [--from T --to T]` |
| `check` | `clearway quality check congestion`, and the same of the tables built with it |

A run belongs to the hour that has just ended. It builds whatever arrived, late readings of earlier
hours included; `time_from` and `time_to` build a stretch again. Where a check fails, nothing is
published: the last version that passed stays. One run at a time, so that no two write one table.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Asset, CronPartitionTimetable, Param, task
from airflow.sdk.exceptions import AirflowSkipException

from clearway_cli import dag_tasks

READINGS = Asset("readings", uri="x-clearway://lake/readings")
CONGESTION = Asset("congestion", uri="x-clearway://lake/congestion")
INSTANT = {"type": ["null", "string"], "format": "date-time"}

with DAG(
    dag_id="congestion",
    doc_md=__doc__,
    schedule=CronPartitionTimetable(
        "5 * * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%dT%H:00:00"
    ),
    catchup=False,
    max_active_runs=1,
    default_args={
        "retries": 2,
        "retry_delay": timedelta(minutes=1),
        "execution_timeout": timedelta(minutes=50),
    },
    params={
        "time_from": Param(None, **INSTANT, description="Build again from here; empty: what came."),
        "time_to": Param(None, **INSTANT, description="Build again up to here."),
    },
    tags=["clearway"],
):

    @task(outlets=[READINGS])
    def ingest() -> dict[str, object]:
        """Take what waits in the log into the lake."""
        return dag_tasks.ingest()

    @task
    def build(params: dict[str, str | None] | None = None) -> dict[str, object]:
        """Compute travel, speed, free flow and congestion."""
        if not dag_tasks.has_rows("gps_pings"):
            message = "no vehicle has reported yet"
            raise AirflowSkipException(message)
        return dag_tasks.build_congestion(**(params or {}))

    # The same rows fail again, so there is no second attempt.
    @task(outlets=[CONGESTION], retries=0)
    def check() -> dict[str, object]:
        """Publish this version if it passes."""
        return dag_tasks.require(
            "congestion", "corridor_times", "reliability", "bottlenecks", "anomalies"
        )

    ingest() >> build() >> check()
