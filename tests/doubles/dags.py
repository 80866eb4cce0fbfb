"""What the tests of the DAGs share: is Airflow here, and scripts that run inside it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping

import pytest


def require_airflow() -> None:
    """Skip where Airflow is not installed; fail there with CLEARWAY_REQUIRE_AIRFLOW=1."""
    if importlib.util.find_spec("airflow") is not None:
        return
    reason = "Airflow is not installed"
    if os.environ.get("CLEARWAY_REQUIRE_AIRFLOW") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def in_airflow(script: str, environment: Mapping[str, str], *arguments: str) -> dict:
    """Run a script in a process of its own and return the JSON of its last line.

    Airflow reads its settings when it is imported, and warns of itself: both stay out of here.
    """
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])
