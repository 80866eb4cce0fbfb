"""Collecting the figures of one month from the lake."""

from __future__ import annotations

import math
from importlib.metadata import version as package_version

import polars as pl

from clearway_core.city import City
from clearway_core.errors import InsufficientData
from clearway_core.geo import area_km2, cell_number
from clearway_core.lake import Lake
from clearway_core.progress import Progress
from clearway_serving.places import Places
from clearway_serving.report import evidence
from clearway_serving.report.figures import KEYS, MonthReport, Provenance, readable_cells
from clearway_serving.report.parameters import parameter_files, parameter_rows
from clearway_serving.report.sources import Sources
from clearway_serving.report.whereabouts import whereabouts
from clearway_transforms.comparison.month import Month, city_by_period
from clearway_transforms.jobs import months
from clearway_transforms.parameters import comparison_parameters, release_parameters
from clearway_transforms.release.gate import LEAST_VEHICLES
from clearway_transforms.reliability.periods import group_of

_ANSWER = (
    "change",
    "change_low",
    "change_high",
    "n_days_before",
    "n_days_after",
    "n_vehicles_before",
    "n_vehicles_after",
    "covered_before",
    "covered_after",
    "n_places",
    "verdict",
    "reasons",
)
_STEPS = 5


def month_report(
    sources: Sources, month: Month, *, city: City | None, progress: Progress
) -> MonthReport:
    """Return all figures of a month.

    Parameters
    ----------
    sources
        Where tables are read.
    month
        Which one.
    city
        Its names of places and its clock.
    progress
        Told what is being done.

    Raises
    ------
    InsufficientData
        If the month has no data; the message names the months that have.
    """
    lake = sources.lake
    resolution = _resolution(lake)
    held = months.months_held(lake, resolution=resolution)
    if month not in held:
        raise _no_data(month, held)
    zone = "UTC" if city is None else city.time_zone.key
    progress(0, _STEPS, "cells")
    travel = months.period_travel(lake, month, resolution=resolution)
    sources.kept("period_travel")
    days = months.days_of(lake, month, resolution=resolution)
    reliability = sources.public("reliability")
    corridor_times = sources.public("corridor_times")
    cells = _of_month(reliability, month, resolution)
    progress(1, _STEPS, "comparison")
    changes = {}
    for kind, other in _others(month).items():
        if other in held:
            shown = months.Shown(
                resolution=resolution,
                time_zone=zone,
                cells=_in_both(cells, _of_month(reliability, other, resolution), ["h3_cell"]),
                corridors=_in_both(
                    _days_of_month(corridor_times, month),
                    _days_of_month(corridor_times, other),
                    ["corridor", "direction"],
                ),
            )
            changes[kind] = months.compare_months(lake, month, other, shown=shown)
    progress(2, _STEPS, "corridors")
    sources.kept("corridor_travel")
    corridor_days, corridors = evidence.corridors(
        sources, _days_of_month(corridor_times, month), days, month=month, time_zone=zone
    )
    progress(3, _STEPS, "coverage")
    frames = {
        **_changes(month, changes),
        "city": city_by_period(travel, cells.lazy()).collect(),
        "cells": cells.drop("vehicle_class", "span", "resolution"),
        "corridors": corridors,
        "corridor_days": corridor_days,
        "bottlenecks": _of_month(sources.public("bottlenecks"), month, resolution)
        .drop("vehicle_class", "span", "resolution")
        .sort("rank", "day_group", "h3_cell", nulls_last=True),
        "anomalies": _anomalies(sources, month, resolution),
        "days": evidence.days(sources, days, city),
        "cleaning": evidence.cleaning(sources, month),
    }
    published = {**frames, "reliability": cells, "corridor_times": corridor_days}
    frames["suppression"] = evidence.suppression(sources, published, month, resolution)
    frames["quintiles"] = evidence.quintiles(sources, month, city)
    progress(4, _STEPS, "places")
    placed = {name: _with_places(rows, city, resolution) for name, rows in frames.items()}
    report = MonthReport(
        about=_about(month, city, resolution, placed["cells"]),
        tables={name: placed[name] for name in KEYS},
        parameters=parameter_rows(),
        provenance=Provenance(
            software=f"clearway {package_version('clearway')}",
            tables=dict(sources.versions),
            parameter_files=parameter_files(),
        ),
        withheld=_withheld(travel, cells),
    )
    progress(_STEPS, _STEPS, "done")
    return report


def _resolution(lake: Lake) -> int:
    """Return the resolution that was built last, as exports take it."""
    built = lake.table("reliability").partition_times()
    if built.is_empty():
        message = (
            "there is no reliability table yet: run `clearway build congestion` with the city of "
            "this data folder, then the report again"
        )
        raise InsufficientData(message)
    newest = built.sort("written_at", "resolution", descending=True)
    return int(newest["resolution"].to_list()[0])


def _no_data(month: Month, held: list[Month]) -> InsufficientData:
    have = ", ".join(map(str, held)) or "none"
    return InsufficientData(
        f"there are no data of {month}; months with data: {have}. Send that month's recordings "
        "(`clearway replay`, `clearway ingest run`), run `clearway build congestion`, then the "
        "report again."
    )


def _others(month: Month) -> dict[str, Month]:
    return {"previous_month": month.previous, "same_month_last_year": month.year_before}


def _of_month(rows: pl.DataFrame, month: Month, resolution: int) -> pl.DataFrame:
    mine = (pl.col("span") == str(month)) & (pl.col("resolution") == resolution)
    return rows.filter(mine)


