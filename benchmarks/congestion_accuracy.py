"""How far congestion can be trusted: one half of real cabs against the other, and a known city.

    python benchmarks/congestion_accuracy.py --data FOLDER [--cities CITIES] [--out FILE.json]

FOLDER holds ``gps/sf_cabspotting`` and ``scenario/sumo_15k``, CITIES what
``sim/accuracy_cities.py`` made.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
from simulated_accuracy import (
    MIN_TRUE_VEHICLES,
    blended_speeds,
    compared,
    estimates,
    judge,
    report,
    with_reference,
)

from clearway_transforms.congestion import cells, speed
from clearway_transforms.jobs.vehicles import vehicle_travel_of
from clearway_transforms.parameters import congestion_parameters

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "sim"))

from accuracy_cities import EVALUATION
from doubles import transforms_pings as pings

SPLITS, BLENDED_SPLITS = 20, 3
PARAMETERS = congestion_parameters()


def half_speeds(travel: pl.DataFrame, vehicles: list[str]) -> pl.DataFrame:
    """Return res-8 hours of one half of the fleet; vehicles never touch each other before that.

    ``half`` is half the 90 % interval's width in the logarithm.
    """
    mine = travel.filter(pl.col("vehicle").is_in(vehicles)).lazy()
    rolled = cells.roll_up(cells.count_queues(mine, PARAMETERS), resolution=8, window_minutes=60)
    return (
        speed.cell_speed(cells.cell_travel(rolled), PARAMETERS)
        .filter((pl.col("n_legs") >= 10) & (pl.col("n_vehicles") >= 5))
        .select(
            "h3_cell",
            "window_start",
            kmh="space_mean_kmh",
            half=(pl.col("space_mean_kmh") / pl.col("interval_low_kmh")).log(),
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
        # Both halves err, so it is the interval of their difference that has to hold it.
        apart = (pl.col("kmh") / pl.col("kmh_right")).log().abs()
        held = apart <= (pl.col("half") ** 2 + pl.col("half_right") ** 2).sqrt()
        inside = both.select(held.mean()).item()
        rows.append((np.corrcoef(both["kmh"], both["kmh_right"])[0, 1], error, both.height, inside))
    r, mae, n, inside = np.array(rows).T
    return {
        "splits": SPLITS,
        "r_mean": r.mean(),
        "r_min": r.min(),
        "mae_kmh_mean": mae.mean(),
        "mae_kmh_max": mae.max(),
        "cell_hours_mean": n.mean(),
        "share_in_90_interval": inside.mean(),
    }


def blended_half(data: Path, day: str) -> dict[str, float]:
    """Return how own and blended speeds of one half agree with own ones of the other half.

    Resolution 9 x 15 minutes, at least 2 cabs in the half that borrows and 5 in the other.
    """
    raw = pings.as_gps_pings(pings.san_francisco(data, day))
    days = raw["observed_date"].unique().sort().to_list()
    travel = pl.concat(vehicle_travel_of(raw, PARAMETERS, day=d, resolution=9)[0] for d in days)
    vehicles = raw["vehicle"].unique().sort().to_numpy()
    rows = []
    for seed in range(BLENDED_SPLITS):
        order = np.random.default_rng(seed).permutation(vehicles)
        borrower, other = (
            blended_speeds(travel.filter(pl.col("vehicle").is_in(half.tolist())))
            for half in np.array_split(order, 2)
        )
        both = borrower.filter((pl.col("n_vehicles") >= 2) & (pl.col("space_mean") > 0)).join(
            other.filter((pl.col("n_vehicles") >= 5) & (pl.col("space_mean") > 0)),
            on=["h3_cell", "window_start"],
            validate="1:1",
        )
        found = both["space_mean_right"].to_numpy()
        width = (pl.col("blended") / pl.col("blended_low_kmh")).log()
        own_width = (pl.col("space_mean_right") / pl.col("interval_low_kmh_right")).log()
        apart = (pl.col("blended") / pl.col("space_mean_right")).log().abs()
        held = apart <= (width**2 + own_width**2).sqrt()
        rows.append(
            {
                "cell_windows": both.height,
                **{
                    f"{name}_{what}": value
                    for name in ("space_mean", "blended")
                    for what, value in (
                        ("mae_kmh", np.abs(both[name].to_numpy() - found).mean()),
                        ("r", np.corrcoef(both[name].to_numpy(), found)[0, 1]),
                    )
                },
                "blended_in_90_interval": both.select(held.mean()).item(),
            }
        )
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def mild_grid(data: Path) -> dict[str, object]:
    """Return errors in the city of the data folder, a grid with mild congestion, 10 % probes."""
    true = pl.read_parquet(data / "scenario" / "sumo_15k" / "truth_res9.parquet").select(
        pl.col("h3").str.to_integer(base=16, dtype=pl.UInt64).alias("h3_cell"),
        (pl.lit(pings.SUMO_START) + pl.duration(seconds=pl.col("bin_start_s"))).alias(
            "window_start"
        ),
        "vehicles",
        vehicle_s="vehicle_seconds",
        true="space_mean_kmh",
    )
    true = with_reference(true.filter(pl.col("vehicles") >= MIN_TRUE_VEHICLES))
    run = judge(true, estimates(pings.sumo_15k(data)))
    return {**run, "blended_against_plain": compared(run)}


def cities_in(folder: Path | None) -> list[Path]:
    """Return the simulated cities of evaluation in a folder; the others served development."""
    files = [] if folder is None else sorted(folder.glob("*/city_kmh.json"))
    return [file.parent for file in files if int(file.parent.name.split("_")[1]) in EVALUATION]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cities", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    days = ("2008-05-21", "2008-05-22", "2008-05-24")
    result = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "san_francisco_split_half_res8_hour": {day: split_half(options.data, day) for day in days},
        "san_francisco_blended_half_res9_15min": blended_half(options.data, days[0]),
        "mild_grid_city_res9_15min": mild_grid(options.data),
        "simulated_cities_res9_15min": {
            city.name: report(city) for city in cities_in(options.cities)
        },
    }
    text = json.dumps(result, indent=2, default=float)
    print(text)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
