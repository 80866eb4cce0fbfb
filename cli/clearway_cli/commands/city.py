"""`clearway city`: what Clearway may assume about a city."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clearway_cli.options import DEFAULT_DATA_DIR, DataDirOption, JsonOption

if TYPE_CHECKING:
    from clearway_cli.city_pack.check import PackReport

_SHOWN_PER_RULE = 5
"""Faults of one kind in one file that people are shown; --json gives all."""


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        no_args_is_help=True, help="City packs: what Clearway may assume about a city."
    )
    group.command("list")(list_cities)
    group.command("init")(init)
    group.command("check")(check)
    group.command("use")(use)
    app.add_typer(group, name="city")


def list_cities(*, as_json: JsonOption = False) -> None:
    """List the city packs that come with Clearway."""
    from clearway_cli.cities import shipped_cities
    from clearway_cli.output import console, say_json
    from clearway_core.city import read_city

    cities = {name: read_city(folder) for name, folder in shipped_cities().items()}
    if as_json:
        say_json(
            {
                name: {
                    "name": city.name,
                    "folder": city.folder,
                    "time_zone": city.time_zone.key,
                    "currency": city.currency,
                    "synthetic": city.synthetic,
                    "missing": city.missing(),
                }
                for name, city in cities.items()
            }
        )
        return
    for name, city in cities.items():
        lacking = ", ".join(city.missing()) or "nothing"
        console.print(f"{name:<16}{city.name}; missing: {lacking}", highlight=False)


def init(
    name: Annotated[str, typer.Argument(help="The city's name.")] = "",
    *,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write; left out, made from the name.")
    ] = None,
    from_files: Annotated[
        list[Path] | None,
        typer.Option(
            "--from-files",
            help="A GeoJSON or CSV file of the city to copy in; repeat for more. The service area "
            "and a time zone to confirm come from their positions.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a city pack to fill in; it asks nothing and marks every assumption."""
    from clearway_cli.city_pack.check import check_pack
    from clearway_cli.city_pack.template import write_template
    from clearway_cli.output import console, say_json
    from clearway_core.errors import UsageError

    if not name and not from_files:
        message = "give the city's name, such as `clearway city init Hanoi`, or --from-files FILE"
        raise UsageError(message)
    title = name or "Unnamed city"
    folder = out or Path(_folder_name(title))
    written = write_template(folder, name=title, files=from_files or ())
    report = check_pack(folder)
    if as_json:
        say_json({"folder": folder, "written": written, **_as_dict(report)})
        return
    for file in written:
        console.print(f"wrote {file}", highlight=False)
    _say(report)


def check(
    folder: Annotated[str, typer.Argument(help="Folder of a pack, or the name of a shipped one.")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Find all faults of a city pack at once, and say what is missing and what that means."""
    from clearway_cli.cities import find_folder
    from clearway_cli.city_pack.check import check_pack
    from clearway_cli.output import say_json

    report = check_pack(find_folder(folder))
    if as_json:
        say_json(_as_dict(report))
    else:
        _say(report)
    if not report.ok:
        raise typer.Exit(1)


def use(
    folder: Annotated[str, typer.Argument(help="Folder of a pack, or the name of a shipped one.")],
    *,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Copy a city pack into the data folder, so that every command works for that city."""
    from clearway_cli.cities import adopt_city, find_folder
    from clearway_cli.output import console, say_json

    city = adopt_city(find_folder(folder), data_dir)
    if as_json:
        say_json({"name": city.name, "folder": city.folder, "missing": city.missing()})
        return
    console.print(f"{data_dir} now works for {city.name}", highlight=False)


def _folder_name(name: str) -> str:
    kept = "".join(c if c.isalnum() else "_" for c in name.lower())
    return kept.strip("_") or "city"


def _as_dict(report: PackReport) -> dict[str, object]:
    return {
        "folder": report.folder,
        "name": report.name,
        "ok": report.ok,
        "faults": [
            {"file": f.file, "where": f.where, "rule": f.rule, "problem": f.problem}
            for f in report.faults
        ],
        "missing": dict(report.missing),
        "notes": list(report.notes),
    }


def _say(report: PackReport) -> None:
    from collections import Counter

    from clearway_cli.output import console

    def line(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    seen: Counter[tuple[str, str]] = Counter()
    for fault in report.faults:
        kind = fault.file, fault.rule
        seen[kind] += 1
        if seen[kind] <= _SHOWN_PER_RULE:
            line(f"fault    {fault.file}, {fault.where}: {fault.problem}")
    for (file, rule), count in seen.items():
        if count > _SHOWN_PER_RULE:
            line(f"fault    {file}: {count - _SHOWN_PER_RULE} more of {rule}; --json lists all")
    for file, consequence in report.missing.items():
        line(f"missing  {file}: {consequence}")
    for note in report.notes:
        line(f"note     {note}")
    total = len(report.faults)
    line(
        f"{report.name or report.folder}: "
        + (f"{total} fault{'s' * (total != 1)}" if total else "no faults")
    )
