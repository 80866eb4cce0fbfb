"""What is computed per corridor: a named line, driven in one direction."""

from __future__ import annotations

from clearway_core.contracts.columns import choice, count, day, number, share, text, whole
from clearway_core.contracts.field import Contract, Rule
from clearway_core.contracts.period_tables import PERIODS
from clearway_core.contracts.window_columns import (
    DISTINCT,
    PROVIDERS_RULE,
    SQUARES,
    TOP_VEHICLE_MS,
    VEHICLE,
    WINDOW_TIME,
)

CORRIDOR_STATUSES = ("observed", "not enough")

WINDOW = "window"
"""Period of the rows that hold a window of 15 or 60 minutes."""

_CORRIDOR = (
    text("corridor", "Name of the corridor in the city pack."),
    text("direction", "Which way along it: the pack's word, else a compass word such as 'east'."),
)
_SEGMENT = whole("segment", "Number of the segment, from 0 at the line's start.", minimum=0)
_SUMS = (
    count("distance_mm", "Distance driven along the line within the segment.", unit="mm"),
    count("duration_ms", "Time that distance took, parked time left out.", unit="ms"),
    count("dwell_ms", "Time parked or waiting, left out of duration_ms.", unit="ms"),
    count("n_legs", "Pairs of fixes that contributed; each counts in the segment of its middle."),
)
_SEGMENT_KEY = ("corridor", "direction", "segment", "window_start", "vehicle_class")

VEHICLE_CORRIDOR_TRAVEL = Contract(
    name="vehicle_corridor_travel",
    version=1,
    description="What each vehicle drove along each segment of a corridor in 15 minutes. "
    "Internal: deleted with raw GPS.",
    fields=(
        *_CORRIDOR,
        _SEGMENT,
        *WINDOW_TIME,
        *VEHICLE,
        *_SUMS,
    ),
    key=(*_SEGMENT_KEY, "provider", "vehicle"),
    partition_by=("window_date",),
    expires_with="gps_pings",
)

CORRIDOR_TRAVEL = Contract(
    name="corridor_travel",
    version=1,
    description="Sums over vehicles per segment of a corridor and 15 minutes; kept when raw GPS "
    "is deleted. Sums may be added up, counts of distinct vehicles may not.",
    fields=(
        *_CORRIDOR,
        _SEGMENT,
        *WINDOW_TIME,
        count("segment_length_mm", "Length of the segment.", unit="mm"),
        *_SUMS,
        *DISTINCT,
        TOP_VEHICLE_MS,
        *SQUARES,
    ),
    key=_SEGMENT_KEY,
    partition_by=("window_date",),
)

CORRIDOR_TIMES = Contract(
    name="corridor_times",
    version=1,
    description="Travel time from end to end of each corridor and direction, per window and per "
    "period of each local day: from a sample of vehicles, with interval.",
    fields=(
        *_CORRIDOR,
        choice(
            "period",
            (WINDOW, *PERIODS),
            "Part of the local day as in period_travel; 'window' for windows of 15 and 60 minutes.",
        ),
        whole(
            "window_minutes",
            "Length of the window, or of the period.",
            unit="min",
            minimum=15,
            maximum=1500,
        ),
        day("local_date", "Day of window_start by the city's clock."),
        *WINDOW_TIME,
        number("length_m", "m", "Length of the corridor.", minimum=0),
        choice(
            "status",
            CORRIDOR_STATUSES,
            "Whether at least 80 % of the length was observed; else 'not enough'.",
        ),
        share(
            "observed_length_share",
            "Share of the length on segments that were observed; the rest is filled in at their "
            "mean pace.",
        ),
        number(
            "travel_time_min",
            "min",
            "Time from end to end; null where the status is 'not enough'.",
            minimum=0,
            nullable=True,
        ),
        number(
            "interval_low_min", "min", "Lower end of the 90 % interval.", minimum=0, nullable=True
        ),
        number(
            "interval_high_min", "min", "Upper end of the 90 % interval.", minimum=0, nullable=True
        ),
        number(
            "free_flow_min",
            "min",
            "Time from end to end without congestion.",
            minimum=0,
            nullable=True,
        ),
        text("free_flow_method", "How it was found; see the methods page.", nullable=True),
        number(
            "tti", "1", "Travel time index: travel time over free flow.", minimum=1, nullable=True
        ),
        *DISTINCT,
        count("n_legs", "Pairs of fixes that contributed."),
        share("top_vehicle_share", "Largest share of one vehicle in the time driven."),
    ),
    key=("corridor", "direction", "period", "window_minutes", "window_start", "vehicle_class"),
    partition_by=("window_date",),
    rules=(
        Rule(
            name="interval_below_time",
            left="interval_low_min",
            right="travel_time_min",
            description="The interval holds the time.",
        ),
        Rule(
            name="time_below_interval",
            left="travel_time_min",
            right="interval_high_min",
            description="The interval holds the time.",
        ),
        PROVIDERS_RULE,
    ),
    published=True,
)
