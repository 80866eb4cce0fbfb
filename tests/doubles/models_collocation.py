"""Turns EPA's three collocated sensors and their reference into a collocation file."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import polars as pl

SENSORS = ("RT01", "RT02", "RT03")
UTC_OFFSET_H = 5
"""The files' preamble says UTC-05:00, in August: standard time, without daylight saving."""
MIN_MINUTES = 45


def write_epa_collocation(folder: Path, file: Path, *, offset_h: int = UTC_OFFSET_H) -> Path:
    """Write hourly pairs of raw value, humidity, temperature and reference."""
    reference = (
        pl.read_csv(
            folder / "airnowtech_example_reference_data.csv.gz",
            schema_overrides={"Value": pl.Float64},
        )
        .filter(pl.col("Param").eq("PM2.5-88101") & pl.col("QC Code").eq(0))
        .select(
            (pl.col("Date (UTC)") + " " + pl.col("Time (UTC)"))
            .str.to_datetime("%m/%d/%Y %H:%M", time_zone="UTC")
            .alias("hour_start"),
            pl.col("Value").alias("reference_ugm3"),
        )
        .unique("hour_start")
    )
    hours = pl.concat([_hours(folder, sensor, offset_h) for sensor in SENSORS])
    joined = hours.join(reference, on="hour_start", how="inner").sort("sensor", "hour_start")
    joined.write_parquet(file)
    return file


def _hours(folder: Path, sensor: str, offset_h: int) -> pl.DataFrame:
    packed = (folder / f"toco_toucan_{sensor}_raw.csv.gz").read_bytes()
    lines = gzip.decompress(packed).decode("utf-8-sig").splitlines()
    header = next(n for n, line in enumerate(lines) if line.startswith("Time,"))
    minutes = pl.read_csv(io.StringIO("\n".join(lines[header:])), infer_schema_length=None)
    local = pl.col("Time").str.to_datetime("%m/%d/%Y %H:%M")
    return (
        minutes.with_columns(
            (local + pl.duration(hours=offset_h))
            .dt.replace_time_zone("UTC")
            .dt.truncate("1h")
            .alias("hour_start")
        )
        .group_by("hour_start")
        .agg(
            pl.col("PM2.5 (µg/m³)").mean().alias("pm2_5_cf1_ugm3"),
            pl.col("RH (%)").mean().alias("humidity_pct"),
            pl.col("TEMP (°C)").mean().alias("temperature_c"),
            pl.len().alias("n"),
        )
        .filter(pl.col("n") >= MIN_MINUTES)
        .select(
            "hour_start",
            pl.lit("Burdens Creek").alias("site"),
            pl.lit(sensor).alias("sensor"),
            "pm2_5_cf1_ugm3",
            "humidity_pct",
            "temperature_c",
        )
    )
