"""How far congestion can be trusted: one half of real cabs against the other, and a known city.

    python benchmarks/congestion_accuracy.py --data FOLDER [--out FILE.json]

FOLDER holds ``gps/sf_cabspotting`` and ``scenario/sumo_15k``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from clearway_core.lake import Lake
from clearway_transforms import cells, jobs, speed
from clearway_transforms.parameters import congestion_parameters
from clearway_transforms.vehicle_jobs import vehicle_travel_of

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from doubles import transforms_pings as pings

SPLITS = 20
PARAMETERS = congestion_parameters()


def half_speeds(travel: pl.DataFrame, vehicles: list[str]) -> pl.DataFrame:
    """Return res-8 hours of one half of the fleet; vehicles never touch each other before that."""
    mine = travel.filter(pl.col("vehicle").is_in(vehicles)).lazy()
    rolled = cells.roll_up(cells.count_queues(mine, PARAMETERS), resolution=8, window_minutes=60)
    return (
        cells.cell_travel(rolled)
        .filter((pl.col("n_legs") >= 10) & (pl.col("n_vehicles") >= 5))
        .select(
            "h3_cell",
            "window_start",
            kmh=speed.space_mean_kmh(pl.col("distance_mm"), pl.col("duration_ms")),
        )
        .collect()
    )


def split_half(data: Path, day: str) -> dict[str, float]:
    """Return agreement of the halves over seeded splits."""
    raw = pings.as_gps_pings(pings.san_francisco(data, day))
    days = raw["observed_date"].unique().sort()
    travel = pl.concat(vehicle_travel_of(raw, PARAMETERS, day=d, resolution=9)[0] for d in days)
    vehicles = raw["vehicle"].unique().sort().to_numpy()
    rows = []
    for seed in range(SPLITS):
        order = np.random.default_rng(seed).permutation(vehicles)
        first, second = (half_speeds(travel, half.tolist()) for half in np.array_split(order, 2))
        both = first.join(second, on=["h3_cell", "window_start"], validate="1:1")
        error = (both["kmh"] - both["kmh_right"]).abs().mean()
        rows.append((np.corrcoef(both["kmh"], both["kmh_right"])[0, 1], error, both.height))
    r, mae, n = np.array(rows).T
    return {
        "splits": SPLITS,
        "r_mean": r.mean(),
        "r_min": r.min(),
        "mae_kmh_mean": mae.mean(),
        "mae_kmh_max": mae.max(),
        "cell_hours_mean": n.mean(),
    }


def simulated(data: Path, *, reported: bool) -> dict[str, float]:
    """Return the error against the truth of every vehicle, with or without reported speeds."""
    fixes = pings.sumo_15k(data)
    if not reported:
        fixes = fixes.drop("speed_kmh")
    with tempfile.TemporaryDirectory() as scratch:
        lake = Lake(scratch)
        pings.store(lake, fixes)
        jobs.build_congestion(lake)
        estimate = lake.table("congestion").scan().filter(pl.col("n_vehicles") >= 3).collect()
    truth = pl.read_parquet(data / "scenario" / "sumo_15k" / "truth_res9.parquet").select(
        pl.col("h3").str.to_integer(base=16, dtype=pl.UInt64).alias("h3_cell"),
        (pl.lit(pings.SUMO_START) + pl.duration(seconds=pl.col("bin_start_s"))).alias(
            "window_start"
        ),
        "vehicles",
        true_kmh=pl.col("space_mean_kmh"),
    )
    both = truth.filter(pl.col("vehicles") >= 10).join(
        estimate, on=["h3_cell", "window_start"], validate="1:1"
    )
    error = both["space_mean_kmh"] - both["true_kmh"]
    held = both.filter(pl.col("true_kmh").is_between("interval_low_kmh", "interval_high_kmh"))
    return {
        "cells": both.height,
        "bias_kmh": error.mean(),
        "mae_kmh": error.abs().mean(),
        "share_in_90_interval": held.height / both.height,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    days = ("2008-05-21", "2008-05-22", "2008-05-24")
    result = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "san_francisco_split_half_res8_hour": {day: split_half(options.data, day) for day in days},
        "simulated_city_res9_15min": {
            "reported_speeds": simulated(options.data, reported=True),
            "positions_only": simulated(options.data, reported=False),
        },
    }
    text = json.dumps(result, indent=2, default=float)
    print(text)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
