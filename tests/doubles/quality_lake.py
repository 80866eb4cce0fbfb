"""Small tables that meet their contracts, to be broken one value at a time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl

from clearway_core.contracts.derived_tables import CONGESTION
from clearway_core.schema import polars_schema

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MONDAY = NOON.date()
FIRST_CELL = 0x89283082803FFFF


def congestion_rows(n_rows: int = 8, *, day: date = MONDAY) -> pl.DataFrame:
    """Return congestion of one day, one cell per row, every value inside its contract."""
    start = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    rows = [
        {
            "resolution": 9,
            "window_minutes": 15,
            "window_date": day,
            "h3_cell": FIRST_CELL + (number << 18),
            "window_start": start + timedelta(minutes=15 * (number % 4)),
            "vehicle_class": "all",
            "space_mean_kmh": 24.0,
            "interval_low_kmh": 20.0,
            "interval_high_kmh": 28.0,
            "n_vehicles": 12,
            "n_providers": 2,
            "n_pings": 60,
            "n_legs": 48,
            "quality": "A",
            "source_class": "observed",
            "blended_kmh": 25.0,
            "blended_low_kmh": 22.0,
            "blended_high_kmh": 28.0,
            "shrink_weight": 0.8,
            "prior_source": "adjacent_windows",
            "free_flow_kmh": 36.0,
            "free_flow_method": "night_p85",
            "tti": 1.5,
            "congestion_index": 1 / 3,
            "delay_s_per_km": 50.0,
        }
        for number in range(n_rows)
    ]
    return pl.DataFrame(rows, schema=polars_schema(CONGESTION))


def with_value(frame: pl.DataFrame, column: str, value: object, *, row: int = 0) -> pl.DataFrame:
    """Return the frame with one value changed."""
    values = frame[column].to_list()
    values[row] = value
    return frame.with_columns(pl.Series(column, values, dtype=frame.schema[column], strict=False))
