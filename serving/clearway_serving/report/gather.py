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
from clearway_serving.report.comparisons import comparison_tables
from clearway_serving.report.figures import KEYS, MonthReport, Provenance, readable_cells
from clearway_serving.report.parameters import parameter_files, parameter_rows
from clearway_serving.report.sources import Sources, days_of_month, of_month
from clearway_transforms.comparison.month import Month, city_by_period
from clearway_transforms.jobs import months
from clearway_transforms.parameters import comparison_parameters, release_parameters
from clearway_transforms.release.gate import LEAST_VEHICLES
from clearway_transforms.reliability.periods import group_of

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
    published = {name: sources.public(name) for name in ("reliability", "corridor_times")}
    cells = of_month(published["reliability"], month, resolution)
    progress(1, _STEPS, "comparison")
    compared = comparison_tables(
        lake, month, held=held, published=published, resolution=resolution, time_zone=zone
    )
    progress(2, _STEPS, "corridors")
    frames = {
        **compared,
        "city": city_by_period(travel, cells.lazy()).collect(),
        "cells": cells.drop("vehicle_class", "span", "resolution"),
        **_days_and_corridors(sources, published["corridor_times"], month, city, resolution),
        "bottlenecks": of_month(sources.public("bottlenecks"), month, resolution)
        .drop("vehicle_class", "span", "resolution")
        .sort("rank", "day_group", "h3_cell", nulls_last=True),
        "anomalies": _anomalies(sources, month, resolution),
        "cleaning": evidence.cleaning(sources, month),
        "quintiles": evidence.quintiles(sources, month, city),
    }
    progress(3, _STEPS, "coverage")
    shown = {**frames, "reliability": cells, "corridor_times": frames["corridor_days"]}
    frames["suppression"] = evidence.suppression(sources, shown, month, resolution)
    progress(4, _STEPS, "places")
    places = Places(city)
    placed = {name: _with_places(rows, places, resolution) for name, rows in frames.items()}
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


def _days_and_corridors(
    sources: Sources,
    corridor_times: pl.DataFrame,
    month: Month,
    city: City | None,
    resolution: int,
) -> dict[str, pl.DataFrame]:
    days = months.days_of(sources.lake, month, resolution=resolution)
    sources.kept("corridor_travel")
    by_day, by_month = evidence.corridors(
        sources,
        days_of_month(corridor_times, month),
        days,
        month=month,
        time_zone="UTC" if city is None else city.time_zone.key,
    )
    return {
        "corridors": by_month,
        "corridor_days": by_day,
        "days": evidence.days(sources, days, city),
    }


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


def _anomalies(sources: Sources, month: Month, resolution: int) -> pl.DataFrame:
    return (
        days_of_month(sources.public("anomalies"), month)
        .filter(pl.col("resolution") == resolution)
        .drop("vehicle_class", "resolution")
        .sort("extra_h", "local_date", "h3_cell", descending=[True, False, False])
    )


def _with_places(rows: pl.DataFrame, places: Places, resolution: int) -> pl.DataFrame:
    """Return rows with their cells as text, and with where the cells lie."""
    if "h3_cell" not in rows.columns:
        return rows
    where = pl.DataFrame(
        [_whereabouts(places, cell, resolution) for cell in rows["h3_cell"].unique().sort()],
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


def _whereabouts(places: Places, cell: int, resolution: int) -> tuple[object, ...]:
    """Return a cell, its area and corridor, and how far and in which direction it lies."""
    bearing = places.bearing(cell)
    from_centre = (None, None) if bearing is None else (bearing.centre_km, bearing.direction)
    return cell, places.area(cell, resolution), places.corridor(cell, resolution), *from_centre


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
