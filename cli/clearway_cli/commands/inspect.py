"""`clearway inspect`: draft a source profile for a file never seen before."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
