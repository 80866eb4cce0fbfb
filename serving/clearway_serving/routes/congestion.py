"""Congestion of a day by cell and window, and of one cell in detail."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from fastapi import APIRouter
from starlette.responses import Response

from clearway_core.errors import UsageError
from clearway_core.geo import cell_number, cell_text
from clearway_serving.answer import columns, instant_ms, json_answer, local_date, not_found
from clearway_serving.published import NothingPublished, Product
from clearway_serving.site import Site

_SHOWN = (
    "space_mean_kmh",
    "interval_low_kmh",
    "interval_high_kmh",
    "free_flow_kmh",
    "tti",
    "n_vehicles",
    "n_pings",
    "quality",
    "source_class",
)


def router(site: Site) -> APIRouter:
    """Return the routes of congestion."""
    routes = APIRouter(prefix="/api/congestion", tags=["congestion"])

    @routes.get("")
    def day(
        date: str, resolution: int, window_minutes: int, vehicle_class: str = "all"
    ) -> Response:
        """Return one local day columnwise: cells, windows, and values that refer to both."""
        product = Product(resolution=resolution, window_minutes=window_minutes)
        frame = site.published.frame("congestion", product)
        chosen = frame.filter(pl.col("vehicle_class") == vehicle_class)
        return json_answer(_day(site, chosen, date, window_minutes=window_minutes))

    @routes.get("/cells/{h3_cell}")
    def cell(h3_cell: str, resolution: int, window_minutes: int) -> Response:
        """Return everything that is published of one cell."""
        product = Product(resolution=resolution, window_minutes=window_minutes)
        return json_answer(_cell(site, product, h3_cell))

    return routes


def _cell(site: Site, product: Product, h3_cell: str) -> dict[str, object]:
    try:
        number = cell_number(h3_cell)
    except UsageError as error:
        raise not_found(str(error)) from None
    resolution = product.resolution
    frame = site.published.frame("congestion", product)
    rows = frame.filter(pl.col("h3_cell") == number).sort("vehicle_class", "window_start")
    if rows.is_empty():
        message = f"nothing is published of cell {h3_cell} at resolution {resolution}"
        raise not_found(message)
    values = rows.select(
        instant_ms("window_start"),
        "vehicle_class",
        *_SHOWN,
        "free_flow_method",
        "delay_s_per_km",
    )
    return {
        "h3_cell": h3_cell,
        "place": site.places.name(number, resolution),
        "area": site.places.area(number, resolution),
        "corridor": site.places.corridor(number, resolution),
        "resolution": resolution,
        "window_minutes": product.window_minutes,
        "values": columns(values),
        "emissions": _emissions(site, number, resolution),
    }


def _day(site: Site, frame: pl.DataFrame, date: str, *, window_minutes: int) -> dict[str, object]:
    start, end = site.day(local_date(date))
    cells = frame["h3_cell"].unique().sort()
    rows = frame.filter(pl.col("window_start") >= start, pl.col("window_start") < end)
    rows = rows.sort("window_start", "h3_cell")
    windows = _axis(rows["window_start"].unique().dt.epoch("ms").to_list(), window_minutes)
    places = {number: n for n, number in enumerate(cells)}
    steps = {moment: n for n, moment in enumerate(windows)}
    values = rows.select(
        pl.col("h3_cell").replace_strict(places, return_dtype=pl.Int64).alias("cell"),
        instant_ms("window_start").replace_strict(steps, return_dtype=pl.Int64).alias("window"),
        *_SHOWN,
    )
    resolution = int(rows["resolution"][0]) if rows.height else 0
    return {
        "date": date,
        "settled": site.published.settled(start),
        "window_minutes": window_minutes,
        "windows": windows,
        "cells": [cell_text(number) for number in cells],
        "places": [site.places.name(number, resolution) for number in cells],
        "areas": [site.places.area(number, resolution) for number in cells],
        "corridors": [site.places.corridor(number, resolution) for number in cells],
        "values": columns(values),
        "city": columns(_city(rows, windows)),
    }


def _axis(starts_ms: Sequence[int], window_minutes: int) -> list[int]:
    """Return every window from the first to the last: silence is shown, not skipped."""
    if not starts_ms:
        return []
    step_ms = window_minutes * 60_000
    return list(range(min(starts_ms), max(starts_ms) + step_ms, step_ms))


def _city(rows: pl.DataFrame, windows: list[int]) -> pl.DataFrame:
    """Return the city's figures per window from what is published.

    A cell weighs as much as its GPS fixes, which stand for the time that vehicles spent there, so
    speed is distance over time and the index is time over free-flow time, as within a cell.
    """
    weighed = rows.filter(pl.col("space_mean_kmh").is_not_null(), pl.col("tti").is_not_null())
    time_spent = pl.col("n_pings").cast(pl.Float64)
    by_window = weighed.group_by(instant_ms("window_start").alias("window_start")).agg(
        ((pl.col("space_mean_kmh") * time_spent).sum() / time_spent.sum()).alias("space_mean_kmh"),
        (time_spent.sum() / (time_spent / pl.col("tti")).sum()).alias("tti"),
        pl.len().alias("n_cells"),
    )
    axis = pl.DataFrame({"window_start": windows}, schema={"window_start": pl.Int64})
    return axis.join(by_window, on="window_start", how="left", validate="1:1").sort("window_start")


def _emissions(site: Site, h3_cell: int, resolution: int) -> list[dict[str, object]]:
    """Return the fleet's emission per kilometre in this cell, newest window first; may be empty."""
    try:
        products = site.published.products("cell_emissions")
        same = [product for product in products if product.resolution == resolution]
        if not same:
            return []
        frame = site.published.frame("cell_emissions", same[0])
    except NothingPublished:
        return []
    rows = frame.filter(pl.col("h3_cell") == h3_cell, pl.col("emission_class") == "fleet")
    shown = rows.select(
        instant_ms("window_start"),
        "window_minutes",
        "pollutant",
        pl.col("emission_gkm", "interval_low_gkm", "interval_high_gkm").round(4),
    )
    return shown.sort("pollutant", "window_start").to_dicts()
