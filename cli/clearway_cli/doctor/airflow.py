"""The doctor's look at the data folder's own Airflow."""

from __future__ import annotations

import json

from clearway_cli.doctor.finding import Findings, Installation
from clearway_cli.processes import processes_in
from clearway_core.data_dir import DataDir


def check_airflow(installation: Installation) -> Findings:
    """Yield whether an Airflow works here, and whether what it remembers is still there."""
    from clearway_cli.airflow_home import remembered

    folder = DataDir(installation.data_dir).airflow
    if not folder.is_dir():
        return
    try:
        gone = [path for path in remembered(folder) if not path.exists()]
    except (OSError, json.JSONDecodeError) as error:
        text = f"its memory cannot be read ({error}): delete {folder}, `clearway airflow` makes it"
        yield "red", "Airflow", text
        return
    if gone:
        text = (
            f"it remembers {', '.join(map(str, gone))}, which is gone: name it anew with "
            "`clearway airflow` and --city, --zone or --lake"
        )
        yield "yellow", "Airflow", text
        return
    running = processes_in(folder)
    state = f"runs (process {min(running)})" if running else "is prepared and does not run"
    yield "green", "Airflow", f"{state}; its log is in {folder}"
