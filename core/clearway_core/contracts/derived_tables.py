"""What transforms and models compute: per cell, window, sensor and hour."""

from __future__ import annotations

from clearway_core.contracts.columns import (
    LAT_DEG,
    LON_DEG,
    choice,
    count,
    day,
    flag,
    instant,
    number,
    share,
    text,
)
from clearway_core.contracts.field import Contract, DataType, Field, Rule
from clearway_core.contracts.raw_tables import OBSERVED_DATE
from clearway_core.contracts.window_columns import (
    DISTINCT,
    INTERVAL_RULES,
    PROVIDERS_RULE,
    SQUARES,
    TOP_VEHICLE_MS,
    TRAVEL_SUMS,
    VEHICLE,
    WINDOW,
    WINDOW_KEY,
    WINDOW_PARTITION,
)

SOURCE_CLASSES = ("observed", "modelled", "none")
QUALITY_CLASSES = ("A", "B", "C", "X")
PRIOR_SOURCES = ("history", "adjacent_windows", "neighbours", "parent", "city")

CLEANING_COUNTS = Contract(
    name="cleaning_counts",
    version=1,
    description="What cleaning did with each day's fixes: how many it read, left out by which "
    "rule, and what their pairs were. Kept when raw GPS is deleted.",
    fields=(
        OBSERVED_DATE,
        choice(
            "subject",
            ("fixes", "left_out", "pairs", "provider", "near_road", "far_from_road"),
            "What is counted: fixes (read, sorted, kept), fixes left out by rule, "
            "pairs of fixes by kind, fixes read by provider, or of a sample of the fixes kept "
            "those near and far from roads, by provider.",
        ),
        text("name", "Which of them: a rule, a kind or a provider."),
        count("n", "How many on that day."),
    ),
    key=("observed_date", "subject", "name"),
)

VEHICLE_TRAVEL = Contract(
    name="vehicle_travel",
    version=1,
    description="What each vehicle drove in each cell and window. Internal: deleted with raw GPS.",
    fields=(
        *WINDOW,
        *VEHICLE,
        *TRAVEL_SUMS,
        *(
            count(
                f"n_pings_r{resolution}",
                "Of n_pings, those that also lie within the outline of the cell's "
                f"parent at resolution {resolution}; null is all.",
                nullable=True,
            )
            for resolution in (7, 8, 9)
        ),
    ),
    key=(*WINDOW_KEY, "provider", "vehicle"),
    partition_by=WINDOW_PARTITION,
    expires_with="gps_pings",
)

CELL_TRAVEL = Contract(
    name="cell_travel",
    version=1,
    description="Sums over vehicles per cell and window. Sums may be added up, counts of distinct "
    "vehicles may not.",
    fields=(
        *WINDOW,
        *TRAVEL_SUMS,
        *DISTINCT,
        TOP_VEHICLE_MS,
        *SQUARES,
    ),
    key=WINDOW_KEY,
    partition_by=WINDOW_PARTITION,
)

_SPEED = (
    number(
        "space_mean_kmh",
        "km/h",
        "Space-mean speed, distance over time; never shrunk.",
        minimum=0,
        maximum=160,
        nullable=True,
    ),
    number("interval_low_kmh", "km/h", "Lower end of the 90 % interval.", minimum=0, nullable=True),
    number(
        "interval_high_kmh", "km/h", "Upper end of the 90 % interval.", minimum=0, nullable=True
    ),
    *DISTINCT,
    count("n_pings", "Fixes inside the cell and window."),
    count("n_legs", "Pairs of fixes that contributed."),
    choice(
        "quality",
        QUALITY_CLASSES,
        "A at least 15 vehicles and variation up to 10 %, B at least 5 and 20 %, "
        "C less, X not usable.",
    ),
    choice(
        "source_class",
        SOURCE_CLASSES,
        "Whether the value was observed here and now, modelled, or there is none.",
    ),
    number(
        "blended_kmh",
        "km/h",
        "Own speed blended with history, adjacent windows, neighbours and parents; never for "
        "charges. Null where nobody was seen.",
        minimum=0,
        maximum=160,
        nullable=True,
    ),
    number("blended_low_kmh", "km/h", "Lower end of its 90 % interval.", minimum=0, nullable=True),
    number("blended_high_kmh", "km/h", "Upper end of its 90 % interval.", minimum=0, nullable=True),
    share(
        "shrink_weight",
        "Weight of own evidence in blended_kmh; 1 is nothing borrowed.",
        nullable=True,
    ),
    choice(
        "prior_source", PRIOR_SOURCES, "What most of the borrowed part rests on.", nullable=True
    ),
)
_SPEED_RULES = (
    Rule(
        name="blended_above_low",
        left="blended_low_kmh",
        right="blended_kmh",
        description="The interval holds the blended speed.",
    ),
    Rule(
        name="blended_below_high",
        left="blended_kmh",
        right="blended_high_kmh",
        description="The interval holds the blended speed.",
    ),
    *INTERVAL_RULES,
    PROVIDERS_RULE,
)

