"""Laws that hold for any fixes: nothing is lost or made, and no order of rows matters."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from doubles import transforms_pings as pings
from hypothesis import given, settings
from hypothesis import strategies as st

from clearway_transforms.congestion import cells, indices, speed
from clearway_transforms.jobs.days import day_start
from clearway_transforms.jobs.pings import AFTER_DAY, BEFORE_DAY
from clearway_transforms.jobs.vehicles import vehicle_travel_of
from clearway_transforms.parameters import congestion_parameters
from clearway_transforms.travel import allocation, chains, trips
from clearway_transforms.travel.legs import counted_legs, located

PARAMETERS = congestion_parameters()
DAY = date(2026, 3, 10)
KEY = ["h3_cell", "window_start", "vehicle_class", "provider", "vehicle"]
FEW = settings(max_examples=25, deadline=None)


@st.composite
def fleets(draw, *, around=datetime(2026, 3, 10, 12, tzinfo=UTC)):
    """Fixes of a few vehicles that wander about, stop, jump, repeat themselves and fall silent."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    frames = []
    for number in range(draw(st.integers(1, 4))):
        n = int(rng.integers(1, 60))
        gaps = rng.choice([1, 4, 5, 9, 12, 30, 60, 110, 200, 290, 400], size=n)
        steps = rng.choice(
            [0.0, 0.00002, 0.0005, 0.002, 0.02], size=(n, 2), p=[0.3, 0.2, 0.3, 0.18, 0.02]
        )
        offsets = np.cumsum(steps * rng.choice([-1, 1], size=(n, 2)), axis=0)
        reported = rng.choice([0.0, 20.0, 55.5], size=n) if rng.random() < 0.5 else None
        start = around + timedelta(seconds=int(rng.integers(-1800, 1800)))
        frames.append(
            pl.DataFrame(
                {
                    "vehicle": f"v{number}",
                    "provider": f"p{number % 2}",
                    "observed_at": [start + timedelta(seconds=int(s)) for s in np.cumsum(gaps)],
                    "lon_deg": 100.5 + offsets[:, 0],
                    "lat_deg": 13.75 + offsets[:, 1],
                    "speed_kmh": [None] * n if reported is None else reported,
                    "occupied": rng.choice([True, True, True, False], size=n)
                    if rng.random() < 0.5
                    else [None] * n,
                },
                schema_overrides={
                    "speed_kmh": pl.Float64,
                    "occupied": pl.Boolean,
                    "observed_at": pl.Datetime("us", "UTC"),
                },
            )
        )
    return pings.as_gps_pings(pl.concat(frames))


def travel_of(rows: pl.DataFrame, day: date = DAY) -> pl.DataFrame:
    return vehicle_travel_of(rows, PARAMETERS, day=day, resolution=9)[0].sort(KEY)


@FEW
@given(rows=fleets())
def test_pieces_of_a_leg_add_up_to_the_leg(rows):
    paired = trips.pair_fixes(ordered(rows), PARAMETERS)
    # A code of its own for each leg, so that its pieces can be found again.
    legs = counted_legs(located(paired, 9), PARAMETERS).with_columns(
        vehicle_code=pl.int_range(pl.len())
    )
    pieces = allocation.allocate(legs, 9)
    found = pieces.group_by("vehicle_code").agg(pl.col("distance_mm", "time_ms", "n_legs").sum())
    wanted = legs.select(
        "vehicle_code",
        "distance_mm",
        pl.col("duration_ms").alias("time_ms"),
        n_legs=(pl.col("kind") != "dwell").cast(pl.Int64),
    )
    assert found.sort("vehicle_code").collect().equals(wanted.sort("vehicle_code").collect())
    assert pieces.filter((pl.col("distance_mm") < 0) | (pl.col("time_ms") < 0)).collect().is_empty()


def ordered(rows: pl.DataFrame) -> pl.LazyFrame:
    from clearway_transforms.cleaning import clean  # noqa: PLC0415

    return clean.flag_duplicates(rows.lazy()).filter(pl.col("fault").is_null())


@FEW
@given(rows=fleets(around=datetime(2026, 3, 11, tzinfo=UTC)))
def test_a_leg_across_midnight_is_neither_lost_nor_doubled(rows):
    days = [DAY, DAY + timedelta(days=1)]

    def of_day(day: date) -> pl.DataFrame:
        start = day_start(day)
        read = rows.filter(
            pl.col("observed_at").is_between(
                start - BEFORE_DAY,
                start + timedelta(days=1) + AFTER_DAY,
                closed="left",
            )
        )
        return travel_of(read, day)

    apart = pl.concat([of_day(day) for day in days]).sort(KEY)
    together = pl.concat([travel_of(rows, day) for day in days]).sort(KEY)
    assert apart.select(together.columns).equals(together)


