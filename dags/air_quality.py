"""Once an hour's readings are in: hourly air values, and the gate before publication.

| task | the same by hand |
|---|---|
| `build` | `clearway build air [--from T --to T]` |
| `check` | `clearway quality check air_hourly` |

The DAG `congestion` ingests for both; this one follows it, one run for each hour. Without sensors
there is nothing to check, and the run ends there.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Asset, Param, PartitionedAssetTimetable, task
from airflow.sdk.exceptions import AirflowSkipException

from clearway_cli import dag_tasks

READINGS = Asset("readings", uri="x-clearway://lake/readings")
AIR = Asset("air_hourly", uri="x-clearway://lake/air_hourly")
INSTANT = {"type": ["null", "string"], "format": "date-time"}

with DAG(
    dag_id="air_quality",
    doc_md=__doc__,
    schedule=PartitionedAssetTimetable(assets=READINGS),
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

    @task
    def build(params: dict[str, str | None] | None = None) -> dict[str, object]:
        """Compute hourly values, raw and calibrated side by side."""
        if not dag_tasks.has_rows("air_readings"):
            message = "no air sensor has reported yet"
            raise AirflowSkipException(message)
        return dag_tasks.build_air(**(params or {}))

    # The same rows fail again, so there is no second attempt.
    @task(outlets=[AIR], retries=0)
    def check() -> dict[str, object]:
        """Publish this version if it passes."""
        return dag_tasks.require("air_hourly")

    build() >> check()
