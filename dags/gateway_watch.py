"""Every ten minutes: look at all gateways, and tell people once what needs a hand.

| task | the same by hand |
|---|---|
| `watch` | `clearway gateway watch` |

What was told is in the lake, so that a run that comes late, twice or not at all tells nothing
twice. A message that could not be sent makes the run fail; the next look sends it.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronPartitionTimetable, task
from airflow.sdk.exceptions import AirflowSkipException

from clearway_cli import dag_tasks

with DAG(
    dag_id="gateway_watch",
    doc_md=__doc__,
    schedule=CronPartitionTimetable(
        "*/10 * * * *", timezone="UTC", run_offset=0, key_format="%Y-%m-%dT%H:%M:00"
    ),
    catchup=False,
    max_active_runs=1,
    # The next look is the retry: ten minutes later, by itself.
    default_args={"retries": 0, "execution_timeout": timedelta(minutes=8)},
    tags=["clearway"],
):

    @task
    def watch() -> dict[str, object]:
        """Look at the fleet once."""
        try:
            return dag_tasks.watch()
        except dag_tasks.InsufficientData as error:
            raise AirflowSkipException(str(error)) from error

    watch()
