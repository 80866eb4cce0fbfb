"""The Airflow of a soak: its DAGs switched on, run more often, and counted."""

from __future__ import annotations

import sys
from collections import Counter

import httpx
from doubles.compose_stack import Stack


class Airflow:
    """The Airflow of a stack, by its API."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.outcomes: dict[str, dict[str, int]] = {}

    def unpause(self) -> None:
        """Switch every DAG on."""
        with self._client() as client:
            client.patch("/dags?dag_id_pattern=~", json={"is_paused": False}).raise_for_status()

    def trigger(self, number: int) -> None:
        """Start further runs of the DAGs that run hourly, and of retention."""
        wanted = ["congestion", "gateway_books"] + (["retention"] if number % 3 == 0 else [])
        try:
            with self._client() as client:
                for dag in wanted:
                    client.post(f"/dags/{dag}/dagRuns", json={"logical_date": None})
        except httpx.HTTPError as error:  # a busy machine: the next time will do
            sys.stderr.write(f"Airflow was not asked: {error!r}\n")

    def look(self) -> None:
        """Note how many runs of each DAG ended how."""
        with self._client() as client:
            runs = client.get("/dags/~/dagRuns", params={"limit": 1000}).json()["dag_runs"]
        counted = Counter((run["dag_id"], run["state"]) for run in runs)
        self.outcomes = {dag: {} for dag, _ in sorted(counted)}
        for (dag, state), count in sorted(counted.items()):
            self.outcomes[dag][state] = count

    def _client(self) -> httpx.Client:
        origin = self._stack.translate("http://airflow-api:8080", "airflow-api")
        password = (self._stack.folder / "secrets" / "airflow_admin_password").read_text()
        account = {"username": "admin", "password": password}
        token = httpx.post(f"{origin}/auth/token", json=account, timeout=120).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=f"{origin}/api/v2", headers=headers, timeout=120)
