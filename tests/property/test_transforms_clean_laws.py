"""Laws of cleaning: every fix and pair is kept or counted, and two gateways are as good as one."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from doubles import transforms_pings as pings
from hypothesis import given, settings
from hypothesis import strategies as st

from clearway_transforms.cleaning import clean
from clearway_transforms.jobs.vehicles import vehicle_travel_of
from clearway_transforms.parameters import congestion_parameters
from clearway_transforms.travel import trips

PARAMETERS = congestion_parameters()
DAY = date(2026, 3, 10)
FEW = settings(max_examples=20, deadline=None)


def counted(rows: pl.DataFrame) -> tuple[pl.DataFrame, dict[tuple[str, str], int]]:
    """Return vehicle travel of the day and the counts by subject and name."""
    travel, counts = vehicle_travel_of(rows, PARAMETERS, day=DAY, resolution=9)
    return travel, {(subject, name): n for (_, subject, name), n in counts.items()}


def wild(seed: int) -> pl.DataFrame:
    """Return fixes that break every rule of cleaning now and then."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 120))
    walk = np.cumsum(rng.choice([0.0, 0.0, 0.0004, 0.001, -0.0004, 0.05], size=n))
    times = np.cumsum(rng.choice([0, 1, 5, 10, 60, 130, 310], size=n))
    return pings.as_gps_pings(
        pl.DataFrame(
            {
                "vehicle": rng.choice(["a", "b"], size=n),
                "gateway": rng.choice(["gw-a", "gw-b"], size=n),
                "observed_at": [pings.NOON + timedelta(seconds=int(s)) for s in times],
                "lon_deg": np.where(rng.random(n) < 0.03, 0.0, 100.5),
                "lat_deg": np.where(rng.random(n) < 0.03, 0.0, 13.75 + walk),
                "speed_kmh": rng.choice([0.0, 30.0, 55.0, 150.0], size=n),
                "occupied": rng.choice([True, True, True, False], size=n),
                "accuracy_m": rng.choice([5.0, 5.0, 5.0, 90.0], size=n),
            },
            schema_overrides={"observed_at": pl.Datetime("us", "UTC")},
        )
    )


@FEW
@given(seed=st.integers(0, 2**32 - 1))
def test_every_fix_and_every_pair_is_kept_or_counted_under_its_rule(seed):
    rows = wild(seed)
    _, counts = counted(rows)
    left_out = {name: n for (subject, name), n in counts.items() if subject == "left_out"}
    assert left_out.keys() <= set(clean.RULES)
    assert counts["fixes", "kept"] + sum(left_out.values()) == counts["fixes", "read"]
    assert counts["fixes", "read"] == rows.height
    pairs = {name: n for (subject, name), n in counts.items() if subject == "pairs"}
    assert pairs.keys() <= set(trips.KINDS)
    # Each vehicle's first fix ends no pair.
    assert 0 <= counts["fixes", "kept"] - sum(pairs.values()) <= rows["vehicle"].n_unique()


@FEW
@given(
    seed=st.integers(0, 2**32 - 1),
    offset_s=st.floats(0, 2),
    step_s=st.sampled_from([1.0, 5.0, 10.0, 30.0, 60.0]),
    n_vehicles=st.integers(1, 3),
)
def test_vehicles_that_two_gateways_hear_count_once_and_drive_as_far(
    seed, offset_s, step_s, n_vehicles
):
    rng = np.random.default_rng(seed)
    one = pl.concat(
        pings.drive(
            f"v{number}",
            start=pings.NOON + timedelta(minutes=3 * number),
            step_s=step_s,
            speeds_kmh=rng.uniform(20, 60, size=round(900 / step_s)),
            gateway="gw-a",
        )
        for number in range(n_vehicles)
    )
    noise = pl.Series(rng.normal(0, 5e-5, one.height))  # 5 m
    other = one.with_columns(
        pl.col("observed_at") + timedelta(seconds=offset_s),
        lat_deg=pl.col("lat_deg") + noise,
        gateway=pl.lit("gw-b"),
    )
    alone, _ = counted(pings.as_gps_pings(one))
    twice, counts = counted(pings.as_gps_pings(pl.concat([one, other])))
    heard_twice = counts.get(("left_out", "two_gateways"), 0)
    same_instant = counts.get(("left_out", "duplicate"), 0)
    # Only after the first gateway's last fix of a drive is the second one alone.
    assert one.height - heard_twice - same_instant <= n_vehicles * 2
    assert twice["vehicle"].n_unique() == n_vehicles
    assert twice["n_pings"].sum() <= alone["n_pings"].sum() + n_vehicles * 2
    for name in ("distance_mm", "duration_ms"):
        # The last fix is up to two seconds later and some metres off.
        assert twice[name].sum() == pytest.approx(alone[name].sum(), rel=0.05)


@FEW
@given(seed=st.integers(0, 2**32 - 1), shuffle=st.integers(0, 99))
def test_what_cleaning_keeps_does_not_depend_on_the_order_of_rows(seed, shuffle):
    rows = wild(seed)
    travel, counts = counted(rows)
    again, recounted = counted(rows.sample(fraction=1.0, shuffle=True, seed=shuffle))
    keys = ["h3_cell", "window_start", "vehicle_class", "provider", "vehicle"]
    assert again.sort(keys).select(travel.columns).equals(travel.sort(keys))
    assert recounted == counts
