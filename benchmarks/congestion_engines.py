"""From fixes to cells, once per engine: the same sums from the same files.

Every contender takes the folder of `congestion_fixes` and yields, day by day, one row per cell and
quarter of an hour with the columns of `COLUMNS`. Cells of fixes are given. A leg that ends in
another cell than it begins in is cut at half its time, by everyone: no engine but ours knows where
the border is. All of them leave out zero positions, poor accuracy, duplicates, repeated messages
and jumps, tell trips from gaps, changes of passengers, vacant driving, boarding and halts, weight
reported speeds by time, take chords where none is reported, cut legs at the window's end and add up
whole millimetres and milliseconds per vehicle first, so that vehicles can be counted and their
squares added.

The rules of the peers are short forms that hold for these data only (see `congestion_fixes`); ours
are the shipped ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import polars as pl

if TYPE_CHECKING:
    import pandas as pd

RESOLUTION = 9
WINDOW_MS = 900_000

SUMS = (
    *("distance_mm", "duration_ms", "dwell_ms", "n_pings", "n_legs"),
    *("gap_15s_ms", "gap_60s_ms", "gap_120s_ms", "gap_long_ms", "reported_ms"),
)
DISTINCT = ("n_vehicles", "n_providers", "top_vehicle_ms")
SQUARES = ("distance_sq_dm2", "duration_sq_ds2", "distance_duration_dm_ds")
COLUMNS = ("h3_cell", "window_start", *SUMS, *DISTINCT, *SQUARES)

GIVEN = ("h3_cell", "within_r7", "within_r8")


def days_of(folder: Path) -> list[Path]:
    """Return the folders of days, oldest first."""
    return sorted(folder.glob("observed_date=*"))


def clearway(
    folder: Path, *, cells_given: bool = True, halves: bool = True
) -> Iterator[pl.DataFrame]:
    """Run the shipped functions, a day and vehicle bucket after the other."""
    from clearway_transforms.cleaning import clean
    from clearway_transforms.congestion import cells
    from clearway_transforms.jobs.vehicles import vehicle_travel_of
    from clearway_transforms.parameters import congestion_parameters
    from clearway_transforms.travel import allocation

    parameters = congestion_parameters()
    cut = _halved if halves else allocation.cut_by_cell
    not_read = (*clean.NOT_USED, *(GIVEN if not cells_given else ()))
    with mock.patch.object(allocation, "cut_by_cell", cut):
        for day in days_of(folder):
            units = []
            for bucket in sorted(day.iterdir()):
                raw = pl.scan_parquet(bucket / "fixes.parquet", hive_partitioning=False)
                raw = raw.drop(not_read).collect()
                units.append(
                    vehicle_travel_of(raw, parameters, day=_date_of(day), resolution=RESOLUTION)[0]
                )
            rolled = cells.roll_up(
                pl.concat(units).lazy(), resolution=RESOLUTION, window_minutes=15
            )
            yield cells.cell_travel(cells.with_all_classes(rolled)).select(COLUMNS).collect()


def _date_of(day: Path) -> date:
    return date.fromisoformat(day.name.partition("=")[2])


def _halved(legs: pl.LazyFrame, _resolution: int) -> pl.LazyFrame:
    """Return legs cut at half their time where they end in another cell: the common rule."""
    half = pl.col("duration_ms") // 2
    moves = (pl.col("start_cell") != pl.col("end_cell")) & (pl.col("kind") != "dwell")
    zero = pl.lit(0, dtype=pl.Int64)
    first = legs.with_columns(
        h3_cell="start_cell",
        from_ms=zero,
        to_ms=pl.when(moves).then(half).otherwise("duration_ms"),
    )
    second = legs.filter(moves).with_columns(h3_cell="end_cell", from_ms=half, to_ms="duration_ms")
    return pl.concat([first, second])


def duckdb_sql(folder: Path) -> Iterator[pl.DataFrame]:
    """Run one SQL query per day."""
    import duckdb

    connection = duckdb.connect()
    connection.execute("PRAGMA threads=2")
    sql = (Path(__file__).parent / "congestion.sql").read_text(encoding="utf-8")
    for day in days_of(folder):
        found = connection.sql(sql.replace("$files", f"{day}/**/fixes.parquet"))
        yield pl.DataFrame(found.to_arrow_table()).select(COLUMNS)


def pandas_vectorised(folder: Path) -> Iterator[pl.DataFrame]:
    """Whole columns, one sort, shifts masked where the vehicle changes; file by file."""
    import pandas as pd

    for day in days_of(folder):
        vehicles = pd.concat(
            [_pandas_vehicles(file) for file in sorted(day.rglob("fixes.parquet"))],
            ignore_index=True,
        )
        yield pl.from_pandas(_pandas_cells(vehicles)).select(COLUMNS)


def _pandas_vehicles(file: Path) -> pd.DataFrame:  # noqa: PLR0915 -- one script, as pandas is written
    """Return sums per vehicle, cell and quarter of an hour of one file."""
    import numpy as np
    import pandas as pd

    wanted = "provider vehicle observed_at lon_deg lat_deg speed_kmh accuracy_m occupied h3_cell"
    fixes = pd.read_parquet(file, columns=wanted.split(), partitioning=None)
    fixes = fixes[~((fixes.lon_deg == 0) & (fixes.lat_deg == 0)) & ~(fixes.accuracy_m > 50)]
    fixes["vehicle"] = pd.factorize(fixes.vehicle)[0]
    fixes["provider"] = fixes.provider.astype("category")
    fixes["at_ms"] = fixes.observed_at.astype("int64") // _units_per_ms(fixes.observed_at)
    fixes = fixes.sort_values(["vehicle", "at_ms"], ignore_index=True)
    fixes = fixes.drop(columns=["observed_at", "accuracy_m"])

    def apart_m(here: pd.DataFrame, there: pd.DataFrame) -> pd.Series:
        lat, lat_there = np.radians(here.lat_deg), np.radians(there.lat_deg)
        half = (lat_there - lat) / 2, np.radians(there.lon_deg - here.lon_deg) / 2
        chord = np.sin(half[0]) ** 2 + np.cos(lat) * np.cos(lat_there) * np.sin(half[1]) ** 2
        return 2 * 6371008.8 * np.arcsin(np.sqrt(chord))

    place = ["lon_deg", "lat_deg"]
    before = fixes[["vehicle", "at_ms", *place]].shift(1)
    same = fixes.vehicle == before.vehicle
    gap_ms = fixes.at_ms - before.at_ms
    stays = (fixes.lon_deg == before.lon_deg) & (fixes.lat_deg == before.lat_deg)
    again = (gap_ms == 0) | ((gap_ms <= 1000) & stays & fixes.speed_kmh.isna())
    fixes = fixes[~(same & again)].reset_index(drop=True)

    before = fixes[["vehicle", "at_ms", *place]].shift(1)
    gap_ms = fixes.at_ms - before.at_ms
    judged = (fixes.vehicle == before.vehicle) & (gap_ms <= 300_000)
    bad = judged & (apart_m(before, fixes) > 160 / 3600 * gap_ms)
    fixes = fixes[~(bad & bad.shift(-1, fill_value=False))].reset_index(drop=True)

    before = fixes[["vehicle", "at_ms", *place, "speed_kmh", "h3_cell"]].shift(1)
    gap_ms = fixes.at_ms - before.at_ms
    same = fixes.vehicle == before.vehicle
    stays = same & (fixes.lon_deg == before.lon_deg) & (fixes.lat_deg == before.lat_deg)
    island = (~stays).cumsum()
    length_ms = fixes.at_ms.groupby(island).transform("last") - fixes.at_ms.groupby(
        island
    ).transform("first")
    counts = same & (gap_ms <= 120_000) & (fixes.occupied.fillna(value=True)).astype(bool)
    dwell = counts & stays & (length_ms > 180_000)
    spoken = fixes.speed_kmh.notna() & before.speed_kmh.notna() & (gap_ms <= 15_000)
    reported = counts & ~dwell & spoken
    path = counts & ~dwell & ~reported
    whole_mm = np.zeros(len(fixes))
    told = (before.speed_kmh + fixes.speed_kmh) * (1 / 7.2) * gap_ms
    whole_mm[reported] = np.rint(told[reported])
    whole_mm[path] = np.rint(1000 * apart_m(before[path], fixes[path]))

    legs = pd.DataFrame(
        {
            "vehicle": fixes.vehicle,
            "provider": fixes.provider,
            "start_ms": before.at_ms,
            "whole_ms": gap_ms,
            "whole_mm": whole_mm,
            "start_cell": fixes.h3_cell.shift(1, fill_value=0),
            "end_cell": fixes.h3_cell,
            "dwell": dwell,
            "reported": reported,
        }
    )[counts].astype({"start_ms": "int64", "whole_ms": "int64", "whole_mm": "int64"})
    moves = (legs.start_cell != legs.end_cell) & ~legs.dwell
    half = legs.whole_ms // 2
    first = legs.assign(h3_cell=legs.start_cell, from_ms=0, to_ms=half.where(moves, legs.whole_ms))
    second = legs[moves].assign(
        h3_cell=legs.end_cell[moves], from_ms=half[moves], to_ms=legs.whole_ms[moves]
    )
    parts = pd.concat([first, second], ignore_index=True)
    parts["window"] = (parts.start_ms + parts.from_ms) // WINDOW_MS
    crosses = (parts.start_ms + parts.to_ms - 1) // WINDOW_MS > parts.window
    border = (parts.window + 1) * WINDOW_MS - parts.start_ms
    after = parts[crosses].assign(from_ms=border[crosses], window=parts.window[crosses] + 1)
    parts["to_ms"] = border.where(crosses, parts.to_ms)
    parts = pd.concat([parts, after], ignore_index=True)
    ms = parts.to_ms - parts.from_ms
    moving_ms = ms.where(~parts.dwell, 0)
    middle = parts.whole_ms // 2
    pieces = pd.DataFrame(
        {
            "vehicle": parts.vehicle,
            "h3_cell": parts.h3_cell,
            "window": parts.window,
            "distance_mm": parts.whole_mm * parts.to_ms // parts.whole_ms
            - parts.whole_mm * parts.from_ms // parts.whole_ms,
            "duration_ms": moving_ms,
            "dwell_ms": ms - moving_ms,
            "n_pings": 0,
            "n_legs": (~parts.dwell & (parts.from_ms <= middle) & (middle < parts.to_ms)).astype(
                "int64"
            ),
            "gap_15s_ms": moving_ms.where(parts.whole_ms <= 15_000, 0),
            "gap_60s_ms": moving_ms.where(parts.whole_ms.between(15_001, 60_000), 0),
            "gap_120s_ms": moving_ms.where(parts.whole_ms.between(60_001, 120_000), 0),
            "gap_long_ms": moving_ms.where(parts.whole_ms > 120_000, 0),
            "reported_ms": ms.where(parts.reported, 0),
        }
    )
    seen = fixes[counts | counts.shift(-1, fill_value=False)]
    seen = pd.DataFrame(
        {
            "vehicle": seen.vehicle,
            "h3_cell": seen.h3_cell,
            "window": seen.at_ms // WINDOW_MS,
            "n_pings": 1,
        }
    )
    key = ["vehicle", "h3_cell", "window"]
    sums = pieces.groupby(key, sort=False).sum()
    sums = sums.add(seen.groupby(key, sort=False).sum(), fill_value=0).fillna(0).astype("int64")
    sums = sums.reset_index()
    owner = fixes.groupby("vehicle").provider.first()
    return sums.assign(provider=sums.vehicle.map(owner).astype(str))


def _units_per_ms(instants: pd.Series) -> int:
    return {"ms": 1, "us": 1000, "ns": 1_000_000}[instants.dt.unit]


def _pandas_cells(vehicles: pd.DataFrame) -> pd.DataFrame:
    """Return the sums of all vehicles per cell and quarter of an hour."""
    import pandas as pd

    place = ["h3_cell", "window"]
    dm, ds = (vehicles.distance_mm + 50) // 100, (vehicles.duration_ms + 50) // 100
    vehicles = vehicles.assign(
        n_vehicles=((vehicles.duration_ms > 0) & (vehicles.n_pings > 0)).astype("int64"),
        distance_sq_dm2=dm * dm,
        duration_sq_ds2=ds * ds,
        distance_duration_dm_ds=dm * ds,
    )
    grouped = vehicles.groupby(place, sort=False)
    sums = grouped[[*SUMS, "n_vehicles", *SQUARES]].sum()
    sums["top_vehicle_ms"] = grouped.duration_ms.max()
    seen = vehicles.loc[vehicles.n_vehicles > 0, [*place, "provider"]]
    sums["n_providers"] = seen.groupby(place, sort=False).provider.nunique()
    sums = sums.fillna({"n_providers": 0}).reset_index()
    sums["window_start"] = pd.to_datetime(sums.window * WINDOW_MS, unit="ms")
    return sums[sums.duration_ms > 0]


def polars_plain(folder: Path, *, cells_given: bool = True) -> Iterator[pl.DataFrame]:
    """One lazy query per day as one would write it first: text keys, `over`, group by."""
    for day in days_of(folder):
        yield _plain_query(day, cells_given=cells_given).collect()


def _plain_query(day: Path, *, cells_given: bool) -> pl.LazyFrame:
    import polars_h3

    def before(name: str) -> pl.Expr:
        return pl.col(name).shift(1).over("vehicle")

    def apart_m(lon: pl.Expr, lat: pl.Expr) -> pl.Expr:
        half_lat = (lat - pl.col("lat_deg")).radians() / 2
        half_lon = (lon - pl.col("lon_deg")).radians() / 2
        cosines = lat.radians().cos() * pl.col("lat_deg").radians().cos()
        return (
            2
            * 6371008.8
            * (half_lat.sin().pow(2) + cosines * half_lon.sin().pow(2)).sqrt().arcsin()
        )

    fixes = pl.scan_parquet(day / "**" / "fixes.parquet", hive_partitioning=False)
    fixes = fixes.filter(
        ~((pl.col("lon_deg") == 0) & (pl.col("lat_deg") == 0)),
        (pl.col("accuracy_m") <= 50) | pl.col("accuracy_m").is_null(),
    )
    if not cells_given:
        cell = polars_h3.latlng_to_cell("lat_deg", "lon_deg", RESOLUTION, return_dtype=pl.UInt64)
        fixes = fixes.drop(GIVEN).with_columns(h3_cell=cell)
    ordered = fixes.select(
        *("provider", "vehicle", "lon_deg", "lat_deg", "speed_kmh", "occupied", "h3_cell"),
        at_ms=pl.col("observed_at").dt.epoch("ms"),
    ).sort("vehicle", "at_ms")
    stays = (pl.col("lon_deg") == before("lon_deg")) & (pl.col("lat_deg") == before("lat_deg"))
    gap = pl.col("at_ms") - before("at_ms")
    again = (gap == 0) | ((gap <= 1000) & stays & pl.col("speed_kmh").is_null())
    once = ordered.filter(~again.fill_null(value=False)).with_columns(gap=gap)
    bad = (pl.col("gap") <= 300_000) & (
        apart_m(before("lon_deg"), before("lat_deg")) > 160 / 3600 * pl.col("gap")
    )
    bad_after = pl.col("bad").shift(-1, fill_value=False).over("vehicle")
    good = once.with_columns(bad=bad.fill_null(value=False)).filter(~(pl.col("bad") & bad_after))
    long_halt = pl.col("at_ms").max().over("island") - pl.col("at_ms").min().over("island")
    counts = (pl.col("gap") <= 120_000) & pl.col("occupied").fill_null(value=True)
    spoken = pl.col("speed_kmh").is_not_null() & pl.col("start_kmh").is_not_null()
    marked = (
        good.with_columns(
            gap=gap,
            stays=stays.fill_null(value=False),
            start_kmh=before("speed_kmh"),
            start_cell=before("h3_cell"),
            whole_m=apart_m(before("lon_deg"), before("lat_deg")),
        )
        .with_columns(island=(~pl.col("stays")).cum_sum(), counts=counts.fill_null(value=False))
        .with_columns(dwell=pl.col("counts") & pl.col("stays") & (long_halt > 180_000))
        .with_columns(
            reported=pl.col("counts") & ~pl.col("dwell") & spoken & (pl.col("gap") <= 15_000)
        )
    )
    told = (pl.col("start_kmh") + pl.col("speed_kmh")) / 7.2 * pl.col("gap")
    zero = pl.lit(0, dtype=pl.Int64)
    legs = marked.filter("counts").select(
        *("provider", "vehicle", "start_cell", "h3_cell", "dwell", "reported"),
        start_ms=pl.col("at_ms") - pl.col("gap"),
        whole_ms="gap",
        whole_mm=pl.when("dwell")
        .then(zero)
        .when("reported")
        .then(told.round().cast(pl.Int64))
        .otherwise((pl.col("whole_m") * 1000).round().cast(pl.Int64)),
    )
    moves = (pl.col("start_cell") != pl.col("h3_cell")) & ~pl.col("dwell")
    half, whole = pl.col("whole_ms") // 2, pl.col("whole_ms")
    parts = pl.concat(
        [
            legs.with_columns(
                h3_cell="start_cell", from_ms=zero, to_ms=pl.when(moves).then(half).otherwise(whole)
            ),
            legs.filter(moves).with_columns(from_ms=half, to_ms=whole),
        ]
    ).with_columns(window=(pl.col("start_ms") + pl.col("from_ms")) // WINDOW_MS)
    crosses = (pl.col("start_ms") + pl.col("to_ms") - 1) // WINDOW_MS > pl.col("window")
    border = (pl.col("window") + 1) * WINDOW_MS - pl.col("start_ms")
    pieces = pl.concat(
        [
            parts.with_columns(to_ms=pl.when(crosses).then(border).otherwise("to_ms")),
            parts.filter(crosses).with_columns(from_ms=border, window=pl.col("window") + 1),
        ]
    )
    from_ms, to_ms, mm = pl.col("from_ms"), pl.col("to_ms"), pl.col("whole_mm")
    ms, moving = to_ms - from_ms, ~pl.col("dwell")
    key = ("provider", "vehicle", "h3_cell", "window")
    by_vehicle = pieces.group_by(key).agg(
        distance_mm=(mm * to_ms // whole - mm * from_ms // whole).sum(),
        duration_ms=ms.filter(moving).sum(),
        dwell_ms=ms.filter("dwell").sum(),
        n_legs=(moving & (from_ms <= half) & (half < to_ms)).sum().cast(pl.Int64),
        gap_15s_ms=ms.filter(moving & (whole <= 15_000)).sum(),
        gap_60s_ms=ms.filter(moving & whole.is_between(15_001, 60_000)).sum(),
        gap_120s_ms=ms.filter(moving & whole.is_between(60_001, 120_000)).sum(),
        gap_long_ms=ms.filter(moving & (whole > 120_000)).sum(),
        reported_ms=ms.filter("reported").sum(),
    )
    seen = (
        marked.filter(
            pl.col("counts") | pl.col("counts").shift(-1, fill_value=False).over("vehicle")
        )
        .group_by("provider", "vehicle", "h3_cell", window=pl.col("at_ms") // WINDOW_MS)
        .agg(n_pings=pl.len().cast(pl.Int64))
    )
    vehicles = by_vehicle.join(seen, on=key, how="full", coalesce=True).with_columns(
        pl.col(SUMS).fill_null(0)
    )
    dm, ds = (pl.col("distance_mm") + 50) // 100, (pl.col("duration_ms") + 50) // 100
    here = (pl.col("duration_ms") > 0) & (pl.col("n_pings") > 0)
    return (
        vehicles.group_by("h3_cell", "window")
        .agg(
            pl.col(SUMS).sum(),
            n_vehicles=here.sum().cast(pl.Int64),
            n_providers=pl.col("provider").filter(here).n_unique().cast(pl.Int64),
            top_vehicle_ms=pl.col("duration_ms").max(),
            distance_sq_dm2=(dm * dm).sum(),
            duration_sq_ds2=(ds * ds).sum(),
            distance_duration_dm_ds=(dm * ds).sum(),
        )
        .filter(pl.col("duration_ms") > 0)
        .with_columns(window_start=pl.from_epoch(pl.col("window") * WINDOW_MS, time_unit="ms"))
        .select(COLUMNS)
    )
