"""Hourly air values of a day by sensor."""

from __future__ import annotations

import polars as pl
from fastapi import APIRouter
from starlette.responses import Response

from clearway_serving.answer import columns, instant_ms, json_answer, local_date
from clearway_serving.site import Site


def router(site: Site) -> APIRouter:
    """Return the routes of air quality."""
    routes = APIRouter(prefix="/api/air", tags=["air"])

    @routes.get("")
    def day(date: str, pollutant: str) -> Response:
        """Return one local day of a pollutant columnwise, complete hours and others alike."""
        start, end = site.day(local_date(date))
        rows = (
            site.published.frame("air_hourly")
            .filter(
                pl.col("pollutant") == pollutant,
                pl.col("hour_start") >= start,
                pl.col("hour_start") < end,
            )
            .sort("sensor", "hour_start")
        )
        values = rows.select(
            "sensor",
            "sensor_model",
            instant_ms("hour_start"),
            pl.col("lon_deg", "lat_deg").round(5),
            "raw_hourly_mean",
            "calibrated_hourly_mean",
            "calibrated_sd",
            "calibration_id",
            "completeness_pct",
            "complete",
        )
        unit = rows["unit"][0] if rows.height else None
        return json_answer(
            {
                "date": date,
                "pollutant": pollutant,
                "unit": unit,
                "values": columns(values, decimals=5),
            }
        )

    return routes
