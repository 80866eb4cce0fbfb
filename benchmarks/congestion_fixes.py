"""Synthetic fixes for the speed benchmark: days of a fleet, laid out like the table ``gps_pings``.

Written day by day, so that any number of days needs the memory of one. Vehicles drive, wait at
lights, park, fall silent, take passengers, and their fixes hold duplicates, jumps and bad values.
The data are such that rules which only code can state in full have a short form in SQL or pandas:
a jump stands alone, a vehicle that moves covers more than the dwell radius between two fixes, one
that stands repeats its position every ten seconds, a silence is longer than any trip may bridge and
passengers change in silences only.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import polars_h3

from clearway_core.contracts.raw_tables import GPS_PINGS, N_VEHICLE_BUCKETS
from clearway_core.schema import conform

FIRST_DAY = date(2026, 3, 2)
FIXES_PER_DAY = 5_000_000
FIXES_PER_VEHICLE = 2_500
RESOLUTION = 9
OUTLINES = (7, 8)

_PROVIDERS = ("fleet-a", "fleet-b", "fleet-c")
"""The first reports speed and passengers, the second speed only, the third positions only."""


def write_day(folder: Path, number: int, *, n_fixes: int = FIXES_PER_DAY) -> int:
    """Write one day of fixes, a file per vehicle bucket, and return how many.

    Parameters
    ----------
    folder
        Gets ``observed_date=…/vehicle_bucket=…/fixes.parquet``.
    number
        Day, from 0; also the seed.
    n_fixes
        About so many.

    Notes
    -----
    Besides the columns of ``gps_pings`` the files hold ``h3_cell`` and ``within_r7``,
    ``within_r8``: what every contender is given.
    """
    rng = np.random.default_rng(number)
    n_vehicles = max(8, n_fixes // FIXES_PER_VEHICLE)
    day = FIRST_DAY + timedelta(days=number)
    names = [hashlib.sha256(f"{day} {n}".encode()).hexdigest()[:32] for n in range(n_vehicles)]
    bucket = np.array([int(name[:2], 16) % N_VEHICLE_BUCKETS for name in names])
    written = 0
    for each in range(N_VEHICLE_BUCKETS):
        mine = np.flatnonzero(bucket == each)
        provider = rng.choice(len(_PROVIDERS), size=mine.size, p=[0.5, 0.4, 0.1])
        fixes = _drive(rng, provider)
        fixes = fixes.with_columns(
            vehicle=pl.Series([names[n] for n in mine]).gather(fixes["track"]),
            provider=pl.Series(_PROVIDERS).gather(provider[fixes["track"].to_numpy()]),
            observed_at=pl.lit(datetime(day.year, day.month, day.day, tzinfo=UTC))
            + pl.duration(milliseconds="day_ms"),
        )
        rows = _as_received(fixes, day=day, bucket=each)
        file = folder / f"observed_date={day}" / f"vehicle_bucket={each}" / "fixes.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        rows.write_parquet(file, row_group_size=200_000)
        written += rows.height
    return written


def repeat_day(folder: Path, source: int, number: int) -> int:
    """Write a day on which other vehicles drive what those of an earlier day drove.

    Parameters
    ----------
    folder
        Holds the earlier day.
    source, number
        The earlier day and the new one, from 0.
    """
    written = 0
    later = timedelta(days=number - source)
    day = FIRST_DAY + timedelta(days=number)
    # The first two digits say which bucket a pseudonym lies in.
    other = pl.col("vehicle").str.slice(0, 2) + pl.col("vehicle").str.slice(2).str.reverse()
    name = other.str.slice(0, 30) + f"{number:02x}"
    for bucket in range(N_VEHICLE_BUCKETS):
        file = f"vehicle_bucket={bucket}/fixes.parquet"
        rows = pl.read_parquet(
            folder / f"observed_date={FIRST_DAY + timedelta(days=source)}" / file,
            hive_partitioning=False,
        ).with_columns(
            pl.col("observed_at", "received_at") + later,
            vehicle=name,
            pseudonym_epoch=pl.lit(day),
            observed_date=pl.lit(day),
        )
        target = folder / f"observed_date={day}" / file
        target.parent.mkdir(parents=True, exist_ok=True)
        rows.write_parquet(target, row_group_size=200_000)
        written += rows.height
    return written


def _drive(rng: np.random.Generator, provider: np.ndarray) -> pl.DataFrame:
    """Return the fixes of some vehicles, one column of the arrays each."""
    shape = (FIXES_PER_VEHICLE, provider.size)
    silent = provider == 2
    standing = _standing(rng, shape)
    dark = (rng.random(shape) < 0.003) & ~standing
    step_ms = np.where(silent, rng.integers(10_000, 15_000, shape), rng.integers(5000, 9900, shape))
    step_ms = np.where(standing, 10_000, step_ms)
    step_ms = np.where(dark, rng.integers(600_000, 1_800_000, shape), step_ms)
    begin_ms = rng.integers(0, 12 * 3_600_000, shape[1])
    swing = np.cumsum(rng.normal(0, 1.5, shape), axis=0)
    metres_per_s = 6.5 + 12 * np.abs(np.sin(swing / 12))
    heading = np.cumsum(rng.normal(0, 0.15, shape), axis=0) + rng.uniform(0, 6.3, shape[1])
    metres = np.where(standing, 0, metres_per_s * np.minimum(step_ms, 20_000) / 1000)
    lon = _folded(rng.normal(0, 0.07, shape[1]) + np.cumsum(metres * np.sin(heading), 0) / 108_000)
    lat = _folded(rng.normal(0, 0.07, shape[1]) + np.cumsum(metres * np.cos(heading), 0) / 110_600)
    passenger = np.cumsum(dark & (rng.random(shape) < 0.6), axis=0) % 2 == 0
    turns = _turns(lon, lat) & ~standing
    day_ms = begin_ms + np.cumsum(np.where(turns, np.maximum(step_ms, 600_000), step_ms), axis=0)
    odd = _odd_ones(rng, standing | dark | turns)
    lon = 100.53 + lon + np.where(odd == 1, 0.08, 0)
    track = np.broadcast_to(np.arange(shape[1]), shape)
    speed = np.round(np.where(standing, 0, metres_per_s) * 3.6, 1)
    frame = pl.DataFrame(
        {
            "track": track.ravel("F"),
            "day_ms": day_ms.ravel("F"),
            "lon_deg": np.where(odd == 2, 0, np.round(lon, 6)).ravel("F"),
            "lat_deg": np.where(odd == 2, 0, np.round(13.75 + lat, 6)).ravel("F"),
            "speed_kmh": speed.ravel("F"),
            "heading_deg": np.round(np.degrees(heading) % 360, 0).ravel("F"),
            "accuracy_m": np.where(odd == 3, 80.0, 5.0).ravel("F"),
            "occupied": passenger.ravel("F"),
            "kind": provider[track].ravel("F"),
            "again": (rng.random(shape) < 0.01).ravel("F"),
        }
    )
    return _with_copies(frame).filter(pl.col("day_ms") < 86_400_000)


def _folded(degrees: np.ndarray) -> np.ndarray:
    """Return offsets that turn round at the edge of the city."""
    return np.abs((degrees + 0.25) % 1.0 - 0.5) - 0.25


def _turns(lon_deg: np.ndarray, lat_deg: np.ndarray) -> np.ndarray:
    """Return which steps end within 30 m of where they began, at the edge of the city.

    Vehicles are silent there: a short step beside a halt would be part of it.
    """
    metres = np.hypot(
        np.diff(lon_deg, axis=0, prepend=9) * 108_000, np.diff(lat_deg, axis=0, prepend=9) * 110_600
    )
    turns: np.ndarray = metres < 30
    return turns


def _standing(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Return which fixes repeat the position before: lights (to 2 min) and parking (from 190 s)."""
    begins = rng.random(shape)
    length = np.where(begins < 0.02, rng.integers(2, 12, shape), 0)
    length = np.where(begins > 0.998, rng.integers(19, 60, shape), length)
    standing = np.zeros(shape, dtype=bool)
    left = np.zeros(shape[1], dtype=np.int64)
    pause = np.zeros(shape[1], dtype=np.int64)
    for row in range(shape[0]):
        may = (left == 0) & (pause <= 0)
        left = np.where(may, length[row], left)
        standing[row] = left > 0
        pause = np.where(left > 0, 3, pause - 1)
        left = np.maximum(left - 1, 0)
    return standing


