"""Turns simulated fleet positions into what a fleet's server would send."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import polars as pl

from clearway_sim.demand import ALL_KINDS, FLEETS
from clearway_sim.place import (
    CENTRE_LAT_DEG,
    CENTRE_LON_DEG,
    M_PER_DEG_LAT,
    M_PER_DEG_LON,
    SYNTHETIC,
)

NOISE_M = 7.0
"""Standard deviation of the position in each direction: phones between houses. [m]"""

SPEED_NOISE_MPS = 0.3
SWAPPED_ROWS = 40
DOUBLED_ROWS = 60
"""Planted faults: rows with longitude and latitude exchanged, and rows sent twice."""

_NOT_RELEASED_AFTER_S = 10**9


def read_fixes(file: Path) -> pl.DataFrame:
    """Return the fleet's true positions: t, name, x_m, y_m, speed_mps, heading, kind."""
    return (
        pl.read_parquet(file)
        .drop_nulls("vehicle_id")
        .select(
            t=pl.col("timestep_time").cast(pl.Int32),
            name="vehicle_id",
            x_m="vehicle_x",
            y_m="vehicle_y",
            speed_mps=pl.col("vehicle_speed").cast(pl.Float64),
            heading="vehicle_angle",
            kind="vehicle_type",
        )
        .sort("t", "name")
    )


def read_rides(file: Path) -> pl.DataFrame:
    """Return when each vehicle had a passenger: name, from_s, until_s.

    Stops alternate: picked up, set down, picked up, …; the last ride may be under way.
    """
    stops: dict[str, list[tuple[float, float]]] = {}
    for stop in ET.parse(file).getroot():  # noqa: S314 -- ours
        times = float(stop.get("started", -1)), float(stop.get("ended", -1))
        stops.setdefault(stop.get("id", ""), []).append(times)
    rows = []
    for name, times in stops.items():
        ordered = sorted(times)
        for number in range(0, len(ordered), 2):
            picked_up = ordered[number][1]
            set_down = ordered[number + 1][0] if number + 1 < len(ordered) else None
            if picked_up >= 0:
                rows.append((name, picked_up, set_down or float(_NOT_RELEASED_AFTER_S)))
    return pl.DataFrame(rows, schema=["name", "from_s", "until_s"], orient="row")


def probes(fixes: pl.DataFrame, rides: pl.DataFrame, *, seed: int) -> pl.DataFrame:
    """Return what the fleets report: noisy positions, speeds, provider and occupancy.

    Parameters
    ----------
    fixes, rides
        See `read_fixes` and `read_rides`.
    seed
        Of the noise and of the planted faults.
    """
    rng = np.random.default_rng(seed)
    rows = fixes.height
    east_m, north_m = rng.normal(0, NOISE_M, rows), rng.normal(0, NOISE_M, rows)
    classes = {kind.name: kind.vehicle_class for kind in ALL_KINDS}
    fleet = pl.col("name").str.slice(1, 1).cast(pl.Int32)
    frame = _occupancy(fixes, rides).select(
        t="t",
        vid=pl.col("name").rank("dense").cast(pl.Int16),
        lat=(CENTRE_LAT_DEG + (pl.col("y_m") + pl.Series(north_m)) / M_PER_DEG_LAT).round(5),
        lon=(CENTRE_LON_DEG + (pl.col("x_m") + pl.Series(east_m)) / M_PER_DEG_LON).round(5),
        speed_mps=(pl.col("speed_mps") + pl.Series(rng.normal(0, SPEED_NOISE_MPS, rows)))
        .clip(0)
        .round(1),
        heading=(pl.col("heading") / 2).round(0).cast(pl.Int16) * 2 % 360,
        typ=pl.col("kind").replace_strict(classes),
        provider=fleet.replace_strict({n: f.provider for n, f in enumerate(FLEETS)}),
        occupied=pl.when(
            fleet.replace_strict({n: f.carries_passengers for n, f in enumerate(FLEETS)})
        ).then(pl.col("riding")),
    )
    return _with_faults(frame, rng)


def _occupancy(fixes: pl.DataFrame, rides: pl.DataFrame) -> pl.DataFrame:
    begun = rides.sort("from_s").select("name", "until_s", t=pl.col("from_s").cast(pl.Int32))
    joined = fixes.sort("t").join_asof(begun, on="t", by="name", check_sortedness=False)
    return joined.with_columns(
        riding=pl.col("until_s").is_not_null() & (pl.col("t") < pl.col("until_s"))
    ).sort("t", "name")


def _with_faults(frame: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    swapped = pl.Series(rng.choice(frame.height, SWAPPED_ROWS, replace=False).astype("uint32"))
    doubled = frame.sample(DOUBLED_ROWS, seed=int(rng.integers(2**31)))
    bad = pl.col("row").is_in(swapped.implode())
    faulty = frame.with_row_index("row").with_columns(
        lat=pl.when(bad).then("lon").otherwise("lat"), lon=pl.when(bad).then("lat").otherwise("lon")
    )
    return pl.concat([faulty.drop("row"), doubled]).sort("t", "vid", maintain_order=True)


def write_probes(frame: pl.DataFrame, file: Path) -> None:
    """Write both fleets to one file in the order of time, as small as Parquet gets it."""
    frame.write_parquet(
        file,
        compression="zstd",
        compression_level=19,
        statistics=False,
        metadata={"note": SYNTHETIC},
    )
