"""Reads an agency's test drives: one CSV row per drive from end to end of a corridor."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, tzinfo
from pathlib import Path

import polars as pl

from clearway_core.settings import raise_faults

MINUTES, SECONDS = "travel_time_min", "travel_time_s"

NEEDED = ("corridor", "direction", "started_at")

_LONGEST_MIN = 360.0
"""Six hours for one street is a mistake of unit: seconds under the name of minutes. [min]"""

Drive = tuple[str, str, datetime, float]


def read_drives(
    file: Path, *, corridors: Collection[tuple[str, str]], time_zone: tzinfo
) -> pl.DataFrame:
    """Return the drives of a file.

    Parameters
    ----------
    file
        CSV with a header: corridor, direction, started_at and travel_time_min or travel_time_s;
        other columns are not read.
    corridors
        Names and directions that exist.
    time_zone
        Clock of times without an offset.

    Returns
    -------
    polars.DataFrame
        corridor, direction, started_at (UTC) and travel_time_min.

    Raises
    ------
    SettingsError
        With every fault of the file: line, value, remedy.
    """
    faults: list[str] = []
    drives: dict[Drive, int] = {}
    for line, row in _rows(file, faults):
        drive = _drive(row, f"{file}, line {line}", corridors, time_zone, faults)
        if drive is not None and drive in drives:
            faults.append(
                f"{file}, line {line}: the same drive as in line {drives[drive]}; delete one"
            )
        elif drive is not None:
            drives[drive] = line
    if not drives and not faults:
        faults.append(f"{file}: expected one line per drive below the header, found none")
    raise_faults(faults)
    schema: dict[str, pl.DataType | type[pl.DataType]] = {
        "corridor": pl.String,
        "direction": pl.String,
        "started_at": pl.Datetime("us", "UTC"),
        MINUTES: pl.Float64,
    }
    return pl.DataFrame(list(drives), schema=schema, orient="row")


def _rows(file: Path, faults: list[str]) -> list[tuple[int, Mapping[str, str]]]:
    """Return line numbers and cells, none after reporting that the file is no such table."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        faults.append(f"{file}: expected UTF-8 text ({error}); save it as CSV UTF-8")
        return []
    except OSError as error:
        faults.append(f"{file}: cannot be read: {error.strerror}; give the path of a CSV file")
        return []
    reader = csv.DictReader(io.StringIO(text))
    held = [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = held
    missing = [name for name in NEEDED if name not in held]
    if MINUTES not in held and SECONDS not in held:
        missing.append(f"{MINUTES} or {SECONDS}")
    if missing:
        hint = "; separate columns by commas" if len(held) == 1 and ";" in held[0] else ""
        faults.append(
            f"{file}, line 1: expected columns {', '.join(missing)}, got {', '.join(held)}{hint}"
        )
        return []
    return [
        (reader.line_num, {name: (row.get(name) or "").strip() for name in held})
        for row in reader
        if any(cell for name, cell in row.items() if name is not None)
    ]


def _drive(
    row: Mapping[str, str],
    where: str,
    corridors: Collection[tuple[str, str]],
    time_zone: tzinfo,
    faults: list[str],
) -> Drive | None:
    place = row["corridor"], row["direction"]
    before = len(faults)
    if place not in corridors:
        names = sorted({name for name, _ in corridors})
        known = sorted(way for name, way in corridors if name == place[0])
        wanted = (
            f"a direction of it ({', '.join(known)})" if known else f"one of {', '.join(names)}"
        )
        got = f"direction {place[1]!r}" if known else f"corridor {place[0]!r}"
        faults.append(f"{where}: {got}: expected {wanted}, as in the city pack")
    started_at = _instant(row["started_at"], time_zone)
    if started_at is None:
        faults.append(
            f"{where}: started_at {row['started_at']!r}: expected a time such as 2026-01-15T07:30 "
            "by the city's clock, or with an offset"
        )
    minutes = _minutes(row)
    if minutes is None:
        name = MINUTES if row.get(MINUTES) else SECONDS
        faults.append(
            f"{where}: {name} {row.get(name, '')!r}: expected a number above 0 and up to "
            f"{_LONGEST_MIN:g} minutes, with a decimal point; are minutes and seconds confused?"
        )
    if len(faults) > before or started_at is None or minutes is None:
        return None
    return (*place, started_at, minutes)


def _instant(text: str, time_zone: tzinfo) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    if found.tzinfo is None:
        found = found.replace(tzinfo=time_zone)
    return found.astimezone(UTC)


def _minutes(row: Mapping[str, str]) -> float | None:
    text, per_minute = (row[MINUTES], 1.0) if row.get(MINUTES) else (row.get(SECONDS, ""), 60.0)
    try:
        minutes = float(text) / per_minute
    except ValueError:
        return None
    return minutes if math.isfinite(minutes) and 0 < minutes <= _LONGEST_MIN else None
