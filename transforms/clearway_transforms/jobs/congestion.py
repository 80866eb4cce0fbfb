"""From raw GPS in the lake to the tables of congestion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime

import polars as pl

from clearway_core.city import City
from clearway_core.errors import InsufficientData
from clearway_core.lake import Lake
from clearway_core.progress import Progress, silent
from clearway_transforms.cleaning import clean, near_roads
from clearway_transforms.congestion import cells
from clearway_transforms.congestion.speed import space_mean_kmh
from clearway_transforms.jobs import late_data, pings
from clearway_transforms.jobs.cells import build_cells
from clearway_transforms.jobs.corridors import build_corridors
from clearway_transforms.jobs.periods import PeriodAccount, build_period_travel, build_reliability
from clearway_transforms.jobs.product import BASE_RESOLUTION, Product
from clearway_transforms.jobs.release import settle_release
from clearway_transforms.jobs.vehicles import build_vehicle_travel
from clearway_transforms.parameters import congestion_parameters
from clearway_transforms.travel import trips


@dataclass(frozen=True, slots=True, kw_only=True)
class CongestionAccount:
    """What a build read, left out and wrote.

    Parameters
    ----------
    resolution, window_minutes
        Of the cells and windows. [1], [min]
    days
        UTC days that were built again; empty where nothing had come since the last build.
    left_alone
        UTC days with new fixes that stay as they are, since some of their fixes have been deleted.
    n_fixes, n_kept
        Fixes of those days in the raw table, and those that cleaning kept.
    dropped
        Fixes left out, by rule of `clearway_transforms.cleaning.clean.RULES`; with `n_kept` they
        add up to `n_fixes`.
    far_from_roads
        Providers too many of whose fixes lie far from every road of the city pack, with that
        share: their datum may be wrong. Nothing is altered.
    n_sorted
        Fixes that their gateway had read out of order; they were sorted and kept.
    legs
        Pairs of successive fixes by kind; of those, dwell, reported and path count.
    n_vehicles
        Most distinct pseudonyms of one epoch that moved.
    n_cells, n_windows, n_rows
        Of class 'all', in the windows that were written.
    city_mean_kmh
        Space-mean speed of all of them; None without any. [km/h]
    n_releasable, n_suppressed
        Rows of class 'all' that are public, and that are not.
    periods
        What reliability, bottlenecks and anomalies rest on and found.
    """

    resolution: int
    window_minutes: int
    days: tuple[date, ...]
    left_alone: tuple[date, ...]
    n_fixes: int
    n_kept: int
    dropped: Mapping[str, int]
    far_from_roads: Mapping[str, float]
    n_sorted: int
    legs: Mapping[str, int]
    n_vehicles: int
    n_cells: int
    n_windows: int
    n_rows: int
    city_mean_kmh: float | None
    n_releasable: int
    n_suppressed: int
    periods: PeriodAccount = field(default_factory=PeriodAccount)


def build_congestion(  # noqa: PLR0913 -- the options of the command
    lake: Lake,
    *,
    resolution: int = BASE_RESOLUTION,
    window_minutes: int = 15,
    city: City | None = None,
    time_from: datetime | None = None,
    time_to: datetime | None = None,
    progress: Progress = silent,
) -> CongestionAccount:
    """Build the tables from raw GPS to congestion, and say what was left out on the way.

    Parameters
    ----------
    lake
        Holds ``gps_pings``; gets ``cleaning_counts``, ``vehicle_travel``, ``cell_travel``,
        ``cell_speed``, ``free_flow``, ``congestion`` and ``period_travel``, with windows of 15
        minutes ``reliability``, ``bottlenecks`` and ``anomalies``, and with corridors in the city
        pack their ``vehicle_corridor_travel``, ``corridor_travel`` and ``corridor_times``. Rows of
        touched days are replaced, others stay. Closed days get their rows of ``released_travel``,
        once.
    resolution
        H3 resolution, 7 to 10.
    window_minutes
        15, 60 or 1440. [min]
    city
        Its clock says when hours, days and nights begin (else UTC), its service area which fixes
        are far away (else that rule is left out).
    time_from, time_to
        Days that fixes in [from, to) can touch are built again, whatever was built before; None is
        without bound. Without either, only what has come since the last build is built, and all of
        it after a change of parameters, city pack or version.
    progress
        Told after each day and vehicle bucket, then from the start again as cells are written.

    Raises
    ------
    InsufficientData
        If there is no raw GPS in the time asked for.
    UsageError
        If resolution or window are not among those that can be built.
    """
    product = Product(resolution=resolution, window_minutes=window_minutes, city=city)
    every = pings.ping_days(lake, time_from, time_to)
    if not every:
        span = f" from {time_from} to {time_to}" if time_from or time_to else ""
        message = (
            f"expected GPS fixes in the lake{span}, found none: run `clearway replay` and "
            "`clearway ingest run` first"
        )
        raise InsufficientData(message)
    todo = late_data.plan(lake, product)
    bounded = time_from is not None or time_to is not None
    units, days = (every, list(every)) if bounded else (todo.units, list(todo.days))
    periods = PeriodAccount()
    if days:
        late_data.forget(lake, product, todo.made_with)
        build_vehicle_travel(lake, product, units=units, progress=progress)
        local_days = build_period_travel(lake, product, days)
        build_cells(lake, product, days=product.days_touched(days), progress=progress)
        periods = build_reliability(lake, product, local_days, progress)
        build_corridors(lake, city, days)
    settle_release(lake, city=city)
    if days and not bounded:
        late_data.record(lake, product, todo)
    account = _account(lake, product, tuple(days))
    return replace(account, periods=periods, left_alone=() if bounded else todo.left_alone)


def _account(lake: Lake, product: Product, days: tuple[date, ...]) -> CongestionAccount:
    counts = lake.table("cleaning_counts").scan().filter(pl.col("observed_date").is_in(days))
    by_name = counts.group_by("subject", "name").agg(pl.col("n").sum()).collect()
    found = Counter({(subject, name): n for subject, name, n in by_name.iter_rows()})
    written = product.days_touched(days)
    of_all = pl.col("vehicle_class") == cells.ALL_CLASSES
    sums = product.scan(lake, "cell_travel", written).filter(of_all)
    public = product.scan(lake, "released_travel").filter(pl.col("window_date").is_in(written))
    passed = public.select(pl.len()).collect().item()
    totals = _totals(sums).collect().row(0, named=True)
    moved = product.base.scan(lake, "vehicle_travel", days)
    vehicles = _most_vehicles(moved).collect().item()
    return CongestionAccount(
        resolution=product.resolution,
        window_minutes=product.window_minutes,
        days=days,
        left_alone=(),
        n_fixes=found["fixes", "read"],
        n_kept=found["fixes", "kept"],
        dropped={name: found["left_out", name] for name in clean.RULES},
        far_from_roads=near_roads.suspect_datums(found, congestion_parameters()),
        n_sorted=found["fixes", "sorted"],
        legs={kind: found["pairs", kind] for kind in trips.KINDS},
        n_vehicles=vehicles or 0,
        n_releasable=passed,
        n_suppressed=totals["n_rows"] - passed,
        **totals,
    )


def _most_vehicles(vehicle_travel: pl.LazyFrame) -> pl.LazyFrame:
    """Return, as one value, the most distinct pseudonyms of one epoch that moved."""
    return (
        vehicle_travel.filter(pl.col("duration_ms") > 0)
        .group_by("pseudonym_epoch")
        .agg(n=pl.struct("provider", "vehicle").n_unique().cast(pl.Int64))
        .select(pl.col("n").max())
    )


def _totals(cell_travel: pl.LazyFrame) -> pl.LazyFrame:
    """Return, as one row, how many rows, cells and windows there are, and the mean of them all."""
    return cell_travel.select(
        n_rows=pl.len().cast(pl.Int64),
        n_cells=pl.col("h3_cell").n_unique().cast(pl.Int64),
        n_windows=pl.col("window_start").n_unique().cast(pl.Int64),
        city_mean_kmh=space_mean_kmh(pl.col("distance_mm").sum(), pl.col("duration_ms").sum()),
    )
