"""From raw GPS in the lake to the tables of congestion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl

from clearway_core.city import City
from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.errors import InsufficientData, UsageError
from clearway_core.geo import COARSEST_RESOLUTION, FINEST_RESOLUTION
from clearway_core.lake import Lake
from clearway_core.progress import Progress, silent
from clearway_transforms import cells, clean, release, tables, travel, trips
from clearway_transforms import congestion as indices
from clearway_transforms import speed as speeds
from clearway_transforms.parameters import CongestionParameters, congestion_parameters
from clearway_transforms.vehicle_jobs import Counts, vehicle_travel_of

WINDOWS = (15, 60, 1440)
"""Window lengths that can be built [min]."""

BASE_RESOLUTION = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class CongestionAccount:
    """What a build read, left out and wrote.

    Parameters
    ----------
    resolution, window_minutes
        Of the cells and windows. [1], [min]
    days
        UTC days whose fixes were read again.
    n_fixes, n_kept
        Fixes of those days in the raw table, and those that cleaning kept.
    dropped
        Fixes left out, by rule of `clearway_transforms.clean.RULES`; with `n_kept` they add up to
        `n_fixes`.
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
        Rows of class 'all' that pass and that do not pass the public release gate.
    """

    resolution: int
    window_minutes: int
    days: tuple[date, ...]
    n_fixes: int
    n_kept: int
    dropped: Mapping[str, int]
    n_sorted: int
    legs: Mapping[str, int]
    n_vehicles: int
    n_cells: int
    n_windows: int
    n_rows: int
    city_mean_kmh: float | None
    n_releasable: int
    n_suppressed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """Which cells and windows are built, and by whose clock."""

    resolution: int
    window_minutes: int
    city: City | None = None

    def __post_init__(self) -> None:
        if not COARSEST_RESOLUTION <= self.resolution <= FINEST_RESOLUTION:
            message = (
                f"the resolution is {COARSEST_RESOLUTION} to {FINEST_RESOLUTION}, "
                f"got {self.resolution}"
            )
            raise UsageError(message)
        if self.window_minutes not in WINDOWS:
            lengths = ", ".join(map(str, WINDOWS))
            message = f"a window is {lengths} minutes long, got {self.window_minutes}"
            raise UsageError(message)

    @property
    def base(self) -> int:
        """Resolution at which vehicle travel is kept for this product."""
        return max(BASE_RESOLUTION, self.resolution)

    @property
    def time_zone(self) -> str:
        """IANA name of the clock by which hours, days and nights begin."""
        return "UTC" if self.city is None else self.city.time_zone.key

    def scan(
        self,
        lake: Lake,
        table: str,
        days: Sequence[date] | None = None,
        *,
        version: int | None = None,
    ) -> pl.LazyFrame:
        """Return a table's rows of this product."""
        return tables.scan_windows(
            lake.table(table),
            resolution=self.resolution,
            window_minutes=self.window_minutes,
            days=days,
            version=version,
        )

    def scan_vehicles(self, lake: Lake, days: Sequence[date] | None = None) -> pl.LazyFrame:
        """Return the vehicle travel that this product is made of."""
        return tables.scan_windows(
            lake.table("vehicle_travel"),
            resolution=self.base,
            window_minutes=travel.BASE_WINDOW_MINUTES,
            days=days,
        )

    def days_touched(self, days: Sequence[date]) -> list[date]:
        """Return the UTC dates on which windows begin that may hold travel of these days."""
        if self.window_minutes == travel.BASE_WINDOW_MINUTES or self.city is None:
            return sorted(days)
        return sorted({day - timedelta(days=back) for day in days for back in (0, 1)})


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
        ``cell_speed``, ``free_flow`` and ``congestion``. Rows of touched days are replaced, others
        stay.
    resolution
        H3 resolution, 7 to 10.
    window_minutes
        15, 60 or 1440. [min]
    city
        Its clock says when hours, days and nights begin (else UTC), its service area which fixes
        are far away (else that rule is left out).
    time_from, time_to
        Only days that fixes in [from, to) can touch; None is without bound.
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
    days = tables.ping_days(lake, time_from, time_to)
    if not days:
        span = f" from {time_from} to {time_to}" if time_from or time_to else ""
        message = (
            f"expected GPS fixes in the lake{span}, found none: run `clearway replay` and "
            "`clearway ingest run` first"
        )
        raise InsufficientData(message)
    counts = _build_vehicle_travel(lake, product, days=days, progress=progress)
    written = product.days_touched(list(days))
    _build_cells(lake, product, days=written, progress=progress)
    return _account(lake, product, counts=counts, days=tuple(days), written=written)


def rolled_travel(
    lake: Lake,
    product: Product,
    parameters: CongestionParameters,
    days: Sequence[date] | None = None,
) -> pl.LazyFrame:
    """Return vehicle travel rolled up to a product, of the windows that begin on these UTC dates.

    Parameters
    ----------
    lake
        The lake.
    product
        Cells, windows and clock.
    parameters
        Thresholds.
    days
        UTC dates; None is all.
    """
    reach = None if days is None else {day + timedelta(days=on) for day in days for on in (0, 1)}
    base = product.scan_vehicles(lake, None if reach is None else sorted(reach))
    rolled = cells.roll_up(
        cells.count_queues(base, parameters),
        resolution=product.resolution,
        window_minutes=product.window_minutes,
        time_zone=product.time_zone,
    )
    if days is not None:
        rolled = rolled.filter(pl.col("window_start").dt.date().is_in(list(days)))
    return cells.with_all_classes(rolled)


