"""Day by day pseudonyms change; a person's places do not. Do places link what is published?"""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from doubles import attack_fleets as fleets
from sklearn.metrics import roc_auc_score

from clearway_transforms.congestion import cells
from clearway_transforms.release import gate, ladder, public_values

N_HABITS, N_OTHERS, N_TOP, N_DAYS = 40, 500, 8, 8
RULE = gate.public_rule(n_providers=1)
HOUR = gate.LADDER[1]


@pytest.fixture(scope="module")
def days() -> list[tuple[pl.DataFrame, np.ndarray]]:
    """Return per day vehicle travel, and which of the vehicles with habits were out."""
    habits = fleets.itineraries(np.random.default_rng(11), N_HABITS)
    made = []
    for seed in range(N_DAYS):
        rng = np.random.default_rng(500 + seed)
        traffic = fleets.Traffic(rng)
        others = fleets.itineraries(rng, int(N_OTHERS * rng.lognormal(0, 0.15)))
        out = rng.random(N_HABITS) < 0.5
        known = habits.filter(pl.col("vehicle").is_in(np.flatnonzero(out)))
        rows = [fleets.drive(rng, traffic, trips, p) for trips, p in ((others, "o"), (known, "h"))]
        made.append((pl.concat(rows), out))
    return made


def top_places(travel: pl.DataFrame) -> dict[str, set[tuple[int, object]]]:
    """Return where and when each vehicle spends most of its time."""
    per = travel.group_by("vehicle", "h3_cell", "window_start").agg(pl.col("duration_ms").sum())
    top = per.sort("duration_ms", "h3_cell", descending=True).group_by("vehicle").head(N_TOP)
    found: dict[str, set[tuple[int, object]]] = {}
    for vehicle, cell, window in top.select("vehicle", "h3_cell", "window_start").iter_rows():
        found.setdefault(vehicle, set()).add((cell, window))
    return found


def hours(travel: pl.DataFrame) -> pl.DataFrame:
    return cells.roll_up(travel.lazy(), resolution=HOUR[0], window_minutes=HOUR[1]).collect()


def test_places_link_stored_days_so_they_stay_inside_and_public_days_hardly(days):
    (first, _), (second, _) = days[0], days[1]
    # Inside: the same habits on two days, other pseudonyms. Overlap of top places.
    one, other = (
        top_places(day.with_columns(pl.col("window_start").dt.truncate("1h")))
        for day in (first, second)
    )
    both = sorted(set(one) & set(other) & {f"h{n}" for n in range(N_HABITS)})
    everyone = sorted(other)
    truth, score = [], []
    for vehicle in both:
        for candidate in everyone:
            truth.append(vehicle == candidate)
            score.append(len(one[vehicle] & other[candidate]))
    assert roc_auc_score(truth, score) >= 0.75, "traces link across pseudonyms"

    # Outside: is the vehicle with these habits out today? Its top places against other days.
    public = [
        public_values.coarse(
            ladder.public_travel(travel, RULE, time_zone="UTC")[HOUR].lazy()
        ).collect()
        for travel, _ in days
    ]
    counts = [
        {
            (cell, window): n
            for cell, window, n in rows.select("h3_cell", "window_start", "n_vehicles").iter_rows()
        }
        for rows in public
    ]
    usual = [np.log(sum(of_day.values())) for of_day in counts]
    places = top_places(
        hours(
            pl.concat([travel for travel, _ in days]).unique(["vehicle", "h3_cell", "window_start"])
        )
    )
    truth, score = [], []
    for number in range(N_HABITS):
        mine = places.get(f"h{number}", set())
        for (_, out), of_day, level in zip(days, counts, usual, strict=True):
            truth.append(bool(out[number]))
            seen = [np.log(of_day.get(place, 5)) - level for place in sorted(mine)]
            mean = [
                np.mean([np.log(c.get(place, 5)) - u for c, u in zip(counts, usual, strict=True)])
                for place in sorted(mine)
            ]
            score.append(float(np.sum(np.array(seen) - np.array(mean))))
    assert roc_auc_score(truth, score) <= 0.6


def test_four_places_single_out_most_stored_traces_and_no_public_row(days, record_property):
    """The unicity of de Montjoye et al. 2013, on the stored table and on what is public."""
    travel, _ = days[0]
    rng = np.random.default_rng(9)
    visits = {
        vehicle: set(zip(cells_, windows, strict=True))
        for vehicle, cells_, windows in travel.group_by("vehicle")
        .agg("h3_cell", "window_start")
        .iter_rows()
    }
    named = sorted(visits)
    for n_points in (2, 4):
        single = 0
        asked = [name for name in named if len(visits[name]) >= n_points][:200]
        for name in asked:
            own = sorted(visits[name])
            points = {own[n] for n in rng.choice(len(own), n_points, replace=False)}
            single += sum(points <= visits[other] for other in named) == 1
        record_property(f"unicity_{n_points}_points", single / len(asked))
    assert single / len(asked) >= 0.9
    for product, rows in ladder.public_travel(travel, RULE, time_zone="UTC").items():
        assert rows["n_vehicles"].min() >= RULE.min_vehicles, product
        assert "vehicle" not in rows.columns
