"""What the gate asks of a row, and how exactly a public row may speak."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearway_core.errors import UsageError
from clearway_transforms.release import gate
from clearway_transforms.release.public_values import coarse, rounded_down

RULE = gate.public_rule(n_providers=1)


def test_a_gate_below_three_vehicles_is_refused():
    with pytest.raises(UsageError, match="at least 3"):
        gate.ReleaseRule(min_vehicles=2, min_providers=1, max_vehicle_share=0.5)


@pytest.mark.parametrize(("n_providers", "expected"), [(0, 1), (1, 1), (2, 2), (7, 2)])
def test_the_provider_rule_applies_from_two_providers_on(n_providers, expected):
    rule = gate.public_rule(n_providers=n_providers)
    assert (rule.min_vehicles, rule.min_providers) == (10, expected)


def test_public_are_the_three_products_that_the_method_page_promises():
    page = Path(__file__).parents[2] / "docs" / "methods" / "release.md"
    promised = re.findall(r"^\| (\d+) x (\d+) min \| [a-z]", page.read_text("utf-8"), re.MULTILINE)
    assert [(int(resolution), int(minutes)) for resolution, minutes in promised] == list(
        gate.LADDER
    )


def test_the_steps_of_the_ladder_lie_within_each_other():
    for (fine, short), (coarse_, long) in zip(gate.LADDER, gate.LADDER[1:], strict=False):
        assert fine >= coarse_
        assert long % short == 0


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 4)), min_size=1, max_size=20),
    least=st.integers(3, 12),
    n_providers=st.integers(1, 5),
)
def test_the_gate_never_lets_a_small_count_through(counts, least, n_providers):
    rows = pl.LazyFrame(
        {
            "n_vehicles": [vehicles for vehicles, _ in counts],
            "n_providers": [min(providers, vehicles) for vehicles, providers in counts],
            "vehicle_class": ["all" if number % 3 else "taxi" for number in range(len(counts))],
            "top_vehicle_share": [number % 5 / 4 for number in range(len(counts))],
        }
    )
    rule = gate.ReleaseRule(
        min_vehicles=least, min_providers=min(n_providers, 2), max_vehicle_share=0.5
    )
    passed = gate.release(rows, rule).collect()
    assert passed["n_vehicles"].min() is None or passed["n_vehicles"].min() >= least
    assert passed.filter(pl.col("vehicle_class") != "all").is_empty()
    assert passed.filter(pl.col("top_vehicle_share") > 0.5).is_empty()
    if n_providers > 1:
        assert passed["n_providers"].min() is None or passed["n_providers"].min() >= 2


def test_missing_counts_do_not_pass():
    rows = pl.LazyFrame(
        {"n_vehicles": [None, 20, 20], "n_providers": [1, 1, 1], "top_vehicle_share": [0, None, 0]},
        schema_overrides={"n_vehicles": pl.Int64, "top_vehicle_share": pl.Float64},
    )
    assert gate.release(rows, RULE).collect().height == 1


def test_ten_vehicles_of_two_providers_are_enough_and_one_less_of_either_is_not():
    rows = pl.LazyFrame(
        {
            "n_vehicles": [10, 9, 10],
            "n_providers": [2, 2, 1],
            "top_vehicle_share": [0.1, 0.1, 0.1],
        }
    )
    passed = gate.release(rows, gate.public_rule(n_providers=2)).collect()
    assert passed.rows() == [(10, 2, 0.1)]


def test_a_vehicle_may_make_up_half_of_the_time_and_no_more():
    share = [0.5, 0.51, None]
    as_share = pl.LazyFrame(
        {"n_vehicles": [20] * 3, "n_providers": [1] * 3, "top_vehicle_share": share}
    )
    as_times = as_share.select(
        "n_vehicles",
        "n_providers",
        top_vehicle_ms=pl.Series([500, 510, None], dtype=pl.Int64),
        duration_ms=pl.lit(1000),
    )
    for rows in (as_share, as_times):
        passed = gate.release(rows.with_row_index(), RULE).collect()
        assert passed["index"].to_list() == [0]


def test_rows_that_do_not_say_how_much_one_vehicle_makes_up_are_refused():
    rows = pl.LazyFrame({"n_vehicles": [20], "n_providers": [2]})
    with pytest.raises(UsageError, match="top_vehicle_share"):
        gate.release(rows, RULE)


def test_public_counts_are_rounded_down_to_one_two_or_five():
    counts = {0: 0, 1: 1, 4: 2, 9: 5, 10: 10, 19: 10, 20: 20, 49: 20, 50: 50, 999: 500, 1000: 1000}
    frame = pl.DataFrame({"n": list(counts)})
    assert frame.select(n=rounded_down(pl.col("n")))["n"].to_list() == list(counts.values())


def test_blended_speeds_are_no_part_of_public_rows():
    rows = pl.LazyFrame({"n_vehicles": [12], "n_pings": [73], "blended_kmh": [31.5]})
    assert coarse(rows).collect().row(0) == (10, 50, None)
