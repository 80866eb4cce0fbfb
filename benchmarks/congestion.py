"""From GPS fixes to cells: Clearway beside one Polars query and one DuckDB query, in one run.

    python benchmarks/congestion.py --data FOLDER [--copies 4] [--out FILE.json]

FOLDER holds ``gps/sf_cabspotting``. Every contender reads the same Parquet file of fixes and writes
distance, time and vehicles per cell and quarter of an hour, in a process of its own (so that peak
memory is its own). The two queries put each leg whole into the cell of its middle; DuckDB, without
H3, into a square of about the same size. Clearway also cleans, tells halts from trips, splits
legs over cells and windows, keeps vehicles apart so that they can be counted again, and goes
vehicle bucket by vehicle bucket; the full build also writes and reads all Delta tables.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from importlib import metadata
from pathlib import Path

import polars as pl

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

DAY = date(2008, 5, 21)
ROUNDS = 3


def clearway_units(file: Path) -> int:
    """Clean, pair, split and add up, eight buckets of a day one after the other, in memory."""
    from clearway_transforms import cells  # noqa: PLC0415
    from clearway_transforms.parameters import congestion_parameters  # noqa: PLC0415
    from clearway_transforms.vehicle_jobs import vehicle_travel_of  # noqa: PLC0415

    parameters = congestion_parameters()
    parts = [
        vehicle_travel_of(
            pl.scan_parquet(file)
            .filter((pl.col("vehicle_bucket") == bucket) & (pl.col("observed_date") == day))
            .collect(),
            parameters,
            day=day,
            resolution=9,
        )[0]
        for day in (DAY, DAY + timedelta(days=1))
        for bucket in range(8)
    ]
    travel = pl.concat(parts).lazy()
    return (
        cells.cell_travel(
            cells.with_all_classes(cells.roll_up(travel, resolution=9, window_minutes=15))
        )
        .collect()
        .height
    )


def clearway_build(file: Path) -> int:
    """Run the whole job, tables and all; the raw table is there before the clock starts."""
    from clearway_core.lake import Lake  # noqa: PLC0415
    from clearway_transforms.jobs import build_congestion  # noqa: PLC0415

    return build_congestion(Lake(file.parent / "lake")).n_rows


def plain_polars(file: Path) -> int:
    """One query: sort, shift over vehicles, haversine, H3 of the leg's middle, group."""
    import polars_h3  # noqa: PLC0415

    def before(name: str) -> pl.Expr:
        return pl.col(name).shift(1).over("vehicle")

    radians = 3.141592653589793 / 180
    chord = ((pl.col("lat_deg") - pl.col("lat_0")) * radians / 2).sin() ** 2 + (
        (pl.col("lat_deg") * radians).cos()
        * (pl.col("lat_0") * radians).cos()
        * ((pl.col("lon_deg") - pl.col("lon_0")) * radians / 2).sin() ** 2
    )
    legs = (
        pl.scan_parquet(file)
        .sort("vehicle", "observed_at")
        .with_columns(
            lat_0=before("lat_deg"),
            lon_0=before("lon_deg"),
            at_0=before("observed_at"),
            occupied_0=before("occupied"),
        )
        .with_columns(
            seconds=(pl.col("observed_at") - pl.col("at_0")).dt.total_milliseconds() / 1000,
            metres=2 * 6_371_008.8 * chord.sqrt().arcsin(),
        )
        .filter(
            pl.col("occupied")
            & pl.col("occupied_0")
            & pl.col("seconds").is_between(10, 300)
            & (pl.col("metres") / pl.col("seconds") * 3.6 <= 160)
        )
    )
    cell = polars_h3.latlng_to_cell(
        (pl.col("lat_deg") + pl.col("lat_0")) / 2,
        (pl.col("lon_deg") + pl.col("lon_0")) / 2,
        9,
        return_dtype=pl.UInt64,
    )
    return (
        legs.group_by(cell.alias("cell"), pl.col("observed_at").dt.truncate("15m"))
        .agg(
            pl.col("metres").sum(),
            pl.col("seconds").sum(),
            vehicles=pl.col("vehicle").n_unique(),
        )
        .collect(engine="streaming")
        .height
    )


