"""`clearway charge`: from evidence to a proposal, a person's decision and its publication."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(no_args_is_help=True, help="Propose, explain, decide and publish a charge.")
    app.add_typer(group, name="charge")
