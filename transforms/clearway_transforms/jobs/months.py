"""What a monthly report needs of the lake, beyond what is published anyway.

Only tables are read that stay when raw GPS and vehicle travel are deleted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from clearway_core.lake import Lake
from clearway_transforms.comparison import panel
from clearway_transforms.comparison.month import Month
from clearway_transforms.comparison.panel import Question
from clearway_transforms.comparison.verdict import Reason
from clearway_transforms.congestion.cells import ALL_CLASSES
from clearway_transforms.parameters import (
    comparison_parameters,
    release_parameters,
    reliability_parameters,
)
from clearway_transforms.release.public_values import rounded_down
from clearway_transforms.reliability import periods

_SUMS = (
    "distance_mm",
    "duration_ms",
    "distance_sq_dm2",
    "duration_sq_ds2",
    "distance_duration_dm_ds",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What is published of both months of a comparison.

    Parameters
    ----------
    resolution
        H3 resolution of the cells.
    time_zone
        IANA name of the city's clock.
    cells, corridors
        ``h3_cell``, and ``corridor`` with ``direction``, that have a published row in each month.
    """

    resolution: int
    time_zone: str
    cells: pl.DataFrame
    corridors: pl.DataFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthChange:
    """One month against another.

    Parameters
    ----------
    month, other
        The month of the report, and the one that it is compared with.
    city, periods, cells, corridors
        Answers of `clearway_transforms.comparison.panel.month_change` for everything together, per
        period, per cell and per corridor and direction; empty where nothing is shared.
    """

    month: Month
    other: Month
    city: pl.DataFrame
    periods: pl.DataFrame
    cells: pl.DataFrame
    corridors: pl.DataFrame


def months_held(lake: Lake, *, resolution: int) -> list[Month]:
    """Return the months with at least one day of ``period_travel``, oldest first."""
    days = lake.table("period_travel").partition_values()
    held = days.filter(pl.col("resolution") == resolution)["local_date"].to_list()
    return sorted({Month(day.year, day.month) for day in held})


def period_travel(lake: Lake, of: Month, *, resolution: int) -> pl.LazyFrame:
    """Return the month's rows of ``period_travel``, of class 'all'."""
    return (
        lake.table("period_travel")
        .scan(
            [
                ("resolution", "=", resolution),
                ("local_date", ">=", of.first),
                ("local_date", "<=", of.last),
            ]
        )
        .filter(pl.col("vehicle_class") == ALL_CLASSES)
    )


def days_of(lake: Lake, of: Month, *, resolution: int) -> pl.DataFrame:
    """Return the month's local days that have data: day_type, day_tags, day_kind."""
    days = period_travel(lake, of, resolution=resolution)
    return (
        days.select("local_date", "day_type", "day_tags")
        .unique()
        .with_columns(
            day_kind=panel.day_kind(pl.col("day_type"), pl.col("day_tags")),
        )
        .sort("local_date")
        .collect()
    )


def compare_months(
    lake: Lake,
    of: Month,
    other: Month,
    *,
    shown: Shown,
) -> MonthChange:
    """Return how the month differs from another.

    Parameters
    ----------
    lake
        Holds ``period_travel`` and ``corridor_travel``.
    of, other
        The month of the report, and the earlier one.
    shown
        What is published of both months: nothing else gets an answer of its own.
    """
    parameters = comparison_parameters()
    before, after = (
        period_travel(lake, each, resolution=shown.resolution)
        .with_columns(day_kind=panel.day_kind(pl.col("day_type"), pl.col("day_tags")))
        .select("h3_cell", "period", *panel.ROW_COLUMNS)
        .collect()
        .lazy()
        for each in (other, of)
    )

    def answers(question: Question) -> pl.DataFrame:
        return _public(panel.month_change(before, after, question, parameters))

    city = _question(band=parameters.band_city, min_places=parameters.min_places)
    periods = _question(band=parameters.band_city, min_places=parameters.min_places, by=("period",))
    cells = _question(band=parameters.band_place, by=("h3_cell",))
    return MonthChange(
        month=of,
        other=other,
        city=answers(city),
        periods=answers(periods),
        cells=answers(cells).join(shown.cells, on="h3_cell", how="semi"),
        corridors=_corridor_change(lake, of, other, shown),
    )


def corridor_rows(lake: Lake, of: Month, days: pl.DataFrame, *, time_zone: str) -> pl.LazyFrame:
    """Return what was driven per segment of a corridor, period and local day of a month.

    Parameters
    ----------
    lake
        Holds ``corridor_travel``.
    of
        The month.
    days
        From `days_of`.
    time_zone
        IANA name of the city's clock.
    """
    around = [("window_date", ">=", of.first - timedelta(days=1)),
              ("window_date", "<=", of.last + timedelta(days=1))]  # fmt: skip
    windows = lake.table("corridor_travel").scan(around)
    placed = periods.with_period(
        windows.filter(pl.col("vehicle_class") == ALL_CLASSES),
        days.lazy(),
        reliability_parameters(),
        time_zone=time_zone,
    )
    key = ["corridor", "direction", "segment", "segment_length_mm", "period", "local_date"]
    # Of a period only its fullest window's vehicles are known to differ; fewer widen the interval.
    return placed.group_by(*key, "day_kind").agg(
        *(pl.col(name).sum() for name in _SUMS), pl.col("n_vehicles").max()
    )


def with_period(hours: pl.LazyFrame, days: pl.DataFrame, *, time_zone: str) -> pl.LazyFrame:
    """Return hours of ``corridor_times`` with the period and kind of day that they lie in."""
    own = [name for name in ("local_date", "period") if name in hours.collect_schema()]
    return periods.with_period(
        hours.drop(own), days.lazy(), reliability_parameters(), time_zone=time_zone
    )


def _corridor_change(lake: Lake, of: Month, other: Month, shown: Shown) -> pl.DataFrame:
    parameters = comparison_parameters()
    before, after = (
        corridor_rows(
            lake, each, days_of(lake, each, resolution=shown.resolution), time_zone=shown.time_zone
        )
        .collect()
        .lazy()
        for each in (other, of)
    )
    question = Question(
        by=("corridor", "direction"),
        place=("segment", "period"),
        band=parameters.band_place,
        min_places=1,
        min_vehicles=release_parameters().min_vehicles,
        weight="segment_length_mm",
    )
    answers = _public(panel.month_change(before, after, question, parameters))
    return answers.join(shown.corridors, on=["corridor", "direction"], how="semi")


def _public(answers: pl.LazyFrame) -> pl.DataFrame:
    """Return the answers as the outside may see them: counts coarse, few vehicles untold."""
    counts = ("n_vehicles_before", "n_vehicles_after")
    numbers = ("change", "change_low", "change_high")
    enough = ~pl.col("reasons").list.contains(str(Reason.FEW_VEHICLES))
    return answers.with_columns(
        *(rounded_down(pl.col(name)).alias(name) for name in counts),
        *(pl.when(enough).then(pl.col(name)).alias(name) for name in numbers),
    ).collect()


def _question(*, band: float, min_places: int = 1, by: tuple[str, ...] = ()) -> Question:
    return Question(
        by=by,
        place=("h3_cell", "period"),
        band=band,
        min_places=min_places,
        min_vehicles=release_parameters().min_vehicles,
    )