def duckdb_query(file: Path) -> int:
    """One query with window functions; squares of 0.003 degrees in the place of H3."""
    import duckdb  # noqa: PLC0415

    query = f"""
        with pairs as (
          select *, lag(lat_deg) over w as lat_0, lag(lon_deg) over w as lon_0,
                 lag(observed_at) over w as at_0, lag(occupied) over w as occupied_0
          from '{file}' window w as (partition by vehicle order by observed_at)
        ), legs as (
          select *, epoch(observed_at) - epoch(at_0) as seconds,
            2 * 6371008.8 * asin(sqrt(
              sin(radians(lat_deg - lat_0) / 2) ** 2 + cos(radians(lat_deg))
              * cos(radians(lat_0)) * sin(radians(lon_deg - lon_0) / 2) ** 2)) as metres
          from pairs where occupied and occupied_0
        )
        select floor((lat_deg + lat_0) / 0.006), floor((lon_deg + lon_0) / 0.006),
               time_bucket(interval '15 minutes', observed_at),
               sum(metres), sum(seconds), count(distinct vehicle)
        from legs where seconds between 10 and 300 and metres / seconds * 3.6 <= 160
        group by 1, 2, 3
    """  # noqa: S608 -- our own file
    return len(duckdb.sql(query).fetchnumpy()["sum(metres)"])


CONTENDERS: dict[str, Callable[[Path], int]] = {
    "clearway_units": clearway_units,
    "clearway_build": clearway_build,
    "plain_polars": plain_polars,
    "duckdb": duckdb_query,
}


def measure(name: str, file: Path) -> dict[str, float]:
    """Return the best of some rounds: wall and CPU time; and peak memory."""
    CONTENDERS[name](file)  # imports and caches
    best: dict[str, float] = {}
    for _ in range(ROUNDS):
        cpu, wall = time.process_time(), time.perf_counter()
        rows = CONTENDERS[name](file)
        found = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
        if not best or found["wall_s"] < best["wall_s"]:
            best = {**found, "rows_out": rows}
    best["peak_mib"] = peak_mib()
    return best


def peak_mib() -> float:
    """Return this process's own peak of resident memory; getrusage would show the parent's too."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def write_fixes(data: Path, folder: Path, copies: int) -> tuple[Path, int]:
    """Write one San Francisco day, each cab `copies` times, as Parquet and as a raw table."""
    from doubles import transforms_pings as pings  # noqa: PLC0415

    from clearway_core.lake import Lake  # noqa: PLC0415

    day = pings.san_francisco(data, DAY.isoformat())
    fleet = pl.concat(
        day.with_columns(pl.col("vehicle") + f"-{number}") for number in range(copies)
    )
    rows = pings.as_gps_pings(fleet).sample(fraction=1.0, shuffle=True, seed=1)
    file = folder / "fixes.parquet"
    rows.write_parquet(file)
    Lake(folder / "lake").table("gps_pings").append(rows)
    return file, rows.height


def machine() -> dict[str, object]:
    """Return what the numbers were measured on."""
    packages = ("polars", "polars-h3", "deltalake", "duckdb", "numpy")
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": platform.machine(),
        "system": platform.platform(terse=True),
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in packages},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    result: dict[str, object] = {"note": machine()}
    with tempfile.TemporaryDirectory() as scratch:
        file, n_rows = write_fixes(options.data, Path(scratch), options.copies)
        context = multiprocessing.get_context("spawn")
        found: dict[str, dict[str, float]] = {}
        for name in CONTENDERS:
            with context.Pool(1) as pool:
                found[name] = pool.apply(measure, (name, file))
            found[name]["rows_per_s"] = n_rows / found[name]["wall_s"]
            found[name]["cpu_ns_per_row"] = found[name]["cpu_s"] / n_rows * 1e9
    plain = found["plain_polars"]
    for each in found.values():
        each["wall_to_plain_polars"] = each["wall_s"] / plain["wall_s"]
        each["peak_to_plain_polars"] = each["peak_mib"] / plain["peak_mib"]
    result |= {"fixes": n_rows, "rounds": ROUNDS, "contenders": found}
    text = json.dumps(result, indent=2, default=lambda value: round(value, 3))
    print(text)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
