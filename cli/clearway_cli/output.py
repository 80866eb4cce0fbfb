"""What commands say: tables and bars for people, JSON for machines, one line for errors."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from clearway_core.progress import Progress as ProgressCall

Part = str | tuple[str, str]
"""Text, or text with its style."""

console = Console()
_errors = Console(stderr=True)


def say_json(value: object) -> None:
    """Print one JSON document to standard output."""
    sys.stdout.write(json.dumps(value, indent=2, default=str, ensure_ascii=False) + "\n")


def say(*parts: Part) -> None:
    """Print one line or paragraph; parts with a style, such as ``("lost", "bold red")``, get it.

    Text stands as it is: square brackets are no markup, and the terminal wraps long lines.
    """
    console.print(Text.assemble(*parts), soft_wrap=True)


def say_table(title: str, rows: Mapping[str, object]) -> None:
    """Print names and values, one line each; a value that is missing (None) has no line.

    Names stay as they are: rules, tables and columns are looked up by them.
    """
    table = _table(title, show_header=False)
    for name, value in rows.items():
        if value is not None:
            table.add_row(Text(name), Text(plain_text(value)))
    console.print(table)


def say_rows(
    title: str | None,
    headings: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    *,
    numbers: Collection[str] = (),
) -> None:
    """Print a table with headings.

    Parameters
    ----------
    title
        What the table shows; None where the line before says it.
    headings
        Of the columns.
    rows
        Cells as they are printed.
    numbers
        Headings of the columns that stand to the right.
    """
    table = _table(title, show_header=True)
    for heading in headings:
        table.add_column(
            Text(heading), overflow="fold", justify="right" if heading in numbers else "left"
        )
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    console.print(table)


def _table(title: str | None, *, show_header: bool) -> Table:
    return Table(
        title=None if title is None else escape(title),
        title_justify="left",
        show_header=show_header,
        box=None,
        pad_edge=False,
    )


def plain_text(value: object) -> str:
    """Return a value as people write it: no brackets, quotes or type names of Python."""
    match value:
        case None:
            text = ""
        case bool():
            text = "yes" if value else "no"
        case int():
            text = f"{value:,}"
        case float():
            text = f"{value:,.6g}"
        case datetime():
            text = value.isoformat(sep=" ", timespec="seconds").replace("+00:00", " UTC")
        case Mapping():
            text = ", ".join(f"{name} {plain_text(each)}" for name, each in value.items())
        case list() | tuple() | set() | frozenset():
            text = ", ".join(plain_text(each) for each in value)
        case _:
            text = str(value)
    return text or "none"


def say_error(message: str) -> None:
    """Print an error to standard error."""
    _errors.print(Text.assemble(("error:", "bold red"), f" {message}"), soft_wrap=True)


def say_aside(kind: str, message: str) -> None:
    """Print a note or a warning to standard error, where it does not mix with an answer."""
    _errors.print(Text(f"{kind}: {message}"), soft_wrap=True)


_BAR_WIDTH = 20
_NUMBERS_WIDTH = 30
"""Room for how much is done, the time, and the gaps between columns. [characters]"""


class _DoneColumn(ProgressColumn):
    """Shows how much is done, and of how much where that is known."""

    def render(self, task: Task) -> Text:
        done = f"{int(task.completed):,}"
        return Text(done if task.total is None else f"{done}/{int(task.total):,}")


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
        BarColumn(bar_width=_BAR_WIDTH),
        _DoneColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[note]}"),
    )
    with Progress(*columns, console=_errors, disable=quiet, transient=False) as progress:
        task = progress.add_task(title, total=None, note="")

        def advance(done: int, total: int | None, note: str) -> None:
            # Only the note may be cut short on a narrow screen, never the numbers.
            room = max(0, _errors.width - len(title) - _BAR_WIDTH - _NUMBERS_WIDTH)
            progress.update(task, completed=done, total=total, note=note[:room])

        try:
            yield advance
        except BaseException:
            # What failed before it began needs no bar above its error.
            progress.live.transient = not progress.tasks[task].completed
            raise
        (shown,) = progress.tasks
        if shown.total is None:  # how much there was is known now
            progress.update(task, total=shown.completed)
