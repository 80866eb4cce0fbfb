"""`clearway inspect`: draft a source profile for a file never seen before."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clearway_cli.options import JsonOption
from clearway_cli.output import say, say_json, say_rows
from clearway_core.errors import UsageError

if TYPE_CHECKING:
    from clearway_edge.inspection.inspect_file import Inspection


FileArgument = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="CSV, archive, JSON or Parquet file.", show_default=False),
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="Write the drafted profile to this file."),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("inspect")(inspect)


def inspect(
    file: FileArgument,
    *,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draft a source profile for a file never seen before, and ask what only you can know.

    Shows what the first rows become. Nothing is sent and nothing but --out is written.
    """
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
    say(f"{found.file}: {found.kind}, looked at {found.n_rows:,} rows")
    if out is None:
        say(f"\n{found.draft}")
    if found.preview:
        names = [n for n in found.preview[0] if any(r[n] is not None for r in found.preview)]
        say_rows(
            "What the first rows become",
            names,
            (
                ["" if row[name] is None else str(row[name]) for name in names]
                for row in found.preview
            ),
        )
    if found.preview_problem:
        say(f"No preview yet: {found.preview_problem}")
    for reason, count in found.preview_dropped.items():
        say(f"  would drop {count:,} of the first rows: {reason}")
    say(f"\n{len(found.questions)} questions:")
    for number, question in enumerate(found.questions, 1):
        say(f"{number:>3}. {question.key}: {question.text}")
    target = out or "profile.toml"
    say(f"\nAnswer them in {target}, then: clearway replay {found.file} --profile {target}")
