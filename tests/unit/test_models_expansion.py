"""How many vehicles stand behind one probe."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from doubles.models_lake import write_city, write_lake

from clearway_core.lake import Lake
from clearway_models.expansion.counts import IN_CITY, IN_ZONE, Count, expansion_of
from clearway_models.expansion.passes import Place, legs_of, passes
from clearway_models.jobs.expansion import NO_COUNTS, NO_FIXES, SPARSE, count_expansion

SITE: Place = (100.6, 12.9)
HOUR = datetime(2026, 1, 12, 1, tzinfo=UTC)
M = 1 / 111_195
"""One metre in degrees of latitude, and a little less than one of longitude here."""


def drive(
    vehicle: str,
    track_m: list[tuple[float, float]],
    *,
    start: datetime = HOUR,
    gap_s: float = 10,
    occupied: bool | None = None,
) -> pl.DataFrame:
    """Return fixes along a track given in metres east and north of the site."""
    return pl.DataFrame(
        {
            "provider": "cabs",
            "vehicle": vehicle,
            "observed_at": [start + timedelta(seconds=gap_s * i) for i in range(len(track_m))],
            "lon_deg": [SITE[0] + east * M for east, _ in track_m],
            "lat_deg": [SITE[1] + north * M for _, north in track_m],
            "occupied": pl.Series([occupied] * len(track_m), dtype=pl.Boolean),
        }
    )


STREET = [(-150.0, 2.0), (-50.0, -3.0), (50.0, 4.0), (150.0, 0.0)]


def n_passes(*tracks: pl.DataFrame) -> int:
    return passes(legs_of(pl.concat(tracks)), [SITE]).get((SITE, HOUR), 0)


def test_both_directions_pass_and_the_parallel_street_does_not() -> None:
    parallel = [(east, north + 60) for east, north in STREET]

    assert n_passes(drive("a", STREET), drive("b", STREET[::-1]), drive("c", parallel)) == 2


def test_a_cross_street_at_the_next_corner_is_not_counted() -> None:
    corner = [(70.0, -150.0), (70.0, -50.0), (70.0, 50.0)]

    assert n_passes(drive("a", STREET), drive("b", corner)) == 1


def test_a_vehicle_that_waits_at_the_counter_passes_once() -> None:
    waits = [(-60.0, 0.0), *[(4.0 * (-1) ** i, 3.0) for i in range(9)], (60.0, 0.0)]

    assert n_passes(drive("a", STREET), drive("b", waits)) == 2


def test_two_rounds_are_two_passes() -> None:
    later = HOUR + timedelta(minutes=20)

    assert n_passes(drive("a", STREET), drive("a", STREET, start=later)) == 2


def test_a_vacant_cab_is_no_travel_and_neither_is_a_leap() -> None:
    leap = [(-5000.0, 0.0), (5000.0, 0.0)]

    assert n_passes(drive("a", STREET, occupied=True), drive("b", STREET, occupied=False)) == 1
    assert n_passes(drive("a", STREET), drive("b", leap)) == 1


def test_distance_between_sparse_fixes_is_told_apart() -> None:
    legs = legs_of(pl.concat([drive("a", STREET), drive("b", STREET, gap_s=60)]))

    assert legs.dense_share == pytest.approx(0.5, abs=0.01)
    assert len(legs.vehicle) == 3


def test_an_hour_counts_as_covered_when_every_quarter_of_it_was_driven() -> None:
    quarters = [drive("a", STREET, start=HOUR + timedelta(minutes=15 * q)) for q in range(4)]

    assert legs_of(pl.concat(quarters)).covered_hours() == {HOUR}
    assert legs_of(pl.concat(quarters[:3])).covered_hours() == set()


def some_counts(vehicles: list[float]) -> list[Count]:
    return [Count((100.6, 12.9 + i), i, HOUR, value) for i, value in enumerate(vehicles)]


def test_factor_is_counted_over_passed_and_few_sites_keep_it_wide() -> None:
    counts = some_counts([100, 200, 300, 400])
    passed = {(count.place, HOUR): int(count.vehicles / 4) for count in counts}

    city = expansion_of(counts, passed, hours={HOUR}, flow_gsd=1.5)
    zone = expansion_of(counts, passed, hours={HOUR}, flow_gsd=1.5, cells={0, 1, 2})

    assert city is not None
    assert zone is not None
    assert (city.factor, city.basis, city.n_sites) == (4.0, IN_CITY, 4)
    assert (zone.factor, zone.basis, zone.n_sites) == (4.0, IN_ZONE, 3)
    # The sites agree to the last car, yet three streets are three streets.
    poisson = math.log1p(1 / 150 + 1 / 600)
    assert zone.log_sd == pytest.approx(math.sqrt(poisson + math.log(1.5) ** 2 / 3))
    assert city.log_sd > math.log(1.5)


def test_hours_without_a_feed_are_left_out_and_no_pass_gives_no_factor() -> None:
    counts = some_counts([100, 200, 300])
    passed = {(counts[0].place, HOUR): 50}

    assert expansion_of(counts, passed, hours=set(), flow_gsd=1.5) is None
    assert expansion_of(counts, {}, hours={HOUR}, flow_gsd=1.5) is None


def test_without_counts_or_raw_fixes_the_reason_is_given(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    file = tmp_path / "traffic_counts.csv"
    file.write_text(
        "lon_deg,lat_deg,hour_start,vehicle_class,vehicles_per_hour\n"
        f"100.6,12.9,{HOUR.isoformat()},all,400\n",
        encoding="utf-8",
    )

    assert count_expansion(lake, None, resolution=9, flow_gsd=1.5) == (None, NO_COUNTS)
    assert count_expansion(lake, file, resolution=9, flow_gsd=1.5) == (None, NO_FIXES)


def test_fixes_a_minute_apart_give_no_factor(tmp_path: Path) -> None:
    lake = write_lake(tmp_path)
    counts = write_city(tmp_path / "city").file("traffic_counts.csv")
    fixes = lake.table("gps_pings").scan().collect()
    step = pl.when(pl.col("log_offset") % 100 > 0).then(pl.duration(seconds=50))
    later = pl.col("observed_at") + step.otherwise(pl.duration(seconds=0))

    dense, _ = count_expansion(lake, counts, resolution=9, flow_gsd=1.5)
    lake.table("gps_pings").replace(
        fixes.with_columns(observed_at=later),
        {"observed_date": fixes["observed_date"].unique().to_list()},
    )
    sparse = count_expansion(lake, counts, resolution=9, flow_gsd=1.5)

    assert dense is not None
    assert dense.factor == pytest.approx(20.0)
    assert sparse == (None, SPARSE)
