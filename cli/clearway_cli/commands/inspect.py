"""`clearway inspect`: draft a source profile for a file never seen before."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clearway_cli.options import JsonOption
from clearway_core.errors import UsageError

if TYPE_CHECKING:
    from clearway_edge.inspection.inspect_file import Inspection


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("inspect")(inspect)


def inspect(
    file: Annotated[
        Path, typer.Argument(help="CSV, archive, JSON or Parquet file.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the drafted profile to this file.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Draft a source profile for a file never seen before, and ask what only you can know.

    Shows what the first rows become. Nothing is sent and nothing but --out is written.
    """
    from clearway_cli.output import say_json
    from clearway_edge.inspection.inspect_file import inspect_file

    found = inspect_file(file)
    if out is not None:
        _write(out, found.draft)
    if as_json:
        say_json(asdict(found))
    else:
        _say(found, out)


def _write(out: Path, draft: str) -> None:
    try:
        with out.open("x", encoding="utf-8") as stream:
            stream.write(draft)
    except FileExistsError as error:
        message = f"{out} exists already: give another path, or move it away"
        raise UsageError(message) from error


def _say(found: Inspection, out: Path | None) -> None:
    from rich.table import Table

    from clearway_cli.output import console

    console.print(f"{found.file}: {found.kind}, looked at {found.n_rows:,} rows", highlight=False)
    if out is None:
        console.print()
        console.print(found.draft, markup=False, highlight=False, soft_wrap=True)
    if found.preview:
        names = [n for n in found.preview[0] if any(r[n] is not None for r in found.preview)]
        table = Table(*names, title="What the first rows become", title_justify="left", box=None)
        for row in found.preview:
            table.add_row(*("" if row[name] is None else str(row[name]) for name in names))
        console.print(table)
    if found.preview_problem:
        console.print(f"No preview yet: {found.preview_problem}", markup=False, soft_wrap=True)
    for reason, count in found.preview_dropped.items():
        console.print(f"  would drop {count:,} of the first rows: {reason}", highlight=False)
    console.print(f"\n{len(found.questions)} questions:", highlight=False)
    for number, question in enumerate(found.questions, 1):
        console.print(
            f"{number:>3}. {question.key}: {question.text}",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
    target = out or "profile.toml"
    then = f"clearway replay {found.file} --profile {target}"
    console.print(f"\nAnswer them in {target}, then: {then}", highlight=False, soft_wrap=True)
