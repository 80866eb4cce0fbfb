"""Travel times of a day along the corridors of the city pack."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from fastapi import APIRouter
from starlette.responses import Response

from clearway_core.contracts.corridor_tables import WINDOW
from clearway_core.corridor_lines import Corridor, read_corridors
from clearway_serving.answer import columns, instant_ms, json_answer, local_date
from clearway_serving.site import Site

WINDOW_MINUTES = 60
"""An hour is observed more often than a quarter of it."""


def router(site: Site) -> APIRouter:
    """Return the routes of corridors."""
    routes = APIRouter(prefix="/api/corridors", tags=["corridors"])

    @routes.get("")
    def day(date: str, vehicle_class: str = "all") -> Response:
        """Return the lines, and columnwise what is published of the hours of one local day."""
        lines = read_corridors(site.city)
        return json_answer(
            {
                "date": date,
                "window_minutes": WINDOW_MINUTES,
                "corridors": [
                    {"name": line.name, "direction": line.direction, "line": line.line}
                    for line in lines
                ],
                "values": columns(_hours(site, lines, date, vehicle_class)),
            }
        )

    return routes


def _hours(site: Site, lines: Sequence[Corridor], date: str, vehicle_class: str) -> pl.DataFrame:
    """Return the published hours of a local day; ``corridor`` is the place of its line."""
    start, end = site.day(local_date(date))
    places = pl.DataFrame(
        [(line.name, line.direction, number) for number, line in enumerate(lines)],
        schema={"corridor": pl.String, "direction": pl.String, "place": pl.Int64},
        orient="row",
    )
    rows = (
        site.published.frame("corridor_times")
        .filter(
            pl.col("period") == WINDOW,
            pl.col("window_minutes") == WINDOW_MINUTES,
            pl.col("vehicle_class") == vehicle_class,
            pl.col("window_start") >= start,
            pl.col("window_start") < end,
        )
        .join(places, on=["corridor", "direction"], how="inner", validate="m:1")
        .sort("place", "window_start")
    )
    return rows.select(
        pl.col("place").alias("corridor"),
        instant_ms("window_start"),
        "status",
        "travel_time_min",
        "interval_low_min",
        "interval_high_min",
        "free_flow_min",
        "free_flow_method",
        "tti",
        "observed_length_share",
        "n_vehicles",
    )
