"""Making the report of a month: figures, a revision if they are new, and what was done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from clearway_core.city import City
from clearway_core.clock import Clock, SystemClock
from clearway_core.lake import Lake
from clearway_core.progress import Progress, silent
from clearway_serving.instants import iso
from clearway_serving.report import figures, gather
from clearway_serving.report.edition import Change, Edition
from clearway_serving.report.figures import FORMAT, MonthReport, Provenance
from clearway_serving.report.headline import headline_text
from clearway_serving.report.maps import write_maps
from clearway_serving.report.pages import write_page
from clearway_serving.report.revision import (
    FIGURES_FILE,
    Altered,
    Revisions,
    differences,
    same_figures,
)
from clearway_serving.report.sources import Sources
from clearway_serving.report.texts import LANGUAGES, Texts
from clearway_serving.report.workbook import write_workbook
from clearway_transforms.comparison.month import month_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportAccount:
    """What was made, and where it lies.

    Parameters
    ----------
    month
        Such as 2008-05.
    revision
        Number of the newest revision.
    new
        Whether it was made now; otherwise the newest was up to date.
    folder, page, workbook, figures
        Where it lies, in the language that was asked for.
    headline
        Comparison with each other month: kind, month, verdict, change with interval, and the
        sentence.
    n_differences
        Figures that differ from the revision before.
    altered
        Frozen files of any revision that are not what their hashes say.
    """

    month: str
    revision: int
    new: bool
    folder: Path
    page: Path
    workbook: Path
    figures: Path
    headline: tuple[Mapping[str, object], ...]
    n_differences: int
    altered: tuple[str, ...]


def report_congestion(  # noqa: PLR0913 -- the options of the command
    lake: Lake,
    month: str,
    *,
    reports_dir: Path,
    quality_dir: Path,
    city: City | None = None,
    language: str = "en",
    clock: Clock | None = None,
    progress: Progress = silent,
) -> ReportAccount:
    """Make the report of a month, or say that the newest revision holds the same figures.

    Parameters
    ----------
    lake
        Read only, but for the quality gate's own journal.
    month
        Such as 2008-05.
    reports_dir
        Holds ``congestion/<month>/revision-N``.
    quality_dir
        Where the quality gate puts its report, if it has to run.
    city
        Its names, clock and map.
    language
        Of the page that the account names; every revision holds all languages.
    clock
        For the date of the revision.
    progress
        Told what is being done.

    Raises
    ------
    UsageError
        If the month is none.
    InsufficientData
        If it has no data, or a table never passed its quality gate.
    """
    wanted = month_of(month)
    sources = Sources(lake, quality_dir=quality_dir)
    report = gather.month_report(sources, wanted, city=city, progress=progress)
    revisions = Revisions(reports_dir / "congestion" / str(wanted))
    altered = revisions.altered()
    newest = revisions.newest()
    change = None if newest is None else _change(revisions, newest, report, altered)
    up_to_date = newest is not None and change is None
    number = newest if newest is not None and up_to_date else (newest or 0) + 1
    if not up_to_date:
        zone = ZoneInfo(str(report.about["time_zone"]))
        made_at = (clock or SystemClock()).now().astimezone(zone)
        edition = Edition(revision=number, made_at=made_at, change=change)
        revisions.freeze(number, lambda folder: _write(report, folder, city, edition))
    return _account(
        report,
        revisions,
        number,
        language=language,
        new=not up_to_date,
        change=change,
        altered=altered,
    )


def _change(
    revisions: Revisions, newest: int, report: MonthReport, altered: list[Altered]
) -> Change | None:
    """Return why another revision is due; None if the newest holds the same figures."""
    if any(each.revision == newest for each in altered):
        return Change(previous=newest, reasons=[("why_altered", {})], differences=())
    frozen = revisions.frozen(newest)
    old, before = frozen["figures"], frozen["provenance"]
    now = json.loads(figures.canonical(report.figures()))
    if not isinstance(old, dict) or not isinstance(before, dict) or same_figures(old, now):
        return None
    return Change(
        previous=newest,
        reasons=_reasons(before, report.provenance),
        differences=differences(old, now),
    )


def _reasons(
    before: Mapping[str, object], now: Provenance
) -> list[tuple[str, Mapping[str, object]]]:
    reasons: list[tuple[str, Mapping[str, object]]] = []
    if before.get("tables") != dict(now.tables):
        reasons.append(("why_data", {}))
    files = before.get("parameter_files")
    if isinstance(files, dict) and files != dict(now.parameter_files):
        names = {*files, *now.parameter_files}
        changed = sorted(n for n in names if files.get(n) != now.parameter_files.get(n))
        reasons.append(("why_parameters", {"files": ", ".join(changed)}))
    if before.get("software") != now.software:
        reasons.append(("why_software", {"old": before.get("software"), "new": now.software}))
    return reasons


def _write(report: MonthReport, folder: Path, city: City | None, edition: Edition) -> None:
    text = json.dumps(_document(report, edition), indent=1, ensure_ascii=False) + "\n"
    (folder / FIGURES_FILE).write_text(text, encoding="utf-8")
    write_maps(report, city, folder)
    for language in LANGUAGES:
        t = Texts(language)
        write_page(report, t, folder / f"report-{language}.html", edition)
        write_workbook(report, t, folder / f"report-{language}.xlsx", edition)


def _document(report: MonthReport, edition: Edition) -> dict[str, object]:
    change = edition.change
    return {
        "format": FORMAT,
        "revision": edition.revision,
        "made_at": iso(edition.made_at.replace(microsecond=0)),
        "provenance": report.provenance.as_dict(),
        "reasons": [] if change is None else [key for key, _ in change.reasons],
        "differences": [asdict(each) for each in edition.differences],
        "figures": report.figures(),
    }


def _account(  # noqa: PLR0913 -- what an account says
    report: MonthReport,
    revisions: Revisions,
    number: int,
    *,
    language: str,
    new: bool,
    change: Change | None,
    altered: list[Altered],
) -> ReportAccount:
    folder = revisions.path(number)
    t = Texts(language)
    headline = tuple(
        {**row, "sentence": headline_text(report, t, row)} for row in report.rows("headline")
    )
    return ReportAccount(
        month=str(report.about["month"]),
        revision=number,
        new=new,
        folder=folder,
        page=folder / f"report-{language}.html",
        workbook=folder / f"report-{language}.xlsx",
        figures=folder / FIGURES_FILE,
        headline=headline,
        n_differences=0 if change is None else len(change.differences),
        altered=tuple(map(str, altered)),
    )
