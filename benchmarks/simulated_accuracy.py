"""Probes drawn from simulated cities with full truth, and how far estimates are from it.

Cities are made by ``sim/accuracy_cities.py``; see there which may be looked at when.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import polars_h3

from clearway_transforms.blending import blend
from clearway_transforms.congestion import cells, speed
from clearway_transforms.jobs.vehicles import vehicle_travel_of
from clearway_transforms.parameters import blend_parameters, congestion_parameters

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "sim"))

from doubles import transforms_pings as pings

from clearway_sim import truth

KEY = ["h3_cell", "window_start"]
PARAMETERS = congestion_parameters()
M_PER_DEG = 111_320.0
SPEED_NOISE_MPS = 0.3
MIN_TRUE_VEHICLES, MIN_PROBES, MIN_TRUE_WINDOWS = 10, 3, 5
HOTSPOT = 0.3
ESTIMATORS = ("reported_mean", "distance_over_time", "space_mean", "blended")
PLAIN = ESTIMATORS[:2]


@dataclass(frozen=True)
class Probes:
    """How probes are drawn: share of vehicles, noise, sampling, and which vehicles."""

    share: float
    noise_m: float = 7.0
    every: int = 1
    uneven: bool = False
    fleet: bool = False
    occupancy: bool = False


VARIANTS: Mapping[str, Probes] = {
    "5 %": Probes(0.05),
    "10 %": Probes(0.10),
    "10 %, every 30 s": Probes(0.10, every=3),
    "10 %, noise of 15 m": Probes(0.10, noise_m=15.0),
    "10 %, more in the centre": Probes(0.10, uneven=True),
    "fleet with pick-ups": Probes(1.0, fleet=True, occupancy=True),
    "fleet with pick-ups, occupancy unknown": Probes(1.0, fleet=True),
}


def draw(city: Path, probes: Probes, seed: int) -> pl.DataFrame:
    """Return the noisy fixes of some of a city's vehicles."""
    fixes = pl.read_parquet(city / "fixes.parquet")
    fixes = fixes.filter(pl.col("vehicle").str.starts_with("f") == probes.fleet)
    first = fixes.group_by("vehicle").agg(pl.col("x_m", "y_m").first()).sort("vehicle")
    rng = np.random.default_rng(seed)
    far = np.hypot(first["x_m"].to_numpy(), first["y_m"].to_numpy())
    weight = np.exp(-far / 800) if probes.uneven else np.ones(len(far))
    chosen = rng.choice(
        first["vehicle"].to_numpy(),
        int(len(far) * probes.share),
        replace=False,
        p=weight / weight.sum(),
    )
    number = pl.int_range(pl.len()).over("vehicle")
    fixes = fixes.filter(pl.col("vehicle").is_in(chosen.tolist()))
    fixes = fixes.filter(number % probes.every == 0)
    if probes.occupancy:
        fixes = _with_occupancy(fixes, pl.read_parquet(city / "rides.parquet"))
    north, east, fast = rng.normal(0, 1, (3, fixes.height))
    lat = fixes["lat_deg"].to_numpy()
    degrees = probes.noise_m / M_PER_DEG
    return fixes.select(
        "vehicle",
        "observed_at",
        *(("occupied",) if probes.occupancy else ()),
        lat_deg=lat + north * degrees,
        lon_deg=fixes["lon_deg"].to_numpy() + east * degrees / np.cos(np.radians(lat)),
        speed_kmh=3.6 * np.maximum(fixes["speed_mps"].to_numpy() + fast * SPEED_NOISE_MPS, 0),
        heading_deg="heading_deg",
        vehicle_class=pl.lit("car"),
    )


def _with_occupancy(fixes: pl.DataFrame, rides: pl.DataFrame) -> pl.DataFrame:
    """Return the fixes with whether a customer was on board."""
    begun = rides.select(
        vehicle="name",
        observed_at=truth.instant(pl.col("from_s").cast(pl.Int64)),
        until=truth.instant(pl.col("until_s").cast(pl.Int64)),
    ).sort("observed_at")
    return (
        fixes.sort("observed_at")
        .join_asof(begun, on="observed_at", by="vehicle", check_sortedness=False)
        .with_columns(occupied=(pl.col("observed_at") < pl.col("until")).fill_null(value=False))
        .sort("vehicle", "observed_at")
    )


def travel_of(fixes: pl.DataFrame) -> pl.DataFrame:
    """Return what each vehicle drove."""
    raw = pings.as_gps_pings(fixes)
    days = raw["observed_date"].unique().sort()
    return pl.concat(vehicle_travel_of(raw, PARAMETERS, day=d, resolution=9)[0] for d in days)


def sums_of(travel: pl.DataFrame) -> pl.DataFrame:
    """Return ``cell_travel`` of vehicles, class 'all'."""
    rolled = cells.roll_up(
        cells.count_queues(travel.lazy(), PARAMETERS), resolution=9, window_minutes=15
    )
    sums = cells.cell_travel(cells.with_all_classes(rolled)).collect()
    return sums.filter(pl.col("vehicle_class") == cells.ALL_CLASSES)


