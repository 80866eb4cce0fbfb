"""What a month's figures rest on: corridors by day, days with data, positions left out, gates."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import polars.selectors as cs

from clearway_core.city import City
from clearway_core.contracts.corridor_tables import WINDOW
from clearway_serving.published import Product
from clearway_serving.report.sources import Sources
from clearway_transforms.cleaning.clean import RULES
from clearway_transforms.comparison.month import Month, corridor_month
from clearway_transforms.jobs import coverage, months
from clearway_transforms.parameters import comparison_parameters
from clearway_transforms.release.gate import LEAST_VEHICLES
from clearway_transforms.reliability.periods import group_of

_HOUR_MINUTES = 60
_DECIMALS = 9


def corridors(
    sources: Sources,
    published: pl.DataFrame,
    days: pl.DataFrame,
    *,
    month: Month,
    time_zone: str,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the month's corridor times by day and period as published, and the month's means.

    Parameters
    ----------
    sources
        Where tables are read.
    published
        The month's public rows of ``corridor_times``.
    days
        Its local days with data and their kind.
    month
        Which one.
    time_zone
        IANA name of the city's clock.
    """
    of_periods = published.filter(pl.col("period") != WINDOW)
    hours = published.filter(
        (pl.col("period") == WINDOW) & (pl.col("window_minutes") == _HOUR_MINUTES)
    )
    day_types = days.select("local_date", "day_type").lazy()

    def grouped(rows: pl.LazyFrame) -> pl.LazyFrame:
        of_days = rows.join(day_types, on="local_date", how="inner", validate="m:1")
        return of_days.with_columns(day_group=group_of())

    placed = months.with_period(hours.lazy(), days, time_zone=time_zone)
    measured = corridor_month(grouped(of_periods.lazy()), placed, comparison_parameters())
    # Corridors without a figure are listed too, but that a lone vehicle drove one is not told.
    candidates = sources.candidates("corridor_times")
    several = candidates.filter(pl.col("n_vehicles") >= LEAST_VEHICLES)
    driven = grouped(_of_periods(several, month))
    key = ["corridor", "direction", "day_group", "period"]
    every = driven.group_by(key).agg(pl.col("length_m").max())
    by_month = (
        every.join(measured.drop("length_m"), on=key, how="left", validate="1:1")
        .with_columns(pl.col("n_days", "n_hours").fill_null(0))
        .sort(key)
        .collect()
    )
    by_day = ["corridor", "direction", "local_date", "period"]
    return of_periods.drop("vehicle_class").sort(by_day), by_month


def _of_periods(rows: pl.LazyFrame, month: Month) -> pl.LazyFrame:
    in_month = pl.col("local_date").is_between(month.first, month.last)
    return rows.filter(in_month & (pl.col("period") != WINDOW))


def days(sources: Sources, days: pl.DataFrame, city: City | None) -> pl.DataFrame:
    """Return the days with data: kind, tags, and how many of the cells' windows are published."""
    public, candidates = _congestion(sources, days, city)
    counted = (
        candidates.join(public, on="local_date", how="left", validate="1:1")
        .with_columns(pl.col("n_published").fill_null(0))
        .with_columns(n_withheld=pl.col("n_rows") - pl.col("n_published"))
        .drop("n_rows")
    )
    return (
        days.select("local_date", "day_type", "day_tags")
        .join(counted, on="local_date", how="left", validate="1:1")
        .sort("local_date")
    )


def cleaning(sources: Sources, month: Month) -> pl.DataFrame:
    """Return the positions of the month's UTC days: read, kept, left out by each rule."""
    counted = (
        sources.kept("cleaning_counts")
        .filter(pl.col("observed_date").is_between(month.first, month.last))
        .filter(pl.col("subject").is_in(["fixes", "left_out"]))
        .group_by("subject", "name")
        .agg(pl.col("n").sum())
        .collect()
    )
    found = {(subject, name): n for subject, name, n in counted.iter_rows()}
    read = found.get(("fixes", "read"), 0)
    rows = [("read", read), ("kept", found.get(("fixes", "kept"), 0))]
    rows += [(rule, found.get(("left_out", rule), 0)) for rule in RULES]
    return pl.DataFrame(
        [(rule, n, n / read if read else None) for rule, n in rows],
        schema={"rule": pl.String, "n": pl.Int64, "share": pl.Float64},
        orient="row",
    )