@FEW
@given(rows=fleets(), seed=st.integers(0, 1000))
def test_order_and_duplicates_of_rows_change_nothing(rows, seed):
    again = rows.sample(fraction=0.3, seed=seed).with_columns(seq=pl.col("seq") + 1_000_000)
    mixed = pl.concat([rows, again]).sample(fraction=1.0, shuffle=True, seed=seed)
    assert travel_of(mixed).equals(travel_of(rows))


@FEW
@given(rows=fleets())
def test_vehicles_apart_or_together_give_the_same(rows):
    apart = [travel_of(part) for part in rows.partition_by("vehicle")]
    assert pl.concat(apart).sort(KEY).equals(travel_of(rows))


@FEW
@given(rows=fleets(), resolution=st.integers(7, 9), minutes=st.sampled_from([15, 60, 1440]))
def test_rolling_up_keeps_every_sum_and_never_counts_more_vehicles(rows, resolution, minutes):
    base = travel_of(rows).lazy()
    rolled = cells.cell_travel(
        cells.with_all_classes(cells.roll_up(base, resolution=resolution, window_minutes=minutes))
    ).collect()
    moved = base.collect().filter(pl.col("duration_ms") > 0)
    for name in ("distance_mm", "duration_ms", "n_legs", "reported_ms"):
        assert rolled[name].sum() == moved[name].sum()
    assert (
        rolled["n_vehicles"].max() is None
        or rolled["n_vehicles"].max() <= rows["vehicle"].n_unique()
    )
    gaps = pl.sum_horizontal("gap_15s_ms", "gap_60s_ms", "gap_120s_ms", "gap_long_ms")
    assert rolled.filter(gaps != pl.col("duration_ms")).is_empty()


@FEW
@given(rows=fleets())
def test_the_interval_holds_the_mean_and_no_provider_lacks_a_vehicle(rows):
    sums = cells.cell_travel(
        cells.with_all_classes(
            cells.roll_up(travel_of(rows).lazy(), resolution=9, window_minutes=15)
        )
    )
    result = speed.cell_speed(sums, PARAMETERS).collect()
    assert result.filter(pl.col("interval_low_kmh") > pl.col("space_mean_kmh")).is_empty()
    assert result.filter(pl.col("interval_high_kmh") < pl.col("space_mean_kmh")).is_empty()
    assert result.filter(pl.col("n_providers") > pl.col("n_vehicles")).is_empty()
    assert result["space_mean_kmh"].is_null().sum() == 0
    assert result.filter(pl.col("space_mean_kmh") > PARAMETERS.max_speed_kmh).is_empty()


speeds_kmh = st.one_of(st.none(), st.just(0.0), st.floats(1e-6, 160))


@settings(max_examples=100, deadline=None)
@given(observed=speeds_kmh, free=speeds_kmh)
def test_indices_stay_in_their_bounds(observed, free):
    frame = pl.DataFrame({"v": [observed], "f": [free]}, schema={"v": pl.Float64, "f": pl.Float64})
    v, f = pl.col("v"), pl.col("f")
    tti, index, delay = frame.select(
        a=indices.travel_time_index(v, f),
        b=indices.congestion_index(v, f),
        c=indices.delay_s_per_km(v, f),
    ).row(0)
    assert tti is None or tti >= 1
    assert index is None or 0 <= index <= 1
    assert delay is None or delay >= 0
    if observed and free and observed < free:
        assert index == 1 or tti == pytest.approx(1 / (1 - index), rel=1e-6)


@FEW
@given(gaps=st.lists(st.integers(1, 15_000), max_size=40), seed=st.integers(0, 99))
def test_joined_legs_are_long_enough_and_lose_nothing_but_short_runs(gaps, seed):
    rng = np.random.default_rng(seed)
    run = np.cumsum(rng.random(len(gaps)) < 0.2)
    gap_ms = np.array(gaps, dtype=np.int64)
    member = chains.joined_chains(gap_ms, run, at_least_ms=10_000)
    for number in set(member.tolist()) - {-1, 0}:
        mine = member == number
        assert gap_ms[mine].sum() >= 10_000
        assert len(set(run[mine].tolist())) == 1
        assert np.ptp(np.flatnonzero(mine)) == mine.sum() - 1
    for lost in set(run[member == -1].tolist()):
        assert gap_ms[run == lost].sum() < 10_000
