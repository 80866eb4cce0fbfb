"""`clearway quality`: the gate before publication, and its report."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clearway_cli.options import DEFAULT_DATA_DIR, DataDirOption, JsonOption, LakeOption
from clearway_cli.output import bar, say_json, say_table
from clearway_core.data_dir import DataDir

if TYPE_CHECKING:
    from clearway_core.lake import Lake
    from clearway_quality.jobs import QualityResult

TableArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="TABLE", help="Table to check; left out, every published table that there is."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(no_args_is_help=True, help="Check tables before they are published.")
    for command in (check, docs):
        group.command()(command)
    app.add_typer(group, name="quality")


def check(
    table: TableArgument = None,
    *,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check the newest version of a table against its contract.

    Exit code 1 says that a table failed: the last version that passed stays published.
    """
    from clearway_core.lake import open_lake
    from clearway_quality import jobs

    opened = open_lake(data_dir, lake)
    names = [table] if table is not None else _written_tables(opened)
    results = []
    for name in names:
        with bar(f"Checking {name}", quiet=as_json) as progress:
            results.append(
                jobs.check(opened, name, report_dir=DataDir(data_dir).quality, progress=progress)
            )
    if as_json:
        say_json([asdict(result) for result in results])
    else:
        for result in results:
            _say(result)
    if not all(result.passed for result in results):
        raise typer.Exit(1)


def docs(
    *,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the quality report again and say where it is."""
    from clearway_core.lake import open_lake
    from clearway_quality.docs import write_report

    page: Path = write_report(open_lake(data_dir, lake), DataDir(data_dir).quality)
    if as_json:
        say_json({"report": page})
    else:
        say_table("Quality report", {"open": page.resolve()})


def _written_tables(lake: Lake) -> list[str]:
    from clearway_core.errors import InsufficientData
    from clearway_quality.jobs import published_tables

    names = [name for name in published_tables() if lake.table(name).exists()]
    if not names:
        message = "there is no published table yet; build one first (clearway build --help)"
        raise InsufficientData(message)
    return names


def _say(result: QualityResult) -> None:
    rows: dict[str, object] = {
        "result": "passed" if result.passed else "FAILED: this version is not published",
        "version": result.table_version,
        "rows": result.n_rows,
        "conditions": result.n_expectations,
    }
    for item in (*result.failures, *result.warnings):
        label = "blocks" if item.severity == "blocks" else "note"
        text = item.sentence if item.cause is None else f"{item.sentence} {item.cause}"
        rows[f"{label}: {item.check}"] = f"{text} ({item.n_unexpected:,} rows)"
        for number, example in enumerate(item.examples):
            rows[f"  {item.check} {number + 1}"] = example
    rows["report"] = result.report.resolve()
    say_table(f"Quality of {result.table_name}", rows)
