"""Which days and vehicle buckets have to be built again, told from the log of the raw table.

A day's vehicle travel is made of nothing but the raw fixes of that day and around its edges, one
bucket at a time. So it is enough to make those again to which files were added: the result is what
one build of everything would have given, in whatever order and portions the fixes arrived.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path

import polars as pl

from clearway_core.city import City
from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.lake import Lake
from clearway_core.lake_changes import files_added, rows_held
from clearway_core.schema import polars_schema
from clearway_transforms.jobs import pings
from clearway_transforms.jobs.days import day_start
from clearway_transforms.jobs.product import Product
from clearway_transforms.parameters import PARAMETER_FOLDER

Units = Mapping[date, Sequence[int]]
"""Vehicle buckets by UTC day."""

_VEHICLES, _CELLS = "vehicle_travel", "congestion"

_PACK_FILES = ("*.toml", "*.geojson", "*.csv")
"""What of a city pack may change a build; recordings and zones do not."""

_NEVER = 0
"""Version of a raw table that holds nothing yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a build has to make again.

    Parameters
    ----------
    units
        Days and vehicle buckets whose vehicle travel is not that of the raw table.
    days
        UTC days whose cells are not those of vehicle travel.
    left_alone
        Days with new fixes that stay as they are: part of their fixes has been deleted since.
    raw_version
        Of the raw table that is taken in whole.
    made_with
        Digest of parameters, city pack and version of Clearway.
    """

    units: Units
    days: Sequence[date]
    left_alone: tuple[date, ...]
    raw_version: int
    made_with: str

    @property
    def empty(self) -> bool:
        """Return whether there is nothing to do."""
        return not self.units and not self.days


def plan(lake: Lake, product: Product) -> Plan:
    """Return what a build of a product has to make again.

    Everything, where nothing was built before, or with other parameters, another city pack or
    another version of Clearway, or where the log of the raw table does not reach back so far.
    """
    raw = lake.table("gps_pings")
    raw_version = raw.version() or _NEVER
    made_with = digest(product.city)
    every = pings.ping_days(lake)
    short = _shortened(lake)

    def touched(step: str) -> Units:
        since = _built(lake, step, product, made_with)
        files = None if since is None else files_added(raw, since)
        return every if files is None else touched_units(files, every)

    units, days = touched(_VEHICLES), touched(_CELLS)
    return Plan(
        units={day: buckets for day, buckets in units.items() if day not in short},
        days=sorted({*units, *days} - short),
        left_alone=tuple(sorted(short.intersection({*units, *days}))),
        raw_version=raw_version,
        made_with=made_with,
    )


def touched_units(files: pl.DataFrame, every: Units) -> dict[date, list[int]]:
    """Return the units that read anything of these files.

    Parameters
    ----------
    files
        ``observed_date``, ``vehicle_bucket``, ``first_at`` and ``last_at`` of each file; where
        there are no statistics a file counts as one of the whole day.
    every
        All units that can be built.
    """
    found: dict[date, set[int]] = {}
    columns = ("observed_date", "vehicle_bucket", "first_at", "last_at")
    for day, bucket, first_at, last_at in files.select(columns).iter_rows():
        start = day_start(day)
        end = start + timedelta(days=1)
        around = {day}
        if first_at is None or first_at < start + pings.AFTER_DAY:
            around.add(day - timedelta(days=1))
        if last_at is None or last_at >= end - pings.BEFORE_DAY:
            around.add(day + timedelta(days=1))
        for each in around:
            found.setdefault(each, set()).add(bucket)
    return {
        day: sorted(buckets.intersection(every[day]))
        for day, buckets in sorted(found.items())
        if buckets.intersection(every.get(day, ()))
    }


def digest(city: City | None) -> str:
    """Return the SHA-256 of all that turns the same fixes into other rows."""
    total = hashlib.sha256(version("clearway").encode())
    folders: list[tuple[Path, Sequence[str]]] = [(PARAMETER_FOLDER, ["*.toml"])]
    if city is not None:
        folders.append((city.folder, _PACK_FILES))
    for folder, patterns in folders:
        for file in sorted(path for pattern in patterns for path in folder.glob(pattern)):
            total.update(f"{file.name}\0".encode() + file.read_bytes())
    return total.hexdigest()


def record(lake: Lake, product: Product, done: Plan) -> None:
    """Write down that a plan was carried out, after everything else of it has been written."""
    _put(
        lake,
        [(*_key(step, product), done.raw_version, done.made_with) for step in (_VEHICLES, _CELLS)],
    )


def forget(lake: Lake, product: Product, made_with: str) -> None:
    """Forget states of another making before rows of this making are mixed with theirs."""
    keys = [_key(step, product) for step in (_VEHICLES, _CELLS)]
    states = lake.table("build_states").scan().collect()
    other = [
        (step, resolution, minutes, _NEVER, "")
        for step, resolution, minutes, _, made in states.iter_rows()
        if (step, resolution, minutes) in keys and made not in {made_with, ""}
    ]
    if other:
        _put(lake, other)


def put_counts(lake: Lake, counts: Mapping[tuple[date, int, str, str], int]) -> None:
    """Put counts in the place of their days' and buckets', and sum up those days.

    Parameters
    ----------
    lake
        Gets ``cleaning_parts`` and, summed over all buckets of the day, ``cleaning_counts``.
    counts
        By day, bucket, subject and name.
    """
    parts = lake.table("cleaning_parts")
    schema = polars_schema(parts.contract)
    new = pl.DataFrame([(*key, n) for key, n in counts.items()], schema=schema, orient="row")
    units = new.select("observed_date", "vehicle_bucket").unique()
    days = units["observed_date"].unique().sort().to_list()
    held = parts.scan([("observed_date", "in", days)]).collect()
    others = held.join(units, on=units.columns, how="anti")
    rows = pl.concat([others, new]).sort(parts.contract.key)
    parts.replace(rows, {"observed_date": days})
    sums = rows.group_by("observed_date", "subject", "name").agg(pl.col("n").sum())
    contract = LAKE_CONTRACTS["cleaning_counts"]
    sums = sums.select(contract.columns).sort(contract.key)
    lake.table(contract.name).replace(sums, {"observed_date": days})


def _shortened(lake: Lake) -> set[date]:
    """Return the days of which fixes were deleted after they had been built."""
    read = (
        lake.table("cleaning_parts")
        .scan()
        .filter((pl.col("subject") == "fixes") & (pl.col("name") == "read"))
        .group_by("observed_date")
        .agg(read=pl.col("n").sum())
        .collect()
    )
    held = rows_held(lake.table("gps_pings")).group_by("observed_date").agg(pl.col("n_rows").sum())
    both = read.join(held, on="observed_date", how="left", validate="1:1")
    fewer = both.filter(pl.col("n_rows").fill_null(0) < pl.col("read"))
    return set(fewer["observed_date"].to_list())


def _key(step: str, product: Product) -> tuple[str, int, int]:
    of = product.base if step == _VEHICLES else product
    return step, of.resolution, of.window_minutes


def _built(lake: Lake, step: str, product: Product, made_with: str) -> int | None:
    """Return the raw version that a step has taken in with the same parameters, or None."""
    states = lake.table("build_states").scan().collect()
    for *key, raw_version, made in states.iter_rows():
        if tuple(key) == _key(step, product) and made == made_with:
            return int(raw_version)
    return None


def _put(lake: Lake, rows: Iterable[tuple[str, int, int, int, str]]) -> None:
    table = lake.table("build_states")
    new = pl.DataFrame(list(rows), schema=polars_schema(table.contract), orient="row")
    key = list(table.contract.key)
    others = table.scan().collect().join(new, on=key, how="anti")
    table.replace(pl.concat([others, new]).sort(key), {})
