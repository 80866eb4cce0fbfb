"""`clearway zone`: what a zone is made of and how much of it was observed."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(no_args_is_help=True, help="Look at charge zones.")
    app.add_typer(group, name="zone")
