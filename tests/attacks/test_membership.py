"""How well public rows tell whether one vehicle was there, beside how well all rows do."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from attacks.membership import Attacker, Day, own_parts, view_of
from doubles import attack_fleets as fleets
from sklearn.metrics import roc_auc_score

from clearway_transforms.congestion import cells, speed
from clearway_transforms.parameters import congestion_parameters
from clearway_transforms.release import gate, ladder, public_values

N_USUAL = 300
"""Vehicles of a usual day."""

N_TARGETS = 40
HISTORY, ANSWERED, ATTACKED = 12, 6, 8
PARAMETERS = congestion_parameters()
RULE = gate.public_rule(n_providers=1)


def publish(seed: int) -> Day:
    """Return one day: half of the targets are in it, by chance."""
    rng = np.random.default_rng(seed)
    traffic = fleets.Traffic(rng)
    n_others = int(N_USUAL * rng.lognormal(0, 0.15))
    others = fleets.drive(rng, traffic, fleets.itineraries(rng, n_others), "other-")
    # The same trips every day, which the attacker knows to the metre and second.
    trips = fleets.itineraries(np.random.default_rng(11), N_TARGETS)
    known = fleets.drive(rng, traffic, trips, "target-")
    present = rng.random(N_TARGETS) < 0.5
    names = [f"target-{n}" for n in range(N_TARGETS)]
    there = [name for name, flag in zip(names, present, strict=True) if flag]
    travel = pl.concat([others, known.filter(pl.col("vehicle").is_in(there))])
    gated = ladder.public_travel(travel, RULE, time_zone="UTC")
    every = {
        (resolution, minutes): cells.cell_travel(
            cells.roll_up(travel.lazy(), resolution=resolution, window_minutes=minutes)
        ).collect()
        for resolution, minutes in gate.LADDER
    }
    speeds = {
        name: {
            product: speed.cell_speed(sums.lazy(), PARAMETERS) for product, sums in products.items()
        }
        for name, products in (("ungated", every), ("exact", gated))
    }
    views = {
        name: view_of({product: rows.collect() for product, rows in products.items()})
        for name, products in speeds.items()
    }
    views["public"] = view_of(
        {product: public_values.coarse(rows).collect() for product, rows in speeds["exact"].items()}
    )
    return Day(present=present, own=own_parts(known, names), views=views)


@pytest.fixture(scope="module")
def days() -> list[Day]:
    return [publish(1000 + n) for n in range(HISTORY + ANSWERED + ATTACKED)]


def area_under_curve(days: list[Day], view: str, *, least: int, exact: bool) -> float:
    attacker = Attacker(view, least=least, exact=exact)
    attacker.learn(days[:HISTORY], days[HISTORY : HISTORY + ANSWERED])
    attacked = days[HISTORY + ANSWERED :]
    truth = np.concatenate([day.present for day in attacked])
    return float(roc_auc_score(truth, attacker.scores(attacked)))


def test_public_rows_tell_far_less_of_membership_than_all_rows_do(days):
    """The aim, .55, is not reached: see docs/methods/release.md. Measured: .997, .72."""
    assert area_under_curve(days, "ungated", least=1, exact=True) >= 0.9
    assert area_under_curve(days, "public", least=10, exact=False) <= 0.78
