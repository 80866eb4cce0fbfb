"""Every kind of broken value is found, named with its row, and nothing else is."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import polars as pl
from doubles.quality_lake import congestion_rows, with_value

from clearway_core.contracts.derived_tables import CONGESTION
from clearway_core.contracts.field import Contract, DataType, Field
from clearway_core.schema import polars_schema
from clearway_quality.gate import Finding, examine, merge
from clearway_quality.suites import checks_of


def failed(frame: pl.DataFrame, contract: Contract = CONGESTION) -> dict[str, Finding]:
    return {
        finding.check.name: finding for finding in examine(frame, contract) if not finding.passed
    }


def test_a_table_that_meets_its_contract_has_no_finding() -> None:
    findings = examine(congestion_rows(), CONGESTION)

    assert [finding.check for finding in findings] == list(checks_of(CONGESTION))
    assert all(finding.passed for finding in findings)


BROKEN = (
    ("tti", 0.99, "bounds:tti"),
    ("tti", math.inf, "bounds:tti"),
    ("tti", math.nan, "bounds:tti"),
    ("free_flow_kmh", 161.0, "bounds:free_flow_kmh"),
    ("free_flow_kmh", math.nan, "bounds:free_flow_kmh"),
    ("congestion_index", -0.01, "bounds:congestion_index"),
    ("n_pings", -1, "bounds:n_pings"),
    ("resolution", 6, "bounds:resolution"),
    ("n_vehicles", None, "present:n_vehicles"),
    ("quality", None, "present:quality"),
    ("window_start", None, "present:window_start"),
    ("quality", "D", "allowed:quality"),
    ("source_class", "guessed", "allowed:source_class"),
    ("interval_low_kmh", 24.5, "order:interval_low_kmh:space_mean_kmh"),
    ("interval_high_kmh", 23.5, "order:space_mean_kmh:interval_high_kmh"),
    ("n_providers", 13, "order:n_providers:n_vehicles"),
)


def test_every_broken_value_is_found_under_its_check_and_counted_and_nothing_else_is() -> None:
    rows = congestion_rows(2 * len(BROKEN))
    for number, (column, value, _) in enumerate(BROKEN):
        rows = with_value(rows, column, value, row=2 * number)

    found = failed(rows)

    wanted = Counter(check for _, _, check in BROKEN)
    assert {name: finding.n_unexpected for name, finding in found.items()} == wanted
    assert all(finding.blocks for finding in found.values())


def test_a_finding_names_the_row_by_its_key() -> None:
    rows = congestion_rows()
    broken = with_value(rows, "space_mean_kmh", 161.0, row=3)

    example = failed(broken.with_columns(interval_high_kmh=pl.lit(200.0)))[
        "bounds:space_mean_kmh"
    ].examples[0]

    assert f"h3_cell = {rows['h3_cell'][3]:x}" in example
    assert "space_mean_kmh = 161.0" in example
    assert "window_start = 2026-03-02 12:45 UTC" in example


def test_a_doubled_key_is_found_once_per_row() -> None:
    rows = congestion_rows()

    found = failed(pl.concat([rows, rows[2:3].with_columns(n_pings=pl.lit(61, pl.Int64))]))

    assert [*found] == [f"unique:{':'.join(CONGESTION.key)}"]
    assert next(iter(found.values())).n_unexpected == 2


def test_missing_values_in_a_nullable_column_are_fine_and_break_no_bound() -> None:
    rows = congestion_rows()
    for row in range(1, 8):
        for column in ("space_mean_kmh", "interval_low_kmh", "interval_high_kmh", "tti"):
            rows = with_value(rows, column, None, row=row)

    assert failed(rows) == {}


def test_a_column_that_is_missing_everywhere_is_noted_but_does_not_block() -> None:
    rows = congestion_rows().with_columns(
        pl.lit(None, dtype=pl.Float64).alias("free_flow_kmh"),
        pl.lit(None, dtype=pl.String).alias("free_flow_method"),
    )

    found = failed(rows)

    assert [*found] == ["filled:free_flow_kmh", "filled:free_flow_method"]
    assert not any(finding.blocks for finding in found.values())


def test_a_missing_column_and_another_order_are_found_before_anything_else() -> None:
    rows = congestion_rows()

    assert [*failed(rows.drop("tti"))] == ["columns"]
    assert [*failed(rows.select(sorted(rows.columns)))] == ["columns"]


def test_a_column_of_another_type_is_found() -> None:
    rows = congestion_rows().with_columns(pl.col("n_pings").cast(pl.Float64))

    assert [*failed(rows)] == ["type:n_pings"]


def test_an_empty_table_is_not_published() -> None:
    assert [*failed(congestion_rows(0))] == ["rows"]


def test_a_pattern_holds_for_the_whole_text() -> None:
    contract = Contract(
        name="tagged",
        version=1,
        description="A table with a pattern.",
        fields=(Field(name="tag", dtype=DataType.STRING, description="Tag.", pattern=r"[a-f]{2}"),),
        key=("tag",),
    )

    assert failed(pl.DataFrame({"tag": ["ab", "cd"]}), contract) == {}
    for wrong in ("abc", "ab\n", "gb"):
        assert [*failed(pl.DataFrame({"tag": ["ab", wrong]}), contract)] == ["pattern:tag"]


def test_types_survive_holes() -> None:
    fields = tuple(
        Field(name=f"a_{dtype.value}", dtype=dtype, description="Value.", nullable=True)
        for dtype in DataType
    )
    contract = Contract(name="all_types", version=1, description="One of each.", fields=fields)
    samples: dict[str, object] = {
        "a_string": "x",
        "a_binary": b"x",
        "a_bool": True,
        "a_int32": 1,
        "a_int64": 2**62,
        "a_uint64": 2**63,
        "a_float64": 1.5,
        "a_instant": datetime(2026, 1, 1, tzinfo=UTC),
        "a_date": datetime(2026, 1, 1, tzinfo=UTC).date(),
    }
    frame = pl.DataFrame(
        {name: [value, None] for name, value in samples.items()}, schema=polars_schema(contract)
    )

    assert failed(frame, contract) == {}


def test_a_change_of_a_bound_in_the_contract_changes_the_check() -> None:
    tighter = replace(
        CONGESTION,
        fields=tuple(
            replace(field, maximum=20.0) if field.name == "space_mean_kmh" else field
            for field in CONGESTION.fields
        ),
    )

    assert failed(congestion_rows()) == {}
    assert [*failed(congestion_rows(), tighter)] == ["bounds:space_mean_kmh"]


def test_parts_are_joined_so_that_one_broken_part_breaks_the_table() -> None:
    good = examine(congestion_rows(4), CONGESTION)
    bad = examine(with_value(congestion_rows(4), "n_pings", -5), CONGESTION)

    merged = {finding.check.name: finding for finding in merge([good, bad, bad])}

    assert len(merged) == len(good)
    assert [name for name, finding in merged.items() if not finding.passed] == ["bounds:n_pings"]
    assert merged["bounds:n_pings"].n_unexpected == 2


def test_a_column_filled_in_one_part_is_filled() -> None:
    empty = congestion_rows(4).with_columns(pl.lit(None, dtype=pl.Float64).alias("tti"))

    merged = merge([examine(empty, CONGESTION), examine(congestion_rows(4), CONGESTION)])

    assert all(finding.passed for finding in merged)