def _odd_ones(rng: np.random.Generator, busy: np.ndarray) -> np.ndarray:
    """Return 1 for jumps, 2 for zero positions, 3 for poor fixes: alone, in plain driving only."""
    near = busy.copy()
    for step in (1, 2, 3):
        near[step:] |= busy[:-step]
        near[:-step] |= busy[step:]
    slot = np.arange(busy.shape[0])[:, None] % 7 == 3
    pick = rng.random(busy.shape)
    kind = np.where(pick < 0.003, 1, np.where(pick < 0.006, 2, np.where(pick < 0.02, 3, 0)))
    return np.where(slot & ~near, kind, 0)


def _with_copies(fixes: pl.DataFrame) -> pl.DataFrame:
    """Return the fixes with some sent twice: at the same instant, or half a second later."""
    silent = pl.col("kind") == 2
    fixes = fixes.with_columns(
        speed_kmh=pl.when(~silent).then("speed_kmh"),
        occupied=pl.when(pl.col("kind") == 0).then("occupied"),
    )
    copies = fixes.filter("again").with_columns(
        day_ms=pl.col("day_ms") + pl.when(silent).then(500).otherwise(0)
    )
    return pl.concat([fixes, copies])


def _as_received(fixes: pl.DataFrame, *, day: date, bucket: int) -> pl.DataFrame:
    """Return rows of ``gps_pings`` in order of arrival, with the cells that everyone is given."""
    rows = fixes.sort("day_ms").with_columns(
        vehicle_class=pl.lit("car"),
        pseudonym_epoch=pl.lit(day),
        gateway=pl.format("gw-{}", pl.col("track") % 5),
        boot=pl.lit(1),
        seq=pl.int_range(pl.len()),
        received_at=pl.col("observed_at") + pl.duration(seconds=20),
        topic=pl.lit("clearway.gps_ping.v1"),
        log_partition=pl.lit(bucket),
        log_offset=pl.int_range(pl.len()) // 1000,
        observed_date=pl.lit(day),
        vehicle_bucket=pl.lit(bucket),
    )
    cells = {
        resolution: polars_h3.latlng_to_cell(
            "lat_deg", "lon_deg", resolution, return_dtype=pl.UInt64
        )
        for resolution in (*OUTLINES, RESOLUTION)
    }
    given = rows.select(h3_cell=cells[RESOLUTION], **{f"r{r}": cells[r] for r in OUTLINES}).select(
        "h3_cell",
        **{
            f"within_r{r}": polars_h3.cell_to_parent(pl.col("h3_cell"), r).cast(pl.UInt64)
            == pl.col(f"r{r}")
            for r in OUTLINES
        },
    )
    pings = conform(rows.drop("track", "day_ms", "kind", "again"), GPS_PINGS)
    return pl.concat([pings, given], how="horizontal")