def free_flow_rows(
    cell_travel: pl.LazyFrame, product: Product, parameters: CongestionParameters
) -> pl.LazyFrame:
    """Return the rows of ``free_flow`` that these windows give."""
    found = indices.free_flow(
        cell_travel,
        parameters,
        resolution=product.resolution,
        window_minutes=product.window_minutes,
        time_zone=product.time_zone,
    ).with_columns(pl.col("look_back_end") + pl.duration(minutes=product.window_minutes))
    return finished(found, "free_flow", product)


def finished(rows: pl.LazyFrame, table: str, product: Product) -> pl.LazyFrame:
    """Return the rows with every column of a table, in the order of its key."""
    return tables.finished(
        rows,
        LAKE_CONTRACTS[table],
        resolution=product.resolution,
        window_minutes=product.window_minutes,
    )


def _build_vehicle_travel(
    lake: Lake, product: Product, *, days: Mapping[date, Sequence[int]], progress: Progress
) -> Counts:
    """Write ``vehicle_travel`` and ``cleaning_counts`` day by day; return the counts."""
    parameters = congestion_parameters()
    base = Product(resolution=product.base, window_minutes=travel.BASE_WINDOW_MINUTES)
    counts: Counts = Counter()
    total, done = sum(map(len, days.values())), 0
    for day, buckets in days.items():
        parts = []
        for bucket in buckets:
            rows, found = vehicle_travel_of(
                tables.scan_pings(lake, day, bucket).collect(),
                parameters,
                day=day,
                resolution=base.resolution,
                city=product.city,
            )
            parts.append(rows)
            counts.update(found)
            done += 1
            progress(done, total, f"{day}")
        _replace(lake, "vehicle_travel", pl.concat(parts).lazy(), product=base, days=[day])
    lake.table("cleaning_counts").replace(tables.count_rows(counts), {"observed_date": list(days)})
    return counts


def _build_cells(lake: Lake, product: Product, *, days: Sequence[date], progress: Progress) -> None:
    """Write the tables of cells day by day, so that memory does not grow with the days."""
    parameters = congestion_parameters()
    for number, day in enumerate(days):
        rolled = rolled_travel(lake, product, parameters, [day])
        sums = finished(cells.cell_travel(rolled), "cell_travel", product).collect()
        _replace(lake, "cell_travel", sums.lazy(), product=product, days=[day])
        speed = speeds.cell_speed(sums.lazy(), parameters)
        _replace(lake, "cell_speed", speed, product=product, days=[day])
        progress(number + 1, 2 * len(days), f"{day} speed")
    look_back = product.scan(lake, "cell_travel", _look_back(lake, product, parameters))
    reference = free_flow_rows(look_back, product, parameters).collect()
    lake.table("free_flow").replace(
        reference,
        {"resolution": [product.resolution], "window_minutes": [product.window_minutes]},
    )
    for number, day in enumerate(days):
        speed = product.scan(lake, "cell_speed", [day])
        congested = indices.congestion(speed, reference.lazy())
        _replace(lake, "congestion", congested, product=product, days=[day])
        progress(len(days) + number + 1, 2 * len(days), f"{day} congestion")


def _look_back(lake: Lake, product: Product, parameters: CongestionParameters) -> list[date]:
    """Return the days up to the newest of the product, whichever days were built just now."""
    held = tables.window_days(
        lake.table("cell_travel"),
        resolution=product.resolution,
        window_minutes=product.window_minutes,
    )
    if not held:
        return []
    return [day for day in held if (held[-1] - day).days < parameters.look_back_days]


def _replace(
    lake: Lake, table: str, rows: pl.LazyFrame, *, product: Product, days: Sequence[date]
) -> None:
    tables.replace_days(
        lake.table(table),
        finished(rows, table, product).collect(),
        days,
        resolution=product.resolution,
        window_minutes=product.window_minutes,
    )


def _account(
    lake: Lake,
    product: Product,
    *,
    counts: Counts,
    days: tuple[date, ...],
    written: Sequence[date],
) -> CongestionAccount:
    found: Counter[tuple[str, str]] = Counter()
    for (_, subject, name), number in counts.items():
        found[subject, name] += number
    sums = product.scan(lake, "cell_travel", written).filter(
        pl.col("vehicle_class") == cells.ALL_CLASSES
    )
    rule = release.public_rule(
        congestion_parameters(), n_providers=tables.n_providers(lake).collect().item()
    )
    passed = release.release(sums, rule, cell_travel=sums).select(pl.len()).collect().item()
    totals = tables.totals(sums).collect().row(0, named=True)
    vehicles = tables.most_vehicles(product.scan_vehicles(lake, days)).collect().item()
    return CongestionAccount(
        resolution=product.resolution,
        window_minutes=product.window_minutes,
        days=days,
        n_fixes=found["fixes", "read"],
        n_kept=found["fixes", "kept"],
        dropped={name: found["left_out", name] for name in clean.RULES},
        n_sorted=found["fixes", "sorted"],
        legs={kind: found["pairs", kind] for kind in trips.KINDS},
        n_vehicles=vehicles or 0,
        n_releasable=passed,
        n_suppressed=totals["n_rows"] - passed,
        **totals,
    )
