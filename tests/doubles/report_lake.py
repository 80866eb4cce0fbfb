"""A small city that drove for some days, built by the real jobs, for the report tests."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import polars as pl
from doubles import transforms_pings as pings

from clearway_core.city import City, read_city
from clearway_core.geo import boundary_of, cell_at
from clearway_core.lake import Lake
from clearway_transforms import jobs

LON, SOUTH, NORTH = 100.523, 13.740, 13.762
"""Everybody drives this street north, but for one."""
CENTRE = cell_at(LON, 13.752, 9)
LONELY_LON = 100.560
LONELY_CELL = cell_at(LONELY_LON, 13.750, 9)
"""Two vehicles alone are here: never to be shown, not even as withheld."""
MARCH = [date(2026, 3, day) for day in (2, 4, 5, 6, 9)]
"""Workdays; the 3rd is a public holiday."""
LATE_DAY = date(2026, 3, 10)
FOUR_WEEKS = timedelta(days=28)
FASTER = 1.25
"""February's travel times are March's, divided by this."""
N_VEHICLES = 14
RESOLUTION = 9
_TRIPS = 4
_STEP_S = 30.0
_BANGKOK = timedelta(hours=7)


def city(folder: Path) -> City:
    """Write a city pack with a corridor, areas with people, and roads; return it."""
    folder.mkdir(parents=True)
    (folder / "city.toml").write_text(
        '[city]\nname = "Testburi <&> \\"Süd\\""\ncountry = "TH"\ntime_zone = "Asia/Bangkok"\n'
        "service_area_deg = [100.48, 13.70, 100.60, 13.80]\nsynthetic = true\n",
        encoding="utf-8",
    )
    line = [[LON, SOUTH], [LON, NORTH]]
    ring = [[LON - 0.01, 13.74], [LON + 0.01, 13.74], [LON + 0.01, 13.752], [LON - 0.01, 13.752]]
    files = {
        "corridors.geojson": [({"name": "North Road"}, "LineString", line)],
        "roads.geojson": [({"class": "primary"}, "LineString", line)],
        "water.geojson": [({}, "Polygon", [boundary_of(cell_at(100.51, 13.76, 9))])],
        "areas.geojson": [({"name": "Old Town"}, "Polygon", [[*ring, ring[0]]])],
    }
    for name, features in files.items():
        made = [
            {
                "type": "Feature",
                "properties": properties,
                "geometry": {"type": kind, "coordinates": coordinates},
            }
            for properties, kind, coordinates in features
        ]
        text = json.dumps({"type": "FeatureCollection", "features": made})
        (folder / name).write_text(text, encoding="utf-8")
    people = "area,population,income_per_person,source\nOld Town,9000,20000,made up\n"
    (folder / "population.csv").write_text(people, encoding="utf-8")
    return read_city(folder)


def fixes(days: list[date]) -> pl.DataFrame:
    """Return a fleet's fixes: four trips a morning, each vehicle and day a little different."""
    parts = []
    for day in days:
        start = datetime.combine(day, time(6, 30), UTC) - _BANGKOK
        for number in range(N_VEHICLES):
            kmh = 24 + number % 5 + day.day % 3
            steps = round((NORTH - SOUTH) * pings.METRES_PER_DEGREE / (kmh / 3.6) / _STEP_S)
            parts += [
                pings.drive(
                    f"cab-{number}-{day}",
                    start=start + timedelta(minutes=15 * trip, seconds=7 * number),
                    step_s=_STEP_S,
                    speeds_kmh=[kmh] * steps,
                    lon_deg=LON,
                    lat_deg=SOUTH,
                )
                for trip in range(_TRIPS)
            ]
        parts += [
            pings.drive(
                f"lonely-{number}-{day}",
                start=start,
                step_s=_STEP_S,
                speeds_kmh=[20.0] * 8,
                lon_deg=LONELY_LON,
                lat_deg=13.748,
            )
            for number in range(2)
        ]
    return pl.concat(parts)


def add(lake: Lake, city: City, days: list[date]) -> None:
    """Store the days' fixes and build everything from them."""
    pings.store(lake, fixes(days), n_buckets=1)
    first, last = days[0], days[-1]
    jobs.build_congestion(
        lake,
        resolution=RESOLUTION,
        window_minutes=15,
        city=city,
        time_from=datetime.combine(first, time(), UTC) - timedelta(days=1),
        time_to=datetime.combine(last, time(), UTC) + timedelta(days=1),
    )


def add_february(lake: Lake) -> None:
    """Put the same days four weeks earlier, faster, where sums stay when raw GPS is gone."""
    times = {
        "duration_ms": FASTER,
        "distance_duration_dm_ds": FASTER,
        "duration_sq_ds2": FASTER * FASTER,
    }
    sums = {"period_travel": ["local_date"], "corridor_travel": ["window_date", "window_start"]}
    for name, columns in sums.items():
        table = lake.table(name)
        rows = (
            table.scan()
            .collect()
            .with_columns(
                pl.col(columns) - FOUR_WEEKS,
                *((pl.col(each) / factor).round().cast(pl.Int64) for each, factor in times.items()),
            )
        )
        table.append(rows)
    published = lake.table("corridor_times").scan().collect()
    lake.table("corridor_times").append(
        published.with_columns(pl.col("local_date", "window_date", "window_start") - FOUR_WEEKS)
    )
    settled = lake.table("released_travel").scan().collect()
    dates = ["release_date", "window_date", "window_start"]
    lake.table("released_travel").append(settled.with_columns(pl.col(dates) - FOUR_WEEKS))
    march = lake.table("reliability").scan().filter(pl.col("span") == "2026-03").collect()
    february = {
        "span": "2026-02",
        "span_first_date": date(2026, 2, 1),
        "span_last_date": date(2026, 2, 28),
    }
    lake.table("reliability").append(
        march.with_columns(pl.lit(value).alias(name) for name, value in february.items())
    )
