"""The tree of commands: which there are, and in which order `clearway --help` shows them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import typer
from typer.core import TyperGroup

COMMANDS: Mapping[str, tuple[str, ...]] = {
    "Begin here": ("demo", "doctor", "city"),
    "Take data in": ("inspect", "replay", "gateway", "broker", "ingest"),
    "Make and check figures": ("build", "quality", "verify"),
    "Propose a charge": ("zone", "charge"),
    "Show and hand on": ("serve", "report", "export"),
    "Run by schedule": ("airflow",),
}
"""Modules of `clearway_cli.commands`; each registers the command or group of its own name."""


class _InOrder(TyperGroup):
    """Lists commands as `COMMANDS` does; by itself Typer puts groups behind single commands."""

    def list_commands(self, ctx: Any) -> list[str]:  # the class of it differs between versions
        """Return the names of all commands."""
        del ctx
        return [name for names in COMMANDS.values() for name in names]


def command_line() -> typer.Typer:
    """Return `clearway` with everything below it; heavy parts load when a command runs."""
    app = typer.Typer(
        name="clearway",
        cls=_InOrder,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="From ride-share GPS and air sensors to a congestion map and a charge proposal.",
    )
    panels = {name: panel for panel, names in COMMANDS.items() for name in names}
    for name in panels:
        importlib.import_module(f"clearway_cli.commands.{name}").register(app)
    for command in app.registered_commands:
        command.rich_help_panel = panels[str(command.name)]
    for group in app.registered_groups:
        group.rich_help_panel = panels[str(group.name)]
    return app
