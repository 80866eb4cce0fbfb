"""The monthly report of a small city: figures, languages, files, revisions, command."""

from __future__ import annotations

import io
import json
import re
import shutil
import zipfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from xml.etree import ElementTree as ET

import polars as pl
import pytest
from doubles import report_lake
from typer.testing import CliRunner

from clearway_core.city import City
from clearway_core.errors import InsufficientData, UsageError
from clearway_core.geo import boundary_of, cell_number, cell_text, centre_of
from clearway_core.lake import Lake
from clearway_serving.export.jobs import export_table
from clearway_serving.export.request import ExportRequest
from clearway_serving.report import maps
from clearway_serving.report.gather import month_report
from clearway_serving.report.jobs import ReportAccount, report_congestion
from clearway_serving.report.sources import Sources
from clearway_serving.report.texts import Texts
from clearway_transforms.comparison.month import month_of

MONTH = "2026-03"
INTERNAL = ("gps_pings", "vehicle_travel", "vehicle_corridor_travel")
XLSX = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


@dataclass(frozen=True)
class Scene:
    """A data folder, its lake and its city."""

    root: Path
    lake: Lake
    city: City

    def report(self, **options: str) -> ReportAccount:
        return report_congestion(
            self.lake,
            MONTH,
            reports_dir=self.root / "reports",
            quality_dir=self.root / "quality",
            city=self.city,
            **options,
        )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    root = tmp_path_factory.mktemp("report")
    city = report_lake.city(root / "city")
    lake = Lake(root / "lake")
    report_lake.add(lake, city, report_lake.MARCH)
    report_lake.add_february(lake)
    return Scene(root, lake, city)


@pytest.fixture(scope="module")
def first(built: Scene) -> ReportAccount:
    return built.report()


@pytest.fixture(scope="module")
def figures(first: ReportAccount) -> dict[str, list[dict[str, object]]]:
    return json.loads(first.figures.read_text(encoding="utf-8"))["figures"]


@pytest.fixture(scope="module")
def page(first: ReportAccount) -> str:
    return first.page.read_text(encoding="utf-8")


def test_figures_equal_the_public_export_cell_by_cell(built, figures, tmp_path):
    for table, name, key in (
        ("reliability", "cells", ("h3_cell", "period", "day_group")),
        ("corridor_times", "corridor_days", ("corridor", "direction", "period", "local_date")),
        ("bottlenecks", "bottlenecks", ("h3_cell", "day_group", "start_minute")),
        ("anomalies", "anomalies", ("h3_cell", "window_start")),
    ):
        mine = figures[name]
        if built.lake.table(table).scan().head(1).collect().is_empty():
            assert mine == []
            continue
        exported = export(built, table, tmp_path)
        if "span" in exported.columns:
            exported = exported.filter(pl.col("span") == MONTH)
        if table == "corridor_times":
            exported = exported.filter(
                pl.col("period") != "window", pl.col("local_date") >= date(2026, 3, 1)
            )
        theirs = {tuple(row[each] for each in key): row for row in exported.iter_rows(named=True)}
        assert len(mine) == len(theirs), table
        for row in mine:
            other = theirs[tuple(as_exported(each, row[each]) for each in key)]
            shared = set(row) & set(other)
            assert len(shared) > 10
            for column in shared:
                assert as_exported(column, row[column]) == other[column], (table, column)


def export(scene: Scene, table: str, folder: Path) -> pl.DataFrame:
    out = folder / f"{table}.parquet"
    request = ExportRequest(table=table, file_format="parquet", out=out, public=True)
    export_table(scene.lake, request, report_dir=scene.root / "quality", city=scene.city)
    return pl.read_parquet(out)


def as_exported(column: str, value: object) -> object:
    if isinstance(value, str) and column.endswith(("_date", "span_first_date", "span_last_date")):
        return date.fromisoformat(value)
    if isinstance(value, str) and column == "window_start":
        return pl.Series([value]).str.to_datetime(time_zone="UTC").item()
    return value


def test_published_windows_are_as_many_as_the_export_has(built, figures, tmp_path):
    exported = export(built, "congestion", tmp_path)
    local = pl.col("window_start").dt.convert_time_zone("Asia/Bangkok").dt.date()
    march = exported.filter(local >= date(2026, 3, 1))
    per_day = march.group_by(local).len().sort("window_start").rows()
    assert [(row["local_date"], row["n_published"]) for row in figures["days"]] == [
        (str(day), n) for day, n in per_day
    ]


