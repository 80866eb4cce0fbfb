"""Columns and rules that tables of cells and windows share."""

from __future__ import annotations

from clearway_core.contracts.columns import count, day, instant, text, whole
from clearway_core.contracts.field import DataType, Field, Rule

RESOLUTION = whole("resolution", "H3 resolution of h3_cell.", minimum=7, maximum=10)
WINDOW_MINUTES = whole(
    "window_minutes", "Length of the window.", unit="min", minimum=15, maximum=1440
)
_DATE = day("window_date", "UTC day of window_start.")
_START = instant("window_start", "Start of the window [start, end).")
_CLASS = text("vehicle_class", "Kind of vehicle; 'all' for all of them together.")
WINDOW_TIME = (_DATE, _START, _CLASS)
WINDOW = (
    RESOLUTION,
    WINDOW_MINUTES,
    _DATE,
    Field(name="h3_cell", dtype=DataType.UINT64, description="H3 cell."),
    _START,
    _CLASS,
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

VEHICLE = (
    text("provider", "Who operates the vehicle."),
    text("vehicle", "Pseudonym."),
    text("pseudonym_epoch", "Epoch of the pseudonym; empty where it is not known."),
)
TOP_VEHICLE_MS = count("top_vehicle_ms", "Largest duration_ms of one vehicle.", unit="ms")

DISTINCT = (
    count("n_vehicles", "Distinct vehicles; recounted at every roll-up, never added up."),
    count("n_providers", "Distinct providers; recounted at every roll-up."),
)

SQUARES = (
    count("distance_sq_dm2", "Sum over vehicles of squared distance.", unit="dm²"),
    count("duration_sq_ds2", "Sum over vehicles of squared duration.", unit="ds²"),
    count("distance_duration_dm_ds", "Sum over vehicles of their product.", unit="dm·ds"),
)

INTERVAL_RULES = (
    Rule(
        name="interval_below_mean",
        left="interval_low_kmh",
        right="space_mean_kmh",
        description="The interval holds the mean.",
    ),
    Rule(
        name="mean_below_interval",
        left="space_mean_kmh",
        right="interval_high_kmh",
        description="The interval holds the mean.",
    ),
)

PROVIDERS_RULE = Rule(
    name="providers_up_to_vehicles",
    left="n_providers",
    right="n_vehicles",
    description="Every provider has at least one vehicle.",
)
