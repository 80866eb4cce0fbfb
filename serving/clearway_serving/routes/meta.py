"""What there is to see: city, products, days, and what each table's gate said."""

from __future__ import annotations

from importlib.metadata import version as package_version

import polars as pl
from fastapi import APIRouter
from starlette.responses import FileResponse, Response

from clearway_serving.answer import json_answer, not_found
from clearway_serving.instants import iso
from clearway_serving.published import NothingPublished
from clearway_serving.site import Site

_BASE_MAP = ("roads", "water")
_NOT_BUILT = (
    "Nothing was built yet: `clearway build congestion` makes the map, `clearway quality check` "
    "lets it be shown."
)
_WITHHELD = (
    "Every value was withheld: too few vehicles in each cell and window. Larger ones may show "
    "more: `clearway build congestion --resolution 8 --window 1h`."
)
_EMPTY_COLLECTION = {"type": "FeatureCollection", "features": []}


def router(site: Site) -> APIRouter:
    """Return the routes of the site's own description."""
    routes = APIRouter(tags=["meta"])

    @routes.api_route("/healthz", methods=["GET", "HEAD"])
    def healthz() -> Response:
        """Say that the server answers; it reads nothing."""
        return json_answer({"status": "ok"})

    @routes.get("/api/meta")
    def meta() -> Response:
        """Return the city, and what is published of it."""
        return json_answer(
            {
                "city": _city(site),
                "time_zone": site.time_zone.key,
                "internal": site.published.internal,
                "software_version": package_version("clearway"),
                "approval_url": site.approval_url,
                "congestion": _congestion(site),
                "corridors": _corridors(site),
                "air": _air(site),
                "gates": {name: _gate(site, name) for name in ("congestion", "air_hourly")},
            }
        )

    @routes.get("/api/base-map/{layer}")
    def base_map(layer: str) -> Response:
        """Return the city pack's lines of a layer; an empty collection where it has none."""
        return _base_map(site, layer)

    @routes.get("/api/areas")
    def areas() -> Response:
        """Return the names of the city's areas with a place for each name."""
        return json_answer(site.places.labels())

    return routes


def _base_map(site: Site, layer: str) -> Response:
    if layer not in _BASE_MAP:
        message = f"the base map has {', '.join(_BASE_MAP)}, not {layer}"
        raise not_found(message)
    path = site.city.file(f"{layer}.geojson") if site.city is not None else None
    if path is None:
        return json_answer(_EMPTY_COLLECTION)
    return FileResponse(path, media_type="application/geo+json")


def _city(site: Site) -> dict[str, object] | None:
    city = site.city
    if city is None:
        return None
    return {
        "name": city.name,
        "country": city.country,
        "currency": city.currency,
        "price_year": city.price_year,
        "service_area_deg": city.service_area_deg,
        "synthetic": city.synthetic,
        "missing": city.missing(),
    }


def _congestion(site: Site) -> dict[str, object]:
    products = []
    try:
        for product in site.published.products("congestion"):
            frame = site.published.frame("congestion", product)
            products.append(
                {
                    "resolution": product.resolution,
                    "window_minutes": product.window_minutes,
                    "n_rows": frame.height,
                    "dates": _local_dates(site, frame, "window_start"),
                    "vehicle_classes": sorted(frame["vehicle_class"].unique()),
                    "fewest_vehicles": frame["n_vehicles"].min(),
                }
            )
    except NothingPublished as nothing:
        return {"available": False, "reason": str(nothing), "products": []}
    shown = [product for product in products if product["n_rows"]]
    reason = None if shown else _WITHHELD if products else _NOT_BUILT
    return {"available": bool(shown), "reason": reason, "products": shown}


def _corridors(site: Site) -> dict[str, object]:
    try:
        frame = site.published.frame("corridor_times")
    except NothingPublished as nothing:
        return {"available": False, "reason": str(nothing), "dates": []}
    return {
        "available": not frame.is_empty(),
        "reason": None,
        "dates": _local_dates(site, frame, "window_start"),
    }


def _air(site: Site) -> dict[str, object]:
    try:
        frame = site.published.frame("air_hourly")
    except NothingPublished as nothing:
        return {"available": False, "reason": str(nothing), "pollutants": [], "dates": []}
    pollutants = frame.select("pollutant", "unit").unique().sort("pollutant").to_dicts()
    return {
        "available": not frame.is_empty(),
        "reason": None,
        "pollutants": pollutants,
        "dates": _local_dates(site, frame, "hour_start"),
    }


def _local_dates(site: Site, frame: pl.DataFrame, column: str) -> list[str]:
    local = frame.select(pl.col(column).dt.convert_time_zone(site.time_zone.key).dt.date())
    return [day.isoformat() for day in local[column].unique().sort()]


def _gate(site: Site, table: str) -> dict[str, object]:
    """Return the last result of the quality gate for the version that is shown."""
    shown = site.published.version(table)
    newest = site.published.lake.table(table).version()
    checks = (
        site.published.lake.table("quality_checks")
        .scan()
        .filter(pl.col("table_name") == table, pl.col("table_version") == (shown or 0))
        .sort("checked_at", descending=True)
        .head(1)
        .collect()
    )
    row = checks.to_dicts()[0] if checks.height and shown is not None else None
    return {
        "shown_version": shown,
        "newest_version": newest,
        "passed": None if row is None else row["passed"],
        "checked_at": None if row is None else iso(row["checked_at"]),
        "n_expectations": None if row is None else row["n_expectations"],
    }
