"""A small lake with values that may be shown and values that must not, for the serving tests."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from clearway_core.city import City, read_city
from clearway_core.geo import boundary_of, cell_at, centre_of, disk
from clearway_core.lake import Lake

CENTRE = cell_at(100.523, 13.752, 9)
CELLS = disk(CENTRE, 2)
"""19 cells around the middle of a made-up city."""
FEW_VEHICLES_CELL = CELLS[3]
"""Its rows rest on four vehicles: never to be shown."""
DOMINATED_CELL = CELLS[5]
"""Enough vehicles, but one of them drove nine tenths of the time."""
FEW = 4
LEAST = 10
FIRST_WINDOW = datetime(2026, 1, 14, 23, 30, tzinfo=UTC)
"""06:30 on 15 January in Bangkok."""
N_WINDOWS = 8
QUIET_WINDOW = 5
"""A window in which only a few cells have a value."""


def rows(window_minutes: int = 15, resolution: int = 9) -> pl.DataFrame:
    """Return rows of `congestion`, those to be withheld included."""
    made = []
    for step in range(N_WINDOWS):
        start = FIRST_WINDOW + timedelta(minutes=window_minutes * step)
        for place, cell in enumerate(CELLS):
            if step == QUIET_WINDOW and place % 4:
                continue
            slow = 1.0 + 0.25 * step + 0.05 * place
            speed = 40.0 / slow
            vehicles = FEW if cell == FEW_VEHICLES_CELL else 12 + place
            made.append(
                {
                    "resolution": resolution,
                    "window_minutes": window_minutes,
                    "window_date": start.date(),
                    "h3_cell": cell,
                    "window_start": start,
                    "vehicle_class": "all",
                    "space_mean_kmh": speed,
                    "interval_low_kmh": speed * 0.9,
                    "interval_high_kmh": speed * 1.1,
                    "n_vehicles": vehicles,
                    "n_providers": 1,
                    "n_pings": vehicles * 10,
                    "n_legs": vehicles * 9,
                    "quality": "ABC"[place % 3],
                    "source_class": "observed",
                    "free_flow_kmh": 40.0,
                    "free_flow_method": "cell_p85",
                    "tti": slow,
                    "congestion_index": 1 - 1 / slow,
                    "delay_s_per_km": 3600 / speed - 90,
                }
            )
    return pl.DataFrame(made, schema_overrides={"h3_cell": pl.UInt64})


def sums(congestion: pl.DataFrame) -> pl.DataFrame:
    """Return `cell_travel` of the same cells and windows."""
    duration_ms = pl.col("n_vehicles") * 60_000
    share = pl.when(pl.col("h3_cell") == DOMINATED_CELL).then(0.9).otherwise(0.2)
    zero = pl.lit(0, pl.Int64)
    return congestion.select(
        "resolution",
        "window_minutes",
        "window_date",
        "h3_cell",
        "window_start",
        "vehicle_class",
        (duration_ms * pl.col("space_mean_kmh") / 3.6).cast(pl.Int64).alias("distance_mm"),
        duration_ms.alias("duration_ms"),
        zero.alias("dwell_ms"),
        "n_pings",
        "n_legs",
        duration_ms.alias("gap_15s_ms"),
        *(zero.alias(name) for name in ("gap_60s_ms", "gap_120s_ms", "gap_long_ms")),
        zero.alias("reported_ms"),
        "n_vehicles",
        "n_providers",
        (share * duration_ms).cast(pl.Int64).alias("top_vehicle_ms"),
        *(
            zero.alias(name)
            for name in ("distance_sq_dm2", "duration_sq_ds2", "distance_duration_dm_ds")
        ),
    )


def released(congestion: pl.DataFrame) -> pl.DataFrame:
    """Return `released_travel` of the same cells and windows: what the gate would let through."""
    passing = (pl.col("n_vehicles") >= LEAST) & (
        pl.col("top_vehicle_ms") <= pl.col("duration_ms") * 0.5
    )
    return (
        sums(congestion)
        .filter(passing)
        .with_columns(release_date=pl.col("window_date"), time_zone=pl.lit("UTC"))
    )


def free_flow() -> pl.DataFrame:
    """Return rows of `free_flow` of the same cells."""
    return (
        rows()
        .group_by("resolution", "window_minutes", "h3_cell", "vehicle_class", "free_flow_kmh")
        .agg(
            pl.col("free_flow_method").first(),
            pl.len().cast(pl.Int64).alias("n_windows"),
            pl.col("n_vehicles").max(),
            pl.col("window_start").min().alias("look_back_start"),
            pl.col("window_start").max().alias("look_back_end"),
        )
    )


def air_rows() -> pl.DataFrame:
    """Return rows of `air_hourly`: two sensors, three hours, one hour incomplete."""
    made = []
    for sensor, cell in (("air-1", CELLS[0]), ("air-2", CELLS[9])):
        lon_deg, lat_deg = centre_of(cell)
        for hour in range(3):
            start = FIRST_WINDOW.replace(minute=0) + timedelta(hours=hour)
            complete = (sensor, hour) != ("air-2", 1)
            made.append(
                {
                    "sensor": sensor,
                    "sensor_model": "PMS5003",
                    "hour_start": start,
                    "hour_date": start.date(),
                    "h3_cell": cell,
                    "lon_deg": lon_deg,
                    "lat_deg": lat_deg,
                    "pollutant": "pm2_5",
                    "unit": "µg/m³",
                    "raw_hourly_mean": 40.0 + hour,
                    "calibrated_hourly_mean": 30.0 + hour,
                    "calibrated_sd": 3.0,
                    "calibration_id": "humidity-1",
                    "n_readings": 58,
                    "n_rejected": 2,
                    "completeness_pct": 97.0 if complete else 40.0,
                    "complete": complete,
                }
            )
    return pl.DataFrame(made, schema_overrides={"h3_cell": pl.UInt64})


def passed(lake: Lake, table: str, *, passed: bool = True) -> None:
    """Write down that the newest version of a table was checked."""
    version = lake.table(table).version()
    assert version is not None
    lake.table("quality_checks").append(
        pl.DataFrame(
            {
                "table_name": [table],
                "table_version": [version],
                "passed": [passed],
                "n_rows": [1],
                "n_expectations": [12],
                "n_failed": [0 if passed else 1],
                "failures_json": ["[]"],
                "checked_at": [datetime(2026, 1, 15, 3, tzinfo=UTC)],
            }
        )
    )


def fill(lake: Lake) -> Lake:
    """Write congestion and air into an empty lake, and note that both passed their gate."""
    congestion = rows()
    lake.table("congestion").append(congestion)
    lake.table("cell_travel").append(sums(congestion))
    lake.table("released_travel").append(released(congestion))
    lake.table("air_hourly").append(air_rows())
    passed(lake, "congestion")
    passed(lake, "air_hourly")
    return lake


def city(folder: Path) -> City:
    """Write a small city pack with two named areas and a few roads, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "city.toml").write_text(
        "[city]\n"
        'name = "Testburi"\n'
        'country = "TH"\n'
        'time_zone = "Asia/Bangkok"\n'
        'currency = "THB"\n'
        "price_year = 2026\n"
        "service_area_deg = [100.50, 13.73, 100.55, 13.77]\n"
        "synthetic = true\n",
        encoding="utf-8",
    )
    old_town = {
        "type": "Feature",
        "properties": {"name": "Old Town"},
        "geometry": {"type": "Polygon", "coordinates": [boundary_of(CENTRE)]},
    }
    roads = [
        {
            "type": "Feature",
            "properties": {"class": road_class},
            "geometry": {"type": "LineString", "coordinates": line},
        }
        for road_class, line in (
            ("primary", [[100.51, 13.752], [100.536, 13.752]]),
            ("residential", [[100.523, 13.74], [100.523, 13.765]]),
        )
    ]
    for name, features in (("areas.geojson", [old_town]), ("roads.geojson", roads)):
        collection = {"type": "FeatureCollection", "features": features}
        (folder / name).write_text(json.dumps(collection), encoding="utf-8")
    return read_city(folder)
