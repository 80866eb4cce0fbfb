"""What commands say: tables and bars for people, JSON for machines, one line for errors."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from clearway_core.progress import Progress as ProgressCall
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

console = Console()
_errors = Console(stderr=True)


def say_json(value: object) -> None:
    """Print one JSON document to standard output."""
    sys.stdout.write(json.dumps(value, indent=2, default=str, ensure_ascii=False) + "\n")


def say_table(title: str, rows: Mapping[str, object]) -> None:
    """Print names and values, one line each."""
    table = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False)
    for name, value in rows.items():
        text = (
            f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
        )
        table.add_row(name, text)
    console.print(table)


def say_error(message: str) -> None:
    """Print an error to standard error."""
    _errors.print(f"[bold red]error:[/] {message}", highlight=False, soft_wrap=True)


@contextmanager
def bar(title: str, *, quiet: bool = False) -> Iterator[ProgressCall]:
    """Show a progress bar on standard error while the block runs.

    Parameters
    ----------
    title
        What is being done.
    quiet
        Show nothing, as with ``--json``.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[note]}"),
    )
    with Progress(*columns, console=_errors, disable=quiet, transient=False) as progress:
        task = progress.add_task(title, total=None, note="")

        def advance(done: int, total: int | None, note: str) -> None:
            progress.update(task, completed=done, total=total, note=note)

        yield advance
