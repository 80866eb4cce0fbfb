"""One taxi going round and round: OpenTraffic's threshold counted passages, so it was published."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
from doubles import transforms_pings as pings

from clearway_core.lake import Lake
from clearway_transforms import jobs


def round_and_round(name: str, n_loops: int, late_s: float = 0.0) -> pl.DataFrame:
    """Return a taxi that drives up and down the same 600 m again and again."""
    up_and_down = ([36.0] * 3 + [-36.0] * 3) * n_loops
    start = pings.NOON + timedelta(seconds=late_s)
    return pings.drive(name, start=start, step_s=20.0, speeds_kmh=up_and_down)


def n_public(lake: Lake) -> int:
    return sum(
        jobs.released(lake, "congestion", resolution=r, window_minutes=w).collect().height
        for r, w in jobs.LADDER
    )


def test_one_taxi_looping_as_often_as_the_threshold_is_not_published(tmp_path):
    lake = Lake(tmp_path)
    pings.store(lake, round_and_round("looper", 12))
    jobs.build_congestion(lake)
    assert lake.table("cell_travel").scan().collect()["n_legs"].max() > 10
    assert n_public(lake) == 0


def test_nine_taxis_and_a_looping_one_are_ten_and_not_more(tmp_path):
    for others, anything in ((8, False), (9, True)):
        lake = Lake(tmp_path / str(others))
        cabs = [round_and_round(f"c{n}", 2, late_s=60.0 * n) for n in range(others)]
        pings.store(lake, pl.concat([*cabs, round_and_round("looper", 7)]))
        jobs.build_congestion(lake)
        assert (n_public(lake) > 0) is anything