def test_a_planted_change_is_told_with_number_interval_days_and_vehicles(first, figures, page):
    row = figures["headline"][0]
    assert (row["kind"], row["verdict"], row["n_days_after"]) == ("previous_month", "worse", 5)
    assert row["change"] == pytest.approx(report_lake.FASTER - 1, abs=0.002)
    assert row["change_low"] < row["change"] < row["change_high"]
    assert "The same trips took 25.0 % longer than in February 2026." in page
    assert first.headline[0]["sentence"] in page
    (corridor,) = figures["corridor_changes"]
    assert corridor["verdict"] == "worse"
    assert {cell["verdict"] for cell in figures["places"]} == {"worse"}
    assert {cell["h3_cell"] for cell in figures["places"]} <= {
        cell["h3_cell"] for cell in figures["cells"]
    }
    assert "There are no data of March 2025" in page


def test_a_report_is_possible_after_raw_gps_and_vehicle_travel_are_gone(built, figures, tmp_path):
    kept = tmp_path / "lake"
    shutil.copytree(built.root / "lake", kept)
    for table in INTERNAL:
        shutil.rmtree(kept / table)
    scene = Scene(tmp_path, Lake(kept), built.city)
    again = json.loads(scene.report().figures.read_text(encoding="utf-8"))["figures"]
    assert again == figures


def test_what_few_vehicles_drove_is_nowhere_in_a_report(built, first):
    lonely = cell_text(report_lake.LONELY_CELL)
    travel = built.lake.table("period_travel").scan().select("h3_cell").collect()
    assert report_lake.LONELY_CELL in travel["h3_cell"], "the internal table has it"
    for path in first.folder.iterdir():
        assert lonely not in all_text(path), path.name
    report = month_report(
        Sources(built.lake, quality_dir=built.root / "quality"),
        month_of(MONTH),
        city=built.city,
        progress=lambda *_: None,
    )
    assert lonely not in report.withheld["h3_cell"]
    assert report.tables["cells"]["n_vehicles"].min() >= 10


def all_text(path: Path) -> str:
    if path.suffix != ".xlsx":
        return path.read_bytes().decode("utf-8", errors="ignore")
    with zipfile.ZipFile(path) as book:
        return "".join(book.read(name).decode("utf-8", errors="ignore") for name in book.namelist())


@pytest.mark.parametrize("language", ["en", "zh"])
def test_pages_stand_alone_and_leave_no_field_open(first, language):
    text = (first.folder / f"report-{language}.html").read_text(encoding="utf-8")
    shown = re.sub(r"<style>.*?</style>|base64,[^\"]*", "", text, flags=re.DOTALL)
    assert f'lang="{ {"en": "en", "zh": "zh-Hans"}[language] }"' in text
    assert not re.search(r"\{[a-z_]+\}|>\s*None\s*<|\bnan\b|Undefined", shown)
    assert not re.search(r"<script|https?://(?!www\.w3\.org)|src=\"(?!data:)", text)
    assert "Testburi &lt;&amp;&gt; &#34;Süd&#34;" in text
    t = Texts(language)
    for key in ("headline.worse", "document.synthetic", "corridors.heading", "method.heading"):
        assert t(key) in text


def test_the_css_string_of_the_city_name_cannot_end_the_style(page):
    style = page.split("<style>")[1].split("</style>")[0]
    assert 'content: "Congestion report · Testburi \\00003c\\000026\\00003e \\000022Süd' in style


def test_the_workbook_has_a_sheet_per_table_with_units(first, figures):
    sheets = workbook(first.workbook)
    assert next(iter(sheets)) == "Read me"
    assert {"Comparison", "Cells", "Corridors", "Parameters", "Provenance"} <= set(sheets)
    columns, units, *rows = sheets["Corridors by day"]
    assert units[columns.index("travel_time_min")] == "min"
    assert units[columns.index("length_m")] == "m"
    times = [row[columns.index("travel_time_min")] for row in rows]
    assert [float(each) for each in times] == [
        pytest.approx(row["travel_time_min"], rel=1e-12) for row in figures["corridor_days"]
    ]
    assert len(sheets["Cells"]) == 2 + len(figures["cells"])


def workbook(path: Path) -> dict[str, list[list[str]]]:
    """Return the cells of every sheet as text, read by the standard of the format."""
    with zipfile.ZipFile(path) as book:
        strings = [
            "".join(each.text or "" for each in item.iter(f"{XLSX}t"))
            for item in part(book, "sharedStrings")
        ]
        names = [each.get("name") for each in part(book, "workbook").iter(f"{XLSX}sheet")]
        found = {}
        for number, name in enumerate(names, 1):
            root = part(book, f"worksheets/sheet{number}")
            found[str(name)] = [
                [cell_value(cell, strings) for cell in row] for row in root.iter(f"{XLSX}row")
            ]
    return found


def part(book: zipfile.ZipFile, name: str) -> ET.Element:
    return ET.fromstring(book.read(f"xl/{name}.xml"))  # noqa: S314 -- written by this test


