"""Windows of 15 minutes of a cell over many days, as ``cell_travel`` holds them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import polars as pl

from clearway_core.calendar import Calendar
from clearway_transforms.parameters import ReliabilityParameters, reliability_parameters
from clearway_transforms.reliability import periods

CELL = 0x891F1D48957FFFF
MONDAY = date(2026, 3, 2)


def window(
    start: datetime, kmh: float, *, cell: int = CELL, n_vehicles: int = 4, km: float = 2.0
) -> dict[str, object]:
    """Return the row of a window in which the vehicles drove so far, all equally fast."""
    distance_mm = round(km * 1e6)
    duration_ms = round(km / kmh * 3.6e6)
    each = (distance_mm // 100 // n_vehicles, duration_ms // 100 // n_vehicles)
    return {
        "h3_cell": cell,
        "vehicle_class": "all",
        "window_start": start,
        "distance_mm": distance_mm,
        "duration_ms": duration_ms,
        "n_vehicles": n_vehicles,
        "n_providers": 1,
        "top_vehicle_ms": duration_ms // n_vehicles,
        "distance_sq_dm2": n_vehicles * each[0] ** 2,
        "duration_sq_ds2": n_vehicles * each[1] ** 2,
        "distance_duration_dm_ds": n_vehicles * each[0] * each[1],
    }


def windows(
    speed: Callable[[date, int], float],
    *,
    days: int = 28,
    first: date = MONDAY,
    minutes: range = range(0, 1440, 15),
    cell: int = CELL,
) -> pl.DataFrame:
    """Return windows of some days, their speed by day and minute of the day. [km/h]"""
    rows = [
        window(
            datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(minutes=minute),
            speed(day, minute),
            cell=cell,
        )
        for day in (first + timedelta(days=on) for on in range(days))
        for minute in minutes
    ]
    return frame(rows)


def frame(rows: list[dict[str, object]]) -> pl.DataFrame:
    """Return rows as a frame with the types of the lake."""
    return pl.DataFrame(rows, schema_overrides={"h3_cell": pl.UInt64}).with_columns(
        pl.col("window_start").dt.cast_time_unit("us")
    )


def placed(
    rows: pl.DataFrame,
    *,
    calendar: Calendar | None = None,
    parameters: ReliabilityParameters | None = None,
) -> pl.LazyFrame:
    """Return the rows with their place in the calendar."""
    calendar = calendar or Calendar()
    zone = str(calendar.time_zone)
    local = rows["window_start"].dt.convert_time_zone(zone).dt.date()
    days = periods.days_frame(calendar, local.min(), local.max())  # type: ignore[arg-type]
    return periods.with_period(
        rows.lazy(), days, parameters or reliability_parameters(), time_zone=zone
    )


def sums(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return placed windows added up per day and period, as ``period_travel`` has them."""
    names = (
        "distance_mm",
        "duration_ms",
        "distance_sq_dm2",
        "duration_sq_ds2",
        "distance_duration_dm_ds",
        "top_vehicle_ms",
    )
    return rows.group_by("local_date", "period", "day_group", "h3_cell", "vehicle_class").agg(
        *(pl.col(name).sum() for name in names), pl.col("n_vehicles", "n_providers").max()
    )


def free_flow(kmh: float = 50.0, *, cells: tuple[int, ...] = (CELL,)) -> pl.LazyFrame:
    """Return one free-flow speed for the cells. [km/h]"""
    return pl.LazyFrame(
        {
            "h3_cell": pl.Series(cells, dtype=pl.UInt64),
            "vehicle_class": ["all"] * len(cells),
            "free_flow_kmh": [kmh] * len(cells),
            "free_flow_method": ["own_p85"] * len(cells),
        }
    )
