"""What is known per period of the day: sums that stay, reliability, bottlenecks, anomalies.

A period belongs to one local calendar day. On workdays there are ``morning_peak`` (6-10 h),
``midday`` (10-16 h) and ``evening_peak`` (16-20 h), on other days ``daytime`` (6-20 h), and on all
days ``overnight`` (0-6 h and 20-24 h of the same calendar day).
"""

from __future__ import annotations

from clearway_core.contracts.columns import count, instant, number, text
from clearway_core.contracts.derived_tables import CELL_TRAVEL, CONGESTION
from clearway_core.contracts.field import Contract, DataType, Field, Rule

PERIODS = ("morning_peak", "midday", "evening_peak", "daytime", "overnight")
DAY_TYPES = (
    "workday",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "holiday",
)
"""A workday, a public holiday, or the name of the weekly day of rest that it is."""

DAY_GROUPS = ("workday", "weekend", "holiday", "all")
"""Days that are compared with each other; ``all`` for ``overnight``, which all days have."""

EVIDENCE = ("enough", "few_days", "few_windows", "no_free_flow")
"""``enough``, or why there is not enough evidence for a number."""

NEWEST = "newest"
"""Span of the look-back that ends on the newest day; the others are calendar months."""

_WINDOW_COLUMNS = ("window_minutes", "window_date", "window_start")
_CELL = (CELL_TRAVEL.field("h3_cell"), CELL_TRAVEL.field("vehicle_class"))
_SUMS = tuple(
    field
    for field in CELL_TRAVEL.fields
    if field.name not in (*CELL_TRAVEL.key, *_WINDOW_COLUMNS, "n_vehicles", "n_providers")
)
_TIME_ZONE = text("time_zone", "IANA name of the clock by which days and hours are local.")
_LOCAL_DATE = Field(name="local_date", dtype=DataType.DATE, description="Day of the local clock.")
_PERIOD = Field(
    name="period",
    dtype=DataType.STRING,
    allowed=PERIODS,
    description="Part of the day: morning_peak 6-10 h, midday 10-16 h, evening_peak 16-20 h, "
    "daytime 6-20 h of days off, overnight 0-6 h and 20-24 h.",
)
_DAY_GROUP = Field(
    name="day_group",
    dtype=DataType.STRING,
    allowed=DAY_GROUPS,
    description="Which days: workdays, weekly days of rest, public holidays, or all.",
)
_DAY_TAGS = text(
    "day_tags",
    "What else the day was, separated by '; ': 'holiday: name', 'school_break', 'event: name'.",
    nullable=True,
)
_EVIDENCE = Field(
    name="evidence",
    dtype=DataType.STRING,
    allowed=EVIDENCE,
    description="Whether there is enough evidence for percentiles and ranks, or what there is too "
    "little of; then they are missing.",
)
_SPAN = (
    Field(
        name="span",
        dtype=DataType.STRING,
        pattern=r"newest|\d{4}-\d{2}",
        description="Calendar month such as 2008-05, or 'newest': the look-back up to the newest "
        "day.",
    ),
    Field(name="span_first_date", dtype=DataType.DATE, description="First local day of the span."),
    Field(
        name="span_last_date",
        dtype=DataType.DATE,
        description="Last local day of the span, itself included.",
    ),
)
_DISTINCT = (
    count(
        "n_vehicles",
        "Distinct vehicles of the largest day, recounted; never added up over days, because "
        "pseudonyms turn daily.",
    ),
    count("n_providers", "Distinct providers of the day with most."),
)
_TOP_SHARE = number(
    "top_vehicle_share",
    "1",
    "Largest share of the time that one vehicle can have, as if the largest of each day were the "
    "same.",
    minimum=0,
    maximum=1,
)
_INTERVAL_RULES = (
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
_PROVIDERS_RULE = Rule(
    name="providers_up_to_vehicles",
    left="n_providers",
    right="n_vehicles",
    description="Every provider has at least one vehicle.",
)


def _optional(field: Field, description: str | None = None) -> Field:
    """Return a number of another table as a column that may be missing."""
    return number(
        field.name,
        field.unit,
        description or field.description,
        minimum=field.minimum,
        maximum=field.maximum,
        nullable=True,
    )


_SPEED = tuple(
    _optional(CONGESTION.field(name))
    for name in (
        "space_mean_kmh",
        "interval_low_kmh",
        "interval_high_kmh",
        "free_flow_kmh",
    )
)
_INDICES = tuple(
    _optional(CONGESTION.field(name)) for name in ("tti", "congestion_index", "delay_s_per_km")
)

PERIOD_TRAVEL = Contract(
    name="period_travel",
    version=1,
    description="Sums over vehicles per cell and period of a local day. Kept when raw GPS and "
    "vehicle travel are deleted. Sums may be added up, counts of distinct vehicles may not.",
    fields=(
        CELL_TRAVEL.field("resolution"),
        _LOCAL_DATE,
        _PERIOD,
        *_CELL,
        _TIME_ZONE,
        Field(
            name="day_type",
            dtype=DataType.STRING,
            allowed=DAY_TYPES,
            description="Workday, holiday, or the weekly day of rest by its name.",
        ),
        _DAY_TAGS,
        *_SUMS,
        CELL_TRAVEL.field("n_vehicles"),
        CELL_TRAVEL.field("n_providers"),
    ),
    key=("resolution", "local_date", "period", "h3_cell", "vehicle_class"),
    partition_by=("resolution", "local_date"),
)


def _pace(percent: int) -> Field:
    return number(
        f"pace_p{percent}_s_per_km",
        "s/km",
        f"The {percent}th percentile of the paces of 15-minute windows, by distance.",
        minimum=0,
        nullable=True,
    )


RELIABILITY = Contract(
    name="reliability",
    version=1,
    description="How long and how predictable travel was per cell, period and kind of day over a "
    "span of days: a proxy from a sample of vehicles.",
    fields=(
        CELL_TRAVEL.field("resolution"),
        *_SPAN,
        _PERIOD,
        _DAY_GROUP,
        *_CELL,
        _TIME_ZONE,
        _EVIDENCE,
        count("n_days", "Days with at least one window that counts."),
        count("n_tagged_days", "Of those, days in a school break or with an event."),
        count("n_windows", "Windows of 15 minutes with at least two vehicles: those that count."),
        *_DISTINCT,
        _TOP_SHARE,
        *_SPEED,
        text("free_flow_method", "How the free-flow speed was found.", nullable=True),
        *_INDICES,
        number(
            "congestion_level_pct",
            "%",
            "Extra time against free flow: 100 (tti - 1).",
            minimum=0,
            nullable=True,
        ),
        _pace(50),
        _pace(80),
        _pace(95),
        number(
            "pti",
            "1",
            "Planning time index: 95th percentile of travel time over free flow.",
            minimum=0,
            nullable=True,
        ),
        number(
            "buffer_index",
            "1",
            "The 95th percentile of travel time over its mean, minus 1.",
            nullable=True,
        ),
        number(
            "lottr",
            "1",
            "Level of travel time reliability: 80th over 50th percentile.",
            minimum=1,
            nullable=True,
        ),
        number(
            "tttr",
            "1",
            "The 95th over the 50th percentile of travel time.",
            minimum=1,
            nullable=True,
        ),
        number(
            "worst_tttr",
            "1",
            "Largest tttr of the cell's five periods; missing unless all five have one.",
            minimum=1,
            nullable=True,
        ),
        Field(
            name="reliable",
            dtype=DataType.BOOL,
            nullable=True,
            description="Whether lottr is below 1.50 in the three workday periods and on weekend "
            "days; missing unless that can be said.",
        ),
    ),
    key=("resolution", "span", "period", "day_group", "h3_cell", "vehicle_class"),
    partition_by=("resolution", "span"),
    rules=(*_INTERVAL_RULES, _PROVIDERS_RULE),
    published=True,
)

BOTTLENECKS = Contract(
    name="bottlenecks",
    version=1,
    description="Cells that are congested at the same time on many comparable days, worst first.",
    fields=(
        CELL_TRAVEL.field("resolution"),
        *_SPAN,
        _DAY_GROUP,
        *_CELL,
        Field(
            name="start_minute",
            dtype=DataType.INT32,
            unit="min",
            minimum=0,
            maximum=1439,
            description="Usual start after local midnight.",
        ),
        Field(
            name="duration_minutes",
            dtype=DataType.INT32,
            unit="min",
            minimum=15,
            maximum=1440,
            description="Usual duration.",
        ),
        _PERIOD,
        _TIME_ZONE,
        _EVIDENCE,
        Field(
            name="rank",
            dtype=DataType.INT32,
            minimum=1,
            nullable=True,
            description="Place by extra time, 1 has most; within resolution, span, day group and "
            "class.",
        ),
        count("n_days", "Comparable days on which the time of day was observed."),
        count("n_windows", "Windows of 15 minutes with at least two vehicles behind the row."),
        *_DISTINCT,
        _TOP_SHARE,
        number(
            "congested_share",
            "1",
            "Share of the observed windows that were congested.",
            minimum=0,
            maximum=1,
            nullable=True,
        ),
        number(
            "congested_share_low",
            "1",
            "Lower end of its 90 % interval; days are the sample.",
            minimum=0,
            maximum=1,
            nullable=True,
        ),
        number(
            "congested_share_high",
            "1",
            "Upper end of its 90 % interval.",
            minimum=0,
            maximum=1,
            nullable=True,
        ),
        _optional(CONGESTION.field("space_mean_kmh"), "Space-mean speed at that time of day."),
        _optional(CONGESTION.field("free_flow_kmh")),
        *_INDICES,
        number(
            "extra_h_per_day",
            "h",
            "Time that the probes lost against free flow, summed over them, per observed day.",
            minimum=0,
            nullable=True,
        ),
    ),
    key=("resolution", "span", "day_group", "h3_cell", "vehicle_class", "start_minute"),
    partition_by=("resolution", "span"),
    rules=(_PROVIDERS_RULE,),
    published=True,
)

ANOMALIES = Contract(
    name="anomalies",
    version=1,
    description="Windows in which a cell was congested and far slower than it usually is at that "
    "time of a comparable day, worst first.",
    fields=(
        CELL_TRAVEL.field("resolution"),
        _LOCAL_DATE,
        *_CELL,
        instant("window_start", "Start of the window of 15 minutes."),
        _PERIOD,
        _DAY_GROUP,
        _TIME_ZONE,
        _DAY_TAGS,
        Field(
            name="rank",
            dtype=DataType.INT32,
            minimum=1,
            description="Place by extra time, 1 has most; within resolution, local day and class.",
        ),
        number("space_mean_kmh", "km/h", "Observed speed.", minimum=0, maximum=160),
        number("usual_kmh", "km/h", "Median of the comparable windows.", minimum=0, maximum=160),
        number("free_flow_kmh", "km/h", "Speed without congestion.", minimum=0, maximum=160),
        number("tti", "1", "Travel time index.", minimum=1),
        number(
            "robust_z",
            "1",
            "Log pace minus its usual median, over the spread of usual days and the window's own "
            "error.",
            minimum=0,
        ),
        number(
            "extra_h",
            "h",
            "Time that the probes lost against the usual pace, summed over them.",
            minimum=0,
        ),
        count("n_usual_days", "Comparable days of the look-back."),
        count("n_usual_windows", "Comparable windows of them."),
        count("n_vehicles", "Distinct vehicles in the window."),
        count("n_providers", "Distinct providers in the window."),
        number(
            "top_vehicle_share",
            "1",
            "Largest share of the window's time that one vehicle has.",
            minimum=0,
            maximum=1,
        ),
    ),
    key=("resolution", "local_date", "h3_cell", "window_start", "vehicle_class"),
    partition_by=("resolution", "local_date"),
    rules=(_PROVIDERS_RULE,),
    published=True,
)
