"""Checks the CSV files of a city pack line by line."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from clearway_cli.city_pack.geojson import Box, SayFault, place_problem
from clearway_core.contracts.wire import VEHICLE_CLASSES

_SHARE_TOLERANCE = 0.005
_PERCENT = 100.0
_BUSIEST_ROAD_PER_H = 25_000.0
_MOST_PEOPLE = 50_000_000.0


@dataclass(slots=True)
class Sheet:
    """What is known of a table while its rows are checked.

    Parameters
    ----------
    fault
        Where faults go.
    area_deg
        Service area, if known. [°]
    area_names
        Names in ``areas.geojson``; None without that file.
    keys
        Line on which each key was first seen.
    shares
        Shares read so far.
    """

    fault: SayFault
    area_deg: Box | None
    area_names: frozenset[str] | None
    keys: dict[tuple[str, ...], int] = field(default_factory=dict)
    shares: list[float] = field(default_factory=list)

    def number(self, where: str, row: Mapping[str, str], column: str, most: float) -> float | None:
        """Return a number from 0 to `most`, or None after reporting it."""
        text = row[column].strip()
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 <= value <= most:
            hint = "; write a decimal point, not a comma" if re.fullmatch(r"\d+,\d+", text) else ""
            problem = f"{column}: expected a number from 0 to {most:g}, got {text!r}{hint}"
            self.fault(where, f"{column}_number", problem)
            return None
        return value

    def place(self, where: str, row: Mapping[str, str]) -> None:
        """Report a position that cannot be right."""
        try:
            position = float(row["lon_deg"]), float(row["lat_deg"])
        except ValueError:
            problem = f"expected degrees, got {row['lon_deg']!r}, {row['lat_deg']!r}"
            self.fault(where, "position", problem)
            return
        problem_of_place = place_problem([position], self.area_deg)
        if problem_of_place is not None:
            self.fault(where, *problem_of_place)

    def unique(self, where: str, line: int, key: tuple[str, ...]) -> None:
        """Report a key that was there before."""
        if key in self.keys:
            shown = ", ".join(key)
            self.fault(where, "doubled", f"{shown} was already given in line {self.keys[key]}")
        self.keys.setdefault(key, line)

    def filled(self, where: str, row: Mapping[str, str], column: str) -> None:
        """Report an empty text."""
        if not row[column].strip():
            self.fault(where, f"{column}_empty", f"expected a {column}, got an empty cell")


Row = Callable[[Sheet, str, int, Mapping[str, str]], None]


@dataclass(frozen=True, slots=True)
class TableRule:
    """Columns that a table needs, and how a row is checked."""

    columns: tuple[str, ...]
    row: Row


def check_table(
    file: Path, *, area_deg: Box | None, area_names: frozenset[str] | None, fault: SayFault
) -> None:
    """Report every fault of a CSV file.

    Parameters
    ----------
    file
        The file; its name says which table it is.
    area_deg
        Service area; None if it is not known. [°]
    area_names
        Names in ``areas.geojson``; None without that file.
    fault
        Called for each fault.
    """
    rule = TABLES[file.name]
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        fault("file", "encoding", f"expected UTF-8 text, got other bytes ({error}); save as UTF-8")
        return
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    skipped = len(text.splitlines()) - len(lines)
    reader = csv.DictReader(io.StringIO("\n".join(lines)), strict=True)
    try:
        header = reader.fieldnames or []
    except csv.Error as error:
        fault(f"line {1 + skipped}", "csv", f"is not CSV: {error}")
        return
    lacking = [column for column in rule.columns if column not in header]
    if lacking:
        found = ", ".join(header) or "nothing"
        hint = "; separate columns by commas" if len(header) == 1 and ";" in header[0] else ""
        problem = f"expected the columns {', '.join(lacking)}, found {found}{hint}"
        fault(f"line {1 + skipped}", "header", problem)
        return
    sheet = Sheet(fault=fault, area_deg=area_deg, area_names=area_names)
    count = _check_rows(reader, rule, sheet, skipped, len(header))
    if count == 0:
        fault("file", "empty", "expected at least one row; delete the file if there is none")
    if file.name == "fleet.csv" and sheet.shares:
        _check_shares(sheet)


def _check_rows(
    reader: csv.DictReader[str], rule: TableRule, sheet: Sheet, skipped: int, width: int
) -> int:
    count = 0
    try:
        for row in reader:
            count += 1
            line = reader.line_num + skipped
            where = f"line {line}"
            if None in row or None in row.values():
                sheet.fault(where, "cells", f"expected {width} cells, as in the header")
                continue
            rule.row(sheet, where, line, row)
    except csv.Error as error:
        sheet.fault(f"line {reader.line_num + skipped}", "csv", f"is not CSV: {error}")
    return count


def _check_shares(sheet: Sheet) -> None:
    total = sum(sheet.shares)
    if abs(total - 1) <= _SHARE_TOLERANCE:
        return
    hint = "; divide per cent by 100" if abs(total - _PERCENT) < 1 else ""
    sheet.fault("column share", "share_sum", f"expected shares that sum to 1, got {total:g}{hint}")


def _count_row(sheet: Sheet, where: str, line: int, row: Mapping[str, str]) -> None:
    sheet.place(where, row)
    _hour(sheet, where, row["hour_start"].strip())
    vehicle_class = row["vehicle_class"].strip()
    if vehicle_class not in {*VEHICLE_CLASSES, "all"}:
        known = ", ".join((*VEHICLE_CLASSES, "all"))
        problem = f"vehicle_class: expected one of {known}, got {vehicle_class!r}"
        sheet.fault(where, "vehicle_class", problem)
    sheet.number(where, row, "vehicles_per_hour", _BUSIEST_ROAD_PER_H)
    key = tuple(row[c].strip() for c in ("lon_deg", "lat_deg", "hour_start", "vehicle_class"))
    sheet.unique(where, line, key)


def _hour(sheet: Sheet, where: str, text: str) -> None:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        problem = f"hour_start: expected ISO 8601 such as 2026-01-15T07:00:00+07:00, got {text!r}"
        sheet.fault(where, "hour_start", problem)
        return
    if instant.tzinfo is None:
        problem = f"hour_start: {text!r} has no offset; write it, such as +07:00, or Z for UTC"
        sheet.fault(where, "hour_start_offset", problem)
    if instant.minute or instant.second:
        sheet.fault(where, "hour_start_full", f"hour_start: expected a full hour, got {text!r}")


def _fleet_row(sheet: Sheet, where: str, line: int, row: Mapping[str, str]) -> None:
    name = row["emission_class"].strip()
    known = _emission_classes()
    if known and name not in known:
        problem = f"emission_class: {name!r} has no factors; known: {', '.join(sorted(known))}"
        sheet.fault(where, "emission_class", problem)
    share = sheet.number(where, row, "share", _PERCENT)
    if share is not None:
        sheet.shares.append(share)
    sheet.filled(where, row, "source")
    sheet.unique(where, line, (name,))


def _emission_classes() -> frozenset[str]:
    """Return the classes that the factor files know."""
    from importlib import resources

    file = resources.files("clearway_models") / "params" / "vehicle_classes.csv"
    rows = csv.DictReader(io.StringIO(file.read_text(encoding="utf-8")))
    return frozenset(row["emission_class"] for row in rows)


def _population_row(sheet: Sheet, where: str, line: int, row: Mapping[str, str]) -> None:
    area = row["area"].strip()
    if sheet.area_names is not None and area not in sheet.area_names:
        known = ", ".join(sorted(sheet.area_names))
        problem = f"area: {area!r} is not in areas.geojson, which has {known}"
        sheet.fault(where, "area", problem)
    population = sheet.number(where, row, "population", _MOST_PEOPLE)
    if population is not None and population % 1:
        sheet.fault(where, "population_whole", f"population: expected whole people: {population}")
    sheet.number(where, row, "income_per_person", 1e12)
    sheet.filled(where, row, "source")
    sheet.unique(where, line, (area,))


def _site_row(sheet: Sheet, where: str, line: int, row: Mapping[str, str]) -> None:
    name = row["gateway"].strip()
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}", name) is None:
        problem = f"gateway: expected letters, digits and _ . : -, got {name!r}"
        sheet.fault(where, "gateway", problem)
    sheet.place(where, row)
    sheet.unique(where, line, (name,))


def _holiday_row(sheet: Sheet, where: str, line: int, row: Mapping[str, str]) -> None:
    from clearway_core.calendar import named_day_of

    _parsed(sheet, where, lambda: named_day_of(row))
    sheet.filled(where, row, "name")
    sheet.unique(where, line, (row["date"].strip(),))


def _term_row(sheet: Sheet, where: str, line: int, row: Mapping[str, str]) -> None:
    from clearway_core.calendar import term_of

    _parsed(sheet, where, lambda: term_of(row))
    sheet.filled(where, row, "name")
    sheet.unique(where, line, (row["start_date"].strip(), row["name"].strip()))


def _event_row(sheet: Sheet, where: str, line: int, row: Mapping[str, str]) -> None:
    from clearway_core.calendar import event_of

    _parsed(sheet, where, lambda: event_of(row, UTC))
    sheet.filled(where, row, "name")
    area = (row.get("area") or "").strip()
    if area and sheet.area_names is not None and area not in sheet.area_names:
        known = ", ".join(sorted(sheet.area_names))
        sheet.fault(where, "area", f"area: {area!r} is not in areas.geojson, which has {known}")
    sheet.unique(where, line, (row["start"].strip(), row["name"].strip()))


def _parsed(sheet: Sheet, where: str, parse: Callable[[], object]) -> None:
    """Report what the calendar could not read in a row, under the name of its column."""
    try:
        parse()
    except ValueError as error:
        sheet.fault(where, str(error).partition(":")[0], str(error))


TABLES: Mapping[str, TableRule] = {
    "traffic_counts.csv": TableRule(
        ("lon_deg", "lat_deg", "hour_start", "vehicle_class", "vehicles_per_hour"), _count_row
    ),
    "fleet.csv": TableRule(("emission_class", "share", "source"), _fleet_row),
    "population.csv": TableRule(
        ("area", "population", "income_per_person", "source"), _population_row
    ),
    "gateway_sites.csv": TableRule(("gateway", "lon_deg", "lat_deg"), _site_row),
    "holidays.csv": TableRule(("date", "name"), _holiday_row),
    "school_terms.csv": TableRule(("start_date", "end_date", "name"), _term_row),
    "events.csv": TableRule(("start", "end", "name"), _event_row),
}
"""Every table of a pack."""