def suppression(
    sources: Sources, published: dict[str, pl.DataFrame], month: Month, resolution: int
) -> pl.DataFrame:
    """Return how many rows of each table are published and withheld.

    Parameters
    ----------
    sources
        Where tables are read.
    published
        The month's published rows by table, and the days, which hold the counts of ``congestion``.
    month, resolution
        Of the rows.
    """
    days = published["days"]
    rows = [("congestion", days["n_published"].sum(), days["n_withheld"].sum())]
    for table in ("reliability", "corridor_times", "bottlenecks", "anomalies"):
        n_published = published[table].height
        n_all = _count(sources, table, month, resolution)
        rows.append((table, n_published, max(0, n_all - n_published)))
    frame = pl.DataFrame(
        rows,
        schema={"table": pl.String, "n_published": pl.Int64, "n_withheld": pl.Int64},
        orient="row",
    )
    total = pl.col("n_published") + pl.col("n_withheld")
    share = pl.when(total > 0).then(pl.col("n_withheld") / total)
    return frame.with_columns(withheld_share=share)


def _count(sources: Sources, table: str, month: Month, resolution: int) -> int:
    rows = sources.candidates(table)
    names = rows.collect_schema().names()
    if "resolution" in names:
        rows = rows.filter(pl.col("resolution") == resolution)
    if "span" in names:
        rows = rows.filter(pl.col("span") == str(month))
    else:
        rows = rows.filter(pl.col("local_date").is_between(month.first, month.last))
    if table == "corridor_times":
        rows = rows.filter(pl.col("period") != WINDOW)
    return int(rows.select(pl.len()).collect().item())


def _congestion(
    sources: Sources, days: pl.DataFrame, city: City | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return per local day the published rows of ``congestion``, and all rows of the product."""
    zone = ZoneInfo("UTC") if city is None else city.time_zone
    local_date = pl.col("window_start").dt.convert_time_zone(zone.key).dt.date()
    product = sources.product("congestion")
    if product is None:
        empty = days.select("local_date").head(0)
        none = pl.lit(0, pl.Int64)
        return empty.with_columns(n_published=none), empty.with_columns(n_rows=none)
    wanted = days["local_date"].to_list()
    published, everything = (
        rows.with_columns(local_date=local_date)
        .filter(pl.col("local_date").is_in(wanted))
        .group_by("local_date")
        .agg(pl.len().cast(pl.Int64))
        .collect()
        for rows in (
            sources.windows(product),
            sources.candidates("congestion").filter(
                pl.col("resolution") == product.resolution,
                pl.col("window_minutes") == product.window_minutes,
            ),
        )
    )
    return published.rename({"len": "n_published"}), everything.rename({"len": "n_rows"})


_QUINTILE_COLUMNS = (
    "quintile",
    "population",
    "n_cells",
    "rows_suppressed",
    "rows_suppressed_low",
    "rows_suppressed_high",
    "cells_suppressed",
    "people_suppressed",
)


def quintiles(sources: Sources, month: Month, city: City | None) -> pl.DataFrame:
    """Return what is withheld of ``congestion`` by deprivation; 1 is the poorest fifth.

    Quintile 0 is the whole city. Without rows where the city pack says nothing of people.
    """
    zone = ZoneInfo("UTC") if city is None else city.time_zone
    start, end = (
        datetime.combine(day, time(), zone).astimezone(UTC)
        for day in (month.first, month.last + timedelta(days=1))
    )
    product = sources.product("congestion") or Product(resolution=8, window_minutes=60)
    found = coverage.suppression(
        sources.lake,
        city=city,
        resolution=product.resolution,
        window_minutes=product.window_minutes,
        between=(start, end),
    )
    rows = found.by_quintile.drop_nulls("quintile").select(_QUINTILE_COLUMNS)
    # Sums of floating-point numbers depend on their order; no revision may come of that.
    rows = rows.with_columns(cs.float().round(_DECIMALS))
    return rows if found.missing is None else rows.head(0)
