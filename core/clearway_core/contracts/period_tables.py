"""What is known per period of the day: sums that stay, reliability, bottlenecks, anomalies.

A period belongs to one local calendar day. On workdays there are ``morning_peak`` (6-10 h),
``midday`` (10-16 h) and ``evening_peak`` (16-20 h), on other days ``daytime`` (6-20 h), and on all
days ``overnight`` (0-6 h and 20-24 h of the same calendar day).
"""

from __future__ import annotations

from clearway_core.contracts.columns import (
    choice,
    count,
    day,
    flag,
    instant,
    number,
    share,
    text,
    whole,
)
from clearway_core.contracts.derived_tables import CELL_TRAVEL, CONGESTION
from clearway_core.contracts.field import Contract, DataType, Field
from clearway_core.contracts.window_columns import INTERVAL_RULES, PROVIDERS_RULE

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
_LOCAL_DATE = day("local_date", "Day of the local clock.")
_PERIOD = choice(
    "period",
    PERIODS,
    "Part of the day: morning_peak 6-10 h, midday 10-16 h, evening_peak 16-20 h, "
    "daytime 6-20 h of days off, overnight 0-6 h and 20-24 h.",
)
_DAY_GROUP = choice(
    "day_group", DAY_GROUPS, "Which days: workdays, weekly days of rest, public holidays, or all."
)
_DAY_TAGS = text(
    "day_tags",
    "What else the day was, separated by '; ': 'holiday: name', 'school_break', 'event: name'.",
    nullable=True,
)
_EVIDENCE = choice(
    "evidence",
    EVIDENCE,
    "Whether there is enough evidence for percentiles and ranks, or what there is too "
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
    day("span_first_date", "First local day of the span."),
    day("span_last_date", "Last local day of the span, itself included."),
)
_DISTINCT = (
    count(
        "n_vehicles",
        "Distinct vehicles of the largest day, recounted; never added up over days, because "
        "pseudonyms turn daily.",
    ),
    count("n_providers", "Distinct providers of the day with most."),
)
_TOP_SHARE = share(
    "top_vehicle_share",
    "Largest share of the time that one vehicle can have, as if the largest of each day were the "
    "same.",
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
        choice("day_type", DAY_TYPES, "Workday, holiday, or the weekly day of rest by its name."),
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
        flag(
            "reliable",
            "Whether lottr is below 1.50 in the three workday periods and on weekend "
            "days; missing unless that can be said.",
            nullable=True,
        ),
    ),
    key=("resolution", "span", "period", "day_group", "h3_cell", "vehicle_class"),
    partition_by=("resolution", "span"),
    rules=(*INTERVAL_RULES, PROVIDERS_RULE),
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
        whole(
            "start_minute", "Usual start after local midnight.", unit="min", minimum=0, maximum=1439
        ),
        whole("duration_minutes", "Usual duration.", unit="min", minimum=15, maximum=1440),
        _PERIOD,
        _TIME_ZONE,
        _EVIDENCE,
        whole(
            "rank",
            "Place by extra time, 1 has most; within resolution, span, day group and class.",
            minimum=1,
            nullable=True,
        ),
        count("n_days", "Comparable days on which the time of day was observed."),
        count("n_windows", "Windows of 15 minutes with at least two vehicles behind the row."),
        *_DISTINCT,
        _TOP_SHARE,
        share(
            "congested_share", "Share of the observed windows that were congested.", nullable=True
        ),
        share(
            "congested_share_low",
            "Lower end of its 90 % interval; days are the sample.",
            nullable=True,
        ),
        share("congested_share_high", "Upper end of its 90 % interval.", nullable=True),
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
    rules=(PROVIDERS_RULE,),
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
        whole(
            "rank",
            "Place by extra time, 1 has most; within resolution, local day and class.",
            minimum=1,
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
        share("top_vehicle_share", "Largest share of the window's time that one vehicle has."),
    ),
    key=("resolution", "local_date", "h3_cell", "window_start", "vehicle_class"),
    partition_by=("resolution", "local_date"),
    rules=(PROVIDERS_RULE,),
    published=True,
)
