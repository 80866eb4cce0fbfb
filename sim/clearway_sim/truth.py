"""What every vehicle of a simulated city did: the truth that estimates are held against."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import polars_h3

from clearway_sim.place import (
    CENTRE_LAT_DEG,
    CENTRE_LON_DEG,
    M_PER_DEG_LAT,
    M_PER_DEG_LON,
    START_AT,
)
from clearway_sim.probes import read_rides
from clearway_sim.sumo import FIX_PERIOD_S, TRUTH_PERIOD_S

WINDOW_S = 900
FLEET_PREFIX = "f"
"""Names of fleet vehicles begin with it; they park while customers get in and out."""


def pack(folder: Path, *, seed: int) -> dict[str, float]:
    """Write truth and fixes of a simulated city beside its trajectories.

    Parameters
    ----------
    folder
        Holds ``trajectories.parquet`` (every vehicle, every `TRUTH_PERIOD_S`) and ``stops.xml``.
    seed
        Of the second at which each vehicle's first fix falls.

    Returns
    -------
    dict
        Space-mean speed of the city per quarter of an hour, by its first second. [km/h]

    Notes
    -----
    Writes ``truth.parquet`` (h3_cell, window_start, vehicle_s, vehicle_km, n_vehicles at
    resolution 9: Edie's sums over all private vehicles, as fleets stop for customers),
    ``fixes.parquet`` (vehicle, observed_at, x_m, y_m, lon_deg, lat_deg, speed_mps, heading_deg;
    every 10 s, without noise) and ``rides.parquet`` (when a fleet vehicle had a passenger).
    """
    held = pl.scan_parquet(folder / "trajectories.parquet").drop_nulls("vehicle_id")
    moves = held.select(
        second=pl.col("timestep_time").cast(pl.Int32),
        vehicle="vehicle_id",
        x_m=pl.col("vehicle_x").cast(pl.Float64),
        y_m=pl.col("vehicle_y").cast(pl.Float64),
        lon_deg=CENTRE_LON_DEG + pl.col("vehicle_x").cast(pl.Float64) / M_PER_DEG_LON,
        lat_deg=CENTRE_LAT_DEG + pl.col("vehicle_y").cast(pl.Float64) / M_PER_DEG_LAT,
        speed_mps=pl.col("vehicle_speed").cast(pl.Float64),
        heading_deg=pl.col("vehicle_angle").cast(pl.Float64),
    ).collect()
    truth = _truth(moves)
    truth.write_parquet(folder / "truth.parquet")
    _fixes(moves, seed).write_parquet(folder / "fixes.parquet")
    read_rides(folder / "stops.xml").write_parquet(folder / "rides.parquet")
    by_window = truth.group_by("window_start").agg(pl.col("vehicle_km", "vehicle_s").sum())
    speeds = by_window.with_columns(kmh=pl.col("vehicle_km") / pl.col("vehicle_s") * 3600)
    return {
        f"{start:%H:%M}": kmh
        for start, kmh in speeds.sort("window_start").select("window_start", "kmh").iter_rows()
    }


def instant(second: pl.Expr) -> pl.Expr:
    """Return simulated seconds as UTC instants."""
    return pl.lit(START_AT) + pl.duration(seconds=second)


def _truth(moves: pl.DataFrame) -> pl.DataFrame:
    driving = moves.filter(~pl.col("vehicle").str.starts_with(FLEET_PREFIX))
    cell = polars_h3.latlng_to_cell("lat_deg", "lon_deg", 9, return_dtype=pl.UInt64)
    return (
        driving.with_columns(h3_cell=cell, window=pl.col("second") // WINDOW_S * WINDOW_S)
        .group_by("h3_cell", "window")
        .agg(
            vehicle_s=pl.len() * TRUTH_PERIOD_S,
            vehicle_km=pl.col("speed_mps").sum() * TRUTH_PERIOD_S / 1000,
            n_vehicles=pl.col("vehicle").n_unique(),
        )
        .select(
            "h3_cell",
            instant(pl.col("window")).alias("window_start"),
            "vehicle_s",
            "vehicle_km",
            "n_vehicles",
        )
        .sort("h3_cell", "window_start")
    )


def _fixes(moves: pl.DataFrame, seed: int) -> pl.DataFrame:
    names = moves["vehicle"].unique().sort()
    first = np.arange(0, FIX_PERIOD_S, TRUTH_PERIOD_S)
    first = np.random.default_rng(seed).choice(first, len(names))
    phases = pl.DataFrame({"vehicle": names, "phase": first.astype(np.int32)})
    return (
        moves.join(phases, on="vehicle", validate="m:1")
        .filter((pl.col("second") - pl.col("phase")) % FIX_PERIOD_S == 0)
        .select(
            "vehicle",
            instant(pl.col("second")).alias("observed_at"),
            "x_m",
            "y_m",
            "lon_deg",
            "lat_deg",
            "speed_mps",
            "heading_deg",
        )
        .sort("vehicle", "observed_at")
    )