def cell_value(cell: ET.Element, strings: list[str]) -> str:
    value = cell.find(f"{XLSX}v")
    text = "" if value is None or value.text is None else value.text
    return strings[int(text)] if cell.get("t") == "s" else text


def test_maps_show_each_cell_in_the_colour_of_its_class(first, figures):
    from matplotlib import colors, image  # noqa: PLC0415 -- only here

    (path,) = first.folder.glob("map-*.png")
    pixels = image.imread(io.BytesIO(path.read_bytes()))
    hits = {
        step: (abs(pixels[..., :3] - colors.to_rgb(colour)).max(axis=-1) < 0.01).sum()
        for step, colour in enumerate(maps.COLOURS)
    }
    shown = {maps.step_of(row["tti"]) for row in figures["cells"]}
    unused = set(range(5)) - shown
    legend = min(hits[step] for step in unused)  # a mark of the legend alone
    assert all(hits[step] > 10 * legend for step in shown)


def test_running_again_says_up_to_date_and_writes_nothing(built, first):
    before = snapshot(first.folder)
    again = built.report(language="zh")
    assert (again.revision, again.new, again.altered) == (1, False, ())
    assert again.page.name == "report-zh.html"
    assert snapshot(first.folder) == before
    assert all(path.stat().st_mode & 0o222 == 0 for path in first.folder.iterdir())


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


@pytest.fixture(scope="module")
def second(built: Scene, first: ReportAccount) -> tuple[Scene, ReportAccount]:
    """Return a copy of the scene with a later day, and its report."""
    root = built.root / "later"
    shutil.copytree(built.root / "lake", root / "lake")
    shutil.copytree(built.root / "reports", root / "reports")
    scene = Scene(root, Lake(root / "lake"), built.city)
    report_lake.add(scene.lake, scene.city, [report_lake.LATE_DAY])
    return scene, scene.report()


def test_later_data_make_revision_two_with_the_differences_on_its_first_page(first, second):
    _, account = second
    assert (account.revision, account.new) == (2, True)
    document = json.loads(account.figures.read_text(encoding="utf-8"))
    assert document["reasons"] == ["why_data"]
    changed = {(each["table"], each["column"]) for each in document["differences"]}
    assert ("corridors", "n_days") in changed
    assert len(document["differences"]) == account.n_differences
    page = account.page.read_text(encoding="utf-8")
    assert page.index("What differs from revision 1") < page.index("Is traffic worse?")
    assert "later data" in page
    assert "Differences" in workbook(account.workbook)
    old = account.folder.parent / "revision-1"
    assert {p.name: p.read_bytes() for p in old.iterdir()} == {
        p.name: p.read_bytes() for p in first.folder.iterdir()
    }


def test_a_tampered_revision_is_reported_and_never_compared_with(second):
    scene, account = second
    old, new = account.folder.parent / "revision-1" / "report.json", account.figures
    old.chmod(0o644)
    old.write_text(old.read_text(encoding="utf-8").replace("worse", "better"), encoding="utf-8")
    again = scene.report()
    assert (again.new, again.altered) == (False, ("revision-1/report.json changed",))
    new.unlink()
    third = scene.report()
    assert (third.revision, third.n_differences) == (3, 0)
    assert "revision-2/report.json missing" in third.altered
    assert "it was altered afterwards" in third.page.read_text(encoding="utf-8")


def test_a_month_without_data_says_what_to_do(built):
    with pytest.raises(InsufficientData, match=r"2026-02, 2026-03.*clearway replay"):
        report_congestion(
            built.lake, "2026-05", reports_dir=built.root, quality_dir=built.root, city=built.city
        )


@pytest.mark.parametrize("text", ["2026-3", "2026-13", "March", "2026-00", "0000-01", ""])
def test_a_malformed_month_is_wrong_use(text):
    with pytest.raises(UsageError, match="such as 2008-05"):
        month_of(text)


def test_the_command_prints_where_the_report_lies_and_the_headline(built, first):
    import typer  # noqa: PLC0415

    from clearway_cli.commands import report  # noqa: PLC0415

    app = typer.Typer()
    report.register(app)
    options = ["--data-dir", str(built.root), "--city", str(built.root / "city"), "--json"]
    result = CliRunner().invoke(app, ["report", "congestion", "--month", MONTH, *options])
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["page"] == str(first.page)
    assert answer["headline"][0]["verdict"] == "worse"


def test_all_cells_of_a_report_lie_where_people_drove(figures):
    lons = [centre_of(cell_number(row["h3_cell"]))[0] for row in figures["cells"]]
    wide = max(lon for lon, _ in boundary_of(report_lake.CENTRE)) - report_lake.LON
    assert all(abs(lon - report_lake.LON) < 2 * wide + 0.002 for lon in lons)
