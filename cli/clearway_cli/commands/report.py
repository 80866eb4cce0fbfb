"""`clearway report`: documents that an agency hands in."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from clearway_cli.options import (
    DEFAULT_DATA_DIR,
    CityOption,
    DataDirOption,
    JsonOption,
    LakeOption,
    MonthOption,
)
from clearway_cli.output import bar, say_aside, say_json, say_table


class Language(StrEnum):
    """Languages of the report."""

    EN = "en"
    ZH = "zh"


LanguageOption = Annotated[Language, typer.Option("--lang", metavar="en|zh", help="Language.")]


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group = typer.Typer(no_args_is_help=True, help="Make the reports that an agency hands in.")
    group.callback()(lambda: None)  # or else Typer makes the only command of a group the group
    group.command("congestion")(congestion)
    app.add_typer(group, name="report")


def congestion(
    *,
    month: MonthOption,
    lang: LanguageOption = Language.EN,
    city: CityOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the monthly congestion report: pages for A4, a workbook and maps.

    Figures are those that the release gate lets out. Each report is frozen as a revision; if
    later data change a figure, the next run makes another revision that lists what differs.
    """
    from clearway_cli.cities import find_city
    from clearway_core.data_dir import DataDir
    from clearway_core.lake import open_lake
    from clearway_serving.report.jobs import report_congestion

    folders = DataDir(data_dir)
    opened, pack = open_lake(data_dir, lake), find_city(city, data_dir)
    with bar(f"Report {month}", quiet=as_json) as progress:
        account = report_congestion(
            opened,
            month,
            reports_dir=folders.reports,
            quality_dir=folders.quality,
            city=pack,
            language=lang.value,
            progress=progress,
        )
    for each in account.altered:
        say_aside(
            "warning", f"{each} since it was frozen; restore it from a copy before you rely on it"
        )
    if as_json:
        say_json(asdict(account))
        return
    state = "made" if account.new else "is up to date"
    told: dict[str, object] = {"open": account.page.resolve(), "workbook": account.workbook.name}
    told |= {str(row["month"]): row["sentence"] for row in account.headline}
    if account.n_differences:
        told["differences"] = f"{account.n_differences} against revision {account.revision - 1}"
    say_table(f"Revision {account.revision} of {account.month} {state}", told)
