"""Which part of a city its public figures leave out, and whose part that is.

Vehicles are many where people have money for a ride; a gate that asks for ten of them shuts poorer
quarters out more often. So what is suppressed is told by quintile of deprivation.
"""

from __future__ import annotations

import polars as pl

from clearway_transforms.estimators import wilson_interval

N_QUINTILES = 5

LEVEL_Z = 1.6448536269514722
"""Normal quantile of a 90 % interval."""

_KEY = ["h3_cell", "window_start"]


def with_quintile(areas: pl.DataFrame) -> pl.DataFrame:
    """Return areas with their quintile of deprivation: 1 is the poorest fifth of the people.

    Parameters
    ----------
    areas
        ``area``, ``population`` and ``income_per_person``; any order of poverty will do in its
        place, the poorest having the least.

    Returns
    -------
    polars.DataFrame
        The same with ``quintile``, 1 to 5, by the middle of an area's people in the order of
        income; areas without people are left out.
    """
    ordered = areas.filter(pl.col("population") > 0).sort("income_per_person", "area")
    people = pl.col("population").cast(pl.Float64)
    middle = (people.cum_sum() - people / 2) / people.sum()
    return ordered.with_columns(
        quintile=(middle * N_QUINTILES).floor().clip(0, N_QUINTILES - 1).cast(pl.Int64) + 1
    )


def suppression_by_quintile(
    every: pl.DataFrame, public: pl.DataFrame, places: pl.DataFrame
) -> pl.DataFrame:
    """Return what the gate left out, by quintile of deprivation.

    Parameters
    ----------
    every
        Rows of ``cell_travel`` of one product, class 'all'.
    public
        The public ones of them: ``h3_cell`` and ``window_start``.
    places
        The populated cells of the same resolution: ``h3_cell``, ``population``, ``quintile``.

    Returns
    -------
    polars.DataFrame
        One row per quintile; ``quintile`` is null for cells in which nobody lives, and 0 for all
        cells together. Columns:

        ``population``, ``n_cells``
            People, and cells in which they live.
        ``n_rows``, ``travel_h``
            Rows before the gate, and vehicle hours of travel in them.
        ``rows_suppressed``, ``time_suppressed``, ``cells_suppressed``
            Share of the rows, of the vehicle hours, and of the populated cells that have no public
            row at all, each with ``…_low`` and ``…_high``. [1]; null where there are none.
        ``people_suppressed``
            Share of the people who live in such cells. [1]

    Notes
    -----
    90 % intervals: of rows and time with cells as clusters (ratio estimator, Cochran 1977,
    chapter 6), since a thin cell is thin all day; of cells by Wilson's score.
    """
    shown = public.select(_KEY).unique().with_columns(shown=pl.lit(value=True))
    marked = every.join(shown, on=_KEY, how="left", validate="m:1").with_columns(
        pl.col("shown").fill_null(value=False)
    )
    hidden = ~pl.col("shown")
    by_cell = marked.group_by("h3_cell").agg(
        rows=pl.len().cast(pl.Int64),
        rows_hidden=hidden.sum().cast(pl.Int64),
        time=pl.col("duration_ms").sum(),
        time_hidden=pl.col("duration_ms").filter(hidden).sum(),
        any_shown=pl.col("shown").any(),
    )
    cells = by_cell.join(
        places.select("h3_cell", "population", "quintile"),
        on="h3_cell",
        how="full",
        coalesce=True,
        validate="1:1",
    ).with_columns(
        pl.col("rows", "rows_hidden", "time", "time_hidden", "population").fill_null(0),
        pl.col("any_shown").fill_null(value=False),
    )
    # Sums of floating-point numbers depend on their order.
    cells = cells.sort("h3_cell")
    parts = [cells, cells.with_columns(quintile=pl.lit(0, dtype=pl.Int64))]
    summed = pl.concat(parts).group_by("quintile", maintain_order=True).agg(*_summary())
    low, high = wilson_interval(pl.col("cells_suppressed"), pl.col("n_cells"), LEVEL_Z)
    return summed.with_columns(cells_suppressed_low=low, cells_suppressed_high=high).sort(
        "quintile", nulls_last=True
    )


def _summary() -> list[pl.Expr]:
    lived_in = pl.col("population") > 0
    nowhere = lived_in & ~pl.col("any_shown")
    people = pl.col("population")
    return [
        people.sum().alias("population"),
        lived_in.sum().cast(pl.Int64).alias("n_cells"),
        pl.col("rows").sum().alias("n_rows"),
        (pl.col("time").sum() / 3_600_000).alias("travel_h"),
        *_ratio("rows_suppressed", "rows_hidden", "rows"),
        *_ratio("time_suppressed", "time_hidden", "time"),
        _share(nowhere.sum(), lived_in.sum()).alias("cells_suppressed"),
        _share(people.filter(nowhere).sum(), people.sum()).alias("people_suppressed"),
    ]


def _share(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    return pl.when(whole > 0).then(part / whole)


def _ratio(name: str, part: str, whole: str) -> list[pl.Expr]:
    """Return a share of sums over cells with its interval; cells are the sample."""
    share = _share(pl.col(part).sum(), pl.col(whole).sum())
    n = (pl.col(whole) > 0).sum()
    residual = (pl.col(part) - share * pl.col(whole)).pow(2).sum()
    error = pl.when(n > 1).then((n / (n - 1) * residual).sqrt() / pl.col(whole).sum())
    return [
        share.alias(name),
        (share - LEVEL_Z * error).clip(0, 1).alias(f"{name}_low"),
        (share + LEVEL_Z * error).clip(0, 1).alias(f"{name}_high"),
    ]
