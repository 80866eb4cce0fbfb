"""Once an hour's congestion is published: speeds of the next hour, and the gate before publication.

| task | the same by hand |
|---|---|
| `build` | `clearway build forecast` |
| `check` | `clearway quality check forecasts` |

Follows the DAG `congestion`, one run for each hour. Without enough history, or while nothing is
better than a plain forecast, the run ends with its first task.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Asset, PartitionedAssetTimetable, task
from airflow.sdk.exceptions import AirflowSkipException

from clearway_cli import dag_tasks

CONGESTION = Asset("congestion", uri="x-clearway://lake/congestion")
FORECASTS = Asset("forecasts", uri="x-clearway://lake/forecasts")

with DAG(
    dag_id="forecast",
    doc_md=__doc__,
    schedule=PartitionedAssetTimetable(assets=CONGESTION),
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
    def build() -> dict[str, object]:
        """Forecast 15, 30 and 60 minutes ahead."""
        try:
            return dag_tasks.forecast()
        except dag_tasks.InsufficientData as error:
            raise AirflowSkipException(str(error)) from error

    # The same rows fail again, so there is no second attempt.
    @task(outlets=[FORECASTS], retries=0)
    def check() -> dict[str, object]:
        """Publish this version if it passes."""
        return dag_tasks.require("forecasts")

    build() >> check()