def _days_of_month(rows: pl.DataFrame, month: Month) -> pl.DataFrame:
    return rows.filter(pl.col("local_date").is_between(month.first, month.last))


def _in_both(rows: pl.DataFrame, others: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """Return the distinct keys that both have."""
    return rows.select(key).unique().join(others, on=key, how="semi").sort(key)


def _anomalies(sources: Sources, month: Month, resolution: int) -> pl.DataFrame:
    return (
        _days_of_month(sources.public("anomalies"), month)
        .filter(pl.col("resolution") == resolution)
        .drop("vehicle_class", "resolution")
        .sort("extra_h", "local_date", "h3_cell", descending=[True, False, False])
    )


def _changes(month: Month, changes: dict[str, months.MonthChange]) -> dict[str, pl.DataFrame]:
    """Return the tables of comparisons; the headline has a row for each kind, compared or not."""
    headline = []
    for kind, other in _others(month).items():
        found = changes[kind].city if kind in changes else None
        answer = found.row(0, named=True) if found is not None and not found.is_empty() else None
        row = dict.fromkeys(_ANSWER) if answer is None else {name: answer[name] for name in _ANSWER}
        if answer is None:
            reason = "no_month" if found is None else "few_places"
            row |= {"verdict": "cannot_tell", "reasons": [reason]}
        headline.append({"kind": kind, "month": str(other), **row})
    parts = {"headline_periods": "periods", "places": "cells", "corridor_changes": "corridors"}
    keys = {"headline_periods": ["period"], "places": ["h3_cell"],
            "corridor_changes": ["corridor", "direction"]}  # fmt: skip
    tables = {
        table: pl.concat(
            [
                getattr(change, attribute).select(
                    pl.lit(kind).alias("kind"), *keys[table], *_ANSWER
                )
                for kind, change in changes.items()
            ]
        )
        if changes
        else _no_answers(keys[table])
        for table, attribute in parts.items()
    }
    frame = pl.DataFrame(headline, schema_overrides=_ANSWER_TYPES, infer_schema_length=None)
    tables = {"headline": frame, **tables}
    return {
        name: rows.with_columns(pl.col("reasons").list.join(" ")) for name, rows in tables.items()
    }


_ANSWER_TYPES: dict[str, pl.DataType | type[pl.DataType]] = {
    **{name: pl.Int64 if name.startswith("n_") else pl.Float64 for name in _ANSWER[:-2]},
    "verdict": pl.String,
    "reasons": pl.List(pl.String),
}


def _no_answers(key: list[str]) -> pl.DataFrame:
    types = {name: pl.UInt64 if name == "h3_cell" else pl.String for name in ["kind", *key]}
    return pl.DataFrame(schema={**types, **_ANSWER_TYPES})


def _with_places(rows: pl.DataFrame, city: City | None, resolution: int) -> pl.DataFrame:
    """Return rows with their cells as text, and with where the cells lie."""
    if "h3_cell" not in rows.columns:
        return rows
    places = Places(city)
    cells = rows["h3_cell"].unique().sort()
    found = [whereabouts(city, places, cell, resolution) for cell in cells]
    where = pl.DataFrame(
        [
            (cell, each.area, each.corridor, each.centre_km, each.direction)
            for cell, each in zip(cells, found, strict=True)
        ],
        schema={
            "h3_cell": pl.UInt64,
            "area": pl.String,
            "corridor": pl.String,
            "centre_km": pl.Float64,
            "direction_from_centre": pl.String,
        },
        orient="row",
    )
    return readable_cells(rows.join(where, on="h3_cell", how="left", validate="m:1"))


def _withheld(travel: pl.LazyFrame, cells: pl.DataFrame) -> pl.DataFrame:
    """Return the cells with vehicles and without a value to show, per kind of day and period.

    A cell with fewer than three vehicles looks like one that nobody drove: that somebody was there
    would already tell of a lone vehicle.
    """
    key = ["h3_cell", "period", "day_group"]
    shown = cells.filter(pl.col("tti").is_not_null()).select(key)
    several = travel.filter(pl.col("n_vehicles") >= LEAST_VEHICLES)
    driven = several.select("h3_cell", "period", day_group=group_of()).unique()
    hidden = driven.collect().join(shown, on=key, how="anti").sort(key)
    return readable_cells(hidden)


def _about(
    month: Month, city: City | None, resolution: int, cells: pl.DataFrame
) -> dict[str, object]:
    rules, comparing = release_parameters(), comparison_parameters()
    edge_m = None
    if not cells.is_empty():
        area_m2 = area_km2(cell_number(str(cells["h3_cell"].min()))) * 1e6
        edge_m = round(math.sqrt(area_m2 * 2 / (3 * math.sqrt(3))))
    return {
        "month": str(month),
        "n_days_of_month": month.n_days,
        "city": None if city is None else city.name,
        "country": None if city is None else city.country,
        "time_zone": "UTC" if city is None else city.time_zone.key,
        "synthetic": city is not None and city.synthetic,
        "resolution": resolution,
        "cell_edge_m": edge_m,
        "min_vehicles": rules.min_vehicles,
        "min_providers": rules.min_providers,
        "max_vehicle_share": rules.max_vehicle_share,
        "min_days": comparing.min_days,
        "min_places": comparing.min_places,
        "min_covered": comparing.min_covered,
        "band_city": comparing.band_city,
        "band_place": comparing.band_place,
        "comparison_level": comparing.comparison_level,
        "min_hours": comparing.min_hours,
    }
