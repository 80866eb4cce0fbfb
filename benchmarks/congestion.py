"""From GPS fixes to cells: Clearway beside pandas, DuckDB and a plain Polars query, in one run.

    python benchmarks/congestion.py --fixes FOLDER --days 2 --per-day 5000000 [--out FILE.json]

Makes the fixes first (`congestion_fixes`), where FOLDER does not hold them yet. Every contender of
`congestion_engines` returns the same rows, which is checked. Each run is a process of its own, the
contenders take turns, and the median of the rounds counts; compare CPU seconds on a busy machine.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from pathlib import Path

import congestion_engines as engines
import congestion_fixes
import polars as pl

CONTENDERS: dict[str, Callable[[Path], Iterator[pl.DataFrame]]] = {
    "clearway": engines.clearway,
    "duckdb": engines.duckdb_sql,
    "pandas": engines.pandas_vectorised,
    "polars_plain": engines.polars_plain,
    "clearway_with_h3": partial(engines.clearway, cells_given=False, halves=True),
    "polars_plain_with_h3": partial(engines.polars_plain, cells_given=False),
    "clearway_as_shipped": partial(engines.clearway, cells_given=False, halves=False),
}
"""The last one also finds the borders of cells; its rows differ from those of the others."""

OWN_ROWS = ("clearway_as_shipped",)


def normal(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows with one type and order, whoever made them."""
    place = ["h3_cell", "window_start"]
    return rows.with_columns(
        pl.col("h3_cell").cast(pl.UInt64),
        pl.col("window_start").cast(pl.Datetime("us")).dt.replace_time_zone(None),
        pl.exclude(place).cast(pl.Int64),
    ).sort(place)


MODULES = {
    "clearway": (
        "clearway_transforms.jobs.vehicles",
        "clearway_transforms.congestion.cells",
    ),
    "duckdb": ("duckdb",),
    "pandas": ("pandas", "pyarrow.parquet"),
    "polars": ("polars_h3",),
}
"""What is loaded before the clock starts."""


def measure(name: str, folder: Path, answers: multiprocessing.Queue) -> None:
    """Run a contender once, in the process that was started for it.

    Its rows go to files day by day and are compared afterwards, so that they do not count as its
    memory; writing them is part of its time.
    """
    for module in MODULES[name.partition("_")[0]]:
        importlib.import_module(module)
    with tempfile.TemporaryDirectory() as place:
        wall, cpu = time.perf_counter(), time.process_time()
        for number, rows in enumerate(CONTENDERS[name](folder)):
            rows.write_parquet(f"{place}/{number}.parquet")
        found: dict[str, float] = {
            "wall_s": time.perf_counter() - wall,
            "cpu_s": time.process_time() - cpu,
            "peak_mib": peak_mib(),
            "rows_out": 0,
        }
        digest = 0
        for file in sorted(Path(place).iterdir()):
            rows = pl.read_parquet(file)
            found["rows_out"] += rows.height
            digest += int(normal(rows).hash_rows(seed=1).sum())
    answers.put({**found, "digest": digest})


def peak_mib() -> float:
    """Return this process's own peak of resident memory; getrusage would show the parent's too."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def make_fixes(folder: Path, days: int, per_day: int) -> int:
    """Make what is missing: two days are drawn, later ones repeat them with other vehicles."""
    for number in range(len(engines.days_of(folder)), days):
        if number < 2:
            congestion_fixes.write_day(folder, number, n_fixes=per_day)
        else:
            congestion_fixes.repeat_day(folder, number % 2, number)
    files = folder / "**" / "fixes.parquet"
    return pl.scan_parquet(files, hive_partitioning=False).select(pl.len()).collect().item()


def machine() -> dict[str, object]:
    """Return what the numbers were measured on."""
    packages = ("polars", "polars-h3", "pandas", "duckdb", "numpy")
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": platform.machine(),
        "system": platform.platform(terse=True),
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in packages},
    }


def summary(runs: list[dict[str, float]], n_fixes: int) -> dict[str, float]:
    """Return medians of the runs, the highest peak, and CPU per fix."""
    cpu_s = statistics.median(run["cpu_s"] for run in runs)
    return {
        "rounds": len(runs),
        "wall_s": statistics.median(run["wall_s"] for run in runs),
        "cpu_s": cpu_s,
        "cpu_ns_per_fix": cpu_s / n_fixes * 1e9,
        "peak_mib": max(run["peak_mib"] for run in runs),
        "rows_out": runs[0]["rows_out"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fixes", type=Path, required=True)
    parser.add_argument("--days", type=int, default=2)
    parser.add_argument("--per-day", type=int, default=congestion_fixes.FIXES_PER_DAY)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    n_fixes = make_fixes(options.fixes, options.days, options.per_day)
    note = machine()
    context = multiprocessing.get_context("spawn")
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in options.only}
    for number in range(options.rounds):
        for name in options.only:
            answers = context.Queue()
            process = context.Process(target=measure, args=(name, options.fixes, answers))
            process.start()
            runs[name].append(answers.get())
            process.join()
            print(number, name, runs[name][-1], file=sys.stderr, flush=True)
        same = {
            run["digest"] for name in options.only if name not in OWN_ROWS for run in runs[name]
        }
        assert len(same) <= 1, "contenders differ in their rows"
        found = {name: summary(each, n_fixes) for name, each in runs.items()}
        ours = found.get("clearway")
        for each in found.values():
            if ours is not None:
                each["cpu_to_clearway"] = each["cpu_s"] / ours["cpu_s"]
                each["wall_to_clearway"] = each["wall_s"] / ours["wall_s"]
        result = {"note": note, "fixes": n_fixes, "same_rows": True, "contenders": found}
        text = json.dumps(result, indent=2, default=float)
        if options.out is not None:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
