"""Comparing two months: what is called a change, and what is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from clearway_transforms.comparison import panel
from clearway_transforms.comparison.panel import Question
from clearway_transforms.comparison.verdict import Reason, Verdict
from clearway_transforms.parameters import comparison_parameters

PARAMETERS = comparison_parameters()
CITY = Question(
    by=(), place=("h3_cell", "period"), band=PARAMETERS.band_city, min_places=10, min_vehicles=10
)
CELL = replace(CITY, by=("h3_cell",), band=PARAMETERS.band_place, min_places=1)
KM_MM = 1_000_000


def month(
    seed: int,
    *,
    n_days: int = 20,
    n_cells: int = 40,
    n_vehicles: int = 20,
    factor: float = 1.0,
    style_cv: float = 0.03,
) -> pl.LazyFrame:
    """Return a month of vehicles that differ among themselves, on days that differ too."""
    draw = np.random.default_rng(seed)
    base = 120 + np.arange(n_cells) * 3.0  # s/km
    day_effect = draw.normal(0, 0.04, n_days)
    rows = []
    for day in range(n_days):
        style = draw.normal(0, style_cv, n_vehicles)
        for cell in range(n_cells):
            noise = draw.normal(0, 0.25, n_vehicles)
            pace = base[cell] * factor * np.exp(day_effect[day] + style + noise)
            km = draw.uniform(0.2, 1.0, n_vehicles)
            rows.append(row(cell, day, km, pace * km))
    return pl.DataFrame(rows).lazy()


def row(cell: int, day: int, km: np.ndarray, seconds: np.ndarray) -> dict[str, object]:
    dm, ds = (km * 10_000).astype(np.int64), (seconds * 10).astype(np.int64)
    return {
        "h3_cell": cell,
        "period": "midday",
        "local_date": date(2026, 3, 1) + timedelta(days=day),
        "day_kind": "workday",
        "distance_mm": int(dm.sum() * 100),
        "duration_ms": int(ds.sum() * 100),
        "n_vehicles": len(km),
        "distance_sq_dm2": int((dm * dm).sum()),
        "duration_sq_ds2": int((ds * ds).sum()),
        "distance_duration_dm_ds": int((dm * ds).sum()),
    }


def answer(before: pl.LazyFrame, after: pl.LazyFrame, question: Question = CITY) -> pl.DataFrame:
    return panel.month_change(before, after, question, PARAMETERS).collect()


def test_twenty_percent_more_time_is_worse_with_the_number_inside_its_interval():
    found = answer(month(1), month(2, factor=1.2)).row(0, named=True)
    assert found["verdict"] == Verdict.WORSE
    assert found["change_low"] < 0.2 < found["change_high"]
    assert found["n_days_before"] == found["n_days_after"] == 20


def test_twenty_percent_less_time_is_better():
    assert answer(month(1), month(2, factor=1 / 1.2))["verdict"].item() == Verdict.BETTER


def test_a_month_against_itself_is_no_detectable_change_where_days_are_alike():
    found = answer(calm_month(), calm_month()).row(0, named=True)
    assert found["verdict"] == Verdict.NO_CHANGE
    assert found["change"] == 0


def calm_month(n_days: int = 20) -> pl.LazyFrame:
    km = np.full(60, 0.5)
    rows = [
        row(cell, day, km, km * 120 * (1 + 0.01 * (day % 3)))
        for cell in range(40)
        for day in range(n_days)
    ]
    return pl.DataFrame(rows).lazy()


def test_the_number_is_that_of_the_formula_with_weights_of_both_months():
    km = np.full(12, 1.0)
    before = [row(0, d, km, km * 100) for d in range(5)]
    before += [row(1, d, km, km * 200) for d in range(5)]
    after = [row(0, d, km * 3, km * 3 * 110) for d in range(5)]
    after += [row(1, d, km, km * 200) for d in range(5)]
    question = replace(CITY, min_places=1)
    found = answer(pl.DataFrame(before).lazy(), pl.DataFrame(after).lazy(), question)
    # Weights 4 and 2: (4 x 110 + 2 x 200) / (4 x 100 + 2 x 200) - 1.
    assert found["change"].item() == pytest.approx(0.05, abs=1e-9)


def test_probes_that_move_to_slower_streets_are_no_change():
    before, after = on_slow_streets(share=1), on_slow_streets(share=3)
    found = answer(pl.DataFrame(before).lazy(), pl.DataFrame(after).lazy()).row(0, named=True)
    plain = [
        sum(r["duration_ms"] for r in rows) / sum(r["distance_mm"] for r in rows)
        for rows in (before, after)
    ]
    assert plain[1] / plain[0] > 1.6, "the plain mean is taken in"
    assert found["change"] == 0


def on_slow_streets(*, share: int) -> list[dict[str, object]]:
    """Return ten fast and ten slow cells, driven `4 - share` and `share` kilometres a day."""
    kinds = {True: (share, 300), False: (4 - share, 100)}
    return [
        row(cell, day, np.full(12, km), np.full(12, km) * pace)
        for cell in range(20)
        for day in range(8)
        for km, pace in [kinds[cell >= 10]]
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda rows: rows.filter(pl.col("local_date") < date(2026, 3, 5)), Reason.FEW_DAYS),
        (lambda rows: rows.filter(pl.col("h3_cell") < 9), Reason.FEW_PLACES),
        (lambda rows: rows.with_columns(n_vehicles=pl.lit(9, pl.Int64)), Reason.FEW_VEHICLES),
        (
            lambda rows: rows.with_columns(
                h3_cell=pl.when(pl.col("h3_cell") > 15)
                .then(pl.col("h3_cell") + 100)
                .otherwise("h3_cell")
            ),
            Reason.LITTLE_COVERED,
        ),
    ],
)
def test_what_is_missing_is_named_and_nothing_is_claimed(change, reason):
    found = answer(month(1), change(month(2, factor=1.5))).row(0, named=True)
    assert found["verdict"] == Verdict.CANNOT_TELL
    assert reason in found["reasons"]


def test_days_that_scatter_widely_give_no_verdict():
    km = np.full(12, 1.0)
    rows = [row(c, d, km, km * 100 * (1.5 if d % 2 else 1.0)) for c in range(20) for d in range(6)]
    wide = pl.DataFrame(rows).lazy()
    found = answer(wide, wide.with_columns(duration_ms=(pl.col("duration_ms") * 11) // 10))
    assert found["verdict"].item() == Verdict.CANNOT_TELL
    assert found["reasons"].item().to_list() == [Reason.WIDE_INTERVAL]


def test_months_without_a_shared_place_have_no_answer():
    apart = month(2).with_columns(pl.col("h3_cell") + 1000)
    assert answer(month(1), apart).is_empty()


def test_only_kinds_of_day_that_both_months_have_are_compared():
    holiday = month(2, factor=2.0).with_columns(day_kind=pl.lit("weekend"))
    both = pl.concat([month(2), holiday])
    assert answer(month(1), both)["change"].item() == answer(month(1), month(2))["change"].item()


def test_days_that_no_other_day_is_like_are_left_out():
    days = pl.DataFrame(
        {
            "day_type": ["workday", "saturday", "holiday", "workday", "workday"],
            "day_tags": [None, None, "holiday: New Year", "school_break", "event: Marathon"],
        }
    )
    kinds = days.select(panel.day_kind(pl.col("day_type"), pl.col("day_tags")))
    assert kinds.to_series().to_list() == [
        "workday",
        "weekend",
        None,
        "workday, school_break",
        None,
    ]


def test_halves_of_one_simulated_fleet_are_called_changed_at_most_once_in_ten():
    cells, city = [], []
    for seed in range(20):
        halves = month(2 * seed + 100), month(2 * seed + 101)
        city.append(answer(*halves)["verdict"].item())
        cells.append(answer(*halves, CELL)["verdict"])
    changes = {Verdict.WORSE, Verdict.BETTER}
    assert sum(verdict in changes for verdict in city) <= 2
    assert pl.concat(cells).is_in([str(each) for each in changes]).mean() <= 0.10


def test_a_planted_change_of_places_is_found_and_halving_the_fleet_turns_none_round():
    whole = answer(month(1), month(2, factor=1.3), CELL)
    half = answer(month(1, n_vehicles=10), month(2, factor=1.3, n_vehicles=10), CELL)
    assert (whole["verdict"] == Verdict.WORSE).mean() >= 0.8
    assert Verdict.BETTER not in whole["verdict"].to_list() + half["verdict"].to_list()


def test_the_order_of_rows_does_not_matter():
    mixed = month(2).collect().sample(fraction=1.0, shuffle=True, seed=4).lazy()
    assert answer(month(1), mixed, CELL).equals(answer(month(1), month(2), CELL))
