"""The tables of the page that say what its figures rest on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import polars as pl
from markupsafe import Markup

from clearway_serving.report.figures import MonthReport
from clearway_serving.report.html_table import table
from clearway_serving.report.texts import Texts
from clearway_serving.report.wording import EN_DASH, day_name, number, percent
from clearway_transforms.comparison.month import month_of


def cleaning(report: MonthReport, t: Texts) -> Markup | None:
    """Return how many positions each rule left out."""
    columns = [
        (t("coverage.rule"), False),
        (t("coverage.count"), True),
        (t("coverage.share"), True),
    ]
    left_out = report.tables["cleaning"].filter(~pl.col("rule").is_in(["read", "kept"]))
    rows = [
        (t(f"rules.{row['rule']}"), number(row["n"]), percent(row["share"], 2))
        for row in left_out.iter_rows(named=True)
    ]
    return table(columns, rows)


def cleaning_text(report: MonthReport, t: Texts) -> str:
    """Return how many positions were read and kept."""
    found = {row["rule"]: row for row in report.tables["cleaning"].iter_rows(named=True)}
    return t(
        "coverage.cleaning_text",
        read=number(found["read"]["n"]),
        kept=number(found["kept"]["n"]),
        share=percent(found["kept"]["share"]),
    )


def suppression(report: MonthReport, t: Texts) -> Markup | None:
    """Return how much of each table is withheld."""
    columns = [
        (t("coverage.table"), False),
        (t("coverage.released"), True),
        (t("coverage.withheld"), True),
        (t("coverage.withheld_share"), True),
    ]
    rows = [
        (
            t(f"tables.{row['table']}"),
            number(row["n_published"]),
            number(row["n_withheld"]),
            percent(row["withheld_share"], 0),
        )
        for row in report.tables["suppression"].iter_rows(named=True)
    ]
    return table(columns, rows)


def quintiles(report: MonthReport, t: Texts) -> Markup | None:
    """Return how much is withheld by deprivation of the area."""
    names = (
        "quintile",
        "people",
        "quintile_cells",
        "withheld_share",
        "cells_hidden",
        "people_hidden",
    )
    columns = [(t(f"coverage.{name}"), name != "quintile") for name in names]
    rows = [
        (
            t(f"coverage.quintile_{row['quintile']}"),
            number(row["population"]),
            number(row["n_cells"]),
            percent(row["rows_suppressed"], 0),
            percent(row["cells_suppressed"], 0),
            percent(row["people_suppressed"], 0),
        )
        for row in report.tables["quintiles"].iter_rows(named=True)
    ]
    return table(columns, rows)


def provenance(report: MonthReport, t: Texts) -> Markup | None:
    """Return software, clock and cell size."""
    about = report.about
    rows = [
        (t("provenance.software"), report.provenance.software),
        (t("provenance.time_zone"), about["time_zone"]),
        (
            t("provenance.resolution"),
            t("provenance.resolution_value", resolution=about["resolution"]),
        ),
    ]
    return table([("", False), ("", False)], rows)


def versions(report: MonthReport, t: Texts) -> Markup | None:
    """Return the version of each table that was read."""
    columns = [(t("provenance.table"), False), (t("provenance.version"), True)]
    return table(columns, sorted(report.provenance.tables.items()))


def files(report: MonthReport, t: Texts) -> Markup | None:
    """Return the hash of each parameter file."""
    columns = [(t("provenance.file"), False), (t("provenance.hash"), False)]
    rows = [
        (name, Markup('<span class="hash">{}</span>').format(digest))
        for name, digest in sorted(report.provenance.parameter_files.items())
    ]
    return table(columns, rows)


def days_missing(report: MonthReport, t: Texts) -> str:
    """Return which days of the month have no data."""
    month = month_of(str(report.about["month"]))
    held = set(report.tables["days"]["local_date"])
    every = [month.first + timedelta(days=on) for on in range(month.n_days)]
    missing = [day for day in every if day not in held]
    if not missing:
        return t("coverage.days_all")
    return t("coverage.days_missing", days=_ranges(t, missing))


def _ranges(t: Texts, days: Sequence[object]) -> str:
    """Return days as ranges of their numbers within the month, such as 1-20, 23."""
    numbers = [int(day_name(day)[-2:]) for day in days]
    ranges: list[list[int]] = []
    for each in numbers:
        if ranges and each == ranges[-1][1] + 1:
            ranges[-1][1] = each
        else:
            ranges.append([each, each])
    texts = [str(a) if a == b else f"{a}{EN_DASH}{b}" for a, b in ranges]
    return t("document.list_separator").join(texts)
