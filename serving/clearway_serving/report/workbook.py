"""The report as a workbook: one sheet per table, with units, and one that explains them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_serving.report.edition import Edition
from clearway_serving.report.figures import KEYS, UNITS, MonthReport, plain
from clearway_serving.report.revision import Difference
from clearway_serving.report.texts import Texts
from clearway_serving.report.wording import month_name

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

_CONTRACTS = (
    "reliability",
    "corridor_times",
    "bottlenecks",
    "anomalies",
    "period_travel",
    "cleaning_counts",
)
"""Tables of the lake whose columns the sheets share, for units."""

_WIDTH = 18
_WIDEST = 60


def write_workbook(report: MonthReport, t: Texts, path: Path, edition: Edition) -> None:
    """Write all tables of a report as XLSX.

    Parameters
    ----------
    report
        The figures.
    t
        The language.
    path
        File to write.
    edition
        Which revision this is; its instant makes the file's date, so that equal reports give
        equal files.
    """
    from xlsxwriter import Workbook  # noqa: PLC0415 -- loads when it is needed

    with Workbook(path, {"constant_memory": False, "nan_inf_to_errors": True}) as book:
        created = edition.made_at.replace(tzinfo=None)  # a workbook knows no time zone
        book.set_properties({"title": t("document.title"), "created": created})
        head = book.add_format({"bold": True, "bottom": 1})
        unit = book.add_format({"italic": True, "font_color": "#647380"})
        sheets = [(name, *_table(report, name)) for name in KEYS]
        sheets.append(("parameters", *_parameters(report)))
        sheets.append(("provenance", *_provenance(report)))
        if edition.differences:
            sheets.append(("changes", *_differences(edition.differences)))
        _read_me(book, report, t, revision=edition.revision, sheets=[name for name, _, _ in sheets])
        for name, columns, rows in sheets:
            _sheet(book, t(f"sheets.{name}"), columns, rows, formats=(head, unit))


def _sheet(
    book: Workbook,
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    formats: tuple[Format, Format],
) -> None:
    head, unit = formats
    sheet = book.add_worksheet(title)
    sheet.write_row(0, 0, columns, head)
    sheet.write_row(1, 0, [unit_of(name) for name in columns], unit)
    for number, row in enumerate(rows, start=2):
        for column, value in enumerate(row):
            _write(sheet, number, column, value)
    sheet.freeze_panes(2, 0)
    sheet.set_column(0, max(0, len(columns) - 1), _WIDTH)
    sheet.set_landscape()
    sheet.set_paper(9)  # A4
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(0, 1)
    if rows:
        sheet.autofilter(1, 0, len(rows) + 1, len(columns) - 1)


def _write(sheet: Worksheet, row: int, column: int, value: object) -> None:
    found = plain(value)
    if found is None:
        return
    if isinstance(found, bool):
        sheet.write_boolean(row, column, found)
    elif isinstance(found, int | float):
        sheet.write_number(row, column, found)
    else:
        # As text: a name that begins with = must not become a formula.
        sheet.write_string(row, column, str(found))


def _read_me(
    book: Workbook, report: MonthReport, t: Texts, *, revision: int, sheets: Sequence[str]
) -> None:
    sheet = book.add_worksheet(t("workbook.readme"))
    wrapped = book.add_format({"text_wrap": True, "valign": "top"})
    bold = book.add_format({"bold": True})
    sheet.set_column(0, 0, _WIDTH + 6)
    sheet.set_column(1, 1, _WIDEST + 20, wrapped)
    city = report.about["city"] or t("document.city_unnamed")
    month = month_name(t, str(report.about["month"]))
    lines = [t("workbook.readme_text", city=city, month=month, n=revision)]
    lines += [t("document.synthetic")] if report.about["synthetic"] else []
    lines += [t("document.proxy"), t("method.speed"), t("provenance.status_text")]
    sheet.write_string(0, 0, t("document.title"), bold)
    for row, line in enumerate(lines):
        sheet.write_string(row, 1, line, wrapped)
    row = len(lines) + 1
    sheet.write_string(row, 0, t("workbook.sheet"), bold)
    sheet.write_string(row, 1, t("workbook.holds"), bold)
    for offset, name in enumerate(sheets, start=1):
        sheet.write_string(row + offset, 0, t(f"sheets.{name}"))
        sheet.write_string(row + offset, 1, t(f"sheet_texts.{name}"), wrapped)


def _table(report: MonthReport, name: str) -> tuple[list[str], list[tuple[object, ...]]]:
    rows = report.tables[name]
    return rows.columns, rows.rows()


def _parameters(report: MonthReport) -> tuple[list[str], list[tuple[object, ...]]]:
    return report.parameters.columns, report.parameters.rows()


def _provenance(report: MonthReport) -> tuple[list[str], list[tuple[object, ...]]]:
    rows: list[tuple[object, ...]] = [("software", report.provenance.software)]
    rows += [(f"about.{name}", value) for name, value in report.about.items()]
    rows += [(f"table.{name}", n) for name, n in sorted(report.provenance.tables.items())]
    rows += [
        (f"parameters.{name}", digest)
        for name, digest in sorted(report.provenance.parameter_files.items())
    ]
    return ["name", "entry"], rows


def _differences(
    differences: Sequence[Difference],
) -> tuple[list[str], list[tuple[object, ...]]]:
    return ["table", "row", "column", "old", "new"], [
        (each.table, each.row, each.column, each.old, each.new) for each in differences
    ]


def unit_of(column: str) -> str:
    """Return the unit of a column: that of the lake's contracts, else of `UNITS`, else none."""
    if column in UNITS:
        return UNITS[column]
    for name in _CONTRACTS:
        contract = LAKE_CONTRACTS[name]
        if column in contract.columns:
            return contract.field(column).unit
    return "1" if column.startswith("n_") else ""
