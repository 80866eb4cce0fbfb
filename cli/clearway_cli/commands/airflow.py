"""`clearway airflow`: a local Airflow on the data folder's lake."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
