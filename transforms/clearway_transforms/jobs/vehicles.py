"""From raw GPS to what each vehicle drove, one day and vehicle bucket after the other.

Units do not depend on each other, so they can run one after the other in little memory, or side by
side.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl

from clearway_core.city import City
from clearway_core.lake import Lake
from clearway_core.progress import Progress
from clearway_transforms.cleaning import clean
from clearway_transforms.cleaning.near_roads import Roads, count_near_roads, read_roads
from clearway_transforms.jobs import pings
from clearway_transforms.jobs.corridors import (
    corridor_index,
    vehicle_corridor_travel_of,
    write_vehicle_travel,
)
from clearway_transforms.jobs.days import day_start
from clearway_transforms.jobs.late_data import Units, put_counts
from clearway_transforms.jobs.product import Product
from clearway_transforms.parameters import CongestionParameters, congestion_parameters
from clearway_transforms.travel import allocation, legs, trips

Counts = Counter[tuple[date, str, str]]
"""Counts by day, subject and name, as in ``cleaning_counts``."""


def vehicle_travel_of(
    raw: pl.DataFrame,
    parameters: CongestionParameters,
    *,
    day: date,
    resolution: int,
    city: City | None = None,
    roads: Roads | None = None,
) -> tuple[pl.DataFrame, Counts]:
    """Return what some vehicles drove per cell and 15-minute window of one UTC day, and counts.

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
    roads
        Of its pack, to tell how many fixes lie far from any; None counts nothing.

    Returns
    -------
    tuple
        Rows of ``vehicle_travel`` but for its constant columns, and the counts of the day's own
        fixes and of the pairs that end on it.
    """
    paired, counts = located_pairs(
        raw, parameters, day=day, resolution=resolution, city=city, roads=roads
    )
    return travel_in_cells(paired, parameters, day=day, resolution=resolution), counts


def located_pairs(
    raw: pl.DataFrame,
    parameters: CongestionParameters,
    *,
    day: date,
    resolution: int,
    city: City | None = None,
    roads: Roads | None = None,
) -> tuple[pl.DataFrame, Counts]:
    """Return the clean fixes of some vehicles, each with the leg that ends at it, and counts.

    Arguments and counts are those of `vehicle_travel_of`.
    """
    start = day_start(day)
    counts: Counts = Counter()
    fixes = _clean(raw, parameters, day=day, city=city, counts=counts)
    paired = legs.located(trips.pair_fixes(fixes.lazy(), parameters), resolution).collect()
    in_day = pl.col("observed_at").is_between(start, start + timedelta(days=1), closed="left")
    kinds = paired.lazy().filter(in_day).select("kind").collect().to_series()
    counts[day, "fixes", "kept"] += len(kinds)
    _count(counts, day, "pairs", kinds)
    if roads is not None:
        of_day = paired.filter(in_day)
        for (place, provider), number in count_near_roads(of_day, roads, parameters).items():
            counts[day, place, provider] += number
    return paired, counts


def travel_in_cells(
    paired: pl.DataFrame, parameters: CongestionParameters, *, day: date, resolution: int
) -> pl.DataFrame:
    """Return rows of ``vehicle_travel`` but for its constant columns, from `located_pairs`."""
    start = day_start(day)
    end = start + timedelta(days=1)
    counted = legs.counted_legs(paired.lazy(), parameters).collect()
    in_day = pl.col("window").is_between(
        _window_number(start.timestamp()), _window_number(end.timestamp()), closed="left"
    )
    sums = allocation.add_up(
        allocation.allocate(counted.lazy(), resolution).filter(in_day),
        allocation.count_fixes(paired.lazy(), resolution).filter(in_day),
    )
    return allocation.named(sums, paired.lazy()).collect()


def _clean(
    raw: pl.DataFrame,
    parameters: CongestionParameters,
    *,
    day: date,
    city: City | None,
    counts: Counts,
) -> pl.DataFrame:
    in_day = pl.col("observed_date") == day
    raw = clean.with_names_numbered(raw.drop(clean.NOT_USED, strict=False))
    providers = raw["provider"].filter(raw["observed_date"] == day)
    counts[day, "fixes", "read"] += len(providers)
    _count(counts, day, "provider", providers)

    def kept(marked: pl.LazyFrame, *, no_more: Sequence[str] = ()) -> pl.DataFrame:
        rows = marked.drop(no_more).collect()
        fault = rows.drop_in_place("fault")
        if fault.null_count() == len(fault):
            return rows
        _count(counts, day, "left_out", fault.filter(rows["observed_date"] == day))
        return rows.filter(fault.is_null())

    area = None if city is None else city.service_area_deg
    fixes = kept(
        clean.flag_unusable(raw.lazy(), parameters, service_area_deg=area),
        no_more=("received_at", "accuracy_m", "flags"),
    )
    fixes = kept(clean.flag_duplicates(fixes.lazy()))
    fixes = kept(clean.flag_second_gateway(fixes.lazy(), parameters))
    fixes = kept(clean.flag_repeats(fixes.lazy(), parameters))
    counts[day, "fixes", "sorted"] += (
        clean.out_of_order(fixes.lazy().filter(in_day)).collect().item()
    )
    fixes = fixes.drop("gateway", "boot", "seq")
    fixes = kept(clean.flag_jumps(fixes.lazy(), parameters))
    return kept(clean.flag_acceleration(fixes.lazy(), parameters))


def _count(counts: Counts, day: date, subject: str, names: pl.Series) -> None:
    for name, number in names.drop_nulls().value_counts().iter_rows():
        counts[day, subject, str(name)] += number


def _window_number(unix_s: float) -> int:
    return round(unix_s * 1000) // allocation.WINDOW_MS


def build_vehicle_travel(lake: Lake, product: Product, *, units: Units, progress: Progress) -> None:
    """Write the vehicle travel of days and vehicle buckets, day by day, and their counts.

    Rows of vehicles of other buckets stay as they are.
    """
    if not units:
        return
    parameters = congestion_parameters()
    base = product.base
    roads, lines = read_roads(product.city), corridor_index(product.city)
    every = pings.ping_days(lake)
    counts: dict[tuple[date, int, str, str], int] = {}
    total, done = sum(map(len, units.values())), 0
    for day, buckets in units.items():
        parts, along, seen = [], [], []
        for bucket in buckets:
            raw = pings.scan_pings(lake, day, bucket).drop(clean.NOT_USED).collect()
            seen.append(raw.select("provider", "vehicle").unique())
            paired, found = located_pairs(
                raw,
                parameters,
                day=day,
                resolution=base.resolution,
                city=product.city,
                roads=roads,
            )
            parts.append(travel_in_cells(paired, parameters, day=day, resolution=base.resolution))
            along.append(vehicle_corridor_travel_of(paired, lines, day))
            counts |= {(day, bucket, what, name): n for (_, what, name), n in found.items()}
            done += 1
            progress(done, total, f"{day}")
        if set(buckets) != set(every[day]):
            gone = pl.concat(seen)
            parts.append(_of_others(base.scan(lake, "vehicle_travel", [day]), gone, parts[0]))
            if lines is not None:
                held = lake.table("vehicle_corridor_travel").scan([("window_date", "=", day)])
                along.append(_of_others(held, gone, along[0]))
        base.replace(lake, "vehicle_travel", pl.concat(parts).lazy(), [day])
        write_vehicle_travel(lake, along, lines, day)
    put_counts(lake, counts)


def _of_others(held: pl.LazyFrame, gone: pl.DataFrame, like: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that a table holds of other vehicles, with the columns of new ones."""
    others = held.join(gone.lazy(), on=["provider", "vehicle"], how="anti")
    return others.select(pl.col(name).cast(dtype) for name, dtype in like.schema.items()).collect()
