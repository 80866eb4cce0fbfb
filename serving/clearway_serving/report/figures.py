"""The figures of a report: tables of values that may be published, and where they come from."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

import polars as pl

from clearway_core.geo import cell_text

FORMAT = "congestion_report/1"

KEYS: Mapping[str, tuple[str, ...]] = {
    "headline": ("kind",),
    "headline_periods": ("kind", "period"),
    "places": ("kind", "h3_cell"),
    "corridor_changes": ("kind", "corridor", "direction"),
    "city": ("day_group", "period"),
    "cells": ("h3_cell", "period", "day_group"),
    "corridors": ("corridor", "direction", "day_group", "period"),
    "corridor_days": ("corridor", "direction", "period", "local_date"),
    "bottlenecks": ("day_group", "h3_cell", "start_minute"),
    "anomalies": ("local_date", "h3_cell", "window_start"),
    "days": ("local_date",),
    "cleaning": ("rule",),
    "suppression": ("table",),
    "quintiles": ("quintile",),
}
"""Tables of figures, in the order of the report, with the columns that name a row."""

UNITS: Mapping[str, str] = {
    "change": "1",
    "change_low": "1",
    "change_high": "1",
    "covered_before": "1",
    "covered_after": "1",
    "centre_km": "km",
    "length_m": "m",
    "travel_time_min": "min",
    "interval_low_min": "min",
    "interval_high_min": "min",
    "free_flow_min": "min",
    "p95_min": "min",
    "share": "1",
    "withheld_share": "1",
    "space_mean_kmh": "km/h",
    "population": "1",
    "rows_suppressed": "1",
    "rows_suppressed_low": "1",
    "rows_suppressed_high": "1",
    "cells_suppressed": "1",
    "people_suppressed": "1",
}
"""Units of columns that no contract of the lake describes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What the figures were made from and with.

    Parameters
    ----------
    software
        Name and version.
    tables
        Delta version of each table that was read.
    parameter_files
        SHA-256 of each parameter file.
    """

    software: str
    tables: Mapping[str, int]
    parameter_files: Mapping[str, str]

    def as_dict(self) -> dict[str, object]:
        """Return it for JSON."""
        return {
            "software": self.software,
            "tables": dict(sorted(self.tables.items())),
            "parameter_files": dict(sorted(self.parameter_files.items())),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthReport:
    """All figures of one month.

    Parameters
    ----------
    about
        Plain facts: month, city, country, time_zone, synthetic, resolution, cell_edge_m,
        n_days_of_month, and the demands that texts name.
    tables
        One frame per name of `KEYS`; cells are 15-digit hex text.
    parameters
        Every parameter that was used: file, name, value, unit, status, source.
    provenance
        Where the figures come from.
    withheld
        Cells in which vehicles were but of which nothing may be shown, per day_group and period;
        for the map, which shows that and no more.
    """

    about: Mapping[str, object]
    tables: Mapping[str, pl.DataFrame]
    parameters: pl.DataFrame
    provenance: Provenance
    withheld: pl.DataFrame = field(repr=False)

    def rows(self, table: str) -> list[dict[str, object]]:
        """Return the rows of a table as they stand in JSON."""
        return [
            {name: plain(value) for name, value in row.items()}
            for row in self.tables[table].iter_rows(named=True)
        ]

    def figures(self) -> dict[str, object]:
        """Return everything that makes one revision differ from another."""
        return {"about": dict(self.about), **{name: self.rows(name) for name in KEYS}}


def plain(value: object) -> object:
    """Return a value as JSON holds it: days and instants as ISO 8601, no NaN."""
    match value:
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case float() if not math.isfinite(value):
            return None
        case list():
            return [plain(each) for each in value]
        case _:
            return value


def canonical(figures: Mapping[str, object]) -> str:
    """Return figures as text that is the same for the same figures."""
    return json.dumps(figures, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def readable_cells(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows with cells as the 15-digit hex text that people and exports use."""
    texts = pl.Series([cell_text(number) for number in rows["h3_cell"]], dtype=pl.String)
    return rows.with_columns(h3_cell=texts)