CELL_SPEED = Contract(
    name="cell_speed",
    version=1,
    description="Space-mean speed of the probes per cell and window, with interval.",
    fields=(*WINDOW, *_SPEED),
    key=WINDOW_KEY,
    partition_by=WINDOW_PARTITION,
    rules=_SPEED_RULES,
)

_FREE_FLOW = (
    number(
        "free_flow_kmh", "km/h", "Speed without congestion.", minimum=0, maximum=160, nullable=True
    ),
    text("free_flow_method", "How it was found; see the methods page.", nullable=True),
)

FREE_FLOW = Contract(
    name="free_flow",
    version=1,
    description="Free-flow speed of each cell, with the method that its evidence allowed.",
    fields=(
        *(f for f in WINDOW if f.name not in {"window_date", "window_start"}),
        *_FREE_FLOW,
        count("n_windows", "Windows that it rests on."),
        count("n_vehicles", "Most distinct vehicles of any of those windows' pseudonym epochs."),
        instant("look_back_start", "First window that was used."),
        instant("look_back_end", "End of the last window that was used."),
    ),
    key=("resolution", "window_minutes", "h3_cell", "vehicle_class"),
    partition_by=("resolution", "window_minutes"),
)

CONGESTION = Contract(
    name="congestion",
    version=1,
    description="Congestion per cell and window: a proxy from a sample of vehicles, not a count.",
    fields=(
        *WINDOW,
        *_SPEED,
        *_FREE_FLOW,
        number(
            "tti",
            "1",
            "Travel time index: free-flow over observed speed.",
            minimum=1,
            nullable=True,
        ),
        share(
            "congestion_index",
            "Share of speed lost: 1 - observed over free-flow speed.",
            nullable=True,
        ),
        number("delay_s_per_km", "s/km", "Time lost per kilometre.", minimum=0, nullable=True),
    ),
    key=WINDOW_KEY,
    partition_by=WINDOW_PARTITION,
    rules=_SPEED_RULES,
    published=True,
)

AIR_HOURLY = Contract(
    name="air_hourly",
    version=1,
    description="Hourly value per sensor and pollutant, raw and calibrated side by side.",
    fields=(
        text("sensor", "Sensor."),
        text("sensor_model", "Model."),
        instant("hour_start", "Start of the hour."),
        day("hour_date", "UTC day of hour_start."),
        Field(name="h3_cell", dtype=DataType.UINT64, description="H3 cell, resolution 9."),
        LON_DEG,
        LAT_DEG,
        choice("pollutant", ("pm2_5", "pm10", "no2", "o3", "co"), "Pollutant."),
        choice(
            "unit", ("µg/m³", "ppb", "ppm"), "Unit of both means and of the standard deviation."
        ),
        number("raw_hourly_mean", "see unit", "Mean of valid raw readings.", nullable=True),
        number("calibrated_hourly_mean", "see unit", "After the named calibration.", nullable=True),
        number(
            "calibrated_sd", "see unit", "Standard uncertainty of that.", minimum=0, nullable=True
        ),
        text("calibration_id", "Calibration that was used; 'none' where there is none."),
        count("n_readings", "Valid readings."),
        count("n_rejected", "Readings that a quality rule took out."),
        number(
            "completeness_pct",
            "%",
            "Share of the hour with valid readings.",
            minimum=0,
            maximum=100,
        ),
        flag("complete", "Whether at least 75 % of the hour is there."),
    ),
    key=("sensor", "pollutant", "hour_start"),
    partition_by=("hour_date",),
    published=True,
)

CELL_EMISSIONS = Contract(
    name="cell_emissions",
    version=1,
    description="Traffic emission per cell, window and kind of vehicle, with 90 % interval.",
    fields=(
        *WINDOW[:-1],
        text("emission_class", "Row of the factor file, such as car_diesel_euro_5; or 'fleet'."),
        choice("pollutant", ("nox", "pm2_5", "co2"), "Pollutant."),
        number("space_mean_kmh", "km/h", "Speed that the factor was taken at.", minimum=0),
        number("emission_gkm", "g/km", "Emission of one vehicle per kilometre.", minimum=0),
        number("interval_low_gkm", "g/km", "Lower end of the 90 % interval.", minimum=0),
        number("interval_high_gkm", "g/km", "Upper end of the 90 % interval.", minimum=0),
        number(
            "emission_gh", "g/h", "Emission of the cell; needs counts.", minimum=0, nullable=True
        ),
        number(
            "interval_low_gh", "g/h", "Lower end of the 90 % interval.", minimum=0, nullable=True
        ),
        number(
            "interval_high_gh", "g/h", "Upper end of the 90 % interval.", minimum=0, nullable=True
        ),
        *DISTINCT,
        text("factor_set_id", "Parameter file, edition and SHA-256."),
        text("missing", "What would be needed for more, separated by a space.", nullable=True),
    ),
    key=(*WINDOW_KEY[:-1], "emission_class", "pollutant"),
    partition_by=WINDOW_PARTITION,
    published=True,
)
