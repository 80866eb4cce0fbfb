"""Parents less their children, and all classes less each: what is left is nobody or enough."""

from __future__ import annotations

import numpy as np
import polars as pl
from attacks.subtraction import rests
from doubles import attack_fleets as fleets
from doubles import transforms_pings as pings

from clearway_core.lake import Lake
from clearway_transforms import jobs
from clearway_transforms.congestion import cells
from clearway_transforms.release import gate, ladder

RULE = gate.public_rule(n_providers=1)


def a_day() -> pl.DataFrame:
    rng = np.random.default_rng(3)
    trips = fleets.itineraries(rng, 600)
    return fleets.drive(rng, fleets.Traffic(rng), trips, "cab-")


def test_parents_less_children_leave_nobody_or_ten_vehicles():
    travel = a_day()
    public = ladder.public_travel(travel, RULE, time_zone="UTC")
    found = rests(travel, public)
    assert len(found) > 300
    for n_vehicles, left_ms, due_ms in found:
        assert left_ms == due_ms, "the attacker subtracts right"
        assert left_ms == 0 or n_vehicles >= RULE.min_vehicles


def test_the_attack_works_where_each_row_is_gated_by_itself():
    travel = a_day()
    alone = {
        (resolution, minutes): gate.release(
            cells.cell_travel(
                cells.roll_up(travel.lazy(), resolution=resolution, window_minutes=minutes)
            ),
            RULE,
        ).collect()
        for resolution, minutes in gate.LADDER
    }
    thin = [n for n, left_ms, _ in rests(travel, alone) if left_ms and n < RULE.min_vehicles]
    assert thin, "without complementary suppression a few vehicles can be told"


def test_no_class_can_be_told_from_all_less_the_others(tmp_path):
    def cabs(kind: str, number: int) -> list[pl.DataFrame]:
        return [
            pings.drive(f"{kind}{n}", vehicle_class=kind, speeds_kmh=[20.0] * 6)
            for n in range(number)
        ]

    lake = Lake(tmp_path)
    pings.store(lake, pl.concat([*cabs("taxi", 14), *cabs("car", 2)]))
    jobs.build_congestion(lake)
    held = set(lake.table("congestion").scan().collect()["vehicle_class"])
    assert held == {"all", "taxi", "car"}
    for table in ("congestion", "cell_speed"):
        rows = jobs.released(lake, table, resolution=9, window_minutes=15).collect()
        assert rows.height > 0
        assert set(rows["vehicle_class"]) == {"all"}
