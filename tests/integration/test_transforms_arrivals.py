"""However fixes arrive, the tables are those of one build of everything, to the last bit."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from doubles import transforms_pings as pings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.lake import Lake
from clearway_core.lake_upkeep import compact
from clearway_core.progress import silent
from clearway_transforms import jobs
from clearway_transforms.jobs import late_data
from clearway_transforms.jobs.product import Product
from clearway_transforms.jobs.vehicles import build_vehicle_travel

MIDNIGHT = datetime(2026, 3, 11, tzinfo=UTC)
BASE = Product(resolution=9, window_minutes=15)
TABLES = ("vehicle_travel", "cell_travel", "cell_speed", "free_flow", "congestion")


@dataclass(frozen=True)
class Arrivals:
    """One fleet's fixes, in the portions in which they come."""

    rows: pl.DataFrame
    portions: list[pl.DataFrame]
    compacted: bool


@st.composite
def arrivals(draw: st.DrawFn, *, most: int, n_vehicles: int) -> Arrivals:
    """Fixes of vehicles around two midnights; each comes in some portion, a few in two."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    frames = []
    for number in range(n_vehicles):
        n = int(rng.integers(20, 80))
        start = MIDNIGHT + timedelta(
            days=int(rng.integers(0, 2)), seconds=int(rng.integers(-5400, 1800))
        )
        times = np.cumsum(rng.choice([10, 30, 60, 130, 310], size=n, p=[0.3, 0.3, 0.3, 0.07, 0.03]))
        steps = rng.choice([0.0, 0.0005, 0.003, 0.05], size=n, p=[0.25, 0.5, 0.24, 0.01])
        frames.append(
            pl.DataFrame(
                {
                    "vehicle": f"v{number}",
                    "observed_at": [start + timedelta(seconds=int(s)) for s in times],
                    "lon_deg": 100.5,
                    "lat_deg": 13.75 + np.cumsum(steps * rng.choice([-1, 1], size=n)),
                    "occupied": rng.choice([True, True, False], size=n)
                    if number % 2
                    else np.full(n, fill_value=True),
                },
                schema_overrides={"observed_at": pl.Datetime("us", "UTC")},
            )
        )
    rows = pl.concat(frames).with_columns(seq=pl.int_range(pl.len()))
    n_portions = draw(st.integers(2, most))
    portion = pl.Series("portion", rng.integers(0, n_portions, rows.height))
    by_time = draw(st.booleans())
    if by_time:  # later portions hold later fixes, but for some that are late
        portion = pl.Series(
            "portion", (np.arange(rows.height) * n_portions // rows.height).astype(np.int64)
        )
        late = rng.random(rows.height) < 0.1
        portion = pl.Series("portion", np.where(late, n_portions - 1, portion.to_numpy()))
    parts = []
    for number in range(n_portions):
        mine = rows.filter(portion == number)
        again = rows.filter(portion < number).sample(fraction=0.05, seed=number)
        parts.append(pl.concat([mine, again]).sample(fraction=1.0, shuffle=True, seed=number))
    return Arrivals(rows, [part for part in parts if part.height], draw(st.booleans()))


def arrive(
    come: Arrivals, build: Callable[[Lake], object], tables: tuple[str, ...]
) -> tuple[dict[str, pl.DataFrame], dict[str, pl.DataFrame]]:
    """Return tables of one build of everything, and of a build after each portion."""
    with tempfile.TemporaryDirectory() as folder:
        whole, patched = Lake(f"{folder}/whole"), Lake(f"{folder}/patched")
        pings.store(whole, come.rows, n_buckets=1)
        build(whole)
        for part in come.portions:
            pings.store(patched, part)
            if come.compacted:
                compact(patched.table("gps_pings"))
            build(patched)
        return held(whole, tables), held(patched, tables)


def held(lake: Lake, tables: tuple[str, ...]) -> dict[str, pl.DataFrame]:
    return {
        name: lake.table(name).scan().sort(LAKE_CONTRACTS[name].key).collect() for name in tables
    }


def build_vehicles(lake: Lake) -> None:
    todo = late_data.plan(lake, BASE)
    build_vehicle_travel(lake, BASE, units=todo.units, progress=silent)
    late_data.record(lake, BASE, todo)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(come=arrivals(most=4, n_vehicles=3))
def test_vehicle_travel_does_not_depend_on_how_fixes_arrive(come):
    whole, patched = arrive(come, build_vehicles, ("vehicle_travel",))
    assert_frame_equal(whole["vehicle_travel"], patched["vehicle_travel"], check_exact=True)


@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(come=arrivals(most=2, n_vehicles=5))
def test_speeds_and_congestion_do_not_depend_on_how_fixes_arrive(come):
    whole, patched = arrive(come, jobs.build_congestion, TABLES)
    for name, rows in whole.items():
        assert_frame_equal(rows, patched[name], check_exact=True)
