"""`clearway gateway`: set up and run a gateway."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Set up, check and run a gateway.")
    app.add_typer(group, name="gateway")

    @group.callback()
    def _group() -> None:
        """Set up, check and run a gateway."""
