"""Tables of raw GPS fixes, made from files or by hand, as ingest would have stored them."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from clearway_core.contracts.raw_tables import GPS_PINGS, N_VEHICLE_BUCKETS
from clearway_core.lake import Lake
from clearway_core.schema import conform

ARRIVAL = datetime(2026, 6, 1, tzinfo=UTC)


def pseudonym(name: object) -> str:
    """Return 32 hex digits that stand for a vehicle."""
    return hashlib.sha256(str(name).encode()).hexdigest()[:32]


def as_gps_pings(fixes: pl.DataFrame, *, n_buckets: int = N_VEHICLE_BUCKETS) -> pl.DataFrame:
    """Return rows of ``gps_pings``.

    ``fixes`` needs vehicle (any text), observed_at, lon_deg and lat_deg; the rest is filled in.
    """
    names = fixes["vehicle"].unique().to_list()
    hexes = {name: pseudonym(name) for name in names}
    defaults = {
        "provider": pl.lit("test"),
        "gateway": pl.lit("gw-test"),
        "boot": pl.lit(1),
        "seq": pl.int_range(pl.len()),
        "received_at": pl.lit(ARRIVAL),
        "topic": pl.lit("clearway.gps_ping.v1"),
        "log_partition": pl.lit(0),
        "log_offset": pl.lit(0),
    }
    filled = fixes.with_columns(
        **{name: value for name, value in defaults.items() if name not in fixes.columns}
    )
    filled = filled.with_columns(
        pl.col("vehicle").replace_strict(hexes, return_dtype=pl.String),
        observed_date=pl.col("observed_at").dt.date(),
    ).with_columns(
        vehicle_bucket=pl.col("vehicle").str.slice(0, 2).str.to_integer(base=16).cast(pl.Int32)
        % n_buckets
    )
    return conform(filled, GPS_PINGS)


def store(lake: Lake, fixes: pl.DataFrame, *, n_buckets: int = N_VEHICLE_BUCKETS) -> None:
    """Append fixes to the lake's raw table."""
    lake.table("gps_pings").append(as_gps_pings(fixes, n_buckets=n_buckets))


def san_francisco(real_data: Path, day: str) -> pl.DataFrame:
    """Return the cab fixes of one archive: vehicle, observed_at, position, occupied."""
    frames = []
    archive = real_data / "gps" / "sf_cabspotting" / f"cabspotting_{day}.tar.gz"
    with tarfile.open(archive) as members:
        for member in members:
            stream = members.extractfile(member) if member.isfile() else None
            if stream is None:
                continue
            fixes = pl.read_csv(
                io.BytesIO(stream.read()),
                separator=" ",
                has_header=False,
                new_columns=["lat_deg", "lon_deg", "occupied", "unix_s"],
            )
            frames.append(fixes.with_columns(vehicle=pl.lit(Path(member.name).stem)))
    return pl.concat(frames).select(
        "vehicle",
        "lon_deg",
        "lat_deg",
        pl.col("occupied").cast(pl.Boolean),
        observed_at=pl.from_epoch("unix_s").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
    )


SUMO_START = datetime(2026, 1, 14, 23, 30, tzinfo=UTC)
"""06:30 in Bangkok on 2026-01-15."""


def sumo_15k(real_data: Path) -> pl.DataFrame:
    """Return the probe fixes of the simulated city, with reported speed."""
    probes = pl.read_parquet(real_data / "scenario" / "sumo_15k" / "probes.parquet")
    return probes.select(
        pl.col("vid").cast(pl.String).alias("vehicle"),
        pl.col("lon").alias("lon_deg"),
        pl.col("lat").alias("lat_deg"),
        speed_kmh=pl.col("speed_mps") * 3.6,
        heading_deg=pl.col("heading").cast(pl.Float64),
        vehicle_class=pl.lit("car"),
        observed_at=pl.lit(SUMO_START) + pl.duration(seconds=pl.col("t")),
    )


NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)

METRES_PER_DEGREE = 111_195.08
"""Of latitude, on the sphere that distances are computed on."""


def drive(
    vehicle: str = "cab-1",
    *,
    start: datetime = NOON,
    step_s: float = 60.0,
    speeds_kmh: Sequence[float] = (36.0,) * 10,
    lon_deg: float = 100.5,
    lat_deg: float = 13.75,
    **columns: object,
) -> pl.DataFrame:
    """Return the fixes of a vehicle that drives north at the given speed for each step."""
    lats = [lat_deg]
    for speed_kmh in speeds_kmh:
        lats.append(lats[-1] + speed_kmh / 3.6 * step_s / METRES_PER_DEGREE)
    instants = [start + timedelta(seconds=step_s * number) for number in range(len(lats))]
    frame = pl.DataFrame(
        {"vehicle": vehicle, "observed_at": instants, "lat_deg": lats, "lon_deg": lon_deg},
        schema_overrides={"observed_at": pl.Datetime("us", "UTC")},
    )
    return frame.with_columns(pl.lit(value).alias(name) for name, value in columns.items())
