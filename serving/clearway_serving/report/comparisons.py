"""How a month compares with the one before, and with the same month of the year before."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import polars as pl

from clearway_core.lake import Lake
from clearway_serving.report.sources import days_of_month, of_month
from clearway_transforms.comparison.month import Month
from clearway_transforms.jobs import months

_ANSWER = (
    "change",
    "change_low",
    "change_high",
    "n_days_before",
    "n_days_after",
    "n_vehicles_before",
    "n_vehicles_after",
    "covered_before",
    "covered_after",
    "n_places",
    "verdict",
    "reasons",
)


def comparison_tables(
    lake: Lake,
    month: Month,
    *,
    held: Collection[Month],
    published: Mapping[str, pl.DataFrame],
    resolution: int,
    time_zone: str,
) -> dict[str, pl.DataFrame]:
    """Return the tables of comparisons: of the city, its periods, its places and its corridors.

    Parameters
    ----------
    lake
        With the sums of each day.
    month
        Which one.
    held
        Months with data.
    published
        Public rows of ``reliability`` and ``corridor_times``; only what both months show of a
        place is compared.
    resolution
        Of the cells.
    time_zone
        IANA name of the city's clock.
    """
    cells, corridors = published["reliability"], published["corridor_times"]
    changes = {}
    for kind, other in _others(month).items():
        if other in held:
            shown = months.Shown(
                resolution=resolution,
                time_zone=time_zone,
                cells=_in_both(
                    of_month(cells, month, resolution),
                    of_month(cells, other, resolution),
                    ["h3_cell"],
                ),
                corridors=_in_both(
                    days_of_month(corridors, month),
                    days_of_month(corridors, other),
                    ["corridor", "direction"],
                ),
            )
            changes[kind] = months.compare_months(lake, month, other, shown=shown)
    return _changes(month, changes)


def _others(month: Month) -> dict[str, Month]:
    return {"previous_month": month.previous, "same_month_last_year": month.year_before}


def _in_both(rows: pl.DataFrame, others: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """Return the distinct keys that both have."""
    return rows.select(key).unique().join(others, on=key, how="semi").sort(key)


def _changes(month: Month, changes: dict[str, months.MonthChange]) -> dict[str, pl.DataFrame]:
    """Return the tables of comparisons; the headline has a row for each kind, compared or not."""
    headline = []
    for kind, other in _others(month).items():
        found = changes[kind].city if kind in changes else None
        answer = found.row(0, named=True) if found is not None and not found.is_empty() else None
        row = dict.fromkeys(_ANSWER) if answer is None else {name: answer[name] for name in _ANSWER}
        if answer is None:
            reason = "no_month" if found is None else "few_places"
            row |= {"verdict": "cannot_tell", "reasons": [reason]}
        headline.append({"kind": kind, "month": str(other), **row})
    parts = {"headline_periods": "periods", "places": "cells", "corridor_changes": "corridors"}
    keys = {"headline_periods": ["period"], "places": ["h3_cell"],
            "corridor_changes": ["corridor", "direction"]}  # fmt: skip
    tables = {
        table: pl.concat(
            [
                getattr(change, attribute).select(
                    pl.lit(kind).alias("kind"), *keys[table], *_ANSWER
                )
                for kind, change in changes.items()
            ]
        )
        if changes
        else _no_answers(keys[table])
        for table, attribute in parts.items()
    }
    frame = pl.DataFrame(headline, schema_overrides=_ANSWER_TYPES, infer_schema_length=None)
    tables = {"headline": frame, **tables}
    return {
        name: rows.with_columns(pl.col("reasons").list.join(" ")) for name, rows in tables.items()
    }


_ANSWER_TYPES: dict[str, pl.DataType | type[pl.DataType]] = {
    **{name: pl.Int64 if name.startswith("n_") else pl.Float64 for name in _ANSWER[:-2]},
    "verdict": pl.String,
    "reasons": pl.List(pl.String),
}


def _no_answers(key: list[str]) -> pl.DataFrame:
    types = {name: pl.UInt64 if name == "h3_cell" else pl.String for name in ["kind", *key]}
    return pl.DataFrame(schema={**types, **_ANSWER_TYPES})
