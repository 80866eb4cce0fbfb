"""A small city with a known jam, written as the tables that models read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from clearway_core.city import City, read_city
from clearway_core.geo import boundary_of, cell_at, centre_of, disk
from clearway_core.lake import Lake

CENTRE = cell_at(100.62, 12.90, 9)
CELLS = disk(CENTRE, 1)
"""Seven cells around the middle of a made-up city."""

FIRST_DAY = datetime(2026, 1, 11, 17, tzinfo=UTC)
"""Monday 12 January 2026, midnight in Bangkok."""

FREE_FLOW_KMH = 40.0


@dataclass(frozen=True)
class Scene:
    """What the made-up probes drove."""

    n_days: int = 16
    n_vehicles: int = 20
    peak_kmh: float = 20.0
    night_kmh: float = FREE_FLOW_KMH
    look_back_days: float = 28.0
    quality: str = "A"
    checked: bool = True
    seed: int = 7


def hour_speed_kmh(hour_local: int, scene: Scene) -> float:
    """Return the speed of an hour: jams from 7 to 9 and from 16 to 19."""
    if hour_local in {6, 7, 8, 9} or 16 <= hour_local < 20:
        return scene.peak_kmh
    return 36.0 if 10 <= hour_local < 16 else scene.night_kmh


def write_lake(root: Path, scene: Scene = Scene()) -> Lake:
    """Write vehicle_travel, cell_travel, congestion, free_flow and the quality check."""
    lake = Lake(root / "lake")
    vehicles = _vehicle_rows(scene)
    lake.table("vehicle_travel").append(vehicles)
    cells = _cell_rows(vehicles)
    lake.table("cell_travel").append(cells)
    lake.table("congestion").append(_congestion(cells, scene.quality))
    lake.table("free_flow").append(_free_flow(scene))
    lake.table("gps_pings").append(_fixes(scene))
    if scene.checked:
        lake.table("quality_checks").append(_check(lake))
    return lake


def _vehicle_rows(scene: Scene) -> pl.DataFrame:
    random = np.random.default_rng(scene.seed)
    rows: list[dict[str, object]] = []
    for hour in range(scene.n_days * 24):
        start = FIRST_DAY + timedelta(hours=hour)
        speed = hour_speed_kmh(hour % 24, scene)
        for cell in CELLS:
            for vehicle in range(scene.n_vehicles):
                metres = 300.0 + 20 * random.random()
                own = speed * np.exp(0.05 * random.standard_normal())
                rows.append(
                    {
                        "h3_cell": cell,
                        "window_start": start,
                        "vehicle": f"v{vehicle:03d}",
                        "pseudonym_epoch": start.date().isoformat(),
                        "distance_mm": round(metres * 1000),
                        "duration_ms": round(metres / (own / 3.6) * 1000),
                    }
                )
    frame = pl.DataFrame(rows, schema_overrides={"h3_cell": pl.UInt64})
    zero = pl.lit(0, dtype=pl.Int64)
    return frame.with_columns(
        pl.lit(9, dtype=pl.Int32).alias("resolution"),
        pl.lit(60, dtype=pl.Int32).alias("window_minutes"),
        pl.col("window_start").dt.date().alias("window_date"),
        pl.lit("taxi").alias("vehicle_class"),
        pl.lit("cabs").alias("provider"),
        pl.col("duration_ms").alias("gap_15s_ms"),
        pl.lit(6, dtype=pl.Int64).alias("n_pings"),
        pl.lit(5, dtype=pl.Int64).alias("n_legs"),
        *(zero.alias(n) for n in ("dwell_ms", "gap_60s_ms", "gap_120s_ms", "gap_long_ms")),
        zero.alias("reported_ms"),
    )


def _fixes(scene: Scene) -> pl.DataFrame:
    """Return fixes of each vehicle on its way east past the counter, hourly for two days."""
    lon_deg, lat_deg = centre_of(CENTRE)
    rows = [
        {
            "observed_at": (at := FIRST_DAY + timedelta(hours=hour, seconds=170 * vehicle + step)),
            "observed_date": at.date(),
            "vehicle": f"v{vehicle:03d}",
            "lon_deg": lon_deg + (step - 5) * 1e-4,
            "lat_deg": lat_deg,
            "received_at": at,
            "seq": 2 * vehicle + step // 10,
            "log_offset": hour * 10_000 + vehicle * 100 + step,
        }
        for hour in range(48)
        for vehicle in range(scene.n_vehicles)
        for step in (0, 10)
    ]
    return pl.DataFrame(rows).with_columns(
        pl.lit("cabs").alias("provider"),
        pl.col("observed_date").alias("pseudonym_epoch"),
        pl.lit(None, dtype=pl.Boolean).alias("occupied"),
        pl.lit("gw").alias("gateway"),
        pl.lit(1, dtype=pl.Int64).alias("boot"),
        pl.lit("gps").alias("topic"),
        pl.lit(0, dtype=pl.Int32).alias("log_partition"),
        pl.lit(0, dtype=pl.Int32).alias("vehicle_bucket"),
    )


def _cell_rows(vehicles: pl.DataFrame) -> pl.DataFrame:
    summed = [
        "distance_mm",
        "duration_ms",
        "dwell_ms",
        "n_pings",
        "n_legs",
        "gap_15s_ms",
        "gap_60s_ms",
        "gap_120s_ms",
        "gap_long_ms",
        "reported_ms",
    ]
    metres, seconds = pl.col("distance_mm") // 100, pl.col("duration_ms") // 100
    return (
        vehicles.group_by("resolution", "window_minutes", "window_date", "h3_cell", "window_start")
        .agg(
            pl.col(summed).sum(),
            pl.col("vehicle").n_unique().cast(pl.Int64).alias("n_vehicles"),
            pl.col("provider").n_unique().cast(pl.Int64).alias("n_providers"),
            pl.col("duration_ms").max().alias("top_vehicle_ms"),
            (metres**2).sum().alias("distance_sq_dm2"),
            (seconds**2).sum().alias("duration_sq_ds2"),
            (metres * seconds).sum().alias("distance_duration_dm_ds"),
        )
        .with_columns(pl.lit("all").alias("vehicle_class"))
        .sort("h3_cell", "window_start")
    )


def _congestion(cells: pl.DataFrame, quality: str) -> pl.DataFrame:
    speed = pl.col("distance_mm") / pl.col("duration_ms") * 3.6
    free = pl.lit(FREE_FLOW_KMH)
    return cells.select(
        "resolution",
        "window_minutes",
        "window_date",
        "h3_cell",
        "window_start",
        "vehicle_class",
        speed.alias("space_mean_kmh"),
        (speed * 0.95).alias("interval_low_kmh"),
        (speed * 1.05).alias("interval_high_kmh"),
        "n_vehicles",
        "n_providers",
        "n_pings",
        "n_legs",
        pl.lit(quality).alias("quality"),
        pl.lit("observed").alias("source_class"),
        free.alias("free_flow_kmh"),
        pl.lit("night_p85").alias("free_flow_method"),
        (free / speed).clip(1.0).alias("tti"),
        (1 - speed / free).clip(0.0, 1.0).alias("congestion_index"),
        (3600 / speed - 3600 / free).clip(0.0).alias("delay_s_per_km"),
    )


def _free_flow(scene: Scene) -> pl.DataFrame:
    end = FIRST_DAY + timedelta(days=scene.n_days)
    return pl.DataFrame(
        {
            "resolution": pl.Series([9] * len(CELLS), dtype=pl.Int32),
            "window_minutes": pl.Series([60] * len(CELLS), dtype=pl.Int32),
            "h3_cell": pl.Series(CELLS, dtype=pl.UInt64),
            "vehicle_class": "all",
            "free_flow_kmh": FREE_FLOW_KMH,
            "free_flow_method": "night_p85",
            "n_windows": 100,
            "n_vehicles": scene.n_vehicles,
            "look_back_start": end - timedelta(days=scene.look_back_days),
            "look_back_end": end,
        }
    )


def _check(lake: Lake) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "table_name": ["congestion"],
            "table_version": [lake.table("congestion").version()],
            "passed": [True],
            "n_rows": [1],
            "n_expectations": [1],
            "n_failed": [0],
            "failures_json": ["[]"],
            "checked_at": [FIRST_DAY],
        }
    )


def write_city(folder: Path, *, currency: str | None = "XTS", optional: bool = True) -> City:
    """Write a city pack; with the optional files that a proposal asks for, or without any."""
    folder.mkdir(parents=True, exist_ok=True)
    money = f'currency = "{currency}"\nprice_year = 2026\n' if currency else ""
    (folder / "city.toml").write_text(
        '[city]\nname = "Sample"\ncountry = "XX"\ntime_zone = "Asia/Bangkok"\n'
        f"{money}service_area_deg = [100.5, 12.8, 100.7, 13.0]\nsynthetic = true\n",
        encoding="utf-8",
    )
    if optional:
        (folder / "fleet.csv").write_text(
            "emission_class,share,source\n"
            "car_petrol_euro_4,0.5,sample\ncar_diesel_euro_5,0.3,sample\n"
            "lcv_diesel_euro_5,0.1,sample\nmotorcycle_euro_3,0.06,sample\n"
            "truck_rigid_14_20t_euro_3,0.02,sample\nbus_15_18t_euro_5,0.02,sample\n",
            encoding="utf-8",
        )
        (folder / "population.csv").write_text(
            "area,population,income_per_person,source\nA,1000,5000,sample\n", encoding="utf-8"
        )
        lon_deg, lat_deg = centre_of(CENTRE)
        hours = [FIRST_DAY + timedelta(hours=h) for h in range(48)]
        counts = "".join(f"{lon_deg},{lat_deg},{h.isoformat()},all,400\n" for h in hours)
        (folder / "traffic_counts.csv").write_text(
            "lon_deg,lat_deg,hour_start,vehicle_class,vehicles_per_hour\n" + counts,
            encoding="utf-8",
        )
    return read_city(folder)


def write_zone(path: Path, name: str = "Old town") -> Path:
    """Write the seven cells as a GeoJSON feature."""
    ring = [list(p) for p in boundary_of(CENTRE)]
    lon_deg, lat_deg = centre_of(CENTRE)
    wide = [[lon_deg + 2.5 * (x - lon_deg), lat_deg + 2.5 * (y - lat_deg)] for x, y in ring]
    feature = {
        "type": "Feature",
        "properties": {"name": name},
        "geometry": {"type": "Polygon", "coordinates": [wide]},
    }
    path.write_text(json.dumps(feature), encoding="utf-8")
    return path
