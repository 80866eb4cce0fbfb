"""Columns that tables of cells and windows share."""

from __future__ import annotations

from clearway_core.contracts.columns import count, instant
from clearway_core.contracts.field import DataType, Field

RESOLUTION = Field(
    name="resolution",
    dtype=DataType.INT32,
    minimum=7,
    maximum=10,
    description="H3 resolution of h3_cell.",
)
WINDOW_MINUTES = Field(
    name="window_minutes",
    dtype=DataType.INT32,
    unit="min",
    minimum=15,
    maximum=1440,
    description="Length of the window.",
)
WINDOW = (
    RESOLUTION,
    WINDOW_MINUTES,
    Field(name="window_date", dtype=DataType.DATE, description="UTC day of window_start."),
    Field(name="h3_cell", dtype=DataType.UINT64, description="H3 cell."),
    instant("window_start", "Start of the window [start, end)."),
    Field(
        name="vehicle_class",
        dtype=DataType.STRING,
        description="Kind of vehicle; 'all' for all of them together.",
    ),
)
WINDOW_KEY = ("resolution", "window_minutes", "h3_cell", "window_start", "vehicle_class")
WINDOW_PARTITION = ("resolution", "window_minutes", "window_date")

TRAVEL_SUMS = (
    count("distance_mm", "Distance driven inside the cell and window.", unit="mm"),
    count("duration_ms", "Time that distance took, parked time left out.", unit="ms"),
    count("dwell_ms", "Time parked or waiting, left out of duration_ms.", unit="ms"),
    count("n_pings", "Fixes inside the cell and window."),
    count("n_legs", "Pairs of fixes that contributed."),
    count("gap_15s_ms", "Part of duration_ms from legs with gaps up to 15 s.", unit="ms"),
    count("gap_60s_ms", "Part from legs with gaps above 15 s up to 60 s.", unit="ms"),
    count("gap_120s_ms", "Part from legs with gaps above 60 s up to 120 s.", unit="ms"),
    count("gap_long_ms", "Part from legs with longer gaps.", unit="ms"),
    count("reported_ms", "Part whose speed the receiver reported.", unit="ms"),
)

DISTINCT = (
    count("n_vehicles", "Distinct vehicles; recounted at every roll-up, never added up."),
    count("n_providers", "Distinct providers; recounted at every roll-up."),
)

SQUARES = (
    count("distance_sq_dm2", "Sum over vehicles of squared distance.", unit="dm²"),
    count("duration_sq_ds2", "Sum over vehicles of squared duration.", unit="ds²"),
    count("distance_duration_dm_ds", "Sum over vehicles of their product.", unit="dm·ds"),
)
