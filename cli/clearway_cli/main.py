"""`clearway`: every stage has a group of commands; heavy parts load when a command runs."""

from __future__ import annotations

import importlib
import sys

from clearway_core.errors import ClearwayError

COMMAND_MODULES = (
    "demo",
    "city",
    "inspect",
    "broker",
    "gateway",
    "replay",
    "ingest",
    "build",
    "quality",
    "verify",
    "zone",
    "charge",
    "export",
    "report",
    "serve",
    "airflow",
    "doctor",
)
"""Modules of `clearway_cli.commands`, in the order of ``--help``; each registers itself."""


def main() -> None:
    """Run the command line and exit with 0 (done), 1 (the work failed) or 2 (wrong use)."""
    try:
        import typer
    except ImportError:
        sys.stderr.write(
            "error: the `clearway` command needs more than a gateway has. Install "
            "'clearway[pipeline]', or use `clearway-gateway` here.\n"
        )
        sys.exit(1)
    from clearway_cli.output import say_error

    app = typer.Typer(
        name="clearway",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="From ride-share GPS and air sensors to a congestion map and a charge proposal.",
    )
    for name in COMMAND_MODULES:
        importlib.import_module(f"clearway_cli.commands.{name}").register(app)
    try:
        app()
    except ClearwayError as error:
        say_error(str(error))
        sys.exit(error.exit_code)