def blended_speeds(travel: pl.DataFrame) -> pl.DataFrame:
    """Return own and blended speeds with their intervals, as a build makes them."""
    sums = sums_of(travel)
    blended = [
        blend.blend(
            sums.filter(pl.col("window_start").dt.date() <= day),
            blend_parameters(),
            PARAMETERS,
            day=day,
            resolution=9,
            window_minutes=15,
        )
        for day in sums["window_start"].dt.date().unique().sort().to_list()
    ]
    own = speed.cell_speed(sums.lazy(), PARAMETERS).drop(speed.BLENDED).collect()
    return own.join(
        pl.concat(blended).drop("vehicle_class"), on=KEY, how="left", validate="1:1"
    ).rename({"space_mean_kmh": "space_mean", "blended_kmh": "blended"})


def estimates(fixes: pl.DataFrame) -> pl.DataFrame:
    """Return every estimate and interval of cells and windows with some probes in them."""
    by_position = sums_of(travel_of(fixes.drop("speed_kmh"))).select(
        *KEY,
        distance_over_time=speed.space_mean_kmh(pl.col("distance_mm"), pl.col("duration_ms")),
    )
    cell = polars_h3.latlng_to_cell("lat_deg", "lon_deg", 9, return_dtype=pl.UInt64)
    reported = fixes.group_by(h3_cell=cell, window_start=pl.col("observed_at").dt.truncate("15m"))
    return (
        blended_speeds(travel_of(fixes))
        .join(by_position, on=KEY, how="left", validate="1:1")
        .join(reported.agg(reported_mean=pl.col("speed_kmh").mean()), on=KEY, how="left")
        .filter(pl.col("n_vehicles") >= MIN_PROBES)
    )


def truth_of(city: Path) -> pl.DataFrame:
    """Return the true speed of cells and windows, and each cell's 90th percentile."""
    true = pl.read_parquet(city / "truth.parquet").filter(pl.col("n_vehicles") >= MIN_TRUE_VEHICLES)
    true = true.select(*KEY, "vehicle_s", true=pl.col("vehicle_km") / pl.col("vehicle_s") * 3600)
    return with_reference(true)


def with_reference(true: pl.DataFrame) -> pl.DataFrame:
    """Return the true windows of cells that have enough of them, with their 90th percentile."""
    windows = pl.len().over("h3_cell")
    fast = pl.col("true").quantile(0.9, interpolation="linear").over("h3_cell")
    return true.with_columns(reference=fast).filter(windows >= MIN_TRUE_WINDOWS)


def judge(true: pl.DataFrame, found: pl.DataFrame) -> dict[str, object]:
    """Return errors of each estimator on the same cells and windows."""
    both = true.join(found, on=KEY, validate="1:1").drop_nulls(ESTIMATORS)
    result: dict[str, object] = {
        "cell_windows": both.height,
        "vehicle_time_covered": both["vehicle_s"].sum() / true["vehicle_s"].sum(),
    }
    for name in ESTIMATORS:
        result[name] = _errors(both, name)
    within = {"space_mean": "interval", "blended": "blended"}
    for name, prefix in within.items():
        held = pl.col("true").is_between(f"{prefix}_low_kmh", f"{prefix}_high_kmh")
        result[f"{name}_in_90_interval"] = both.select(held.mean()).item()
    return result


def _errors(both: pl.DataFrame, name: str) -> dict[str, float]:
    error = both[name] - both["true"]
    index = (1 - both[name] / both["reference"]).to_numpy()
    truly = (1 - both["true"] / both["reference"]).to_numpy()
    hot, said = truly > HOTSPOT, index > HOTSPOT
    hit = float((hot & said).sum())
    return {
        "bias_kmh": float(error.mean()),
        "mae_kmh": float(error.abs().mean()),
        "r_congestion_index": float(np.corrcoef(index, truly)[0, 1]),
        "hotspot_precision": hit / max(float(said.sum()), 1),
        "hotspot_recall": hit / max(float(hot.sum()), 1),
    }


def compared(result: Mapping[str, object]) -> dict[str, float]:
    """Return the blended speed against the plain estimator with the smaller error."""
    plain = min((result[name] for name in PLAIN), key=lambda each: each["mae_kmh"])
    blended = result["blended"]
    return {
        "mae_ratio": blended["mae_kmh"] / plain["mae_kmh"],
        "r_gain": blended["r_congestion_index"] - plain["r_congestion_index"],
        "precision_gain": blended["hotspot_precision"] - plain["hotspot_precision"],
        "recall_gain": blended["hotspot_recall"] - plain["hotspot_recall"],
    }


def report(city: Path, *, draws: int = 3) -> dict[str, object]:
    """Return errors of all variants in a city; the first two as means over seeded draws."""
    true, result = truth_of(city), {}
    for name, probes in VARIANTS.items():
        seeds = range(draws) if name in {"5 %", "10 %"} else range(1)
        runs = [judge(true, estimates(draw(city, probes, seed))) for seed in seeds]
        for run in runs:
            run["blended_against_plain"] = compared(run)
        result[name] = _mean(runs)
    return result


def _mean(runs: list[dict[str, object]]) -> dict[str, object]:
    first = runs[0]
    return {
        key: _mean([run[key] for run in runs])
        if isinstance(value, dict)
        else float(np.mean([run[key] for run in runs]))
        for key, value in first.items()
    }
