"""A dozen drive together, one drives on: its way alone is not public, and cannot be subtracted."""

from __future__ import annotations

import polars as pl
from attacks.subtraction import rests
from doubles import transforms_pings as pings

from clearway_core.lake import Lake
from clearway_transforms import jobs
from clearway_transforms.jobs.product import Product


def test_the_tail_of_one_vehicle_is_in_no_public_row(tmp_path):
    together = [pings.drive(f"c{n}", step_s=20.0, speeds_kmh=[20.0] * 12) for n in range(12)]
    onwards = pings.drive("lone", step_s=20.0, speeds_kmh=[20.0] * 60)
    lake = Lake(tmp_path)
    pings.store(lake, pl.concat([*together, onwards]))
    jobs.build_congestion(lake)

    tail = lake.table("vehicle_travel").scan().collect()
    by_cell = tail.group_by("h3_cell", "window_start").agg(pl.col("vehicle").n_unique())
    lone = by_cell.filter(pl.col("vehicle") == 1)
    assert lone.height >= 3, "or there is no tail to be found"
    public = {
        (r, w): Product(resolution=r, window_minutes=w).scan(lake, "released_travel").collect()
        for r, w in jobs.LADDER
    }
    fine = public[9, 15]
    assert fine.height > 0
    assert fine.join(lone, on=["h3_cell", "window_start"], how="semi").is_empty()
    for n_vehicles, left_ms, due_ms in rests(tail, public):
        assert left_ms == due_ms
        assert left_ms == 0 or n_vehicles >= 10
