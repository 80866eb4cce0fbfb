"""The work of this stage as plain functions over a lake; commands, DAGs and tests call these."""

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
    n_fixes
        Fixes of those days in the raw table.
    dropped
        Fixes left out, by rule of `clearway_transforms.clean.RULES`.
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
        Holds ``gps_pings``; gets ``vehicle_travel``, ``cell_travel``, ``cell_speed``,
        ``free_flow`` and ``congestion``. Rows of touched days are replaced, others stay.
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
        Told after each day and vehicle bucket.

    Raises
    ------
    InsufficientData
        If there is no raw GPS in the time asked for.
    UsageError
        If resolution or window are not among those that can be built.
    """
    _check(resolution, window_minutes)
    parameters = congestion_parameters()
    days = tables.ping_days(lake, time_from, time_to)
    if not days:
        span = f" from {time_from} to {time_to}" if time_from or time_to else ""
        message = (
            f"expected GPS fixes in the lake{span}, found none: run `clearway replay` and "
            "`clearway ingest run` first"
        )
        raise InsufficientData(message)
    base = max(BASE_RESOLUTION, resolution)
    counts = _build_vehicle_travel(
        lake, parameters, days=days, base=base, city=city, progress=progress
    )
    written = _window_dates(lake, list(days), base=base, window_minutes=window_minutes, city=city)
    progress(sum(map(len, days.values())), None, "cells")
    _build_cells(
        lake,
        parameters,
        days=written,
        resolution=resolution,
        window_minutes=window_minutes,
        city=city,
    )
    return _account(
        lake,
        counts,
        days=tuple(days),
        written=written,
        resolution=resolution,
        window_minutes=window_minutes,
    )


def _check(resolution: int, window_minutes: int) -> None:
    if not COARSEST_RESOLUTION <= resolution <= FINEST_RESOLUTION:
        message = (
            f"the resolution is {COARSEST_RESOLUTION} to {FINEST_RESOLUTION}, got {resolution}"
        )
        raise UsageError(message)
    if window_minutes not in WINDOWS:
        message = f"a window is {', '.join(map(str, WINDOWS))} minutes long, got {window_minutes}"
        raise UsageError(message)


def _build_vehicle_travel(
    lake: Lake,
    parameters: CongestionParameters,
    *,
    days: Mapping[date, Sequence[int]],
    base: int,
    city: City | None,
    progress: Progress,
) -> Counter[tuple[str, str]]:
    """Write ``vehicle_travel`` day by day; return counts by (kind of count, name)."""
    counts: Counter[tuple[str, str]] = Counter()
    total, done = sum(map(len, days.values())), 0
    table = lake.table("vehicle_travel")
    contract = LAKE_CONTRACTS["vehicle_travel"]
    for day, buckets in days.items():
        parts = []
        for bucket in buckets:
            raw = tables.scan_pings(lake, day, bucket).collect()
            parts.append(
                vehicle_travel_of(
                    raw, parameters, day=day, resolution=base, city=city, counts=counts
                )
            )
            done += 1
            progress(done, total, f"{day}")
        rows = tables.finished(
            pl.concat(parts).lazy(),
            contract,
            resolution=base,
            window_minutes=travel.BASE_WINDOW_MINUTES,
        ).collect()
        tables.replace_days(
            table, rows, [day], resolution=base, window_minutes=travel.BASE_WINDOW_MINUTES
        )
    return counts


def vehicle_travel_of(
    raw: pl.DataFrame,
    parameters: CongestionParameters,
    *,
    day: date,
    resolution: int,
    city: City | None = None,
    counts: Counter[tuple[str, str]] | None = None,
) -> pl.DataFrame:
    """Return what some vehicles drove in each cell and 15-minute window of one UTC day.

    Parameters
    ----------
    raw
        All fixes of those vehicles on that day and around its edges.
    parameters
        Thresholds.
    day
        UTC day; what falls into windows of other days is left to those.
    resolution
        H3 resolution.
    city
        For its service area.
    counts
        Gets the counts of the day's own fixes and legs added.
    """
    counts = Counter() if counts is None else counts
    start = tables.day_start(day)
    end = start + timedelta(days=1)
    fixes = _clean(raw, parameters, day=day, city=city, counts=counts)
    paired = trips.pair_fixes(fixes.lazy(), parameters).collect()
    of_day = paired.filter(pl.col("observed_at").is_between(start, end, closed="left"))
    counts.update(
        {
            ("leg", str(kind)): n
            for kind, n in of_day["kind"].drop_nulls().value_counts().iter_rows()
        }
    )
    legs = travel.counted_legs(paired.lazy(), parameters, resolution).collect()
    windows = (
        int(start.timestamp() * 1000) // travel.WINDOW_MS,
        int(end.timestamp() * 1000) // travel.WINDOW_MS,
    )
    in_day = pl.col("window").is_between(*windows, closed="left")
    sums = travel.add_up(
        travel.allocate(legs.lazy(), parameters, resolution).filter(in_day),
        travel.count_fixes(paired.lazy(), resolution).filter(in_day),
    )
    names = (
        paired.lazy()
        .group_by("vehicle_code")
        .agg(
            pl.col("provider", "vehicle").first(),
            pl.col("pseudonym_epoch").min().cast(pl.String).fill_null(""),
        )
    )
    instant = pl.from_epoch(pl.col("window") * travel.WINDOW_MS, time_unit="ms")
    return (
        sums.join(names, on="vehicle_code", validate="m:1")
        .with_columns(window_start=instant.cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))
        .drop("vehicle_code", "window")
        .collect()
    )


def _clean(
    raw: pl.DataFrame,
    parameters: CongestionParameters,
    *,
    day: date,
    city: City | None,
    counts: Counter[tuple[str, str]],
) -> pl.DataFrame:
    in_day = pl.col("observed_date") == day
    counts["fix", "read"] += raw.filter(in_day).height

    def kept(marked: pl.LazyFrame) -> pl.DataFrame:
        rows = marked.collect()
        faults = rows.filter(in_day & pl.col("fault").is_not_null())["fault"].value_counts()
        counts.update({("fault", str(rule)): n for rule, n in faults.iter_rows()})
        return rows.filter(pl.col("fault").is_null()).drop("fault")

    area = None if city is None else city.service_area_deg
    fixes = kept(clean.flag_unusable(raw.lazy(), parameters, service_area_deg=area))
    fixes = kept(clean.flag_duplicates(fixes.lazy()))
    fixes = kept(clean.flag_repeats(fixes.lazy(), parameters))
    counts["fix", "sorted"] += clean.out_of_order(fixes.lazy().filter(in_day)).collect().item()
    return kept(clean.flag_jumps(fixes.lazy(), parameters))


def _time_zone(city: City | None) -> str:
    return "UTC" if city is None else city.time_zone.key


def _window_dates(
    lake: Lake, days: Sequence[date], *, base: int, window_minutes: int, city: City | None
) -> list[date]:
    """Return the UTC dates on which windows begin that hold travel of these days."""
    del lake, base
    if window_minutes == travel.BASE_WINDOW_MINUTES or city is None:
        return list(days)
    # A local day or hour may begin on the UTC day before.
    return sorted({day - timedelta(days=step) for day in days for step in (0, 1)})


def _rolled_travel(
    lake: Lake,
    parameters: CongestionParameters,
    *,
    days: Sequence[date] | None,
    resolution: int,
    window_minutes: int,
    city: City | None,
) -> pl.LazyFrame:
    """Return vehicle travel rolled up, windows that begin on these UTC dates."""
    reach = None if days is None else sorted({d + timedelta(days=s) for d in days for s in (0, 1)})
    base = tables.scan_windows(
        lake.table("vehicle_travel"),
        resolution=max(BASE_RESOLUTION, resolution),
        window_minutes=travel.BASE_WINDOW_MINUTES,
        days=reach,
    )
    rolled = cells.roll_up(
        cells.count_queues(base, parameters),
        resolution=resolution,
        window_minutes=window_minutes,
        time_zone=_time_zone(city),
    )
    if days is not None:
        rolled = rolled.filter(pl.col("window_start").dt.date().is_in(list(days)))
    return cells.with_all_classes(rolled)


def _build_cells(
    lake: Lake,
    parameters: CongestionParameters,
    *,
    days: Sequence[date],
    resolution: int,
    window_minutes: int,
    city: City | None,
) -> None:
    shape = {"resolution": resolution, "window_minutes": window_minutes}
    sums = cells.cell_travel(_rolled_travel(lake, parameters, days=days, city=city, **shape))
    _replace(lake, "cell_travel", sums, days=days, **shape)
    stored = tables.scan_windows(lake.table("cell_travel"), days=days, **shape)
    speed = speeds.cell_speed(stored, parameters)
    _replace(lake, "cell_speed", speed, days=days, **shape)
    newest = max(days)
    look_back = [newest - timedelta(days=step) for step in range(parameters.look_back_days)]
    look_back = sorted({*look_back, *days})
    reference = _free_flow(
        tables.scan_windows(lake.table("cell_travel"), days=look_back, **shape),
        parameters,
        city=city,
        **shape,
    ).collect()
    lake.table("free_flow").replace(reference, {name: [value] for name, value in shape.items()})
    stored_speed = tables.scan_windows(lake.table("cell_speed"), days=days, **shape)
    _replace(
        lake, "congestion", indices.congestion(stored_speed, reference.lazy()), days=days, **shape
    )


def _free_flow(
    cell_travel: pl.LazyFrame,
    parameters: CongestionParameters,
    *,
    resolution: int,
    window_minutes: int,
    city: City | None,
) -> pl.LazyFrame:
    found = indices.free_flow(
        cell_travel,
        parameters,
        resolution=resolution,
        window_minutes=window_minutes,
        time_zone=_time_zone(city),
    ).with_columns(pl.col("look_back_end") + pl.duration(minutes=window_minutes))
    return tables.finished(
        found, LAKE_CONTRACTS["free_flow"], resolution=resolution, window_minutes=window_minutes
    )


def _replace(
    lake: Lake,
    name: str,
    rows: pl.LazyFrame,
    *,
    days: Sequence[date],
    resolution: int,
    window_minutes: int,
) -> None:
    shape = {"resolution": resolution, "window_minutes": window_minutes}
    frame = tables.finished(rows, LAKE_CONTRACTS[name], **shape).collect()
    tables.replace_days(lake.table(name), frame, days, **shape)


def released(
    lake: Lake,
    table: str,
    *,
    resolution: int,
    window_minutes: int,
    version: int | None = None,
) -> pl.LazyFrame:
    """Return the rows that may leave the house; those that did not pass the gate are absent.

    Parameters
    ----------
    lake
        The lake.
    table
        ``congestion`` or ``cell_speed``.
    resolution, window_minutes
        Of the rows. If that was never built, it is computed from ``vehicle_travel``, unless a
        version is asked for. [1], [min]
    version
        Delta version of the table, such as the newest that passed its quality gate; None is the
        newest.

    Raises
    ------
    UsageError
        If the table holds nothing that can be released this way.
    InsufficientData
        If that version holds no such resolution and window.
    """
    raise NotImplementedError


def _account(
    lake: Lake,
    counts: Counter[tuple[str, str]],
    *,
    days: tuple[date, ...],
    written: Sequence[date],
    resolution: int,
    window_minutes: int,
) -> CongestionAccount:
    shape = {"resolution": resolution, "window_minutes": window_minutes}
    parameters = congestion_parameters()
    sums = tables.scan_windows(lake.table("cell_travel"), days=written, **shape).filter(
        pl.col("vehicle_class") == cells.ALL_CLASSES
    )
    base = tables.scan_windows(
        lake.table("vehicle_travel"),
        resolution=max(BASE_RESOLUTION, resolution),
        window_minutes=travel.BASE_WINDOW_MINUTES,
        days=days,
    )
    rule = release.public_rule(parameters, n_providers=_n_providers(base))
    totals = (
        sums.select(
            n_rows=pl.len(),
            n_cells=pl.col("h3_cell").n_unique(),
            n_windows=pl.col("window_start").n_unique(),
            mean=speeds.space_mean_kmh(pl.col("distance_mm").sum(), pl.col("duration_ms").sum()),
        )
        .collect()
        .row(0, named=True)
    )
    n_releasable = release.release(sums, rule, cell_travel=sums).select(pl.len()).collect().item()
    return CongestionAccount(
        **shape,
        days=days,
        n_fixes=counts["fix", "read"],
        dropped={rule: counts["fault", rule] for rule in clean.RULES},
        n_sorted=counts["fix", "sorted"],
        legs={kind: counts["leg", kind] for kind in trips.KINDS},
        n_vehicles=_n_vehicles(base),
        n_cells=totals["n_cells"],
        n_windows=totals["n_windows"],
        n_rows=totals["n_rows"],
        city_mean_kmh=totals["mean"],
        n_releasable=n_releasable,
        n_suppressed=totals["n_rows"] - n_releasable,
    )


def _n_providers(vehicle_travel: pl.LazyFrame) -> int:
    return int(vehicle_travel.select(pl.col("provider").n_unique()).collect().item())


def _n_vehicles(vehicle_travel: pl.LazyFrame) -> int:
    by_epoch = (
        vehicle_travel.filter(pl.col("duration_ms") > 0)
        .group_by("pseudonym_epoch")
        .agg(pl.struct("provider", "vehicle").n_unique())
    )
    most = by_epoch.select(pl.col("provider").max()).collect().item()
    return 0 if most is None else int(most)
