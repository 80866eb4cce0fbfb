"""`clearway city`: what Clearway may assume about a city."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clearway_cli.options import DEFAULT_DATA_DIR, DataDirOption, JsonOption
from clearway_cli.output import say, say_json

if TYPE_CHECKING:
    from clearway_cli.city_pack.check import PackReport

NewNameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The city's name.")]
NewFolderOption = Annotated[
    Path | None,
    typer.Option("--out", metavar="FOLDER", help="Folder to write; left out, made from the name."),
]
FilesOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--from-files",
        metavar="FILE",
        help="A GeoJSON or CSV file of the city to copy in; repeat for more. The service area "
        "and a time zone to confirm come from their positions.",
    ),
]
PackArgument = Annotated[
    str, typer.Argument(metavar="PACK", help="Folder of a pack, or the name of a shipped one.")
]

_SHOWN_PER_RULE = 5
"""Faults of one kind in one file that people are shown; --json gives all."""


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        no_args_is_help=True, help="City packs: what Clearway may assume about a city."
    )
    group.command("list")(list_cities)
    for command in (init, check, use):
        group.command()(command)
    app.add_typer(group, name="city")


def list_cities(*, as_json: JsonOption = False) -> None:
    """List the city packs that come with Clearway."""
    from clearway_cli.cities import shipped_cities
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
        say(f"{name:<16}{city.name}; missing: {lacking}")


def init(
    name: NewNameArgument = "",
    *,
    out: NewFolderOption = None,
    from_files: FilesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a city pack to fill in; it asks nothing and marks every assumption."""
    from clearway_cli.city_pack.check import check_pack
    from clearway_cli.city_pack.template import write_template
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
        say(f"wrote {file}")
    _say(report)


def check(
    pack: PackArgument,
    *,
    as_json: JsonOption = False,
) -> None:
    """Find all faults of a city pack at once, and say what is missing and what that means."""
    from clearway_cli.cities import find_folder
    from clearway_cli.city_pack.check import check_pack

    report = check_pack(find_folder(pack))
    if as_json:
        say_json(_as_dict(report))
    else:
        _say(report)
    if not report.ok:
        raise typer.Exit(1)


def use(
    pack: PackArgument,
    *,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Copy a city pack into the data folder, so that every command works for that city."""
    from clearway_cli.cities import adopt_city, find_folder

    city = adopt_city(find_folder(pack), data_dir)
    if as_json:
        say_json({"name": city.name, "folder": city.folder, "missing": city.missing()})
        return
    say(f"{data_dir} now works for {city.name}")


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

    seen: Counter[tuple[str, str]] = Counter()
    for fault in report.faults:
        kind = fault.file, fault.rule
        seen[kind] += 1
        if seen[kind] <= _SHOWN_PER_RULE:
            say(f"fault    {fault.file}, {fault.where}: {fault.problem}")
    for (file, rule), count in seen.items():
        if count > _SHOWN_PER_RULE:
            say(f"fault    {file}: {count - _SHOWN_PER_RULE} more of {rule}; --json lists all")
    for file, consequence in report.missing.items():
        say(f"missing  {file}: {consequence}")
    for note in report.notes:
        say(f"note     {note}")
    total = len(report.faults)
    say(
        f"{report.name or report.folder}: "
        + (f"{total} fault{'s' * (total != 1)}" if total else "no faults")
    )
